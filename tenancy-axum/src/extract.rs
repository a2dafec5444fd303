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

use http::{Extensions, Uri};
use tenancy_core::{Refusal, RefusalKind, TenantContext};

use crate::{
    Error,
    carried::{Carried, WithoutTenant},
    view::original_path,
};

/// Something that needs the layer, where it stands: for messages that name both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) what: &'a str,
    pub(crate) uri: &'a Uri,
    pub(crate) extensions: &'a Extensions,
}

impl<'a> Asking<'a> {
    /// The context of the request; `None` if the route has one only sometimes.
    pub(crate) fn tenant_if_any(self) -> Result<Option<&'a TenantContext>, Error> {
        match self.decided()? {
            Ok(context) => Ok(Some(context)),
            Err(note) if note.is_central() => Err(self.central()),
            Err(_) => Ok(None),
        }
    }

    /// The context of the request.
    pub(crate) fn tenant(self) -> Result<&'a TenantContext, Error> {
        match self.decided()? {
            Ok(context) => Ok(context),
            Err(note) if note.is_central() => Err(self.central()),
            Err(WithoutTenant {
                principal: None, ..
            }) => Err(Refusal::new(RefusalKind::Unauthenticated, "credential-absent").into()),
            Err(_) => Err(Refusal::new(RefusalKind::TenantRequired, "tenant-not-named").into()),
        }
    }

    /// What the layer decided.
    pub(crate) fn decided(self) -> Result<Result<&'a TenantContext, &'a WithoutTenant>, Error> {
        match Carried::by(self.extensions) {
            Carried::Tenant(context) => Ok(Ok(context)),
            Carried::WithoutTenant(note) => Ok(Err(note)),
            Carried::Nothing => Err(Error::misconfigured(
                "tenancy-layer-missing",
                format!(
                    "{} is used on `{}`, which no `TenancyLayer` covers; add \
                     `.layer(TenancyLayer::new(&tenancy))` to the router after the route, because \
                     a layer covers the routes that were added before it",
                    self.what,
                    self.path(),
                ),
            )),
        }
    }

    fn central(self) -> Error {
        Error::misconfigured(
            "route-is-central",
            format!(
                "{} is used on `{}`, which is declared central and never has a tenant; declare \
                 what the route needs with `TenancyLayer::new(&tenancy)` or `.optional()`",
                self.what,
                self.path(),
            ),
        )
    }

    fn path(self) -> &'a str {
        original_path(self.uri, self.extensions)
    }
}
