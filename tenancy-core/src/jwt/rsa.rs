//! RSA public keys (RFC 8017 §A.1.1), read and judged alike whatever backend verifies with them.

use super::{
    backend::LONGEST_RSA,
    error::{KeyError, KeyErrorKind as Kind},
    roca,
};

/// The exponents of more bits than these, no backend takes.
const LONGEST_EXPONENT: usize = 33;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// The algorithm identifier `rsaEncryption` (RFC 3279 §2.3.1).
const ENCRYPTION: [u8; 15] = *b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// A key that may be used: both numbers in big-endian bytes, without leading zeros.
pub(super) struct RsaKey<'a> {
    pub(super) modulus: &'a [u8],
    pub(super) exponent: &'a [u8],
}

impl<'a> RsaKey<'a> {
    /// Reads an `RSAPublicKey`, and refuses one that is weak.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, KeyError> {
        let Self { modulus, exponent } = Self::parse(der).ok_or_else(unusable)?;
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !odd(modulus) || !odd(exponent) || !(2..=LONGEST_EXPONENT).contains(&bits(exponent)) {
            return Err(unusable());
        }
        let bits = bits(modulus);
        if !(2048..=LONGEST_RSA).contains(&bits) {
            let more = if (2048..=8192).contains(&bits) {
                ", or the feature `aws-lc-rs`, which verifies with up to 8192 bits"
            } else {
                ""
            };
            return Err(KeyError::new(
                Kind::RsaSize,
                format!("the RSA key has {bits} bits; use one of 2048 to {LONGEST_RSA}{more}"),
            ));
        }
        if roca::has_fingerprint(modulus) {
            return Err(KeyError::new(
                Kind::RsaWeak,
                "the RSA key comes from a generator whose keys can be factored (CVE-2017-15361); \
                 make a new one elsewhere",
            ));
        }
        Ok(Self { modulus, exponent })
    }

    fn parse(der: &'a [u8]) -> Option<Self> {
        let (numbers, []) = element(SEQUENCE, der)? else {
            return None;
        };
        let (modulus, rest) = positive(numbers)?;
        let (exponent, []) = positive(rest)? else {
            return None;
        };
        Some(Self { modulus, exponent })
    }
}

/// The `RSAPublicKey` within a `SubjectPublicKeyInfo` of `rsaEncryption`, if it is one.
pub(super) fn from_spki(der: &[u8]) -> Option<&[u8]> {
    let (info, []) = element(SEQUENCE, der)? else {
        return None;
    };
    let (bits, []) = element(BIT_STRING, info.strip_prefix(&ENCRYPTION)?)? else {
        return None;
    };
    // How many bits of the last byte do not count.
    bits.strip_prefix(&[0])
}

/// The content of the first element, and what follows it. Lengths are in their shortest form (X.690 §10.1).
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = match der.strip_prefix(&[tag])? {
        [len @ 0..=0x7f, rest @ ..] => (usize::from(*len), rest),
        [0x81, len @ 0x80..=0xff, rest @ ..] => (usize::from(*len), rest),
        [0x82, high @ 1..=0xff, low, rest @ ..] => {
            (usize::from(u16::from_be_bytes([*high, *low])), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}

/// A number above zero, without the zero that keeps its first bit from being a sign (X.690 §8.3).
fn positive(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (number, rest) = element(INTEGER, der)?;
    let number = match number {
        [0, unsigned @ ..] if unsigned.first() >= Some(&0x80) => unsigned,
        [1..0x80, ..] => number,
        _ => return None,
    };
    Some((number, rest))
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| {
        let zeros = usize::try_from(first.leading_zeros()).unwrap_or(0);
        number.len() * 8 - zeros
    })
}

fn unusable() -> KeyError {
    KeyError::new(
        Kind::Malformed,
        "the RSA key can't be used: its encoding is broken, its modulus is even, \
         or its exponent is even, smaller than 3 or longer than 33 bits",
    )
}
