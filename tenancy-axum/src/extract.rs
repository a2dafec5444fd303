//! Extractors: what a handler asks for.

#[cfg(feature = "sqlx")]
mod db;
mod maybe;
mod principal;
mod tenant;

#[cfg(feature = "sqlx")]
pub use db::TenantDb;
pub use maybe::MaybeTenant;
pub use principal::Principal;
pub use tenant::Tenant;

use http::{Extensions, Uri, request::Parts};
use tenancy_http::{Adapter, DecisionLookup};

use crate::view::original_path;

const ADAPTER: Adapter = Adapter {
    layer: "TenancyLayer",
    cover: "add `.layer(TenancyLayer::new(&tenancy))` to the router after the route, because a \
            layer covers the routes that were added before it",
    declare: "declare what the route needs with `TenancyLayer::new(&tenancy)` or `.optional()`",
};

/// What an extractor or a guard asks of a request.
pub(crate) fn asking<'a>(
    what: &'a str,
    uri: &'a Uri,
    extensions: &'a Extensions,
) -> DecisionLookup<'a> {
    DecisionLookup {
        adapter: &ADAPTER,
        what,
        path: original_path(uri, extensions),
        decision: extensions.get(),
    }
}

fn asking_parts<'a>(what: &'a str, parts: &'a Parts) -> DecisionLookup<'a> {
    asking(what, &parts.uri, &parts.extensions)
}
