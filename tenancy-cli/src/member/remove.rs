//! `tenancy member remove`.

use clap::Args;
use serde_json::json;
use tenancy_core::{KeyFate, KeysGo, OperatorRight, UserId};

use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, Meant, Whose, find_tenant},
    output::Output,
};

/// Remove a member, with the roles in projects; the member's API keys are revoked, or go to another member.
///
/// `--dry-run` says what hangs on the member, and changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy member remove $BOB --tenant acme --dry-run --operator $ME --reason 'ticket 4711'
  tenancy member remove $BOB --tenant acme --keys-to $ANN --yes --operator $ME --reason 'left the company'")]
pub(super) struct Remove {
    /// The user, by the id
    #[arg(value_name = "USER")]
    user: UserId,
    #[command(flatten)]
    whose: Whose,
    /// Who gets the keys that the member has made, instead of revoking them: another active member
    #[arg(long, value_name = "USER")]
    keys_to: Option<UserId>,
    /// Say what would end, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    meant: Meant,
    #[command(flatten)]
    pub(super) how: How,
}

impl Remove {
    pub(super) fn confirm(&self) -> Result<(), Failure> {
        if self.dry_run {
            return Ok(());
        }
        self.meant
            .confirm("removing a member revokes the member's keys, or hands them over")
    }

    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let right = if self.dry_run {
            OperatorRight::ReadTenants
        } else {
            OperatorRight::ChangeAccess
        };
        let admin = self.how.admin(session, right).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?;
        let keys = self.keys_to.map_or(KeysGo::Revoked, KeysGo::To);
        if !self.dry_run {
            admin
                .remove_membership_with(tenant.id, self.user, keys)
                .await?;
            let text = format!("{} is no member of `{}`", self.user, tenant.slug);
            let json = json!({ "tenant": tenant.id, "user": self.user });
            output.good(&text, &json).await?;
            return Ok(Verdict::Done);
        }
        self.how
            .record_reading(session, tenant.id, "member")
            .await?;
        let departure = admin.departure(tenant.id, self.user, keys).await?;
        let mut revoked = Vec::new();
        let mut handed = Vec::new();
        for (key, fate) in &departure.keys {
            match fate {
                KeyFate::HandedOver(_) => handed.push(key.id),
                _ => revoked.push(key.id),
            }
        }
        let projects: Vec<_> = departure
            .project_roles
            .iter()
            .map(|one| one.project)
            .collect();
        let invitations: Vec<_> = departure.invitations.iter().map(|one| one.id).collect();
        let text = format!(
            "{} is {} in `{}`{}\n  keys that end          {}\n  keys that go on        {}\n  roles in projects      {}\n  \
             open invitations       {}",
            self.user,
            departure.membership.role,
            tenant.slug,
            if departure.is_last_owner {
                ", and the last owner, who can't be removed before somebody else is one"
            } else {
                ""
            },
            counted(revoked.len(), departure.has_more_keys),
            handed.len(),
            projects.len(),
            counted(invitations.len(), departure.has_more_invitations),
        );
        let json = json!({
            "tenant": tenant.id,
            "user": self.user,
            "role": departure.membership.role,
            "is_last_owner": departure.is_last_owner,
            "keys_revoked": revoked,
            "keys_handed_over": handed,
            "has_more_keys": departure.has_more_keys,
            "projects": projects,
            "invitations": invitations,
            "has_more_invitations": departure.has_more_invitations,
        });
        output.result(&text, &json).await?;
        Ok(Verdict::Done)
    }
}

fn counted(count: usize, has_more: bool) -> String {
    let more = if has_more { ", and more" } else { "" };
    format!("{count}{more}")
}
