//! The extractor of routes that have a tenant only sometimes.

use std::{
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenancy_core::TenantContext;

use super::ask;
use crate::Error;

/// The request's [`TenantContext`], if it has one: for routes declared
/// [`optional`](crate::TenancyMiddleware::optional).
///
/// # Errors
/// Status 500 if no [`TenancyMiddleware`](crate::TenancyMiddleware) covers the route, or if it is
/// declared central and so would never have one; the log says which and what to do.
///
/// # Example
/// ```
/// use tenancy_actix::MaybeTenant;
///
/// async fn greet(MaybeTenant(tenant): MaybeTenant) -> String {
///     match tenant {
///         Some(context) => format!("Welcome to {}", context.record().name),
///         None => "Welcome".to_owned(),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a newtype that handlers take apart"
)]
pub struct MaybeTenant(pub Option<TenantContext>);

impl Deref for MaybeTenant {
    type Target = Option<TenantContext>;

    fn deref(&self) -> &Option<TenantContext> {
        &self.0
    }
}

impl FromRequest for MaybeTenant {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(ask("the extractor `MaybeTenant`", request, |asking| {
            Ok(Self(asking.tenant_if_any()?.cloned()))
        }))
    }
}
