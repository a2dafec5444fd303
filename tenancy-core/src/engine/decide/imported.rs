//! Imported keys: who one speaks for, once its secret is known to be right.

use std::sync::Arc;

use super::{
    Decider, Interrupt, Step,
    key::{about, rejected},
};
use crate::{
    Credential, Principal, Refusal,
    engine::{
        keys::{Imported, Keys, Proof},
        load::{Load, SecretOf, SecretProof},
        refusal_log::Refused,
    },
    key::{KeyName, SecretError, reason},
};

impl Decider<'_> {
    /// Who presents this imported key. Nothing is hashed here.
    pub(super) fn imported_holder(
        &self,
        keys: &Keys,
        imported: &Imported,
        credential: Credential<'_>,
    ) -> Step<Arc<Principal>> {
        let presented = imported.config.format.read(credential.expose());
        let presented = presented.map_err(|rejection| Interrupt::Refused(rejected(&rejection)))?;
        let known = self.known_key(KeyName::Handle(presented.handle))?;
        let secret = SecretOf {
            known: known.clone(),
            ip: self.facts.client.ip,
        };
        let proof = match (self.loaded.get::<SecretProof>(&secret), &known) {
            (Some(proof), _) => *proof,
            // A key that can't be used takes the long way, whatever is known of its secret: how
            // long an answer takes must not tell that the secret is right.
            (None, Some(known))
                if keys.usable(known, self.facts.client.ip, self.now).is_ok()
                    && imported.is_proven(credential, known) =>
            {
                Proof::Right
            }
            (None, _) => return Err(Interrupt::Load(Load::of::<SecretProof>(secret))),
        };
        let refused = match (proof, &known) {
            (Proof::Right, Some(known)) => {
                self.usable_key(keys, known)?;
                keys.record_last_used_once(known, self.now);
                let ip = self.facts.client.ip;
                self.engine.alerts.key_used(known, ip, self.now);
                return Ok(Arc::clone(&known.principal));
            }
            (Proof::Right, None) | (Proof::Wrong, None) => rejected(&reason::UNKNOWN),
            (Proof::Wrong, Some(_)) => rejected(&reason::SECRET),
            (Proof::Unusable, _) => rejected(&reason::HASH),
            (Proof::Spent(wait), _) => Refused::of(reason::attempts_spent(wait)),
            (Proof::Failed(kind), _) => Refused::of(Refusal::from(SecretError::from(kind))),
        };
        // What was said for a handle may be a part of a secret, and is not written down.
        Err(Interrupt::Refused(match &known {
            Some(known) => about(known.record.id, refused),
            None => refused,
        }))
    }
}
