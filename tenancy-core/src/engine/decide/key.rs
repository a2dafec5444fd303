//! API keys: who a key speaks for, decided from its record for each request.

use std::sync::Arc;

use super::{Decider, Interrupt, Step};
use crate::{
    Credential, KeyId, Principal, RefusalKind, Rejection,
    engine::keys::CachedKey,
    engine::{
        keys::Keys,
        load::{KeyRecord, Load},
        refusal_log::Refused,
    },
    key::{KeyName, reason},
};

impl Decider<'_> {
    /// Who presents this key.
    pub(super) fn key_holder(
        &self,
        keys: &Keys,
        credential: Credential<'_>,
    ) -> Step<Arc<Principal>> {
        #[cfg(feature = "argon2")]
        if let Some(imported) = &keys.imported
            && imported.config.format.recognizes(credential.expose())
        {
            return self.imported_holder(keys, imported, credential);
        }
        // It was looked at a moment ago, for the same request.
        if let Some((known, _)) = self.known_key.get() {
            return Ok(Arc::clone(&known.principal));
        }
        self.usable_holder(keys, credential)
            .map(|known| Arc::clone(&known.principal))
    }

    /// The key that is presented, if it can be used: its text, its record, the caller's address. Its use is noted.
    pub(super) fn usable_holder(
        &self,
        keys: &Keys,
        credential: Credential<'_>,
    ) -> Step<Arc<CachedKey>> {
        let presented = match keys.config.format.read(credential.expose()) {
            Ok(presented) => presented,
            Err(rejection) => return Err(Interrupt::Refused(rejected(&rejection))),
        };
        let id = presented.id();
        let Some(known) = self.known_key(KeyName::Id(id))? else {
            let rejection = keys.verify_nothing(&presented);
            return Err(Interrupt::Refused(about(id, rejected(&rejection))));
        };
        // Whether the text is right comes before anything that the record says.
        keys.verify(&presented, &known)
            .map_err(|rejection| Interrupt::Refused(about(id, rejected(&rejection))))?;
        self.usable_key(keys, &known)?;
        keys.record_last_used_once(&known, self.now);
        self.engine
            .alerts
            .key_used(&known, self.facts.client.ip, self.now);
        Ok(known)
    }

    /// Who was admitted with this key before, if it can still be used.
    pub(super) fn key_holder_again(&self, keys: &Keys, id: KeyId) -> Step<Arc<Principal>> {
        match self.known_key(KeyName::Id(id))? {
            Some(known) => {
                self.usable_key(keys, &known)?;
                Ok(Arc::clone(&known.principal))
            }
            None => Err(Interrupt::Refused(about(id, rejected(&reason::UNKNOWN)))),
        }
    }

    pub(super) fn usable_key(&self, keys: &Keys, known: &CachedKey) -> Step<()> {
        match keys.usable(known, self.facts.client.ip, self.now) {
            Ok(()) => Ok(()),
            Err(rejection) => {
                let mut refused = about(known.record.id, rejected(&rejection));
                refused.tenant = Some(known.record.tenant);
                Err(Interrupt::Refused(refused))
            }
        }
    }

    /// The key of this name, from what was loaded for this request or from the cache.
    pub(super) fn known_key(&self, name: KeyName) -> Step<Option<Arc<CachedKey>>> {
        match self.known::<KeyRecord>(&name)? {
            Some(known) => Ok(known),
            None => Err(Interrupt::Load(Load::of::<KeyRecord>(name))),
        }
    }
}

pub(super) fn rejected(rejection: &Rejection) -> Refused {
    Refused::new(RefusalKind::Unauthenticated, rejection.reason())
}

pub(super) fn about(id: KeyId, refused: Refused) -> Refused {
    refused.target(format!("key:{id}"))
}
