//! Errors of configuration, raised when something is built, never while a request waits.

use crate::RegistryError;

/// A configuration that can't work. The message says what is wrong and what to do.
///
/// ```
/// use tenancy_core::{Identification, MemoryDirectory, Tenancy};
///
/// // Nothing could authenticate a caller.
/// let error = Tenancy::builder(MemoryDirectory::new())
///     .identification(Identification::new())
///     .build()
///     .unwrap_err();
/// assert!(error.to_string().contains("authenticator"), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
}

impl ConfigError {
    /// An error with a message that says what is wrong and what to do.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// So that `?` takes a registry's error where an engine is built.
impl From<RegistryError> for ConfigError {
    fn from(error: RegistryError) -> Self {
        Self::new(error.to_string())
    }
}
