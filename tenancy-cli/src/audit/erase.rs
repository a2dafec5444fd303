//! `tenancy audit erase`: a person, taken out of the trail.

use clap::Args;
use serde_json::json;
use tenancy_core::{EmailAddress, Operator, OperatorRight, PersonErasure, UserId};

use super::whose::Whose;
use crate::{
    arguments::Form,
    connect::Session,
    failure::{Failure, Verdict},
    output::Output,
    who::Named,
};

/// Erase what the trail has about a person: reasons, targets, details, changes, addresses, user agents.
///
/// The entries stay, with the ids that stand for people, and their chains stay whole. An entry `trail.erase` says who has
/// done it, and for whom. It takes an operator with the role `admin`, who erases nothing about the own person. Backups,
/// exports and logs are not reached.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy audit erase $ANN --all --email ann@example.org --text 'Ann Lee' \\
      --operator $ME --reason 'request 4711 for erasure'")]
pub(super) struct Erase {
    /// The person, by the user's id
    #[arg(value_name = "PERSON")]
    person: UserId,
    #[command(flatten)]
    whose: Whose,
    /// Also each entry with this address
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<EmailAddress>,
    /// Also each entry with this text, such as a name, whatever its case; 4 characters at least
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,
    #[command(flatten)]
    who: Named,
    #[command(flatten)]
    pub(super) form: Form,
}

impl Erase {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let right = OperatorRight::ManageOperators;
        let authority = self.who.authority(session, right).await?;
        if is_oneself(&self.who.operator(session, right).await?, self.person) {
            return Err(Failure::told(
                "nobody erases what was recorded of the own person; have another operator do it",
            ));
        }
        let mut erasure = PersonErasure::new(self.person);
        for email in &self.email {
            erasure = erasure.email(email)?;
        }
        for text in &self.text {
            erasure = erasure.named(text)?;
        }
        let admin = session.tenancy.admin(authority);
        let erased = admin
            .erase_person_from_trail(self.whose.tenant(), &erasure)
            .await?;
        let text = format!("the particulars of {erased} entries were erased");
        output.good(&text, &json!({ "erased": erased })).await?;
        Ok(Verdict::Done)
    }
}

/// Whether a person is the operator: by its account, by how its issuer knows it, or by the id of its record.
fn is_oneself(operator: &Operator, person: UserId) -> bool {
    operator.user == Some(person)
        || operator.subject == person
        || operator.id.as_uuid() == person.as_uuid()
}
