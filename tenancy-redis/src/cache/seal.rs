//! An answer in Redis: when it began to be read, and what it says, encrypted.
//!
//! | part | bytes |
//! |---|---|
//! | when it began to be read, by the clock of Redis | 16 digits |
//! | when it was sealed, by the clock of the process | 16 digits |
//! | the version of this format | 1 |
//! | a nonce, at random | 24 |
//! | what it says, by XChaCha20-Poly1305, with its tag | the rest |
//!
//! The digits stand in the clear, because Redis compares them. They are authenticated, with the version and the name.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tenancy_core::ConfigError;

/// The version of the format. It is in the names too, so that processes of two versions keep their answers apart.
const VERSION: u8 = 2;

/// How long a moment is, in characters.
const STAMP: usize = 16;

/// What stands before the nonce.
const HEAD: usize = 2 * STAMP + 1;

/// So long that none comes twice, however many processes choose one at random.
const NONCE: usize = 24;

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

/// What questions are named with, and answers are encrypted with.
#[derive(Clone)]
pub(super) struct Secret {
    names: Hmac<Sha256>,
    answers: XChaCha20Poly1305,
}

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
        let names = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| too_short())?;
        // A key of its own for each purpose.
        let mut key = names.clone();
        key.update(b"key of answers ");
        key.update(&[VERSION]);
        let key = key.finalize().into_bytes();
        let answers = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| too_short())?;
        Ok(Self { names, answers })
    }

    /// The digest of a question, in hexadecimal. Nobody without the secret can tell which question it is.
    pub(super) fn digest(&self, question: &str) -> String {
        let mut mac = self.names.clone();
        mac.update(b"question ");
        mac.update(&[VERSION]);
        mac.update(question.as_bytes());
        let mut text = String::with_capacity(64);
        for byte in mac.finalize().into_bytes() {
            // A string takes whatever is written.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// `None` if there is no randomness.
    pub(super) fn seal(&self, name: &str, began: Stamp, json: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = format!("{:016}{:016}", began.0, seconds()).into_bytes();
        sealed.push(VERSION);
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let said = Payload {
            msg: json,
            aad: &beside(name, &sealed),
        };
        let said = self.answers.encrypt(&XNonce::from(nonce), said).ok()?;
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&said);
        Some(sealed)
    }

    /// When an answer began to be read, and what it says; `None` unless it was sealed with this secret under this name, no
    /// longer ago than this by the clocks of both processes.
    pub(super) fn open(
        &self,
        name: &str,
        kept: &[u8],
        keep_for: Duration,
    ) -> Option<(Stamp, Vec<u8>)> {
        let (head, rest) = kept.split_at_checked(HEAD)?;
        let (nonce, msg) = rest.split_at_checked(NONCE)?;
        let (times, version) = head.split_at_checked(2 * STAMP)?;
        if version != [VERSION] {
            return None;
        }
        let aad = &beside(name, head);
        let nonce = XNonce::from(<[u8; NONCE]>::try_from(nonce).ok()?);
        let json = self.answers.decrypt(&nonce, Payload { msg, aad }).ok()?;
        let (began, at) = std::str::from_utf8(times).ok()?.split_at_checked(STAMP)?;
        let apart = seconds().abs_diff(at.parse().ok()?);
        let is_recent = apart <= (keep_for + SKEW).as_secs();
        let began = began.parse().ok().and_then(Stamp::new)?;
        is_recent.then_some((began, json))
    }
}

/// What is authenticated with an answer: under which name it stands, and its head.
fn beside(name: &str, head: &[u8]) -> Vec<u8> {
    let length = (name.len() as u64).to_be_bytes();
    [&length, name.as_bytes(), head].concat()
}

fn seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::{Duration, HEAD, Secret, Stamp};

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn what_was_sealed_opens_under_its_name_and_its_secret_alone() {
        let (secret, other) = (
            Secret::new(&[7; 32]).unwrap(),
            Secret::new(&[8; 32]).unwrap(),
        );
        let began = Stamp::new(1_800_000_000_000_000).unwrap();
        let said = b"{\"name\":\"acme\"}";
        let sealed = secret.seal("a", began, said).unwrap();
        let opened = Some((began, said.to_vec()));
        assert_eq!(secret.open("a", &sealed, HOUR), opened);
        assert_eq!(secret.open("b", &sealed, HOUR), None);
        assert_eq!(other.open("a", &sealed, HOUR), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(secret.open("a", &changed, HOUR), None, "{at}");
            assert_eq!(secret.open("a", &sealed[..at], HOUR), None, "{at}");
        }
        // Nothing of it is in the clear, and it is never sealed in the same way twice.
        assert!(!sealed.windows(4).any(|part| part == b"acme"));
        let again = secret.seal("a", began, said).unwrap();
        assert_ne!(again[HEAD..], sealed[HEAD..]);
        assert!(Secret::new(&[7; 31]).is_err());
        assert_ne!(secret.digest("x"), other.digest("x"));
    }
}
