//! The format of imported keys: `{prefix}{handle}{separator}{secret}`.

use crate::{
    ConfigError, Rejection,
    key::{KeyFormat, KeyHandle, LowEntropySecret, handle::is_written_in_handles, reason},
};

/// How every JSON Web Token begins: `{"` in base64url.
const TOKEN: &str = "eyJ";

/// The longest prefix, in bytes.
const MAX_PREFIX: usize = 32;

/// The format of keys that another system made.
///
/// ```text
/// oldco_4711.correcthorse
/// │     │   │└ secret: 1 to 1,024 bytes
/// │     │   └ separator, if handles differ in length
/// │     └ handle: what the other system found the key by
/// └ prefix: what tells these keys from all other credentials
/// ```
///
/// A secret with spaces or commas can be sent in a
/// [header field of its own](crate::key::ApiKeys::header) only, and one beyond ASCII in none.
///
/// ```
/// use tenancy_core::key::ImportedFormat;
///
/// let format = ImportedFormat::separated("oldco_", '.')?;
/// assert!(format.recognizes("oldco_4711.correcthorse"));
/// assert!(ImportedFormat::separated("eyJ", '.').is_err(), "tokens begin so");
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct ImportedFormat {
    prefix: Box<str>,
    handle: Extent,
    hashed_whole: bool,
}

/// Where a handle ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Until(char),
    Length(usize),
}

/// The text of an imported key as it arrived: well formed, and not yet known to be anybody's.
pub(crate) struct PresentedSecret<'a> {
    pub(crate) handle: KeyHandle,
    /// What its hash covers.
    pub(crate) secret: &'a str,
}

impl ImportedFormat {
    /// Keys whose handle ends at the first separator.
    ///
    /// # Errors
    /// [`ConfigError`] unless the prefix is 2 to 32 characters of ASCII that can be seen, without
    /// commas, and no token begins with it, and the separator is such a character, too.
    pub fn separated(prefix: &str, separator: char) -> Result<Self, ConfigError> {
        if !separator.is_ascii_graphic() || separator == ',' {
            return Err(ConfigError::new(
                "the separator of imported keys must be a character of ASCII that can be seen, and \
                 no comma, such as `.`",
            ));
        }
        Self::checked(prefix, Extent::Until(separator))
    }

    /// Keys whose handle is their first characters after the prefix.
    ///
    /// # Errors
    /// [`ConfigError`] for a prefix that can't be, as [`separated`](Self::separated) says, or unless
    /// the length is 1 to 64.
    pub fn fixed(prefix: &str, handle_len: usize) -> Result<Self, ConfigError> {
        if !(1..=KeyHandle::MAX_LEN).contains(&handle_len) {
            return Err(ConfigError::new(format!(
                "the handles of imported keys must be 1 to {} characters long",
                KeyHandle::MAX_LEN
            )));
        }
        Self::checked(prefix, Extent::Length(handle_len))
    }

    fn checked(prefix: &str, handle: Extent) -> Result<Self, ConfigError> {
        let fits = (2..=MAX_PREFIX).contains(&prefix.len()) && is_written_in_handles(prefix);
        if !fits || begin_alike(prefix, TOKEN) {
            return Err(ConfigError::new(format!(
                "the prefix of imported keys must be 2 to {MAX_PREFIX} characters of ASCII that can \
                 be seen, without commas, and none that tokens begin with (`{TOKEN}`), such as \
                 `oldco_`"
            )));
        }
        Ok(Self {
            prefix: prefix.into(),
            handle,
            hashed_whole: false,
        })
    }

    /// Hashes are of a key's whole text, from the prefix on. Default: of what follows the handle.
    pub const fn hashed_whole(mut self) -> Self {
        self.hashed_whole = true;
        self
    }

    /// Whether a credential is meant as an imported key, well formed or not.
    #[must_use]
    pub fn recognizes(&self, text: &str) -> bool {
        text.starts_with(&*self.prefix)
    }

    /// Whether keys of both formats can be told apart.
    pub(crate) fn is_apart_from(&self, own: &KeyFormat) -> bool {
        !begin_alike(&self.prefix, &format!("{}_", own.brand()))
    }

    /// Whether a key of this format can have this handle.
    pub(crate) fn fits(&self, handle: &KeyHandle) -> bool {
        match self.handle {
            Extent::Until(separator) => !handle.as_str().contains(separator),
            Extent::Length(len) => handle.as_str().len() == len,
        }
    }

    /// Reads the text of a key. Nothing is looked up.
    pub(crate) fn read<'a>(&self, text: &'a str) -> Result<PresentedSecret<'a>, Rejection> {
        let malformed = || reason::MALFORMED;
        let rest = text.strip_prefix(&*self.prefix).ok_or_else(malformed)?;
        let (handle, rest) = match self.handle {
            Extent::Until(separator) => rest.split_once(separator),
            Extent::Length(len) => rest.split_at_checked(len),
        }
        .ok_or_else(malformed)?;
        let handle = handle.parse().map_err(|_| malformed())?;
        let secret = if self.hashed_whole { text } else { rest };
        if rest.is_empty() || secret.len() > LowEntropySecret::MAX_LEN {
            return Err(malformed());
        }
        Ok(PresentedSecret { handle, secret })
    }
}

/// Whether some text begins with both.
fn begin_alike(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}
