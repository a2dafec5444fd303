//! `tenancy plan list`.

use clap::Args;
use serde_json::json;
use tenancy_core::{OperatorRight, PlanVersion};

use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, PAGE},
    output::Output,
    table::{Row, Table},
};

/// List the versions of stored plans. Plans that are in the service's code are not among them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy plan list --operator $ME --reason 'price list of 2027'
  tenancy plan list pro --format json --operator $ME --reason 'price list of 2027'")]
pub(super) struct List {
    /// Only the versions of this plan
    #[arg(value_name = "PLAN")]
    plan: Option<String>,
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
        let mut table = Table::new(&["VERSION", "SINCE"]);
        let mut after: Option<PlanVersion> = None;
        loop {
            self.how.look_again(session).await?;
            let plan = self.plan.as_deref();
            let page = admin.list_plan_versions(plan, after.as_ref(), PAGE).await?;
            // The reading is in the trail before anything of it is told.
            session.tenancy.audit().flush().await?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            table.rows(page.iter().map(row), output).await?;
        }
        table.end(output, "no such plan is stored");
        Ok(Verdict::Done)
    }
}

fn row(version: &PlanVersion) -> Row {
    let cells = vec![version.to_string(), version.created_at.to_string()];
    let json = json!({
        "plan": version.definition.name(),
        "version": version.version,
        "id": version.to_string(),
        "created_at": version.created_at.to_string(),
        "definition": version.definition.as_json(),
    });
    (cells, json)
}
