//! Extractors: what a handler asks for.

#[cfg(feature = "sqlx")]
mod db;
mod maybe_principal;
mod maybe_tenant;
mod principal;
mod tenant;

use actix_web::{HttpMessage as _, HttpRequest};
#[cfg(feature = "sqlx")]
pub use db::TenantDb;
pub use maybe_principal::MaybePrincipal;
pub use maybe_tenant::MaybeTenant;
pub use principal::Principal;
use tenancy_http::{Adapter, DecisionLookup};
pub use tenant::Tenant;

use crate::Error;

const ADAPTER: Adapter = Adapter {
    layer: "TenancyMiddleware",
    cover: "add `.wrap(TenancyMiddleware::new(&tenancy))` to the app, the scope or the resource",
    declare: "declare what the route needs with `TenancyMiddleware::new(&tenancy)` or \
              `.optional()`",
};

/// What an extractor or a guard asks of a request.
pub(crate) fn ask<T>(
    what: &str,
    request: &HttpRequest,
    question: impl FnOnce(DecisionLookup<'_>) -> Result<T, tenancy_http::Error>,
) -> Result<T, Error> {
    let extensions = request.extensions();
    let asking = DecisionLookup {
        adapter: &ADAPTER,
        what,
        path: request.uri().path(),
        decision: extensions.get(),
    };
    Ok(question(asking)?)
}
