//! What a one-time token is for, and how its text is read.

use uuid::Uuid;

use super::text::PresentedOneTime;
use crate::key::{base62, checksum};

/// How many digits an id has.
pub(super) const ID_LEN: usize = 22;

/// How many digits a secret has.
const SECRET_LEN: usize = 43;

/// The longest text that is looked at, in bytes.
pub(super) const MAX_LEN: usize = 96;

/// What a one-time token is for. A token of one kind is none of another.
///
/// ```text
/// invite_01KAJN2V8QxT3mYc7RwZ5p_4fJt0v…43 digits…Xb90mLq17
/// │      │                      │                  └ checksum: CRC-32, 6 digits
/// │      │                      └ secret: 256 bits, 43 digits
/// │      └ id of the row: a UUID, 22 digits
/// └ kind
/// ```
///
/// Digits are base62, as in [API keys](crate::key::KeyFormat). A text needs no escaping in an address.
///
/// ```
/// use tenancy_core::one_time::OneTimeKind;
///
/// assert_eq!(OneTimeKind::PasswordReset.as_str(), "reset");
/// assert!(OneTimeKind::PasswordReset.read("reset_me").is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OneTimeKind {
    /// Becoming a member of a tenant.
    Invitation,
    /// Choosing another password.
    PasswordReset,
    /// Showing that an address is one's own.
    EmailVerification,
}

impl OneTimeKind {
    /// What a token of this kind begins with, without the underscore.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invite",
            Self::PasswordReset => "reset",
            Self::EmailVerification => "verify",
        }
    }

    /// Reads a text as a token of this kind; `None` for anything else. Nothing is looked up.
    ///
    /// A text of more than 96 bytes is not looked at. A checksum finds what was cut or mistyped.
    ///
    /// # Security
    /// Answer `None` as an unknown token is answered.
    #[must_use]
    pub fn read(self, text: &str) -> Option<PresentedOneTime<'_>> {
        if text.len() > MAX_LEN || !text.is_ascii() {
            return None;
        }
        let rest = text.strip_prefix(self.as_str())?.strip_prefix('_')?;
        let (id, tail) = rest.split_at_checked(ID_LEN)?;
        let (secret, digits) = tail.strip_prefix('_')?.split_at_checked(SECRET_LEN)?;
        let all_digits = secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let body = text.get(..text.len().checked_sub(checksum::LEN)?)?;
        if !all_digits || !checksum::fits(body, digits) {
            return None;
        }
        let id = Uuid::from_u128(base62::number(id)?);
        Some(PresentedOneTime::new(self, id, text))
    }
}
