//! Base62 with the digits `0-9A-Za-z`, of fixed width: the order of texts is that of numbers.

/// The digits, in the order of ASCII.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn digit(value: u8) -> char {
    DIGITS
        .get(usize::from(value))
        .map_or('0', |d| char::from(*d))
}

/// Appends a number in exactly `width` digits; higher ones are cut off.
pub(crate) fn push_number(text: &mut String, mut number: u128, width: usize) {
    let mut digits = [0_u8; 22];
    for place in digits.iter_mut().rev() {
        *place = u8::try_from(number % 62).unwrap_or(0);
        number /= 62;
    }
    let skipped = digits.len().saturating_sub(width);
    text.extend(digits.iter().skip(skipped).map(|value| digit(*value)));
}

/// Appends 32 bytes, read as one big-endian number, in exactly 43 digits (62⁴³ > 2²⁵⁶).
pub(crate) fn push_bytes(text: &mut String, bytes: &[u8; 32]) {
    let mut number = zeroize::Zeroizing::new(*bytes);
    let mut digits = zeroize::Zeroizing::new([0_u8; 43]);
    for place in digits.iter_mut().rev() {
        // Long division: the quotient stays in `number`, the remainder is the next digit.
        let mut rest = 0_u16;
        for byte in number.iter_mut() {
            let value = (rest << 8) | u16::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(0);
            rest = value % 62;
        }
        *place = u8::try_from(rest).unwrap_or(0);
    }
    text.extend(digits.iter().map(|value| digit(*value)));
}

/// Reads digits; `None` for anything else, and for what exceeds 128 bits.
pub(crate) fn number(text: &str) -> Option<u128> {
    text.bytes().try_fold(0_u128, |number, byte| {
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        number.checked_mul(62)?.checked_add(u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: u128) -> String {
        let mut text = String::new();
        push_number(&mut text, value, 22);
        text
    }

    fn bytes_written(bytes: [u8; 32]) -> String {
        let mut text = String::new();
        push_bytes(&mut text, &bytes);
        text
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(written(0), "0".repeat(22));
        assert_eq!(written(61), format!("{}z", "0".repeat(21)));
        assert_eq!(number(&written(u128::MAX)), Some(u128::MAX));
        assert_eq!(number(&"z".repeat(22)), None, "more than 128 bits");
        assert_eq!(bytes_written([0; 32]), "0".repeat(43));
        let mut one = [0; 32];
        one[31] = 62;
        assert_eq!(bytes_written(one), format!("{}10", "0".repeat(41)));
        // 2^256 - 1, computed with Python's integers.
        let most = "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1";
        assert_eq!(bytes_written([0xff; 32]), most);
    }

    proptest! {
        #[test]
        fn numbers_are_read_back_and_keep_their_order(a: u128, b: u128) {
            prop_assert_eq!(number(&written(a)), Some(a));
            prop_assert_eq!(written(a).cmp(&written(b)), a.cmp(&b));
        }

        #[test]
        fn bytes_of_128_bits_are_written_as_their_number(value: u128) {
            let mut bytes = [0; 32];
            bytes[16..].copy_from_slice(&value.to_be_bytes());
            prop_assert_eq!(bytes_written(bytes), format!("{}{}", "0".repeat(21), written(value)));
        }
    }
}
