//! Digests under a key of this process: they stand for what a cache must not keep, or need not.

use std::{hash::Hasher as _, sync::LazyLock};

use siphasher::sip128::{Hasher128 as _, SipHasher13, SipHasher24};

/// Random, and known to this process alone; `None` where the operating system gives no random bytes.
static KEY: LazyLock<Option<[u8; 16]>> = LazyLock::new(|| {
    let mut key = [0; 16];
    getrandom::fill(&mut key).is_ok().then_some(key)
});

/// The SipHash-2-4-128 of something under the key of this process.
///
/// It is a keyed pseudorandom function: whoever does not know the key can't find two things with one
/// digest. Nothing has to be kept beside it for comparing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u64; 2]);

impl Digest {
    /// The digest of what is written; `None` if this process has no key, and so can't remember.
    ///
    /// What is written has to say where each of its parts ends.
    #[inline]
    pub(crate) fn of(write: impl FnOnce(&mut SipHasher24)) -> Option<Self> {
        let key = KEY.as_ref()?;
        let mut hasher = SipHasher24::new_with_key(key);
        write(&mut hasher);
        let (low, high) = hasher.finish128().as_u64();
        Some(Self([low, high]))
    }

    /// Where a table keeps it, and what tells it from most others there.
    #[inline]
    pub(crate) const fn place(self) -> (usize, u32) {
        let Self([low, high]) = self;
        (low as usize, high as u32)
    }

    /// The SipHash-1-3-128 of two ids and a text, for tables whose keys nobody chooses who would gain by a collision.
    #[inline]
    pub(crate) fn quick(ids: [u128; 2], text: &str) -> Option<u128> {
        let mut hasher = SipHasher13::new_with_key(KEY.as_ref()?);
        for id in ids {
            hasher.write_u64((id >> 64) as u64);
            hasher.write_u64(id as u64);
        }
        hasher.write(text.as_bytes());
        Some(hasher.finish128().as_u128())
    }

    /// The digest of one text, such as a token.
    #[cfg(any(test, feature = "jwt"))]
    #[inline]
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        Self::of(|hasher| hasher.write(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_stands_for_one_text() {
        assert!(Digest::of_text("a") == Digest::of_text("a"));
        assert!(Digest::of_text("a") != Digest::of_text("b"));
        assert!(Digest::of_text("") != Digest::of_text("\0"));
        assert!(Digest::of_text("a").is_some());
    }
}
