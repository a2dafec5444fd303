//! From a token to the name of its issuer.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::super::token::Token;
use crate::{Rejection, digest::Digest};

/// How many tokens are remembered to come from which issuer.
const ROUTES: usize = 10_000;

/// Whose each verified token is, so that a remembered token is not parsed again. It is only the way
/// to the issuer, which decides about the token every time.
pub(super) struct Routes(Cache<Digest, Arc<str>>);

impl Routes {
    pub(super) fn new() -> Self {
        Self(Cache::new(ROUTES))
    }

    /// Whose token it is, or says it is.
    ///
    /// # Errors
    /// A rejection if it does not have the shape of a token.
    pub(super) fn issuer(&self, token: &mut Token<'_>) -> Result<Option<Arc<str>>, Rejection> {
        match token.digest.and_then(|digest| self.0.get(&digest)) {
            Some(known) => Ok(Some(known)),
            None => Ok(token.unverified_issuer()?.map(Arc::from)),
        }
    }

    /// Remembers the issuer of a token that it has verified.
    pub(super) fn remember(&self, token: &Token<'_>, issuer: Arc<str>) {
        // Reading is cheaper than writing, and a token has one issuer for ever.
        if let Some(digest) = token.digest
            && !self.0.contains_key(&digest)
        {
            self.0.insert(digest, issuer);
        }
    }
}
