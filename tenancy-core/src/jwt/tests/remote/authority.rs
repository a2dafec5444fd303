//! A private certificate authority, and servers that it has given certificates to.

use std::sync::Arc;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use tokio_rustls::rustls::{ServerConfig, crypto::aws_lc_rs as provider};

use super::{server::Server, *};

/// The key of an authority or of a server.
struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        Ok(signature.unwrap().as_ref().to_vec())
    }
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// A certificate authority of the house.
pub(super) struct Authority {
    pub(super) pem: String,
    issuer: rcgen::Issuer<'static, Key>,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let key = Key::new();
        let mut params = params("ca.example", 1);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: pem("CERTIFICATE", certificate.der()),
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    /// A server on this machine with a certificate for this name, valid until that year.
    pub(super) async fn server(&self, name: &str, until: i32) -> Server {
        let key = Key::new();
        let mut params = params(name, 2);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let private = key.0.to_pkcs8v1().unwrap().as_ref().to_vec();
        let provider = Arc::new(provider::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private.try_into().unwrap())
            .unwrap();
        let server = Server::start_tls(tls).await;
        server.publishes(&[jwk(Algorithm::ES256, "k")]);
        server
    }
}
