//! Books that are written as TOML.
#![cfg(feature = "toml")]

use tenancy_core::{ConfigError, Timestamp};
use tenancy_usage::price::{
    MeterPrice, PlanPrices, PriceBook, PriceBookBuilder, PriceVersion, Proration, Tier,
};

use super::{d, meters};

fn read(text: &str) -> Result<PriceBook, ConfigError> {
    PriceBookBuilder::from_toml(text)?.build(&meters())
}

#[test]
fn a_written_book_is_the_one_in_code() {
    let written = read(
        r#"
        currency = "EUR"
        [versions.2027-01]
        from = 2027-01-01T01:00:00+01:00
        until = 2027-07-01T00:00:00Z
        proration = "full"
        [versions.2027-01.plans.pro]
        currency = "USD"
        minimum = "10.5"
        flat = { "base fee" = 29, support = 1_000.25 }
        meters.tokens = [
            { per_unit = 0.000015, when = { model = "large" }, included = 1_000 },
            { per_unit = 2e-6, minimum = 5, currency = "USD" },
        ]
        meters.requests = { graduated = [{ up_to = 10, unit_price = 0 }, { above = 10, unit_price = "0.1", flat = 3 }] }
        meters.connections = { package = 100, price = 5 }
        [versions.2027-01.plans.free]
        meters.tokens = "free"
        meters.requests = { volume = [{ unit_price = 1 }] }
        meters.connections = { percent = 1.5 }
        "#,
    )
    .unwrap();
    let at = Timestamp::from_unix_seconds;
    let pro = PlanPrices::new("pro")
        .currency("USD")
        .minimum(d("10.5"))
        .flat("base fee", 29)
        .flat("support", d("1000.25"))
        .price(
            MeterPrice::per_unit("tokens", d("0.000015"))
                .when("model", "large")
                .included(1_000),
        )
        .price(MeterPrice::per_unit("tokens", d("0.000002")).minimum(5))
        .price(MeterPrice::graduated(
            "requests",
            [Tier::up_to(10, 0), Tier::rest(d("0.1")).flat(3)],
        ))
        .price(MeterPrice::package("connections", 100, 5));
    let free = PlanPrices::new("free")
        .price(MeterPrice::free("tokens"))
        .price(MeterPrice::volume("requests", [Tier::rest(1)]))
        .price(MeterPrice::percentage("connections", d("1.5")));
    let version = PriceVersion::new("2027-01", at(1_798_761_600))
        .until(at(1_814_400_000))
        .proration(Proration::Full)
        .plan(pro)
        .plan(free);
    let coded = PriceBook::builder("EUR")
        .version(version)
        .build(&meters())
        .unwrap();
    let digest = |book: &PriceBook| book.versions().next().unwrap().digest();
    assert_eq!(digest(&written), digest(&coded));
    assert!(written.version_at(at(1_814_400_000)).is_none());
}

#[test]
fn an_error_begins_with_its_place() {
    let in_plan = |line: &str| {
        format!(
            "currency = \"EUR\"\n[versions.first]\nfrom = 2027-01-01T00:00:00Z\n[versions.first.plans.pro]\n{line}\n"
        )
    };
    for (text, place, says) in [
        ("currency = ".to_owned(), "line 1, column 1", "no TOML"),
        (
            "currency = 3\n[versions.a]".to_owned(),
            "line 1, column 12: ",
            "has to be a code",
        ),
        (
            "currency = \"eur\"\n[versions.a]\nfrom = 2027-01-01T00:00:00Z\nplans.pro = {}"
                .to_owned(),
            "line 1, column 12: ",
            "three capital letters",
        ),
        (
            "currency = \"EUR\"".to_owned(),
            "line 1, column 1: ",
            "says no `versions`",
        ),
        (
            "currency = \"EUR\"\n[versions]".to_owned(),
            "line 2, column 2: ",
            "has no version",
        ),
        (
            "currency = \"EUR\"\n[versions.a]\nfrom = 2027-01-01".to_owned(),
            "line 3, column 8: ",
            "offset from UTC",
        ),
        (
            "currency = \"EUR\"\n[versions.a]\nplans = {}".to_owned(),
            "line 2, column",
            "says no `from`",
        ),
        (
            "currency = \"EUR\"\n[versions.a]\nfrom = 2027-01-01T00:00:00Z\nproration = \"x\""
                .to_owned(),
            "line 4, column 13: ",
            "`x` is none",
        ),
        (
            in_plan("mters = {}"),
            "line 5, column 1: ",
            "has no field `mters`",
        ),
        (
            in_plan("meters.tokens = {}"),
            "line 5, column 17: ",
            "does not say how",
        ),
        (
            in_plan("meters.tokens = \"fre\""),
            "line 5, column 17: ",
            "`fre` is none",
        ),
        (
            in_plan("meters.tokens = { per_unit = 1, percent = 1 }"),
            "line 5, column 33: ",
            "both `per_unit` and `percent`",
        ),
        (
            in_plan("meters.tokens = { per_unit = true }"),
            "line 5, column 30: ",
            "this is true or false",
        ),
        (
            in_plan("meters.tokens = { per_unit = nan }"),
            "line 5, column 30: ",
            "`nan` is none",
        ),
        (
            in_plan("meters.tokens = { per_unit = inf }"),
            "line 5, column 30: ",
            "`inf` is none",
        ),
        (
            in_plan("meters.tokens = { per_unit = 1, price = 1 }"),
            "line 5, column 33: ",
            "`price` belongs to `package`",
        ),
        (
            in_plan("meters.tokens = { package = 1 }"),
            "line 5, column 17: ",
            "says no `price`",
        ),
        (
            in_plan("meters.tokens = { per_unit = 1, when = { model = \"a\", region = \"b\" } }"),
            "line 5, column 40: ",
            "a dimension and its value",
        ),
        (
            in_plan("meters.tokens = { graduated = [{ up_to = 1 }] }"),
            "line 5, column 32: ",
            "says no `unit_price`",
        ),
        // What only the whole book shows.
        (
            in_plan("meters.tokns = \"free\""),
            "line 5, column 16: ",
            "no such usage meter",
        ),
        (
            in_plan("meters.tokens = { graduated = [{ unit_price = 1 }, { unit_price = 2 }] }"),
            "line 5, column 32: ",
            "tier 1: it has no end",
        ),
        (
            in_plan(
                "meters.tokens = { volume = [{ up_to = 2, unit_price = 1 }, { above = 3, unit_price = 2 }] }",
            ),
            "line 5, column 60: ",
            "tier 2",
        ),
        (
            in_plan("flat = { base = -1 }"),
            "line 5, column 10: ",
            "the amount is -1",
        ),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.starts_with(place), "{error} and not {place}");
        assert!(error.contains(says), "{error} and not {says}");
    }
}
