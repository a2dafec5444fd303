//! Changes of one member.

use clap::Args;
use tenancy_core::{Admin, Membership, OperatorRight, RoleName, TenantRecord, UserId};

use super::object;
use crate::{
    connect::Session,
    declared::{Books, MayDeclare},
    failure::{Failure, Verdict},
    managing::{How, Whose, check_role, find_tenant},
    output::Output,
};

/// Give a member another role.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy member change-role $BOB --tenant acme --role owner --operator $ME --reason 'ticket 4711'")]
pub(super) struct ChangeRole {
    /// The user, by the id
    #[arg(value_name = "USER")]
    user: UserId,
    #[command(flatten)]
    whose: Whose,
    /// The new role
    #[arg(long, value_name = "NAME")]
    role: RoleName,
    #[command(flatten)]
    service: MayDeclare,
    #[command(flatten)]
    books: Books,
    #[command(flatten)]
    pub(super) how: How,
}

/// Suspend a member: requests of the user and of the keys that the user has made are refused until the member is resumed.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy member suspend $BOB --tenant acme --operator $ME --reason 'incident 12'")]
pub(super) struct Suspend {
    /// The user, by the id
    #[arg(value_name = "USER")]
    user: UserId,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub(super) how: How,
}

/// Make a suspended member active again, with the role from before.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy member resume $BOB --tenant acme --operator $ME --reason 'incident 12 is over'")]
pub(super) struct Resume {
    /// The user, by the id
    #[arg(value_name = "USER")]
    user: UserId,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub(super) how: How,
}

async fn begin(
    how: &How,
    session: &Session,
    whose: &Whose,
) -> Result<(Admin, TenantRecord), Failure> {
    let admin = how.admin(session, OperatorRight::ChangeAccess).await?;
    Ok((admin, find_tenant(session, &whose.tenant).await?))
}

async fn told(
    member: &Membership,
    tenant: &TenantRecord,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let (role, status) = (&member.role, member.status.as_str());
    let text = format!(
        "{} is {role} in `{}` now, and {status}",
        member.user, tenant.slug
    );
    output.good(&text, &object(member)).await?;
    Ok(Verdict::Done)
}

impl ChangeRole {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let tenancy = self.service.engine(session, &self.books)?;
        let (admin, tenant) = begin(&self.how, session, &self.whose).await?;
        check_role(&admin, &tenancy, &tenant, &self.role).await?;
        let role = self.role.clone();
        let member = admin.change_role(tenant.id, self.user, role).await?;
        told(&member, &tenant, output).await
    }
}

impl Suspend {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let (admin, tenant) = begin(&self.how, session, &self.whose).await?;
        let member = admin.suspend_member(tenant.id, self.user).await?;
        told(&member, &tenant, output).await
    }
}

impl Resume {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let (admin, tenant) = begin(&self.how, session, &self.whose).await?;
        let member = admin.resume_member(tenant.id, self.user).await?;
        told(&member, &tenant, output).await
    }
}
