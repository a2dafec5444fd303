//! `tenancy audit prune`: removes what is older than the plans say.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tenancy_core::{OperatorRight, Retention};

use super::keep;
use crate::{
    arguments::Form,
    connect::Session,
    failure::{Failure, Verdict},
    output::Output,
    who::Named,
};

/// Remove entries that are older than the tenant's plan says.
///
/// The chains stay verifiable, and each tenant of which something is removed has an entry `trail.prune`. How long a plan
/// keeps the trail is its retention of `audit`. Plans that are stored are read from the database, the others from a file.
/// Where tenants are on a plan of which neither knows, nothing is removed. It takes an operator with the role `admin`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy audit prune --keep '400 days' --operator $ME --reason 'retention, monthly'
  tenancy audit prune --keep 'for good' --plans plans.toml --operator $ME --reason 'retention, monthly'")]
pub(super) struct Prune {
    /// How long entries are kept where no plan says it: `400 days`, or `for good`
    #[arg(long, value_name = "DAYS", value_parser = keep::retention)]
    keep: Retention,
    /// The plans of the service, as TOML
    #[arg(long, value_name = "FILE")]
    plans: Option<PathBuf>,
    #[command(flatten)]
    who: Named,
    #[command(flatten)]
    pub(super) form: Form,
}

impl Prune {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let right = OperatorRight::ManageOperators;
        let authority = self.who.authority(session, right).await?;
        let admin = session.tenancy.admin(authority.clone());
        let plans = keep::plans(session, &admin, self.plans.as_deref()).await?;
        let admin = session.with_plans(plans)?.admin(authority);
        let removed = admin.apply_trail_retention(self.keep).await?;
        let text = format!("{removed} entries were removed");
        output.good(&text, &json!({ "removed": removed })).await?;
        Ok(Verdict::Done)
    }
}
