//! Certificate authorities that are trusted besides the system's.

use std::fmt;

use reqwest::{Certificate, Client};

use super::{
    super::super::error::{JwtConfigError, JwtConfigErrorKind as Kind},
    client::whole,
};

/// Certificates in PEM, as they were given.
#[derive(Default)]
pub(super) struct Roots(Vec<Box<[u8]>>);

impl Roots {
    pub(super) fn add(&mut self, pem: &[u8]) {
        self.0.push(pem.into());
    }

    /// Reads all of them: what is passed over silently would be missed when an issuer is asked.
    pub(super) fn read(&self) -> Result<Vec<Certificate>, JwtConfigError> {
        let mut all = Vec::new();
        for pem in &self.0 {
            all.extend(read(pem)?);
        }
        Ok(all)
    }
}

fn read(pem: &[u8]) -> Result<Vec<Certificate>, JwtConfigError> {
    let text = std::str::from_utf8(pem).unwrap_or_default();
    let blocks = text.matches("-----BEGIN ").count();
    let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
    // A file with more in it may hold the authority's private key, which has no business here.
    if certificates.is_empty() || certificates.len() != blocks {
        let message = "a root certificate can't be read; expected nothing but blocks from \
             `-----BEGIN CERTIFICATE-----` to `-----END CERTIFICATE-----`";
        return Err(JwtConfigError::new(Kind::RootCertificate, message));
    }
    // What is inside of a block is looked at by the client alone.
    Client::builder()
        .tls_certs_only(certificates.clone())
        .build()
        .map_err(|error| {
            let message = format!("a root certificate can't be used: {}", whole(&error));
            JwtConfigError::new(Kind::RootCertificate, message)
        })?;
    Ok(certificates)
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Roots").field(&self.0.len()).finish()
    }
}
