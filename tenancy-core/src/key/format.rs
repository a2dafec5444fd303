//! The format of keys: `{brand}_{env}_{id}_{secret}{checksum}`.

use zeroize::Zeroizing;

use super::{Environment, KeyText, PresentedKey, base62, checksum, reason};
use crate::{ConfigError, KeyId, Rejection};

/// The longest text that is looked at as a key, in bytes.
pub const MAX_KEY_LEN: usize = 256;

/// How many digits an id has.
pub(super) const ID_LEN: usize = 22;

/// How many digits a secret has.
const SECRET_LEN: usize = 43;

/// The format of one service's keys, in one environment.
///
/// ```text
/// acme_live_01KAJN2V8QxT3mYc7RwZ5p_4fJt0v…43 digits…Xb90mLq17
/// │    │    │                      │                  └ checksum: CRC-32, 6 digits
/// │    │    │                      └ secret: 256 random bits, 43 digits
/// │    │    └ id: a UUID, 22 digits
/// │    └ environment: live, test, dev or stg
/// └ brand: the service's
/// ```
///
/// Digits are base62, `0-9A-Za-z` in this order, padded with `0` on the left. A double click
/// selects the whole key. The checksum covers everything before it. This format is public API.
///
/// # Security
/// The parts of a key are claims. What counts is its record, which is found by the id and believed
/// if its digest fits the whole text.
///
/// ```
/// use tenancy_core::key::{Environment, KeyFormat};
///
/// let format = KeyFormat::new("acme", Environment::Live)?;
/// assert!(format.recognizes("acme_live_whatever"));
/// assert!(!format.recognizes("eyJhbGciOiJIUzI1NiJ9.e30.c2ln"));
/// assert!(format.read("acme_live_whatever").is_err());
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFormat {
    brand: Box<str>,
    environment: Environment,
}

impl KeyFormat {
    /// The format for a brand, which keys begin with, in the environment of this deployment.
    ///
    /// # Errors
    /// [`ConfigError`] unless the brand is 2 to 12 of `a-z` and `0-9`, with a letter in front.
    pub fn new(brand: &str, environment: Environment) -> Result<Self, ConfigError> {
        let valid = (2..=12).contains(&brand.len())
            && brand.starts_with(|first: char| first.is_ascii_lowercase())
            && brand
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !valid {
            return Err(ConfigError::new(
                "the brand of API keys must be 2 to 12 lowercase letters and digits, with a letter \
                 in front, such as `acme`",
            ));
        }
        Ok(Self {
            brand: brand.into(),
            environment,
        })
    }

    /// The brand.
    #[must_use]
    pub fn brand(&self) -> &str {
        &self.brand
    }

    /// The environment of this deployment.
    #[must_use]
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// Whether a credential is meant as a key of this brand, well formed or not.
    #[must_use]
    pub fn recognizes(&self, text: &str) -> bool {
        text.strip_prefix(&*self.brand)
            .is_some_and(|rest| rest.starts_with('_'))
    }

    /// Reads the text of a key, from the right. Nothing is looked up.
    ///
    /// # Errors
    /// A [`Rejection`]: `key-malformed` if it hasn't this format, `key-checksum` if a character is
    /// wrong, `key-environment` if it is for another deployment.
    pub fn read<'a>(&self, text: &'a str) -> Result<PresentedKey<'a>, Rejection> {
        let malformed = || reason::MALFORMED;
        if text.len() > MAX_KEY_LEN || !text.is_ascii() {
            return Err(malformed());
        }
        let (body, digits) = cut(text, checksum::LEN).ok_or_else(malformed)?;
        let (rest, secret) = cut(body, SECRET_LEN).ok_or_else(malformed)?;
        let rest = rest.strip_suffix('_').ok_or_else(malformed)?;
        let (rest, id) = cut(rest, ID_LEN).ok_or_else(malformed)?;
        let rest = rest.strip_suffix('_').ok_or_else(malformed)?;
        let (brand, environment) = rest.rsplit_once('_').ok_or_else(malformed)?;
        let environment = Environment::from_stored(environment).ok_or_else(malformed)?;
        let id = base62::number(id).ok_or_else(malformed)?;
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if brand != &*self.brand || !all_digits(secret) || !all_digits(digits) {
            return Err(malformed());
        }
        if !checksum::fits(body, digits) {
            return Err(reason::CHECKSUM);
        }
        if environment != self.environment {
            return Err(reason::ENVIRONMENT);
        }
        Ok(PresentedKey {
            id: KeyId::from_uuid(uuid::Uuid::from_u128(id)),
            environment,
            text,
        })
    }

    /// A regular expression that finds keys of this brand, of every environment, in any text: for
    /// scanners of repositories and logs.
    ///
    /// It is written in the common part of the PCRE, RE2 and Rust dialects, and asks for no boundary
    /// of a word: in `\nacme_live_…` and `%22acme_live_…` there is none in front of the key. What it
    /// finds is a key if its checksum fits too.
    ///
    /// ```
    /// # use tenancy_core::key::{Environment, KeyFormat};
    /// let format = KeyFormat::new("acme", Environment::Live)?;
    /// assert_eq!(
    ///     format.scanner_regex(),
    ///     "acme_(?:live|test|dev|stg)_[0-9A-Za-z]{22}_[0-9A-Za-z]{49}"
    /// );
    /// # Ok::<(), tenancy_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn scanner_regex(&self) -> String {
        let environments = Environment::ALL.map(Environment::as_str).join("|");
        let tail = SECRET_LEN + checksum::LEN;
        format!(
            "{}_(?:{environments})_[0-9A-Za-z]{{{ID_LEN}}}_[0-9A-Za-z]{{{tail}}}",
            self.brand
        )
    }

    /// What may be shown of a key: everything before its secret, as in `acme_live_01KAJN…`.
    #[must_use]
    pub fn shown(&self, id: KeyId) -> String {
        let mut text = format!("{}_{}_", self.brand, self.environment);
        base62::push_number(&mut text, id.as_uuid().as_u128(), ID_LEN);
        text
    }

    /// The text of a key with this secret.
    pub(super) fn write(&self, id: KeyId, secret: &[u8; 32]) -> KeyText {
        // Room for all of it, so that no copy of a part is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_LEN));
        text.push_str(&self.shown(id));
        text.push('_');
        base62::push_bytes(&mut text, secret);
        checksum::push(&mut text);
        KeyText::new(text)
    }

    /// A new key: 256 bits from the operating system's generator.
    pub(crate) fn mint(&self, id: KeyId) -> Result<KeyText, getrandom::Error> {
        let mut secret = Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut *secret)?;
        Ok(self.write(id, &secret))
    }
}

/// Cuts so many bytes off the end.
fn cut(text: &str, len: usize) -> Option<(&str, &str)> {
    text.split_at_checked(text.len().checked_sub(len)?)
}
