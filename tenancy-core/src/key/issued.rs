//! Keys as they are shown once.

use super::{ApiKey, KeyText};

/// A key that has just been issued or rotated: the only time that its text is known.
///
/// `Debug` shows the record, and nothing of the text.
///
/// ```
/// use tenancy_core::{KeyService, TenantContext, key::NewKey};
///
/// async fn issue(
///     keys: &KeyService,
///     context: &TenantContext,
/// ) -> Result<String, Box<dyn std::error::Error>> {
///     let new = NewKey::in_context(context, "nightly export", ["notes:read".parse()?])?;
///     let issued = keys.by(context.authority("keys:manage")?).issue(new).await?;
///     println!("issued {}", issued.record().id);
///     // For its owner, once.
///     Ok(issued.expose().to_owned())
/// }
/// ```
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
