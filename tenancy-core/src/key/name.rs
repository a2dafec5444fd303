//! Names of keys: what a text says, before anybody knows whose key it is.

use super::ApiKey;
#[cfg(feature = "argon2")]
use super::KeyHandle;
use crate::KeyId;

/// By what a key is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum KeyName {
    Id(KeyId),
    #[cfg(feature = "argon2")]
    Handle(KeyHandle),
}

impl KeyName {
    /// Whether a record is the one that was asked for.
    pub(crate) fn names(&self, key: &ApiKey) -> bool {
        match self {
            Self::Id(id) => key.id == *id,
            #[cfg(feature = "argon2")]
            Self::Handle(handle) => key.verifier.handle() == Some(handle),
        }
    }
}
