//! `tenancy role define`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tenancy_core::{Grant, OperatorRight, RoleDefinition, RoleName};

use crate::{
    connect::Session,
    declared::{Declared, Declares, role_from_toml},
    failure::{Failure, Verdict},
    managing::{How, Whose, find_tenant},
    output::{Output, plain},
    written::read,
};

/// Define a role of the tenant's own, or replace it.
///
/// What the service declares has to be known here, because a role is stored only if it is understood.
#[derive(Debug, Args)]
#[command(
    after_help = "The file of --service says what the service declares in its code:
  [permissions]            # each with the lowest role that has it, or \"none\"
  \"notes:read\" = \"viewer\"
  \"notes:purge\" = \"none\"
  [roles.auditor]          # roles of the service
  allow = [\"notes:read\"]

Examples:
  tenancy role define editor --tenant acme --include viewer --allow 'notes:*' --deny notes:purge \\
      --service service.toml --operator $ME --reason 'ticket 4711'
  tenancy role define editor --tenant acme --file editor.toml --service service.toml --operator $ME --reason 'ticket 4711'"
)]
pub(super) struct Define {
    /// The name of the role
    #[arg(value_name = "ROLE")]
    role: RoleName,
    #[command(flatten)]
    whose: Whose,
    /// A role whose grants and denials it takes over
    #[arg(long, value_name = "ROLE")]
    include: Vec<RoleName>,
    /// What it may do: `notes:read`, `notes:*`
    #[arg(long, value_name = "GRANT")]
    allow: Vec<String>,
    /// What it may not do, whatever allows it
    #[arg(long, value_name = "GRANT")]
    deny: Vec<String>,
    /// The role as TOML, with the lists `includes`, `allow` and `deny`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["include", "allow", "deny"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    service: Declares,
    #[command(flatten)]
    pub(super) how: How,
}

impl Define {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let declared = self.service.read()?;
        let role = self.definition()?;
        understood(&role, &declared)?;
        let permissions = declared.permissions.clone();
        let tenancy = session.with(|builder| builder.permissions(permissions))?;
        let right = OperatorRight::ChangeAccess;
        let admin = self.how.admin_of(&tenancy, session, right).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?;
        admin.put_role(tenant.id, &role).await?;
        let text = format!("the role `{}` of `{}` is defined", role.name, tenant.slug);
        let json = json!({ "tenant": tenant.id, "role": role });
        output.made(role.name.as_str(), &text, &json).await?;
        Ok(Verdict::Done)
    }

    fn definition(&self) -> Result<RoleDefinition, Failure> {
        if let Some(file) = &self.file {
            return read(file, |text| role_from_toml(&self.role, text));
        }
        let mut role = RoleDefinition::new(self.role.clone());
        role.includes.clone_from(&self.include);
        role.allow.clone_from(&self.allow);
        role.deny.clone_from(&self.deny);
        if role.includes.is_empty() && role.allow.is_empty() && role.deny.is_empty() {
            return Err(Failure::told(
                "the role would say nothing; give --include, --allow, --deny or --file",
            ));
        }
        Ok(role)
    }
}

/// A grant that covers nothing is stored by the library, because the service may declare more one day. On a command line
/// it is a slip.
fn understood(role: &RoleDefinition, declared: &Declared) -> Result<(), Failure> {
    for text in role.allow.iter().chain(&role.deny) {
        let grant: Grant = text.parse().map_err(Failure::told)?;
        let covered = declared.permissions.covered_by(&grant);
        if declared.permissions.names(covered).next().is_none() {
            return Err(Failure::Told(format!(
                "`{}` covers no permission that the service declares; correct it, or declare the permission in the \
                 file of --service",
                plain(text)
            )));
        }
    }
    Ok(())
}
