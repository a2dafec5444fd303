//! The extractor of who is calling.

use std::{
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenancy_http::Caller;

use super::ask;
use crate::Error;

/// The verified [`Principal`](tenancy_core::Principal) of the request.
///
/// Works on every covered route, also on central ones. [`MaybePrincipal`](crate::MaybePrincipal) is
/// `None` for a caller without a credential.
///
/// # Errors
/// Status 401 if the request has no credential; 500 if no
/// [`TenancyMiddleware`](crate::TenancyMiddleware) covers the route.
///
/// # Security
/// Proves who is calling, not that the caller may act for any tenant: that is
/// [`Tenant`](crate::Tenant).
///
/// # Example: a sign-up, which has no tenant yet
/// ```
/// use tenancy_actix::{Error, Principal};
///
/// async fn sign_up(principal: Principal) -> Result<String, Error> {
///     Ok(format!("a new tenant for {}", principal.actor))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Principal(pub(super) Caller);

impl Deref for Principal {
    type Target = tenancy_core::Principal;

    fn deref(&self) -> &tenancy_core::Principal {
        &self.0
    }
}

impl FromRequest for Principal {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(ask("the extractor `Principal`", request, |asking| {
            asking.caller().map(Self)
        }))
    }
}
