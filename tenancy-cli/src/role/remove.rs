//! `tenancy role remove`.

use clap::Args;
use serde_json::json;
use tenancy_core::{OperatorRight, RoleName};

use crate::{
    connect::Session,
    declared::Declares,
    failure::{Failure, Verdict},
    managing::{How, Meant, Whose, find_tenant},
    output::Output,
};

/// Remove a role of the tenant's own. Its members may do nothing until they get another one.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy role remove editor --tenant acme --service service.toml --yes --operator $ME --reason 'ticket 4711'")]
pub(super) struct Remove {
    /// The name of the role
    #[arg(value_name = "ROLE")]
    role: RoleName,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    service: Declares,
    #[command(flatten)]
    meant: Meant,
    #[command(flatten)]
    pub(super) how: How,
}

impl Remove {
    pub(super) fn confirm(&self) -> Result<(), Failure> {
        self.meant
            .confirm("who has a role that is removed may do nothing")
    }

    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let permissions = self.service.read()?.permissions;
        let tenancy = session.with(|builder| builder.permissions(permissions))?;
        let right = OperatorRight::ChangeAccess;
        let admin = self.how.admin_of(&tenancy, session, right).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?;
        admin.remove_role(tenant.id, &self.role).await?;
        let text = format!("`{}` has no role `{}` of its own", tenant.slug, self.role);
        let json = json!({ "tenant": tenant.id, "role": self.role });
        output.good(&text, &json).await?;
        Ok(Verdict::Done)
    }
}
