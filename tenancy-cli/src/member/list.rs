//! `tenancy member list`.

use clap::Args;
use tenancy_core::{MemberFilter, Membership, MembershipStatus, OperatorRight, RoleName};

use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, PAGE, Whose, find_tenant},
    output::Output,
    table::{Row, Table},
};

/// List the members of a tenant, whatever the status of their membership.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy member list --tenant acme --operator $ME --reason 'ticket 4711'
  tenancy member list --tenant acme --role owner --format json --operator $ME --reason 'ticket 4711'")]
pub(super) struct List {
    #[command(flatten)]
    whose: Whose,
    /// Only those with this status: invited, active, suspended
    #[arg(long, value_parser = status)]
    status: Option<MembershipStatus>,
    /// Only those with this role
    #[arg(long, value_name = "NAME")]
    role: Option<RoleName>,
    #[command(flatten)]
    pub(super) how: How,
}

fn status(text: &str) -> Result<MembershipStatus, &'static str> {
    MembershipStatus::from_stored(text).ok_or("expected `invited`, `active` or `suspended`")
}

impl List {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let admin = self.how.admin(session, OperatorRight::ReadTenants).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?.id;
        self.how.record_reading(session, tenant, "members").await?;
        let mut filter = MemberFilter::new();
        filter.status = self.status;
        filter.role.clone_from(&self.role);
        let mut table = Table::new(&["USER", "ROLE", "STATUS"]);
        let mut after = None;
        loop {
            self.how.look_again(session).await?;
            let page = admin.list_members(tenant, &filter, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.user);
            table.rows(page.iter().map(row), output).await?;
        }
        table.end(output, "no such member");
        Ok(Verdict::Done)
    }
}

fn row(member: &Membership) -> Row {
    let cells = vec![
        member.user.to_string(),
        member.role.to_string(),
        member.status.as_str().to_owned(),
    ];
    (cells, super::object(member))
}
