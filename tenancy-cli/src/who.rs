//! Who acts: an operator of the service, by the stored record, with a reason.

use clap::Args;
use tenancy_core::{
    Actor, AllowedTenants, AuditEntry, Authority, Operator, OperatorId, OperatorRight,
    OperatorRole, OperatorStore as _, Outcome, Principal, danger,
};

use crate::{connect::Session, failure::Failure};

/// Who vouches for an operator here, as the trail has it: nobody but whoever holds the system login.
const ISSUER: &str = "tenancy-cli";

/// How the trail names this program.
const AGENT: &str = concat!("tenancy-cli/", env!("CARGO_PKG_VERSION"));

/// How many operators are looked at in one go.
const PAGE: u32 = 500;

/// An operator and a reason, without which the command is not done.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The operator who does this, by the id of the stored record
    #[arg(
        long,
        value_name = "ID",
        env = "TENANCY_OPERATOR",
        hide_env_values = true
    )]
    operator: OperatorId,
    /// Why, for the audit trail: a ticket, a request
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    reason: String,
}

/// The same for what tells and changes nothing of a tenant: without an operator the service itself does it.
#[derive(Debug, Args)]
pub(crate) struct Unnamed {
    /// The operator who does this, by the id of the stored record; else it is done as the service itself
    #[arg(
        long,
        value_name = "ID",
        env = "TENANCY_OPERATOR",
        hide_env_values = true
    )]
    operator: Option<OperatorId>,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    reason: Option<String>,
}

fn not_blank(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        return Err("the audit trail needs a reason that is not blank");
    }
    Ok(text.to_owned())
}

impl Named {
    /// The authority of the operator, if the record gives the right.
    ///
    /// # Errors
    /// A [`Failure`] if there is no such operator, it is disabled, or has not the right. That is recorded.
    ///
    /// # Security
    /// Nothing proves that it is this operator who sits here: whoever has the system login's password may name any. The
    /// entry says so, by its credential `tenancy-cli`.
    pub(crate) async fn authority(
        &self,
        session: &Session,
        right: OperatorRight,
    ) -> Result<Authority, Failure> {
        self.operator(session, right).await?;
        let actor = Actor::Operator(self.operator);
        let principal = Principal::new(actor, AllowedTenants::Memberships, ISSUER);
        let authority = danger::operator(&principal, None, self.reason.clone())?;
        Ok(authority.user_agent(AGENT))
    }

    /// The operator's record as it is now.
    ///
    /// # Errors
    /// As [`authority`](Self::authority).
    pub(crate) async fn operator(
        &self,
        session: &Session,
        right: OperatorRight,
    ) -> Result<Operator, Failure> {
        let id = self.operator;
        let found = find(session, id).await?;
        let (action, message) = match found {
            Some(operator) if operator.may(right) => return Ok(operator),
            None => (
                "operator.authenticate",
                format!(
                    "there is no operator `{id}`; give the id of a stored record by --operator or TENANCY_OPERATOR"
                ),
            ),
            Some(disabled) if disabled.disabled => (
                "operator.authenticate",
                format!("the operator `{id}` is disabled"),
            ),
            Some(_) => (
                "operator.check",
                format!(
                    "no role of the operator `{id}` has the right `{right}`; these have it: {}",
                    roles(right)
                ),
            ),
        };
        let entry = AuditEntry::new(session.tenancy.clock().now(), action, Outcome::Refused)
            .about("right", right);
        let entry = self.signed(entry).reason(message.clone());
        session.tenancy.audit().record(entry);
        Err(Failure::Told(message))
    }

    /// An entry of the trail as the operator's, with the reason.
    pub(crate) fn signed(&self, entry: AuditEntry) -> AuditEntry {
        let mut entry = entry
            .actor(Actor::Operator(self.operator))
            .reason(self.reason.clone());
        entry.credential = Some(ISSUER.to_owned());
        entry.user_agent = Some(AGENT.to_owned());
        entry
    }
}

impl Unnamed {
    /// The authority of the operator, or that of the service.
    ///
    /// # Errors
    /// As [`Named::authority`].
    pub(crate) async fn authority(
        &self,
        session: &Session,
        command: &str,
    ) -> Result<Authority, Failure> {
        let reason = match &self.reason {
            Some(reason) => reason.clone(),
            None => format!("`{command}`"),
        };
        let Some(operator) = self.operator else {
            return Ok(danger::service(reason)?.user_agent(AGENT));
        };
        let named = Named { operator, reason };
        named.authority(session, OperatorRight::ReadTrail).await
    }
}

async fn find(session: &Session, id: OperatorId) -> Result<Option<Operator>, Failure> {
    let mut after = None;
    loop {
        let page = session.directory.list_operators(after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        after = Some(last.id);
        if let Some(found) = page.into_iter().find(|operator| operator.id == id) {
            return Ok(Some(found));
        }
    }
}

/// The roles that have a right.
fn roles(right: OperatorRight) -> String {
    let roles = OperatorRole::ALL.into_iter().filter(|role| role.may(right));
    let names: Vec<_> = roles.map(OperatorRole::as_str).collect();
    names.join(", ")
}
