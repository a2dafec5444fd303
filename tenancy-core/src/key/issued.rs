//! Keys as they are shown once.

use super::{ApiKey, KeyText};

/// A key that has just been issued or rotated: the only time that its text is known.
///
/// `Debug` shows the record, and nothing of the text.
#[derive(Debug)]
#[must_use = "the text of a key can't be had again"]
pub struct IssuedKey {
    record: ApiKey,
    text: KeyText,
}

impl IssuedKey {
    pub(crate) fn new(record: ApiKey, text: KeyText) -> Self {
        Self { record, text }
    }

    /// The record, which can be shown at any time.
    #[must_use]
    pub const fn record(&self) -> &ApiKey {
        &self.record
    }

    /// The text, to be shown to its owner once.
    ///
    /// # Security
    /// Never log it, never store it. Send it with `Cache-Control: no-store`.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}
