//! Names for people to read: of tenants and projects.

use crate::{StoreError, StoreErrorKind};

/// The longest name, in characters.
pub(super) const MAX_NAME: usize = 200;

/// Whether a name can be shown in a line.
pub(super) fn check_name(name: &str) -> Result<(), StoreError> {
    let said = if name.trim().is_empty() {
        "the name is blank; give one that people can read".to_owned()
    } else if name.chars().count() > MAX_NAME {
        format!("the name has more than {MAX_NAME} characters; shorten it")
    } else if name.chars().any(char::is_control) {
        "the name has a line break or another control character; remove it".to_owned()
    } else {
        return Ok(());
    };
    Err(StoreError::new(StoreErrorKind::Invalid, said))
}
