//! The extractor of routes that have a tenant only sometimes.

use std::ops::Deref;

use axum::extract::FromRequestParts;
use http::request::Parts;
use tenancy_core::TenantContext;

use super::asking_parts;
use crate::Error;

/// The request's [`TenantContext`], if it has one: for routes declared
/// [`optional`](crate::TenancyLayer::optional).
///
/// # Errors
/// Status 500 if no [`TenancyLayer`](crate::TenancyLayer) covers the route, or if it is declared
/// central and so would never have one; the log says which and what to do.
///
/// # Example
/// ```
/// use tenancy_axum::MaybeTenant;
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

impl<S: Send + Sync> FromRequestParts<S> for MaybeTenant {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let asking = asking_parts("the extractor `MaybeTenant`", parts);
        Ok(Self(asking.tenant_if_any()?.cloned()))
    }
}
