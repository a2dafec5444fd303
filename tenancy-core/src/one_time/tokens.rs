//! Deriving one-time tokens, and verifying them.

use hmac::Mac as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    OneTimeDigest, OneTimeKind, OneTimeText, PresentedOneTime,
    kind::{ID_LEN, MAX_LEN},
};
use crate::{
    ConfigError,
    key::{Pepper, base62, checksum},
};

/// What precedes the input of each MAC. The two differ, so that no digest is ever another row's secret; and
/// neither is the beginning of an API key, which has no such byte, so that one pepper may serve both.
const SECRET: &[u8] = b"\0tenancy one-time secret\0";
const DIGEST: &[u8] = b"\0tenancy one-time digest\0";

/// Which token: the row that it belongs to, and how often it was sent anew.
///
/// ```
/// use tenancy_core::one_time::{OneTimeId, OneTimeKind};
///
/// let sent = OneTimeId::new(OneTimeKind::PasswordReset, uuid::Uuid::now_v7());
/// assert_eq!((sent.rotation(), sent.rotated().rotation()), (0, 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OneTimeId {
    kind: OneTimeKind,
    id: Uuid,
    rotation: u32,
}

impl OneTimeId {
    /// The first token of a row.
    #[must_use]
    pub const fn new(kind: OneTimeKind, id: Uuid) -> Self {
        Self {
            kind,
            id,
            rotation: 0,
        }
    }

    /// The token of a row that was sent anew so often.
    #[must_use]
    pub const fn at(mut self, rotation: u32) -> Self {
        self.rotation = rotation;
        self
    }

    /// The token that takes this one's place.
    #[must_use]
    pub const fn rotated(self) -> Self {
        let next = self.rotation.wrapping_add(1);
        self.at(next)
    }

    /// The id of the row.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// How often it was sent anew: 0 at first.
    #[must_use]
    pub const fn rotation(&self) -> u32 {
        self.rotation
    }
}

/// Derives one-time tokens and verifies them, under a pepper of the service: HMAC-SHA-256.
///
/// The module [`one_time`](super) has an example. To replace the pepper, start with the new one as the current and
/// the old one as the previous. A token keeps the version that it was sent with, so what was mailed before stays
/// good for as long as the old pepper is there.
///
/// ```
/// use tenancy_core::{key::Pepper, one_time::OneTimeTokens};
///
/// let old = Pepper::new(1, [0x5c; 32])?;
/// let new = Pepper::new(2, [0x36; 32])?;
/// let tokens = OneTimeTokens::new(new).with_previous(old)?;
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct OneTimeTokens {
    current: Pepper,
    previous: Option<Pepper>,
}

impl OneTimeTokens {
    /// Derives with this pepper. It may be the one of [API keys](crate::key::HmacKeyHasher).
    pub const fn new(current: Pepper) -> Self {
        Self {
            current,
            previous: None,
        }
    }

    /// Takes tokens that were derived with another pepper, too.
    ///
    /// # Errors
    /// [`ConfigError`] if both have one version.
    pub fn with_previous(mut self, previous: Pepper) -> Result<Self, ConfigError> {
        if previous.version() == self.current.version() {
            return Err(ConfigError::new(format!(
                "two peppers have the version {}; number each new one on",
                previous.version()
            )));
        }
        self.previous = Some(previous);
        Ok(self)
    }

    /// What to store of a token that is sent now.
    #[must_use]
    pub fn digest(&self, of: OneTimeId) -> OneTimeDigest {
        digest(&self.current, derive(&self.current, of).expose())
    }

    /// The text of a token that was stored with this [version](OneTimeDigest::version) of the pepper; `None` if
    /// that pepper is not here.
    #[must_use]
    pub fn text(&self, of: OneTimeId, version: u32) -> Option<OneTimeText> {
        self.pepper(version).map(|pepper| derive(pepper, of))
    }

    /// Whether a token is the one whose digest was stored. Takes equally long for each text.
    #[must_use]
    pub fn verify(&self, presented: &PresentedOneTime<'_>, stored: &OneTimeDigest) -> bool {
        self.pepper(stored.version()).is_some_and(|pepper| {
            let mac = pepper.over_parts([DIGEST, presented.text().as_bytes()]);
            mac.verify_slice(stored.as_bytes()).is_ok()
        })
    }

    /// Takes as long as [`verify`](Self::verify), for a token that belongs to no row.
    pub(crate) fn verify_nothing(&self, presented: &PresentedOneTime<'_>) {
        let nobodys = OneTimeDigest::new(self.current.version(), [0; 32]);
        let _ = std::hint::black_box(self.verify(presented, &nobodys));
    }

    fn pepper(&self, version: u32) -> Option<&Pepper> {
        let mut all = [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten();
        all.find(|pepper| pepper.version() == version)
    }
}

fn digest(pepper: &Pepper, text: &str) -> OneTimeDigest {
    let mac = pepper.over_parts([DIGEST, text.as_bytes()]);
    OneTimeDigest::new(pepper.version(), mac.finalize().into_bytes().into())
}

fn derive(pepper: &Pepper, of: OneTimeId) -> OneTimeText {
    let kind = of.kind.as_str();
    // Everything behind the name of the kind has a fixed length, and no name has a zero byte.
    let (id, rotation) = (of.id.as_bytes().as_slice(), of.rotation.to_be_bytes());
    let mac = pepper.over_parts([SECRET, kind.as_bytes(), b"\0", id, &rotation]);
    let secret: Zeroizing<[u8; 32]> = Zeroizing::new(mac.finalize().into_bytes().into());
    // Room for all of it, so that no copy of a part is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(MAX_LEN));
    text.push_str(kind);
    text.push('_');
    base62::push_number(&mut text, of.id.as_u128(), ID_LEN);
    text.push('_');
    base62::push_bytes(&mut text, &secret);
    checksum::push(&mut text);
    OneTimeText::new(text)
}
