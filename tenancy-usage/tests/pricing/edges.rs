//! Exactly at, one below and one above each edge.

use tenancy_usage::{
    invoice::LineKind,
    price::{MeterPrice, Tier},
};

use super::{book, d, invoice};

/// Free up to 1,000, then 0.10, and 0.05 from 5,000 on; entering the last costs 3.
fn tiers() -> [Tier; 3] {
    [
        Tier::up_to(1_000, 0),
        Tier::up_to(5_000, d("0.10")),
        Tier::rest(d("0.05")).flat(3),
    ]
}

#[test]
fn each_unit_of_a_graduated_price_costs_what_its_tier_says() {
    let book = book(MeterPrice::graduated("tokens", tiers()));
    for (quantity, total) in [
        ("0", "0.00"),
        ("1", "0.00"),
        ("999", "0.00"),
        ("1000", "0.00"),
        ("1000.5", "0.05"),
        ("1001", "0.10"),
        ("4999", "399.90"),
        ("5000", "400.00"),
        ("5000.000000001", "403.00"),
        ("5001", "403.05"),
        ("5999", "452.95"),
    ] {
        assert_eq!(
            invoice(&book, quantity).total().to_string(),
            total,
            "{quantity}"
        );
    }
}

#[test]
fn all_units_of_a_volume_price_cost_what_the_last_ones_tier_says() {
    let book = book(MeterPrice::volume("tokens", tiers()));
    for (quantity, total) in [
        ("0", "0.00"),
        ("999", "0.00"),
        ("1000", "0.00"),
        ("1000.5", "100.05"),
        ("1001", "100.10"),
        ("4999", "499.90"),
        ("5000", "500.00"),
        ("5001", "253.05"),
    ] {
        assert_eq!(
            invoice(&book, quantity).total().to_string(),
            total,
            "{quantity}"
        );
    }
}

#[test]
fn the_other_prices_cost_what_they_say() {
    let per_unit = || MeterPrice::per_unit("tokens", d("0.25"));
    let package = || MeterPrice::package("tokens", 100, 5);
    for (price, quantity, total) in [
        (MeterPrice::free("tokens"), "1000000", "0.00"),
        (per_unit(), "0", "0.00"),
        (per_unit(), "3.5", "0.88"),
        (per_unit().included(100), "99", "0.00"),
        (per_unit().included(100), "100", "0.00"),
        (per_unit().included(100), "101", "0.25"),
        (per_unit().minimum(10), "0", "10.00"),
        (per_unit().minimum(10), "39", "10.00"),
        (per_unit().minimum(10), "40", "10.00"),
        (per_unit().minimum(10), "41", "10.25"),
        (package(), "0", "0.00"),
        (package(), "1", "5.00"),
        (package(), "100", "5.00"),
        (package(), "100.5", "10.00"),
        (package().included(100), "201", "10.00"),
        (
            MeterPrice::percentage("tokens", d("1.5")),
            "1234.56",
            "18.52",
        ),
    ] {
        let shown = format!("{price:?} of {quantity}");
        assert_eq!(
            invoice(&book(price), quantity).total().to_string(),
            total,
            "{shown}"
        );
    }
}

#[test]
fn a_line_is_rounded_half_to_even() {
    for (price, quantity, total) in [
        ("0.005", "1", "0.00"),
        ("0.005", "3", "0.02"),
        ("0.005", "5", "0.02"),
        ("0.0050001", "1", "0.01"),
        ("0.0000001", "70000000000000000000", "7000000000000.00"),
    ] {
        let book = book(MeterPrice::per_unit("tokens", d(price)));
        assert_eq!(
            invoice(&book, quantity).total().to_string(),
            total,
            "{price} × {quantity}"
        );
    }
}

#[test]
fn a_line_tells_its_tier_its_quantity_and_its_price() {
    let book = book(
        MeterPrice::graduated("tokens", tiers())
            .included(500)
            .minimum(1_000),
    );
    let invoice = invoice(&book, "6000");
    let told: Vec<_> = invoice
        .lines
        .iter()
        .map(|it| {
            (
                it.kind,
                it.tier,
                it.quantity,
                it.unit_price,
                it.amount.to_string(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                LineKind::Included,
                None,
                500.into(),
                None,
                "0.00".to_owned()
            ),
            (
                LineKind::Usage,
                Some(1),
                1_000.into(),
                Some(d("0")),
                "0.00".to_owned()
            ),
            (
                LineKind::Usage,
                Some(2),
                4_000.into(),
                Some(d("0.1")),
                "400.00".to_owned()
            ),
            (
                LineKind::Usage,
                Some(3),
                500.into(),
                Some(d("0.05")),
                "28.00".to_owned()
            ),
            (LineKind::Minimum, None, 1.into(), None, "572.00".to_owned()),
        ]
    );
}
