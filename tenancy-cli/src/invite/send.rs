//! `tenancy invite send`.

use std::time::Duration;

use clap::Args;
use tenancy_core::{EmailAddress, OperatorRight, RoleName, invitation::NewInvitation};

use super::pepper::Peppered;
use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, Whose, find_tenant},
    output::Output,
};

/// Invite an address to a tenant. The service sends the mail, as for its own invitations.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy invite send ann@example.org --tenant acme --role admin --pepper /etc/notes/invitations.pepper \\
      --operator $ME --reason 'contract 17'")]
pub(super) struct Send {
    /// The address
    #[arg(value_name = "ADDRESS")]
    email: EmailAddress,
    #[command(flatten)]
    whose: Whose,
    /// The role: owner, admin, member, viewer, one of the service's or of the tenant's own
    #[arg(long, value_name = "NAME")]
    role: RoleName,
    /// How long it lasts: 1 to 30 days
    #[arg(long, value_name = "NUMBER", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=30))]
    days: u64,
    #[command(flatten)]
    peppered: Peppered,
    #[command(flatten)]
    pub(super) how: How,
}

impl Send {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let tenancy = self.peppered.engine(session)?;
        let right = OperatorRight::ChangeAccess;
        let authority = self.how.authority(session, right).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?;
        let lifetime = Duration::from_secs(self.days * 24 * 60 * 60);
        let new = NewInvitation::new(tenant.id, self.email.clone(), self.role.clone());
        let invitations = tenancy.invitations(authority);
        let made = invitations.invite(&new.lasts(lifetime)).await?;
        super::made(&made, &tenancy, output).await
    }
}
