//! `tenancy invite list`.

use clap::{Args, ValueEnum};
use tenancy_core::{
    OperatorRight, Timestamp,
    invitation::{Invitation, InvitationFilter, InvitationState},
};

use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, PAGE, Whose, find_tenant},
    output::Output,
    table::{Row, Table},
};

/// List the invitations of a tenant in the order in which they were made, without their links.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy invite list --tenant acme --state pending --operator $ME --reason 'ticket 4711'")]
pub(super) struct List {
    #[command(flatten)]
    whose: Whose,
    /// Only those of which this has become
    #[arg(long, value_enum)]
    state: Option<State>,
    #[command(flatten)]
    pub(super) how: How,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Pending,
    Accepted,
    Revoked,
    Expired,
}

impl From<State> for InvitationState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Accepted => Self::Accepted,
            State::Revoked => Self::Revoked,
            State::Expired => Self::Expired,
        }
    }
}

impl List {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let right = OperatorRight::ReadTenants;
        let authority = self.how.authority(session, right).await?;
        let invitations = session.tenancy.invitations(authority);
        let tenant = find_tenant(session, &self.whose.tenant).await?.id;
        self.how
            .record_reading(session, tenant, "invitations")
            .await?;
        let now = session.tenancy.clock().now();
        let mut filter = InvitationFilter::new();
        filter.state = self.state.map(|state| (state.into(), now));
        let heads = &["INVITATION", "STATE", "ROLE", "EXPIRES", "ADDRESS"];
        let mut table = Table::new(heads);
        let mut after = None;
        loop {
            self.how.look_again(session).await?;
            let page = invitations.list(tenant, &filter, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            table
                .rows(page.iter().map(|one| row(one, now)), output)
                .await?;
        }
        table.end(output, "no such invitation");
        Ok(Verdict::Done)
    }
}

fn row(one: &Invitation, now: Timestamp) -> Row {
    let cells = vec![
        one.id.to_string(),
        one.state_at(now).to_string(),
        one.role.to_string(),
        one.expires_at.to_string(),
        one.email.to_string(),
    ];
    (cells, super::object(one, now))
}
