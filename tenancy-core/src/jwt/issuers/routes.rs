//! From a token to the name of its issuer.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::super::{cache::Fingerprint, token::Token};

/// How many tokens are remembered to come from which issuer.
const ROUTES: usize = 10_000;

/// Whose each verified token is, so that a remembered token is not parsed again. It is only the way
/// to the issuer, which decides about the token every time.
pub(super) struct Routes(Cache<Fingerprint, Arc<str>>);

impl Routes {
    pub(super) fn new() -> Self {
        Self(Cache::new(ROUTES))
    }

    /// Whose token it is, or says it is.
    pub(super) fn issuer(&self, token: &mut Token<'_>) -> Option<Arc<str>> {
        let known = self.0.get(&token.fingerprint());
        known.or_else(|| token.unverified_issuer().map(Arc::from))
    }

    /// Remembers the issuer of a token that it has verified.
    pub(super) fn remember(&self, token: &mut Token<'_>, issuer: Arc<str>) {
        let fingerprint = token.fingerprint();
        // Reading is cheaper than writing, and a token has one issuer for ever.
        if !self.0.contains_key(&fingerprint) {
            self.0.insert(fingerprint, issuer);
        }
    }
}
