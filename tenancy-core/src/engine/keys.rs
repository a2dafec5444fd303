//! API keys in the engine: what is configured, what is cached, which uses wait to be written.

mod admin;
mod cached;
mod change;
mod handing;
#[cfg(feature = "argon2")]
mod import;
#[cfg(feature = "argon2")]
mod imported;
mod issue;
mod operator;
mod uses;

use std::{net::IpAddr, sync::Arc};

pub(super) use admin::configured;
pub use admin::{KeyAdmin, KeyService};
pub(crate) use cached::CachedKey;
#[cfg(feature = "argon2")]
pub(super) use imported::{Imported, Proof};
pub(super) use issue::minted;
use uses::Uses;

use crate::{
    ConfigError, Rejection, Timestamp,
    key::{ApiKeys, KeyMatch, PresentedKey, reason},
};

#[derive(Debug)]
pub(super) struct Keys {
    pub(super) config: ApiKeys,
    #[cfg(feature = "argon2")]
    pub(super) imported: Option<Imported>,
    uses: Uses,
}

impl Keys {
    /// With room for so many secrets of imported keys that were right.
    pub(super) fn new(config: ApiKeys, secrets: usize) -> Result<Self, ConfigError> {
        #[cfg(not(feature = "argon2"))]
        let _ = secrets;
        Ok(Self {
            #[cfg(feature = "argon2")]
            imported: match &config.imported {
                Some(imported) => Some(Imported::new(imported.clone(), secrets)?),
                None => None,
            },
            config,
            uses: Uses::default(),
        })
    }

    /// Whether the text is this key's, compared in constant time.
    pub(super) fn verify(
        &self,
        text: &PresentedKey<'_>,
        known: &CachedKey,
    ) -> Result<(), Rejection> {
        // An imported key has no digest: its id is no way around its own secret.
        let Some(stored) = known.record.verifier.digest() else {
            std::hint::black_box(self.config.hasher.digest(text));
            return Err(reason::SECRET);
        };
        match self.config.hasher.verify(text, stored) {
            KeyMatch::Current => Ok(()),
            KeyMatch::Outdated => {
                known.renew(|| self.config.hasher.digest(text));
                Ok(())
            }
            KeyMatch::Mismatch => Err(reason::SECRET),
            KeyMatch::UnknownVersion => {
                // At a level that nobody fills by repeating a key; the audit trail has it, sampled.
                tracing::debug!(
                    key.id = %known.record.id,
                    pepper.version = stored.version(),
                    "an API key was hashed with a pepper that is not configured; rotate the key"
                );
                Err(reason::PEPPER)
            }
        }
    }

    /// Takes as long as [`verify`](Self::verify), for a key that there is not.
    pub(super) fn verify_nothing(&self, text: &PresentedKey<'_>) -> Rejection {
        std::hint::black_box(self.config.hasher.digest(text));
        reason::UNKNOWN
    }

    /// Whether the key can be used now, by a caller with this address.
    pub(super) fn usable(
        &self,
        known: &CachedKey,
        ip: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let environment = self.config.format.environment();
        known.record.usable(environment, ip, now)
    }

    /// Notes that a key was used; nothing is written now.
    pub(super) fn record_last_used_once(&self, known: &Arc<CachedKey>, now: Timestamp) {
        if self.config.writes() && known.used(now) {
            self.uses.push(Arc::clone(known));
        }
    }
}
