//! `tenancy role explain`.

use clap::Args;
use serde_json::json;
use tenancy_core::{OperatorRight, ProjectId, UserId};

use crate::{
    connect::Session,
    declared::{Books, Declares},
    failure::{Failure, Verdict},
    managing::{How, Whose, find_tenant},
    output::{Output, plain},
};

/// Say what lets a user do something in a tenant, or keeps the user from it.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  it is allowed
  1  it is not allowed, and the line says why
  2  it is not known: no connection, no such tenant

Example:
  tenancy role explain $BOB notes:write --tenant acme --service service.toml --plans plans.toml \\
      --operator $ME --reason 'ticket 4711'")]
pub(super) struct Explain {
    /// The user, by the id
    #[arg(value_name = "USER")]
    user: UserId,
    /// The permission
    permission: String,
    #[command(flatten)]
    whose: Whose,
    /// In this project; else in the tenant as a whole
    #[arg(long, value_name = "ID")]
    project: Option<ProjectId>,
    #[command(flatten)]
    service: Declares,
    #[command(flatten)]
    books: Books,
    /// The service has no plans: what the roles say counts alone
    #[arg(long, conflicts_with = "plans")]
    without_plans: bool,
    #[command(flatten)]
    pub(super) how: How,
}

impl Explain {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let declared = self.service.read()?;
        let tenancy = if self.without_plans {
            session.with(|builder| builder.permissions(declared.permissions))?
        } else {
            declared.engine(session, &self.books)?
        };
        let right = OperatorRight::ReadTenants;
        let admin = self.how.admin_of(&tenancy, session, right).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?;
        self.how
            .record_reading(session, tenant.id, "explanation")
            .await?;
        let why = admin
            .explain(tenant.id, self.user, self.project, &self.permission)
            .await?;
        let verdict = if why.is_allowed() {
            output.well("allowed")
        } else {
            output.bad("refused")
        };
        let json = json!({
            "tenant": tenant.id,
            "user": self.user,
            "permission": why.permission(),
            "is_allowed": why.is_allowed(),
            "decided_by": why.decided_by().as_str(),
            "why": why.to_string(),
        });
        let text = format!("{verdict}: {}", plain(&why.to_string()));
        output.result(&text, &json).await?;
        Ok(if why.is_allowed() {
            Verdict::Done
        } else {
            Verdict::Fault
        })
    }
}
