//! `tenancy plan assign`.

use clap::Args;
use serde_json::json;
use tenancy_core::{OperatorRight, StoreErrorKind};

use super::engine_that_names;
use crate::{
    connect::Session,
    declared::Books,
    failure::{Failure, Verdict},
    managing::{How, Whose, find_tenant},
    output::{Output, plain},
};

/// Put a tenant on a plan, or on none. What it holds stays, also where the plan has room for less.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy plan assign pro --tenant acme --operator $ME --reason 'contract 17'
  tenancy plan assign pro@2 --tenant acme --operator $ME --reason 'contract 17'
  tenancy plan assign trial --plans plans.toml --tenant acme --operator $ME --reason 'contract 17'
  tenancy plan assign --none --tenant acme --operator $ME --reason 'contract 17 has ended'")]
pub(super) struct Assign {
    /// The plan: a stored one, which is its newest version, or a version such as `pro@2`, or one of --plans
    #[arg(value_name = "PLAN", required_unless_present = "none")]
    plan: Option<String>,
    /// On no plan
    #[arg(long, conflicts_with = "plan")]
    none: bool,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    books: Books,
    #[command(flatten)]
    pub(super) how: How,
}

impl Assign {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let tenancy = engine_that_names(session, &self.books)?;
        let right = OperatorRight::ChangePlans;
        let admin = self.how.admin_of(&tenancy, session, right).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?;
        let set = admin.set_plan(tenant.id, self.plan.as_deref()).await;
        set.map_err(|error| match error.kind() {
            StoreErrorKind::NotFound if self.books.plans.is_none() => Failure::Told(format!(
                "{error}; if the plan is in the service's code, give the file of plans by --plans"
            )),
            _ => error.into(),
        })?;
        let tenant = find_tenant(session, &tenant.id.into()).await?;
        let named = tenant.plan.as_deref();
        let text = match named {
            Some(plan) => format!(
                "the tenant `{}` is on the plan {} now",
                tenant.slug,
                plain(plan)
            ),
            None => format!("the tenant `{}` is on no plan now", tenant.slug),
        };
        let json = json!({ "tenant": tenant.id, "plan": named });
        output.good(&text, &json).await?;
        Ok(Verdict::Done)
    }
}
