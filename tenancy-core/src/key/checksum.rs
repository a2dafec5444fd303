//! The checksum at the end of a key: CRC-32 in six base62 digits.
//!
//! It finds typing errors, and lets scanners for leaked secrets tell a key from any other text. It
//! is no secret and proves nothing. GitHub's tokens end the same way; there it covers the random
//! part alone, here everything before it.

use super::base62;

/// How many digits a checksum has.
pub(crate) const LEN: usize = 6;

/// Appends the checksum of a text: CRC-32/ISO-HDLC (RFC 1952 §8).
pub(crate) fn push(text: &mut String) {
    let sum = crc32fast::hash(text.as_bytes());
    base62::push_number(text, sum.into(), LEN);
}

/// Whether a text is followed by its checksum.
pub(crate) fn fits(text: &str, digits: &str) -> bool {
    digits.len() == LEN && base62::number(digits) == Some(crc32fast::hash(text.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The token in GitHub's announcement, expired since:
    /// <https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/>
    #[test]
    fn githubs_published_token_ends_in_its_checksum() {
        let mut text = String::from("zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ");
        assert_eq!(crc32fast::hash(text.as_bytes()), 714_468_973);
        assert!(fits(&text, "0mLq17"));
        assert!(
            !fits(&text, "0MlQ17") && !fits(&text, "AwV0BH"),
            "other alphabets"
        );
        push(&mut text);
        assert_eq!(text, "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17");
    }

    #[test]
    fn only_six_digits_fit() {
        let text = "0";
        for digits in ["", "0mLq1", "00mLq17", "0mLq1_"] {
            assert!(!fits(text, digits), "{digits}");
        }
    }
}
