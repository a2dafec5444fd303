//! A principal that the application's own middleware has established.

use std::sync::Arc;

use crate::{Actor, AllowedTenants, Principal, Timestamp, UserId};

/// A principal that the application has authenticated by itself, as a request extension: for sessions
/// that a middleware of the application or of a library keeps.
///
/// Put into the extensions of a request by a middleware that stands outside of the tenancy's layer. It
/// counts only for an engine that was built with
/// [`established_principals`](crate::TenancyBuilder::established_principals), and any other ignores it.
/// It is a credential like any other: it must hold now, must not have been taken back, and must agree
/// with what names the tenant; a second credential in the same request is refused.
///
/// # Security
/// Code that can put one into a request's extensions acts as the user whom it names. No header field can.
/// [`Actor::User`] and [`Actor::Service`] are taken, all others refused: a key is presented, not
/// established.
///
/// ```
/// use tenancy_core::{EstablishedPrincipal, Timestamp, UserId};
///
/// // What a session store has found.
/// let (user, signed_in_at) = (UserId::new(), Timestamp::from_unix_seconds(1_700_000_000));
/// let established = EstablishedPrincipal::user(user, signed_in_at, "sessions");
/// assert_eq!(established.principal().user(), Some(user));
/// // In axum: request.extensions_mut().insert(established);
/// ```
#[derive(Debug, Clone)]
#[must_use = "it counts once it is in the extensions of a request"]
pub struct EstablishedPrincipal(Arc<Principal>);

impl EstablishedPrincipal {
    /// A user, in every tenant of which it is a member, who signed in at this moment; `issuer` names
    /// what keeps the sessions.
    ///
    /// By the moment of the sign-in a session is [taken back](crate::Admin::revoke_tokens).
    pub fn user(user: UserId, signed_in_at: Timestamp, issuer: impl Into<Arc<str>>) -> Self {
        let principal = Principal::new(Actor::User(user), AllowedTenants::Memberships, issuer);
        Self::new(principal, signed_in_at)
    }

    /// Any principal, established at this moment, which becomes its `issued_at`.
    pub fn new(mut principal: Principal, issued_at: Timestamp) -> Self {
        principal.issued_at = Some(issued_at);
        Self(Arc::new(principal))
    }

    /// Who it is.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.0
    }

    pub(crate) fn into_principal(self) -> Arc<Principal> {
        self.0
    }
}
