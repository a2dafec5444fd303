//! What a key may be called and how much it may list, whether it is issued or changed.

use serde_json::{Map, Value};

use super::KeyNetworks;
use crate::{Grant, PermissionRegistry, StoreError, StoreErrorKind};

/// The longest name of a key, in characters.
const MAX_NAME: usize = 100;

/// The most scopes of a key.
const MAX_SCOPES: usize = 64;

/// The largest metadata of a key, in bytes of JSON.
const MAX_METADATA: usize = 4096;

pub(crate) fn invalid(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, message)
}

pub(crate) fn check_name(name: &str) -> Result<(), StoreError> {
    let fits = !name.trim().is_empty()
        && name.chars().count() <= MAX_NAME
        && !name.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(invalid(format!(
            "the name of a key must be 1 to {MAX_NAME} characters that can be seen"
        )))
    }
}

/// A scope that covers nothing is a mistake that would show only when the key is used.
pub(crate) fn check_scopes(
    scopes: &[Grant],
    permissions: &PermissionRegistry,
) -> Result<(), StoreError> {
    if scopes.len() > MAX_SCOPES {
        return Err(invalid(format!("a key has at most {MAX_SCOPES} scopes")));
    }
    match scopes
        .iter()
        .find(|scope| permissions.covered_by(scope).is_empty())
    {
        Some(scope) => Err(invalid(format!(
            "the scope `{scope}` covers no permission that is declared"
        ))),
        None => Ok(()),
    }
}

pub(crate) fn check_networks(count: usize) -> Result<(), StoreError> {
    if count > KeyNetworks::MAX {
        return Err(invalid(format!(
            "a key lists at most {} networks",
            KeyNetworks::MAX
        )));
    }
    Ok(())
}

pub(crate) fn check_metadata(metadata: &Map<String, Value>) -> Result<(), StoreError> {
    let size = serde_json::to_vec(metadata).map_or(usize::MAX, |json| json.len());
    if size > MAX_METADATA {
        return Err(invalid(format!(
            "the metadata of a key is at most {MAX_METADATA} bytes of JSON"
        )));
    }
    Ok(())
}
