//! Configuration of a `JwksHttpClient`.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use reqwest::{Client, redirect};

use super::{
    super::super::error::{JwtConfigError, JwtConfigErrorKind as Kind},
    address::AddressRule,
    client::{JwksHttpClient, whole},
    resolver::CheckedResolver,
    roots::Roots,
};

/// No fetch takes longer, whoever asks; `RemoteKeys` gives up earlier.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Builds a [`JwksHttpClient`]; made by [`JwksHttpClient::builder`].
#[derive(Debug, Default)]
#[must_use]
pub struct JwksHttpClientBuilder {
    rule: AddressRule,
    roots: Roots,
    insecure_loopback: bool,
}

impl JwksHttpClientBuilder {
    /// Lets issuers be in a network that is not public, such as the cluster's `10.20.0.0/16`.
    ///
    /// # Security
    /// A user who may name an issuer can then have the service send GET requests into that network,
    /// over HTTPS. Open as little as the issuer needs, and use another client for issuers that
    /// tenants name.
    pub fn danger_allow_network(mut self, network: IpNet) -> Self {
        self.rule.opened.push(network);
        self
    }

    /// Trusts a certificate authority besides the system's: one or several PEM blocks
    /// `CERTIFICATE`. Call it again for a further one. Default: none.
    ///
    /// For an identity provider inside the house, whose certificate a private authority has
    /// issued. Its address is usually private as well, and has to be
    /// [allowed](Self::danger_allow_network).
    ///
    /// ```no_run
    /// use tenancy_core::jwt::{JwksHttpClient, JwtAuthenticator};
    ///
    /// let authority = std::fs::read("/etc/notes/house-ca.pem")?;
    /// let inside = JwksHttpClient::builder()
    ///     .root_certificate_pem(authority)
    ///     .danger_allow_network("10.20.0.0/16".parse()?)
    ///     .build()?;
    /// let login = JwtAuthenticator::builder("https://login.house.example", "notes")
    ///     .discover(&inside)?
    ///     .build()?;
    /// # let _ = login;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Security
    /// The holder of the authority's key can answer for every issuer that this client asks, and so
    /// sign as its users. Give the authority's issuers a client of their own. Names and times of
    /// certificates are checked as with every authority.
    pub fn root_certificate_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.roots.add(pem.as_ref());
        self
    }

    /// Lets issuers be on this machine, without encryption: for a key server inside a test.
    ///
    /// # Security
    /// Exists under the feature `testing` only.
    #[cfg(any(test, feature = "testing"))]
    pub fn insecure_loopback(mut self) -> Self {
        self.insecure_loopback = true;
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    /// [`JwtConfigError`] if TLS can't be set up, as where the system has no root certificates, or
    /// if a certificate to trust can't be read.
    pub fn build(self) -> Result<JwksHttpClient, JwtConfigError> {
        let roots = self.roots.read()?;
        let mut rule = self.rule;
        if self.insecure_loopback {
            let loopback = [[127, 0, 0, 0].into(), std::net::Ipv6Addr::LOCALHOST.into()];
            let lengths = [8, 128];
            let networks = loopback.into_iter().zip(lengths);
            rule.opened
                .extend(networks.filter_map(|(address, len)| IpNet::new(address, len).ok()));
        }
        let rule = Arc::new(rule);
        let client = Client::builder()
            .dns_resolver(CheckedResolver(Arc::clone(&rule)))
            .tls_certs_merge(roots)
            .https_only(!self.insecure_loopback)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            // The answers are small and rare, and another crate of the program may have switched
            // these on.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .pool_max_idle_per_host(0)
            .timeout(TIMEOUT)
            .user_agent(concat!("tenancy/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| JwtConfigError::new(Kind::HttpClient, whole(&error)))?;
        Ok(JwksHttpClient {
            client,
            rule,
            insecure_loopback: self.insecure_loopback,
        })
    }
}
