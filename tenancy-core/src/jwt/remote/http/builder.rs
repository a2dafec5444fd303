//! Configuration of a `JwksHttpClient`.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use reqwest::{Client, redirect};

use super::{
    super::super::error::{JwtConfigError, JwtConfigErrorKind as Kind},
    address::AddressRule,
    client::{JwksHttpClient, whole},
    resolver::CheckedResolver,
};

/// No fetch takes longer, whoever asks; `RemoteKeys` gives up earlier.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Builds a [`JwksHttpClient`]; made by [`JwksHttpClient::builder`].
#[derive(Debug, Default)]
#[must_use]
pub struct JwksHttpClientBuilder {
    rule: AddressRule,
    insecure_loopback: bool,
}

impl JwksHttpClientBuilder {
    /// Lets issuers be in a network that is not public, such as the cluster's `10.20.0.0/16`.
    ///
    /// # Security
    /// Whoever may name an issuer can then have the service send GET requests into that network,
    /// over HTTPS. Open as little as the issuer needs, and use another client for issuers that
    /// tenants name.
    pub fn danger_allow_network(mut self, network: IpNet) -> Self {
        self.rule.opened.push(network);
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
    /// [`JwtConfigError`] if TLS can't be set up, as where the system has no root certificates.
    pub fn build(self) -> Result<JwksHttpClient, JwtConfigError> {
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
