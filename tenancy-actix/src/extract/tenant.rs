//! The extractor of routes that have a tenant.

use std::{
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenancy_core::TenantContext;

use super::ask;
use crate::Error;

/// The request's [`TenantContext`].
///
/// On a route whose tenant is optional, a request without one is refused: with 401 if it has no
/// credential either, else with 400. [`MaybeTenant`](crate::MaybeTenant) is `None` there.
///
/// # Errors
/// Status 500 if no [`TenancyMiddleware`](crate::TenancyMiddleware) covers the route, or if it is
/// declared central; the log says which and what to do.
///
/// # Security
/// Not as `Option<Tenant>`: actix-web's `Option` hides every error, also that the middleware was
/// forgotten. [`MaybeTenant`](crate::MaybeTenant) hides none.
///
/// # Example
/// ```
/// use tenancy_actix::{Error, Tenant};
///
/// async fn whoami(tenant: Tenant) -> Result<String, Error> {
///     tenant.require("notes:read")?;
///     Ok(format!("{} in {}", tenant.principal().actor, tenant.record().name))
/// }
/// ```
#[derive(Debug, Clone)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a newtype that handlers take apart"
)]
pub struct Tenant(pub TenantContext);

impl Deref for Tenant {
    type Target = TenantContext;

    fn deref(&self) -> &TenantContext {
        &self.0
    }
}

impl From<Tenant> for TenantContext {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

impl FromRequest for Tenant {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(ask("the extractor `Tenant`", request, |asking| {
            Ok(Self(asking.tenant()?.clone()))
        }))
    }
}
