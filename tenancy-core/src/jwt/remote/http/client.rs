//! An HTTP client that is fit for addresses that others choose.

use std::{error::Error, fmt, net::IpAddr, sync::Arc};

use reqwest::{Client, StatusCode, Url, header};

use super::{
    super::{
        super::error::{JwtConfigError, JwtConfigErrorKind as Kind},
        fetcher::FetchError,
    },
    address::AddressRule,
    builder::JwksHttpClientBuilder,
    discovery,
    fetcher::{HttpJwksFetcher, Source},
};

/// Fetches key sets and discovery documents over HTTPS.
///
/// Cheap to clone; make one for all issuers, since each has its own copy of the system's root
/// certificates. Needs the feature `jwks-http`.
///
/// ```
/// use tenancy_core::jwt::{JwksHttpClient, JwtAuthenticator, RemoteKeys, SubjectMapping};
///
/// let http = JwksHttpClient::new()?;
/// // From where the issuer publishes its keys:
/// let keys = RemoteKeys::new(http.key_set("https://www.googleapis.com/oauth2/v3/certs")?);
/// let google = JwtAuthenticator::builder("https://accounts.google.com", "client-id")
///     .remote_keys(keys)
///     .subject(SubjectMapping::PerIssuer)
///     .build()?;
/// // Or from what an OpenID provider says about itself:
/// let login = JwtAuthenticator::builder("https://login.example.com", "https://api.example.com")
///     .discover(&http)?
///     .build()?;
/// # let _ = (google, login);
/// # Ok::<(), tenancy_core::jwt::JwtConfigError>(())
/// ```
///
/// # Security
/// A tenant that sets up its own single sign-on chooses where this client connects to. So:
/// - only `https`, with the system's root certificates and those that you
///   [add](JwksHttpClientBuilder::root_certificate_pem); no user name in the address;
/// - no redirects, not even within a host;
/// - no address that is private, loopback, link-local (where clouds keep their credentials) or
///   otherwise special. A name is refused if *any* of its addresses is, and the connection goes to
///   the addresses that were checked, so that a name that changes its mind (DNS rebinding) gains
///   nothing;
/// - no proxy from the environment: it would resolve the name itself. Where all traffic has to go
///   through one, implement [`JwksFetcher`](crate::jwt::JwksFetcher) over it, and have the proxy
///   refuse private addresses;
/// - the answer is cut off at its limit while it is read, and never decompressed.
#[derive(Clone)]
pub struct JwksHttpClient {
    pub(super) client: Client,
    pub(super) rule: Arc<AddressRule>,
    pub(super) insecure_loopback: bool,
}

impl JwksHttpClient {
    /// A client that reaches the public internet only.
    ///
    /// # Errors
    /// As [`JwksHttpClientBuilder::build`].
    pub fn new() -> Result<Self, JwtConfigError> {
        Self::builder().build()
    }

    /// Starts with the public internet only.
    pub fn builder() -> JwksHttpClientBuilder {
        JwksHttpClientBuilder::default()
    }

    /// Fetches a key set from where it is published.
    ///
    /// # Errors
    /// [`JwtConfigError`] if the address is not one that this client connects to. What its name
    /// stands for is checked at every fetch.
    pub fn key_set(&self, url: &str) -> Result<HttpJwksFetcher, JwtConfigError> {
        let source = Source::KeySet(self.checked(url).map_err(refused)?);
        Ok(self.fetcher(source))
    }

    /// Fetches the key set that an OpenID provider's own description names
    /// (OpenID Connect Discovery 1.0): asks for the description first, each time.
    ///
    /// The description has to name exactly this issuer, and its `jwks_uri` is held to the same
    /// rules as every address. [`discover`](crate::jwt::JwtAuthenticatorBuilder::discover) uses it
    /// for the issuer whose tokens it verifies.
    ///
    /// # Errors
    /// [`JwtConfigError`] as [`key_set`](Self::key_set), or if the issuer has a query.
    pub fn discovered(&self, issuer: &str) -> Result<HttpJwksFetcher, JwtConfigError> {
        let url = self.checked(issuer).map_err(refused)?;
        if url.query().is_some() {
            return Err(refused("an issuer has no query"));
        }
        let description = self
            .checked(&discovery::location(issuer))
            .map_err(refused)?;
        Ok(self.fetcher(Source::Discovery {
            issuer: issuer.into(),
            description,
        }))
    }

    fn fetcher(&self, source: Source) -> HttpJwksFetcher {
        HttpJwksFetcher {
            http: self.clone(),
            source,
        }
    }

    /// Reads an address and checks all of it that can be checked without resolving a name.
    pub(super) fn checked(&self, url: &str) -> Result<Url, &'static str> {
        let url = Url::parse(url).map_err(|_| "it is no URL")?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err("it has a user name, a password or a fragment");
        }
        let host = url.host_str().ok_or("it has no host")?;
        // A client connects to a literal address without asking any resolver.
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        let literal = literal.parse::<IpAddr>().ok();
        if literal.is_some_and(|address| !self.rule.admits(address)) {
            return Err("its address is private");
        }
        let on_this_machine = || literal.is_some_and(|address| address.is_loopback());
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.insecure_loopback && on_this_machine() => Ok(url),
            _ => Err("it is not https"),
        }
    }

    pub(super) async fn get(&self, url: Url, limit: usize) -> Result<Vec<u8>, FetchError> {
        let failed = |error: reqwest::Error| FetchError::new(whole(&error.without_url()));
        let request = self
            .client
            .get(url)
            .header(header::ACCEPT, "application/json");
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status.is_redirection() {
            let message = format!("the answer is a redirect ({status}), which is not followed");
            return Err(FetchError::new(message));
        }
        if status != StatusCode::OK {
            return Err(FetchError::new(format!("the answer is {status}")));
        }
        let too_large = || FetchError::new(format!("the answer has more than {limit} bytes"));
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |announced| announced > limit) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if chunk.len() > limit - body.len() {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl fmt::Debug for JwksHttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksHttpClient")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

fn refused(why: &'static str) -> JwtConfigError {
    let message = format!("the issuer's address is refused: {why}");
    JwtConfigError::new(Kind::IssuerAddress, message)
}

/// An error with its causes, which reqwest leaves out.
pub(super) fn whole(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
