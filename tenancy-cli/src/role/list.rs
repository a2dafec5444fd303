//! `tenancy role list`.

use clap::Args;
use serde_json::json;
use tenancy_core::{OperatorRight, RoleDefinition};

use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, Whose, find_tenant},
    output::Output,
    table::{Row, Table},
};

/// List the roles of a tenant's own, as they are stored.
///
/// The roles owner, admin, member and viewer, and those of the service, are no tenant's and are not listed.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy role list --tenant acme --operator $ME --reason 'ticket 4711'")]
pub(super) struct List {
    #[command(flatten)]
    whose: Whose,
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
        let tenant = find_tenant(session, &self.whose.tenant).await?.id;
        self.how.record_reading(session, tenant, "roles").await?;
        let roles = admin.list_roles(tenant).await?;
        let mut table = Table::new(&["ROLE", "INCLUDES", "ALLOWS", "DENIES"]);
        table.rows(roles.iter().map(row), output).await?;
        table.end(output, "the tenant has no role of its own");
        Ok(Verdict::Done)
    }
}

fn row(role: &RoleDefinition) -> Row {
    let includes: Vec<_> = role.includes.iter().map(ToString::to_string).collect();
    let joined = |texts: &[String]| match texts {
        [] => "-".to_owned(),
        texts => texts.join(","),
    };
    let cells = vec![
        role.name.to_string(),
        joined(&includes),
        joined(&role.allow),
        joined(&role.deny),
    ];
    (cells, json!(role))
}
