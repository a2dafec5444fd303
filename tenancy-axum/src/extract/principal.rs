//! The extractor of who is calling, with or without a tenant.

use std::ops::Deref;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tenancy_http::Caller;

use super::asking_parts;
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
pub struct Principal(Caller);

impl Deref for Principal {
    type Target = tenancy_core::Principal;

    fn deref(&self) -> &tenancy_core::Principal {
        &self.0
    }
}

const WHAT: &str = "the extractor `Principal`";

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Ok(Self(asking_parts(WHAT, parts).caller()?))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        Ok(asking_parts(WHAT, parts).caller_if_any()?.map(Self))
    }
}
