//! Which tenants a command is about.

use std::fmt;

use clap::Args;
use tenancy_core::TenantId;

/// One tenant's entries, or all that there are.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Whose {
    /// The tenant, by its id
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// All tenants, and what concerns none
    #[arg(long)]
    all: bool,
}

impl Whose {
    /// The tenant; `None` for all.
    pub(super) const fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }
}

/// Names a chain for people.
pub(super) struct Chain(pub(super) Option<TenantId>);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(tenant) => write!(f, "tenant {tenant}"),
            None => f.write_str("no tenant"),
        }
    }
}
