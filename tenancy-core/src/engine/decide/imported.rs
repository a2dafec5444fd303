//! Imported keys: who one speaks for, once its secret is known to be right.

use std::sync::Arc;

use super::{
    Decision, Step, Stop,
    key::{about, rejected},
};
use crate::{
    Credential, Principal, Refusal,
    engine::{
        fill::Miss,
        keys::{Imported, Keys, Proof},
        refused::Refused,
    },
    key::{KeyName, KnownKey, SecretError, reason},
};

impl Decision<'_> {
    /// Who presents this imported key. Nothing is hashed here.
    pub(super) fn imported_holder(
        &self,
        keys: &Keys,
        imported: &Imported,
        credential: Credential<'_>,
    ) -> Step<Arc<Principal>> {
        let presented = imported.config.format.read(credential.expose());
        let presented = presented.map_err(|rejection| Stop::Refused(rejected(&rejection)))?;
        let known = self.known_key(keys, KeyName::Handle(presented.handle))?;
        let hash = known.as_deref().and_then(KnownKey::hash);
        let proof = match (self.fills.proof(hash), &known) {
            (Some(proof), _) => proof,
            // A key that can't be used takes the long way, whatever is known of its secret: how
            // long an answer takes must not tell that the secret is right.
            (None, Some(known))
                if keys.usable(known, self.facts.ip, self.now).is_ok()
                    && imported.is_proven(credential, known) =>
            {
                Proof::Right
            }
            (None, _) => return Err(Stop::Miss(Miss::Secret(known, self.facts.ip))),
        };
        let refused = match (proof, &known) {
            (Proof::Right, Some(known)) => {
                let principal = self.usable_key(keys, known)?;
                keys.note_use(known, self.now);
                return Ok(principal);
            }
            (Proof::Right, None) | (Proof::Wrong, None) => rejected(&reason::UNKNOWN),
            (Proof::Wrong, Some(_)) => rejected(&reason::SECRET),
            (Proof::Unusable, _) => rejected(&reason::HASH),
            (Proof::Spent(wait), _) => Refused::of(reason::attempts_spent(wait)),
            (Proof::Failed(kind), _) => Refused::of(Refusal::from(SecretError::from(kind))),
        };
        // What was said for a handle may be a part of a secret, and is not written down.
        Err(Stop::Refused(match &known {
            Some(known) => about(known.record.id, refused),
            None => refused,
        }))
    }
}
