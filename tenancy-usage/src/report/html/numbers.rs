//! Numbers as people read them.

use rust_decimal::Decimal;

/// With a comma after each three digits: 1,234,567.5.
pub(super) fn grouped(number: Decimal) -> String {
    let text = number.to_string();
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", &*text), |rest| ("−", rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let mut grouped = sign.to_owned();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if !part.is_empty() {
        grouped.push('.');
        grouped.push_str(part);
    }
    grouped
}

/// A quantity without the zeros at its end.
pub(super) fn quantity(number: Decimal) -> String {
    grouped(number.normalize())
}

/// An estimate, with no more digits than it is worth.
pub(super) fn about(number: Decimal) -> String {
    let digits = if number.abs() < Decimal::ONE_HUNDRED {
        2
    } else {
        0
    };
    quantity(number.round_dp(digits))
}

/// For an axis: 950, 1.5k, 20M.
pub(super) fn short(number: f64) -> String {
    let sizes = [(1e12, "tn"), (1e9, "bn"), (1e6, "M"), (1e3, "k")];
    let size = sizes.into_iter().find(|(size, _)| number >= *size);
    let (size, name) = size.unwrap_or((1.0, ""));
    let scaled = format!("{:.2}", number / size);
    let scaled = scaled.trim_end_matches('0').trim_end_matches('.');
    format!("{scaled}{name}")
}

/// The next number above that people read easily, also its half. At least 1e-9.
pub(super) fn round_up(number: f64) -> f64 {
    let power = 10_f64.powf(number.max(1e-9).log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].map(|step| step * power);
    let above = steps.into_iter().find(|step| number <= step * (1.0 + 1e-9));
    above.unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded_as_people_read_them() {
        let d = |text: &str| text.parse::<Decimal>().unwrap();
        for (number, expected) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("-1234567.50", "−1,234,567.50"),
            ("100000", "100,000"),
        ] {
            assert_eq!(grouped(d(number)), expected);
        }
        assert_eq!(
            [
                quantity(d("12.500")),
                about(d("12.3456")),
                about(d("1234.56"))
            ],
            ["12.5", "12.35", "1,235"]
        );
        assert_eq!(
            [0.0, 0.5, 950.0, 1_500.0, 2e7, 3e12].map(short),
            ["0", "0.5", "950", "1.5k", "20M", "3tn"]
        );
        assert_eq!(
            [1.0, 1.1, 4.0, 51.0, 100.0, 0.03].map(round_up),
            [1.0, 1.5, 4.0, 60.0, 100.0, 0.03]
        );
    }
}
