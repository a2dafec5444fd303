//! `tenancy plan show`.

use clap::Args;
use serde_json::json;
use tenancy_core::{OperatorRight, PlanVersion};

use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, PAGE},
    output::{Output, plain},
};

/// Show what a version of a stored plan says.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy plan show pro --operator $ME --reason 'ticket 4711'
  tenancy plan show pro@2 --operator $ME --reason 'ticket 4711'")]
pub(super) struct Show {
    /// The plan, which is its newest version, or a version such as `pro@2`
    #[arg(value_name = "PLAN")]
    plan: String,
    #[command(flatten)]
    pub(super) how: How,
}

impl Show {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let admin = self.how.admin(session, OperatorRight::ReadTenants).await?;
        let (plan, version) = match PlanVersion::parse_id(&self.plan) {
            Some((plan, version)) => (plan, Some(version)),
            None => (self.plan.as_str(), None),
        };
        let mut found: Option<PlanVersion> = None;
        let mut after: Option<PlanVersion> = None;
        loop {
            let page = admin
                .list_plan_versions(Some(plan), after.as_ref(), PAGE)
                .await?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            let is_asked = |one: &PlanVersion| version.is_none_or(|number| one.version == number);
            // Without a number it is the last.
            found = page.into_iter().rfind(is_asked).or(found);
        }
        let found = found.ok_or_else(|| {
            Failure::Told(format!(
                "no plan `{}` is stored; `tenancy plan list` shows those that are",
                plain(&self.plan)
            ))
        })?;
        let definition = found.definition.as_json();
        let pretty = format!("{definition:#}");
        let lines: Vec<_> = pretty.lines().map(plain).collect();
        let text = format!("{found} since {}\n{}", found.created_at, lines.join("\n"));
        let json = json!({
            "id": found.to_string(),
            "created_at": found.created_at.to_string(),
            "definition": definition,
        });
        output.result(&text, &json).await?;
        Ok(Verdict::Done)
    }
}
