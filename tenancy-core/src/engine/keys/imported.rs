//! Imported keys in the engine: secrets are verified where a request may wait, and remembered.

mod proven;

use std::{net::IpAddr, sync::Arc, time::Duration};

use proven::{Fingerprint, Proven};

use super::Keys;
use crate::{
    ConfigError, Credential, Timestamp,
    attempts::Attempts,
    cache::SingleFlight,
    engine::Tenancy,
    engine::keys::CachedKey,
    key::{ImportedKeys, KeyHandle, LowEntropySecret, SecretError, SecretErrorKind, SecretHash},
};

/// What came of looking at a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Proof {
    Right,
    Wrong,
    /// The hash that is stored can't be used.
    Unusable,
    /// It was not looked at: too many attempts have failed, for so long.
    Spent(Duration),
    /// It was not looked at, for another reason.
    Failed(SecretErrorKind),
}

/// An attempt at a secret.
struct Attempt {
    secret: LowEntropySecret,
    handle: KeyHandle,
    hash: Option<SecretHash>,
    /// Whether the key could be used, were the secret right.
    usable: bool,
    ip: Option<IpAddr>,
    now: Timestamp,
}

#[derive(Debug)]
pub(in crate::engine) struct Imported {
    pub(in crate::engine) config: ImportedKeys,
    proven: Proven,
    attempts: Attempts,
    under_way: SingleFlight<Fingerprint, Proof>,
}

impl Imported {
    pub(super) fn new(config: ImportedKeys, capacity: usize) -> Result<Self, ConfigError> {
        Ok(Self {
            proven: Proven::new(capacity)?,
            attempts: Attempts::new("handle", config.per_handle, config.per_address),
            under_way: SingleFlight::new(),
            config,
        })
    }

    /// Whether this text was right before, and nothing has been put in its hash's place.
    pub(in crate::engine) fn is_proven(&self, text: Credential<'_>, known: &CachedKey) -> bool {
        known
            .hash()
            .is_some_and(|hash| self.proven.holds(text.expose(), hash))
    }

    /// Hashes a secret and compares; for a key that there is not, as long as for a hash of our own
    /// cost.
    pub(super) async fn verify(
        &self,
        secret: LowEntropySecret,
        hash: Option<&SecretHash>,
    ) -> Result<Proof, SecretError> {
        let usable = hash.filter(|hash| hash.is_usable());
        let stored = usable.map(SecretHash::as_str);
        let right = self.config.hasher.verify(secret, stored).await?;
        Ok(match right {
            true => Proof::Right,
            false if hash.is_some() && usable.is_none() => Proof::Unusable,
            false => Proof::Wrong,
        })
    }

    /// Counts the attempt as failed until it has not, so that many at once are no more than few.
    async fn attempt(&self, attempt: Attempt) -> Proof {
        let Attempt {
            handle, ip, now, ..
        } = &attempt;
        let begun = match self.attempts.begin(handle.as_str(), *ip, *now) {
            Ok(begun) => begun,
            Err(wait) => return Proof::Spent(wait),
        };
        let verified = self.verify(attempt.secret, attempt.hash.as_ref()).await;
        let proof = verified.unwrap_or_else(|error| Proof::Failed(error.kind()));
        // The right secret of a key that can't be used is a failure like any other: how often it
        // may be tried must not tell that it is right.
        match proof {
            Proof::Right if attempt.usable => self.attempts.take_back(&begun, attempt.now),
            Proof::Failed(_) => self.attempts.take_back(&begun, attempt.now),
            _ => {}
        }
        proof
    }
}

impl Keys {
    /// Whether a secret is that of the key that was found, if one was.
    pub(in crate::engine) async fn prove(
        &self,
        engine: &Tenancy,
        credential: Option<Credential<'_>>,
        known: Option<Arc<CachedKey>>,
        ip: Option<IpAddr>,
        now: Timestamp,
    ) -> Proof {
        let (Some(credential), Some(imported)) = (credential, &self.imported) else {
            return Proof::Wrong;
        };
        let Ok(presented) = imported.config.format.read(credential.expose()) else {
            return Proof::Wrong;
        };
        let Ok(secret) = LowEntropySecret::new(presented.secret) else {
            return Proof::Wrong;
        };
        let hash = known.as_deref().and_then(CachedKey::hash);
        let usable = known
            .as_ref()
            .is_some_and(|k| self.usable(k, ip, now).is_ok());
        let fingerprint = imported.proven.fingerprint(credential.expose(), hash);
        let attempt = Attempt {
            secret,
            handle: presented.handle,
            hash: hash.cloned(),
            usable,
            ip,
            now,
        };
        let engine = engine.clone();
        let begin = || -> crate::cache::Work<Proof> {
            Box::pin(async move {
                match engine
                    .inner()
                    .keys
                    .as_ref()
                    .and_then(|k| k.imported.as_ref())
                {
                    Some(imported) => imported.attempt(attempt).await,
                    None => Proof::Wrong,
                }
            })
        };
        let proof = imported.under_way.join(&fingerprint, begin).await;
        match (proof, &known) {
            (Proof::Right, Some(_)) if usable => imported.proven.remember(fingerprint),
            (Proof::Unusable, Some(known)) => tracing::warn!(
                key.id = %known.record.id,
                "the stored hash of an imported key can't be used; rotate the key"
            ),
            _ => {}
        }
        proof
    }
}
