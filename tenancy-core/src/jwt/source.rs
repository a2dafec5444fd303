//! Where an authenticator's keys come from.

use std::sync::Arc;

use super::{
    header::Header,
    keyset::KeySet,
    reason,
    remote::{RemoteKeys, Wanting},
    validator::Stop,
};
use crate::Timestamp;

/// Keys known at start, or keys that the issuer publishes.
#[derive(Debug)]
pub(super) enum KeySource {
    Fixed(Arc<KeySet>),
    Remote(RemoteKeys),
}

/// The keys that count, under a number that changes with them.
pub(super) struct Current {
    pub(super) keys: Arc<KeySet>,
    pub(super) version: u64,
}

impl KeySource {
    /// The number of the keys that count now: what was verified under another is not known.
    pub(super) fn version(&self, now: Timestamp) -> Result<u64, Stop> {
        match self {
            Self::Fixed(_) => Ok(0),
            Self::Remote(remote) => Ok(remote.current(now)?.version),
        }
    }

    pub(super) fn current(&self, now: Timestamp) -> Result<Current, Stop> {
        match self {
            Self::Fixed(keys) => Ok(Current {
                keys: Arc::clone(keys),
                version: 0,
            }),
            Self::Remote(remote) => {
                let held = remote.current(now)?;
                Ok(Current {
                    keys: held.keys,
                    version: held.version,
                })
            }
        }
    }

    /// What follows from a key that the keys of this version lack.
    pub(super) fn lacks(&self, header: &Header, version: u64, now: Timestamp) -> Stop {
        match (self, &header.key_id) {
            (Self::Remote(remote), Some(id)) => remote.lacks(id, version, now).into(),
            _ => Wanting::Unknown.into(),
        }
    }
}

impl From<Wanting> for Stop {
    fn from(wanting: Wanting) -> Self {
        match wanting {
            Wanting::Fetch => Self::KeysNeeded,
            Wanting::Later(wait) => Self::KeysLater(wait),
            Wanting::Unknown => Self::Rejected(reason::KEY_UNKNOWN),
        }
    }
}
