//! What texts a store of billing keeps.

use super::BillingStoreError;

/// How many bytes a text has at most.
const MAX_TEXT: usize = 255;

/// Makes sure that a text can be kept: the name of a billing system, an id there, a meter, a purpose. For stores.
///
/// # Errors
/// A [`BillingStoreError`] of the kind [`Refused`](super::BillingStoreErrorKind::Refused) that names `what`.
pub fn check_text(what: &str, text: &str) -> Result<(), BillingStoreError> {
    if text.is_empty() || text.len() > MAX_TEXT || text.contains('\0') {
        return Err(BillingStoreError::refused(format!(
            "{what} has {} bytes; give 1 to {MAX_TEXT} bytes without a NUL",
            text.len()
        )));
    }
    Ok(())
}
