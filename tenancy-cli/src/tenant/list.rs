//! `tenancy tenant list`.

use clap::Args;
use serde_json::{Value, json};
use tenancy_core::{OperatorRight, TenantFilter, TenantRecord, TenantStatus};

use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, PAGE},
    output::Output,
    table::{Row, Table, cell},
};

/// List the tenants, in the order of their ids.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy tenant list --operator $ME --reason 'weekly report'
  tenancy tenant list --status suspended --plan trial --format json --operator $ME --reason 'ticket 4711'")]
pub(super) struct List {
    /// Only tenants in this status: provisioning, active, past-due, suspended, pending-deletion, deleted
    #[arg(long)]
    status: Option<TenantStatus>,
    /// Only tenants on this plan, as their records name it: `trial`, `pro@2`
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// Only tenants whose slug begins so
    #[arg(long, value_name = "TEXT")]
    slug_prefix: Option<String>,
    #[command(flatten)]
    pub(super) how: How,
}

impl List {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let admin = self.how.admin(session, OperatorRight::ReadTenants).await?;
        let mut filter = TenantFilter::new();
        filter.status = self.status;
        filter.plan.clone_from(&self.plan);
        filter.slug_prefix.clone_from(&self.slug_prefix);
        let mut table = Table::new(&["ID", "SLUG", "STATUS", "PLAN", "NAME"]);
        let mut after = None;
        loop {
            self.how.look_again(session).await?;
            let page = admin.list_tenants(&filter, after, PAGE).await?;
            // The reading is in the trail before anything of it is told.
            session.tenancy.audit().flush().await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            table.rows(page.iter().map(row), output).await?;
        }
        table.end(output, "no such tenant");
        Ok(Verdict::Done)
    }
}

fn row(tenant: &TenantRecord) -> Row {
    let cells = vec![
        tenant.id.to_string(),
        tenant.slug.to_string(),
        tenant.status.to_string(),
        cell(tenant.plan.as_ref()),
        tenant.name.clone(),
    ];
    (cells, object(tenant))
}

/// A tenant as JSON.
pub(super) fn object(tenant: &TenantRecord) -> Value {
    json!({
        "id": tenant.id,
        "slug": tenant.slug,
        "name": tenant.name,
        "status": tenant.status,
        "plan": tenant.plan,
        "created_at": tenant.created_at.to_string(),
    })
}
