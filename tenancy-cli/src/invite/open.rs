//! Changes of an invitation that is open.

use clap::Args;
use serde_json::json;
use tenancy_core::{InvitationId, OperatorRight};

use super::pepper::Peppered;
use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, Meant, Whose, find_tenant},
    output::{Output, plain},
};

/// Send an open invitation anew, also one that has expired: the link before is wrong from then on.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy invite resend $INVITATION --tenant acme --pepper /etc/notes/invitations.pepper \\
      --operator $ME --reason 'ticket 4711'")]
pub(super) struct Resend {
    /// The invitation, by its id
    #[arg(value_name = "INVITATION")]
    invitation: InvitationId,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    peppered: Peppered,
    #[command(flatten)]
    pub(super) how: How,
}

/// Take an open invitation back.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy invite withdraw $INVITATION --tenant acme --yes --operator $ME --reason 'wrong address'")]
pub(super) struct Withdraw {
    /// The invitation, by its id
    #[arg(value_name = "INVITATION")]
    invitation: InvitationId,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    meant: Meant,
    #[command(flatten)]
    pub(super) how: How,
}

impl Resend {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let tenancy = self.peppered.engine(session)?;
        let right = OperatorRight::ChangeAccess;
        let authority = self.how.authority(session, right).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?.id;
        let invitations = tenancy.invitations(authority);
        let sent = invitations.resend(tenant, self.invitation).await?;
        super::made(&sent, &tenancy, output).await
    }
}

impl Withdraw {
    pub(super) fn confirm(&self) -> Result<(), Failure> {
        self.meant
            .confirm("the link of an invitation that is withdrawn admits nobody")
    }

    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let right = OperatorRight::ChangeAccess;
        let authority = self.how.authority(session, right).await?;
        let invitations = session.tenancy.invitations(authority);
        let tenant = find_tenant(session, &self.whose.tenant).await?.id;
        let taken = invitations.revoke(tenant, self.invitation).await?;
        let text = format!(
            "the invitation {} of {} is withdrawn",
            taken.id,
            plain(&taken.email.to_string())
        );
        let json = json!({ "id": taken.id, "tenant": tenant, "state": taken.state.as_str() });
        output.good(&text, &json).await?;
        Ok(Verdict::Done)
    }
}
