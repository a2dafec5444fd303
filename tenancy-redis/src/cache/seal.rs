//! An answer in Redis: when it began to be read, a MAC, and what it says.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tenancy_core::ConfigError;

/// How long the moment is, in characters.
const STAMP: usize = 16;

/// How long the MAC is.
const MAC: usize = 32;

/// How far apart the clocks of two processes may be.
const SKEW: Duration = Duration::from_secs(60);

/// A moment by the clock of Redis, in microseconds, of 16 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(u64);

impl Stamp {
    pub(super) fn new(micros: u64) -> Option<Self> {
        (micros < 10_u64.pow(STAMP as u32)).then_some(Self(micros))
    }

    /// How much later this is; `None` if it is earlier.
    pub(super) fn since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_micros)
    }
}

/// What answers are authenticated with.
#[derive(Clone)]
pub(super) struct Secret(Hmac<Sha256>);

impl Secret {
    pub(super) fn new(secret: &[u8]) -> Result<Self, ConfigError> {
        let too_short = || {
            ConfigError::new(
                "the secret of `CachedDirectory` needs 32 bytes at least, from a secret store; all \
                 processes of the service have the same"
                    .to_owned(),
            )
        };
        if secret.len() < 32 {
            return Err(too_short());
        }
        Hmac::new_from_slice(secret)
            .map(Self)
            .map_err(|_| too_short())
    }

    /// The digest of a question, in hexadecimal. Nobody without the secret can tell which question it is.
    pub(super) fn digest(&self, question: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(b"question ");
        mac.update(question.as_bytes());
        let mut text = String::with_capacity(64);
        for byte in mac.finalize().into_bytes() {
            // A string takes whatever is written.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    fn mac(&self, name: &str, head: &[u8], json: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(b"answer ");
        mac.update(&(name.len() as u64).to_be_bytes());
        mac.update(name.as_bytes());
        mac.update(head);
        mac.update(json);
        mac
    }

    pub(super) fn seal(&self, name: &str, began: Stamp, json: &[u8]) -> Vec<u8> {
        let head = format!("{:016}{:016}", began.0, seconds());
        let mac = self.mac(name, head.as_bytes(), json).finalize();
        [head.as_bytes(), &mac.into_bytes(), json].concat()
    }

    /// When an answer began to be read, and what it says; `None` unless it was sealed with this secret under this name, no
    /// longer ago than this by the clocks of both processes.
    pub(super) fn open<'a>(
        &self,
        name: &str,
        kept: &'a [u8],
        keep_for: Duration,
    ) -> Option<(Stamp, &'a [u8])> {
        let (head, rest) = kept.split_at_checked(2 * STAMP)?;
        let (mac, json) = rest.split_at_checked(MAC)?;
        self.mac(name, head, json).verify_slice(mac).ok()?;
        let (began, at) = std::str::from_utf8(head).ok()?.split_at_checked(STAMP)?;
        let apart = seconds().abs_diff(at.parse().ok()?);
        let is_recent = apart <= (keep_for + SKEW).as_secs();
        let began = began.parse().ok().and_then(Stamp::new)?;
        is_recent.then_some((began, json))
    }
}

fn seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::{Duration, Secret, Stamp};

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn what_was_sealed_opens_under_its_name_and_its_secret_alone() {
        let (secret, other) = (
            Secret::new(&[7; 32]).unwrap(),
            Secret::new(&[8; 32]).unwrap(),
        );
        let began = Stamp::new(1_800_000_000_000_000).unwrap();
        let sealed = secret.seal("a", began, b"{}");
        assert_eq!(secret.open("a", &sealed, HOUR), Some((began, &b"{}"[..])));
        assert_eq!(secret.open("b", &sealed, HOUR), None);
        assert_eq!(other.open("a", &sealed, HOUR), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(secret.open("a", &changed, HOUR), None, "{at}");
            assert_eq!(secret.open("a", &sealed[..at], HOUR), None, "{at}");
        }
        assert!(Secret::new(&[7; 31]).is_err());
        assert_ne!(secret.digest("x"), other.digest("x"));
    }
}
