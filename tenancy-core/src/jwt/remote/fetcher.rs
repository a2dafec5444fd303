//! Where a key set comes from: a trait, so that the core has no HTTP client.

use std::fmt;

use async_trait::async_trait;

/// Fetches the document in which an issuer publishes its keys.
///
/// [`RemoteKeys`](super::RemoteKeys) decides when; an implementation only fetches. With the
/// feature `jwks-http` there is one over HTTPS; another may go through a proxy, read a file that
/// a side car writes, or ask a secret store.
///
/// ```
/// use tenancy_core::{async_trait, jwt::{FetchError, JwksFetcher, RemoteKeys}};
///
/// #[derive(Debug)]
/// struct FromFile(std::path::PathBuf);
///
/// #[async_trait]
/// impl JwksFetcher for FromFile {
///     async fn fetch(&self, limit: usize) -> Result<Vec<u8>, FetchError> {
///         let bytes = std::fs::read(&self.0).map_err(FetchError::new)?;
///         if bytes.len() > limit {
///             return Err(FetchError::new("the key set is too large"));
///         }
///         Ok(bytes)
///     }
/// }
///
/// let keys = RemoteKeys::new(FromFile("/run/keys/jwks.json".into()));
/// # let _ = keys;
/// ```
///
/// # Security
/// A party that can answer in the issuer's place can sign as anybody. An implementation over a network
/// authenticates the other side (TLS), follows no redirect to another host and, where a tenant may
/// choose the address, connects to no private one.
#[async_trait]
pub trait JwksFetcher: Send + Sync + fmt::Debug {
    /// Fetches the document anew, past every cache.
    ///
    /// `limit` is the number of bytes after which to stop reading; more is refused anyway. The
    /// future is dropped when it takes longer than
    /// [`timeout`](super::RemoteKeysBuilder::timeout).
    ///
    /// # Errors
    /// [`FetchError`] if there is no answer, or none that says success.
    async fn fetch(&self, limit: usize) -> Result<Vec<u8>, FetchError>;
}

/// A document that could not be fetched. Logged, never sent to a caller.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct FetchError {
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl FetchError {
    /// Wraps the cause, which must not repeat what the other side sent.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}
