//! `tenancy member add`.

use clap::Args;
use tenancy_core::{Membership, MembershipDirectory as _, OperatorRight, RoleName, UserId};

use crate::{
    connect::Session,
    declared::{Books, MayDeclare},
    failure::{Failure, Verdict},
    managing::{How, Whose, check_role, find_tenant},
    output::Output,
};

/// Make a user a member of a tenant, at once. Who is a member already, or suspended, is left as it is.
///
/// People who have no account yet are invited: `tenancy invite send`. Seats are counted if `--service` names their meter.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy member add $BOB --tenant acme --role admin --operator $ME --reason 'the owner is ill, ticket 4711'")]
pub(super) struct Add {
    /// The user, by the id
    #[arg(value_name = "USER")]
    user: UserId,
    #[command(flatten)]
    whose: Whose,
    /// The role: owner, admin, member, viewer, one of the service's or of the tenant's own
    #[arg(long, value_name = "NAME")]
    role: RoleName,
    #[command(flatten)]
    service: MayDeclare,
    #[command(flatten)]
    books: Books,
    #[command(flatten)]
    pub(super) how: How,
}

impl Add {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let tenancy = self.service.engine(session, &self.books)?;
        let right = OperatorRight::ChangeAccess;
        let admin = self.how.admin_of(&tenancy, session, right).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?;
        let known = session
            .directory
            .find_membership(tenant.id, self.user)
            .await;
        if let Some(known) = known.map_err(Failure::told)? {
            return Err(Failure::Told(format!(
                "{} is a member of `{}` already, {} and {}; see `tenancy member change-role` and `tenancy member resume`",
                self.user,
                tenant.slug,
                known.role,
                known.status.as_str()
            )));
        }
        check_role(&admin, &tenancy, &tenant, &self.role).await?;
        let member = Membership::new(tenant.id, self.user, self.role.clone());
        admin.put_membership(&member).await?;
        let text = format!(
            "{} is a member of `{}`, as {}",
            self.user, tenant.slug, self.role
        );
        output.good(&text, &super::object(&member)).await?;
        Ok(Verdict::Done)
    }
}
