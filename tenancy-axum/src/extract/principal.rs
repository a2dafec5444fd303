//! The extractor of who is calling, with or without a tenant.

use std::{ops::Deref, sync::Arc};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tenancy_core::{Actor, Refusal, RefusalKind, TenantContext};

use super::Asking;
use crate::Error;

/// Who is calling: the verified [`Principal`](tenancy_core::Principal) of the request.
///
/// Works on every covered route, also on central ones. `Option<Principal>` is `None` for a caller
/// without a credential.
///
/// # Errors
/// Status 401 if the request has no credential; 500 if no [`TenancyLayer`](crate::TenancyLayer)
/// covers the route.
///
/// # Security
/// Proves who is calling, not that the caller may act for any tenant: that is
/// [`Tenant`](crate::Tenant).
///
/// # Example: a sign-up, which has no tenant yet
/// ```
/// use tenancy_axum::{Error, Principal};
///
/// async fn sign_up(principal: Principal) -> Result<String, Error> {
///     Ok(format!("a new tenant for {}", principal.actor))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Principal(Held);

#[derive(Debug, Clone)]
enum Held {
    InContext(TenantContext),
    Alone(Arc<tenancy_core::Principal>),
}

impl Deref for Principal {
    type Target = tenancy_core::Principal;

    fn deref(&self) -> &tenancy_core::Principal {
        match &self.0 {
            Held::InContext(context) => context.principal(),
            Held::Alone(principal) => principal,
        }
    }
}

impl Principal {
    fn of(parts: &Parts) -> Result<Option<Self>, Error> {
        let what = "the extractor `Principal`";
        let asking = Asking {
            what,
            uri: &parts.uri,
            extensions: &parts.extensions,
        };
        let held = match asking.decided()? {
            Ok(context) => Some(Held::InContext(context.clone())),
            Err(note) => note.principal.clone().map(Held::Alone),
        };
        Ok(held
            .map(Self)
            .filter(|principal| principal.actor != Actor::Anonymous))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Self::of(parts)?
            .ok_or_else(|| Refusal::new(RefusalKind::Unauthenticated, "credential-absent").into())
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        Self::of(parts)
    }
}
