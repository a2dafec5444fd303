//! Arithmetic of quantities and money without a silent rounding: what does not fit is `None`.

use std::cmp::Ordering;

use rust_decimal::Decimal;

/// The product, with every digit.
pub(crate) fn product(one: Decimal, other: Decimal) -> Option<Decimal> {
    let (one, other) = (one.normalize(), other.normalize());
    let mantissa = one.mantissa().checked_mul(other.mantissa())?;
    fitting(mantissa, one.scale() + other.scale())
}

/// The sum, with every digit.
pub(crate) fn sum(one: Decimal, other: Decimal) -> Option<Decimal> {
    let scale = one.scale().max(other.scale());
    let of = |number: Decimal| scaled(number, scale);
    fitting(of(one)?.checked_add(of(other)?)?, scale)
}

/// The sum of all, with every digit.
pub(crate) fn total(numbers: impl IntoIterator<Item = Decimal>) -> Option<Decimal> {
    numbers.into_iter().try_fold(Decimal::ZERO, sum)
}

/// `number * part / whole`, rounded half-even to so many digits after the point. The whole is above 0.
pub(crate) fn share(number: Decimal, part: i64, whole: i64, decimals: u32) -> Option<Decimal> {
    if part == whole {
        return Some(number);
    }
    let number = number.normalize();
    let (mut above, mut below) = (number.mantissa(), i128::from(whole));
    above = above.checked_mul(i128::from(part))?;
    if number.scale() > decimals {
        below = below.checked_mul(power(number.scale() - decimals)?)?;
    } else {
        above = above.checked_mul(power(decimals - number.scale())?)?;
    }
    let (floor, rest) = (
        above.checked_div_euclid(below)?,
        above.checked_rem_euclid(below)?,
    );
    let is_up = match rest.checked_mul(2)?.cmp(&below) {
        Ordering::Less => false,
        Ordering::Equal => floor.rem_euclid(2) == 1,
        Ordering::Greater => true,
    };
    Decimal::try_from_i128_with_scale(floor.checked_add(i128::from(is_up))?, decimals).ok()
}

/// How many whole packages of a size hold a quantity.
pub(crate) fn packages(quantity: Decimal, size: Decimal) -> Option<Decimal> {
    let scale = quantity.scale().max(size.scale());
    let (quantity, size) = (scaled(quantity, scale)?, scaled(size, scale)?);
    let whole = quantity.checked_div_euclid(size)?;
    let has_rest = quantity.checked_rem_euclid(size)? != 0;
    Decimal::try_from_i128_with_scale(whole.checked_add(i128::from(has_rest))?, 0).ok()
}

/// Which of two numbers, each with its factor, is larger. Both numbers are at most 7.9 × 10^28.
pub(crate) fn compare(one: (Decimal, i128), other: (Decimal, i128)) -> Ordering {
    let scale = one.0.scale().max(other.0.scale());
    let of = |(number, factor): (Decimal, i128)| scaled(number, scale)?.checked_mul(factor);
    match (of(one), of(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        // So far apart that a digit more or less makes no difference.
        _ => one.0.cmp(&other.0),
    }
}

fn scaled(number: Decimal, scale: u32) -> Option<i128> {
    number
        .mantissa()
        .checked_mul(power(scale.checked_sub(number.scale())?)?)
}

fn power(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// As a decimal, without the zeros at its end.
fn fitting(mut mantissa: i128, mut scale: u32) -> Option<Decimal> {
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    Decimal::try_from_i128_with_scale(mantissa, scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn products_and_sums_have_every_digit_or_are_none() {
        assert_eq!(product(d("0.1"), d("0.2")), Some(d("0.02")));
        assert_eq!(
            product(d("70000000000000000000"), d("0.00000001")),
            Some(d("700000000000"))
        );
        // More than 2^96.
        assert_eq!(product(d("987654321098765432"), d("0.923456789123")), None);
        assert_eq!(
            sum(d("70000000000000000000"), d("0.000000001")),
            Some(d("70000000000000000000.000000001"))
        );
        assert_eq!(sum(d("70000000000000000000"), d("0.0000000001")), None);
        assert_eq!(sum(d("0.5"), d("-0.5")), Some(Decimal::ZERO));
    }

    #[test]
    fn shares_are_rounded_half_even_once() {
        for (number, part, whole, decimals, expected) in [
            ("10", 1, 4, 0, "2"),
            ("10", 3, 4, 0, "8"),
            ("1", 1, 3, 2, "0.33"),
            ("29.00", 15, 31, 2, "14.03"),
            ("-10", 1, 4, 0, "-2"),
            ("-10", 3, 4, 0, "-8"),
            ("0.125", 1, 2, 2, "0.06"),
            // Rounded to four digits first, it would be 0.02.
            ("0.01499", 1, 1_000_000, 2, "0.00"),
            ("5", 31, 31, 2, "5"),
        ] {
            assert_eq!(
                share(d(number), part, whole, decimals),
                Some(d(expected)),
                "{number}"
            );
        }
    }

    #[test]
    fn a_package_that_is_begun_is_a_whole_one() {
        for (quantity, expected) in [("0", 0), ("0.1", 1), ("100", 1), ("100.001", 2), ("200", 2)] {
            assert_eq!(
                packages(d(quantity), d("100")),
                Some(expected.into()),
                "{quantity}"
            );
        }
        assert_eq!(packages(d("1"), d("0.3")), Some(4.into()));
    }
}
