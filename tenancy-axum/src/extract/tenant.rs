//! The extractor of routes that have a tenant.

use std::ops::Deref;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tenancy_core::TenantContext;

use super::asking_parts;
use crate::Error;

/// The request's [`TenantContext`].
///
/// On a route whose tenant is optional, a request without one is refused: with 401 if it has no
/// credential either, else with 400. `Option<Tenant>` is `None` there, as is
/// [`MaybeTenant`](crate::MaybeTenant); neither hides a mistake.
///
/// # Errors
/// Status 500 if no [`TenancyLayer`](crate::TenancyLayer) covers the route, or if it is declared
/// central; the log says which and what to do.
///
/// # Example
/// ```
/// use tenancy_axum::{Error, Tenant};
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

const WHAT: &str = "the extractor `Tenant`";

impl<S: Send + Sync> FromRequestParts<S> for Tenant {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Ok(Self(asking_parts(WHAT, parts).tenant()?.clone()))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Tenant {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        Ok(asking_parts(WHAT, parts)
            .tenant_if_any()?
            .cloned()
            .map(Self))
    }
}
