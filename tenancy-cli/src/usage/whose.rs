//! Whose usage a command reads, and who reads it.

use clap::Args;
use tenancy_core::{
    AuditEntry, OperatorRight, Outcome, TenantDirectory as _, TenantId, TenantKey, TenantRecord,
};

use crate::{connect::Session, failure::Failure, who::Named};

/// A tenant, and an operator with a reason to look at it.
#[derive(Debug, Args)]
pub(super) struct Whose {
    /// The tenant, by its id
    #[arg(long, value_name = "ID")]
    tenant: TenantId,
    #[command(flatten)]
    who: Named,
}

impl Whose {
    /// The tenant's id, and its record while it has one: usage outlives it, because it is still to be billed. The reading is
    /// recorded.
    ///
    /// # Errors
    /// A [`Failure`] if the operator may not read usage.
    pub(super) async fn read(
        &self,
        session: &Session,
        what: &str,
    ) -> Result<(TenantId, Option<TenantRecord>), Failure> {
        self.who
            .operator(session, OperatorRight::ReadTenants)
            .await?;
        let found = session
            .directory
            .find_tenant(&TenantKey::Id(self.tenant))
            .await;
        let record = found.map_err(Failure::told)?;
        let now = session.tenancy.clock().now();
        let entry = AuditEntry::new(now, "usage.read", Outcome::Allowed).about("usage", what);
        let mut entry = self.who.signed(entry);
        entry.tenant = Some(self.tenant);
        session.tenancy.audit().record(entry);
        // It is stored before a number leaves.
        session.tenancy.audit().flush().await?;
        Ok((self.tenant, record))
    }
}
