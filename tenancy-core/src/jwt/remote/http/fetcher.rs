//! What fetches one issuer's keys.

use std::fmt;

use async_trait::async_trait;
use reqwest::Url;

use super::{
    super::fetcher::{FetchError, JwksFetcher},
    client::JwksHttpClient,
    discovery,
};

/// Fetches one issuer's keys; made by [`JwksHttpClient`].
#[derive(Clone)]
pub struct HttpJwksFetcher {
    pub(super) http: JwksHttpClient,
    pub(super) source: Source,
}

#[derive(Debug, Clone)]
pub(super) enum Source {
    KeySet(Url),
    Discovery { issuer: Box<str>, description: Url },
}

#[async_trait]
impl JwksFetcher for HttpJwksFetcher {
    async fn fetch(&self, limit: usize) -> Result<Vec<u8>, FetchError> {
        let url = match &self.source {
            Source::KeySet(url) => url.clone(),
            Source::Discovery {
                issuer,
                description,
            } => {
                let document = self
                    .http
                    .get(description.clone(), discovery::MAX_BYTES)
                    .await?;
                let url = discovery::jwks_uri(&document, issuer)?;
                self.http.checked(&url).map_err(|why| {
                    FetchError::new(format!("the key set's address is refused: {why}"))
                })?
            }
        };
        self.http.get(url, limit).await
    }
}

impl fmt::Debug for HttpJwksFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match &self.source {
            Source::KeySet(url) => url,
            Source::Discovery { description, .. } => description,
        };
        // A query may hold somebody's secret.
        let mut url = url.clone();
        url.set_query(None);
        f.debug_tuple("HttpJwksFetcher")
            .field(&url.as_str())
            .finish()
    }
}
