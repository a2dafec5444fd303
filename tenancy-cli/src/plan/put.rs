//! `tenancy plan put`.

use std::{fmt::Display, path::PathBuf};

use clap::Args;
use serde_json::json;
use tenancy_core::{OperatorRight, PlanDefinition, PlanDirectory as _};

use crate::{
    connect::Session,
    declared::{Books, Declares},
    failure::{Failure, Verdict},
    managing::How,
    output::Output,
    written::read,
};

/// Store plans, each as a version: the first one, or the next. It moves no tenant.
///
/// A plan that is stored as it stands in the file gets no new version. What the service declares has to be known here: a
/// plan that needs a permission or a meter that the service has not would have all requests of its tenants refused.
#[derive(Debug, Args)]
#[command(
    after_help = "The file of --service says what the service declares in its code:
  features = [\"sso\"]
  [permissions]            # each with the lowest role that has it, or \"none\"
  \"notes:read\" = \"viewer\"
  [meters]                 # consumed, concurrent or held
  exports = \"consumed\"

Examples:
  tenancy plan put plans.toml --service service.toml --operator $ME --reason 'price list of 2027'
  tenancy plan put plans.toml --only pro --service service.toml --operator $ME --reason 'price list of 2027'"
)]
pub(super) struct Put {
    /// The plans, as TOML
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only these plans of the file
    #[arg(long, value_name = "PLAN")]
    only: Vec<String>,
    #[command(flatten)]
    service: Declares,
    #[command(flatten)]
    books: Books,
    #[command(flatten)]
    pub(super) how: How,
}

impl Put {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let mut plans = read(&self.file, PlanDefinition::each_from_toml)?;
        for name in &self.only {
            if !plans.iter().any(|plan| plan.name() == name) {
                return Err(Failure::Told(format!(
                    "{} has no plan `{name}`",
                    self.file.display()
                )));
            }
        }
        plans.retain(|plan| {
            self.only.is_empty() || self.only.iter().any(|name| name == plan.name())
        });
        let tenancy = self.service.read()?.engine(session, &self.books)?;
        // All of them are understood before one is stored: a version can't be removed.
        let of_file = Books {
            plans: Some(self.file.clone()),
        };
        self.service.read()?.engine(session, &of_file)?;
        let right = OperatorRight::ChangePlans;
        let admin = self.how.admin_of(&tenancy, session, right).await?;
        let mut stored = Vec::new();
        for plan in &plans {
            self.how.who.operator(session, right).await?;
            let newest = session.directory.find_plan_version(plan.name(), None).await;
            let newest = newest.map_err(Failure::told)?;
            let (version, is_new) = match newest.filter(|newest| newest.definition == *plan) {
                Some(same) => (same, false),
                None => match admin.add_plan_version(plan).await {
                    Ok(version) => (version, true),
                    Err(error) => return Err(partly(&stored, error)),
                },
            };
            stored.push((version.to_string(), is_new));
        }
        for (id, is_new) in stored {
            let done = if is_new {
                "is stored"
            } else {
                "was stored before"
            };
            let json = json!({ "id": id, "is_new": is_new });
            output.made(&id, &format!("{id} {done}"), &json).await?;
        }
        Ok(Verdict::Done)
    }
}

/// That a plan was not stored, and which were.
fn partly(stored: &[(String, bool)], error: impl Display) -> Failure {
    let new = stored.iter().filter(|(_, is_new)| *is_new);
    let new: Vec<_> = new.map(|(id, _)| id.as_str()).collect();
    if new.is_empty() {
        return Failure::told(error);
    }
    Failure::Told(format!("{error}; stored before that: {}", new.join(", ")))
}
