//! The application's own reading of claims.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::reason;
use crate::{Actor, Principal, Rejection};

type Reading = dyn Fn(&Value, Principal) -> Result<Principal, Rejection> + Send + Sync;

/// A closure that changes what the other rules have made of a token, within bounds.
#[derive(Clone)]
pub(super) struct CustomMapping(Arc<Reading>);

impl CustomMapping {
    pub(super) fn new(
        reading: impl Fn(&Value, Principal) -> Result<Principal, Rejection> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(reading))
    }

    /// Applies the closure. Who vouches and when the token holds stay as they are, the scope only
    /// narrows, and a token stands for a user or a service account: others have rights that come
    /// from no token, and nothing would take theirs back.
    pub(super) fn apply(
        &self,
        claims: &Value,
        principal: Principal,
    ) -> Result<Principal, Rejection> {
        let before = principal.clone();
        let mut mapped = (self.0)(claims, principal)?;
        if !matches!(mapped.actor, Actor::User(_) | Actor::Service(_)) {
            return Err(reason::ACTOR);
        }
        mapped.issuer = before.issuer;
        mapped.issued_at = before.issued_at;
        mapped.expires_at = before.expires_at;
        mapped.not_before = before.not_before;
        mapped.claims = before.claims;
        mapped.scope = mapped.scope.intersection(before.scope);
        Ok(mapped)
    }
}

impl fmt::Debug for CustomMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomMapping")
    }
}
