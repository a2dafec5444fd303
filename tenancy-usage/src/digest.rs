//! SHA-256 over bytes that say where each of their parts ends.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 by which it is seen whether two things are the same: two events with one id, or what an invoice was computed
/// from and what it is computed from again.
///
/// As text it is 64 hexadecimal digits.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::{UsageDigest, UsageEvent};
///
/// let at = Timestamp::from_unix_seconds(1_800_000_000);
/// let event = UsageEvent::new(TenantId::new(), "exports", "api", "1", at);
/// let text = event.digest().to_string();
/// assert_eq!(UsageDigest::from_hex(&text), Some(event.digest()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageDigest([u8; 32]);

impl UsageDigest {
    /// The digest that has these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, as a store keeps them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(digits: &str) -> Option<Self> {
        tenancy_core::ChainHash::from_hex(digits).map(|hash| Self(*hash.as_bytes()))
    }
}

impl fmt::Display for UsageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for UsageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for UsageDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Bytes for a digest. Each text is preceded by its length as 8 bytes, big-endian; what may be absent by a byte 0 or 1.
pub(crate) struct Canonical(Sha256);

impl Canonical {
    /// Begins with a name and a number of the format, so that bytes of two kinds are never the same.
    pub(crate) fn of(format: &str) -> Self {
        Self(Sha256::new()).text(format)
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.update(length.to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// As the shortest text: `1.50` is `1.5`.
    pub(crate) fn decimal(self, number: Decimal) -> Self {
        self.text(&number.normalize().to_string())
    }

    pub(crate) fn maybe<T>(
        mut self,
        value: Option<T>,
        write: impl FnOnce(Self, T) -> Self,
    ) -> Self {
        self.0.update([u8::from(value.is_some())]);
        match value {
            Some(value) => write(self, value),
            None => self,
        }
    }

    pub(crate) fn end(self) -> UsageDigest {
        UsageDigest(self.0.finalize().into())
    }
}
