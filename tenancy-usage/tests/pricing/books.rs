//! Books that can't be meant are not built, and the error names what is wrong.

use tenancy_core::Timestamp;
use tenancy_usage::{
    UsageMeters,
    price::{MeterPrice, PlanPrices, PriceBook, PriceVersion, Proration, Tier},
};

use super::{book_of, d, meters};

fn error_of(price: MeterPrice) -> String {
    let plan = PlanPrices::new("pro").price(price);
    book_of(plan).unwrap_err().to_string()
}

#[test]
fn tiers_cover_each_quantity_once() {
    let graduated = |tiers: Vec<Tier>| error_of(MeterPrice::graduated("tokens", tiers));
    let (up_to, rest) = (|edge: i64| Tier::up_to(edge, 1), || Tier::rest(1));
    for (tiers, tier, says) in [
        (vec![], None, "there is no tier"),
        (vec![up_to(10)], Some(1), "nothing prices what is above"),
        (
            vec![up_to(10), up_to(20)],
            Some(2),
            "nothing prices what is above",
        ),
        (
            vec![rest(), up_to(10)],
            Some(1),
            "has no end, and 1 come after",
        ),
        (
            vec![up_to(10), rest(), rest()],
            Some(2),
            "has no end, and 1 come after",
        ),
        (
            vec![up_to(10), up_to(10), rest()],
            Some(2),
            "larger `up_to`",
        ),
        (vec![up_to(10), up_to(9), rest()], Some(2), "larger `up_to`"),
        (vec![up_to(0), rest()], Some(1), "larger `up_to`"),
        (vec![up_to(10), rest().above(11)], Some(2), "gap"),
        (vec![up_to(10), rest().above(9)], Some(2), "overlap"),
        (vec![up_to(10).above(1), rest()], Some(1), "gap"),
        (vec![Tier::up_to(10, -1), rest()], Some(1), "give 0 or more"),
        (
            vec![Tier::rest(1).flat(-1)],
            Some(1),
            "the flat amount is -1",
        ),
        (
            vec![Tier::rest(d("0.0000000000001"))],
            Some(1),
            "digits after the point",
        ),
        (
            vec![Tier::up_to(d("0.0000000001"), 1), rest()],
            Some(1),
            "digits after the point",
        ),
    ] {
        let error = graduated(tiers);
        assert!(
            error.contains("version `first`, plan `pro`, meter `tokens`"),
            "{error}"
        );
        if let Some(tier) = tier {
            assert!(error.contains(&format!(", tier {tier}: ")), "{error}");
        }
        assert!(error.contains(says), "{error} and not {says}");
    }
    let fitting = [up_to(10), up_to(20).above(10), rest().above(20)];
    let plan = PlanPrices::new("pro").price(MeterPrice::volume("tokens", fitting));
    assert!(book_of(plan).is_ok());
}

#[test]
fn prices_are_of_what_is_declared_and_can_be_meant() {
    let one = || MeterPrice::per_unit("tokens", 1);
    for (price, says) in [
        (MeterPrice::per_unit("tokns", 1), "no such usage meter"),
        (one().when("modl", "x"), "no dimension `modl`"),
        (
            MeterPrice::per_unit("connections", 1).when("zone", "a"),
            "does not add up",
        ),
        (one().when("model", ""), "the value of `model` is empty"),
        (one().currency("USD"), "is in USD and its plan in EUR"),
        (one().included(-1), "give 0 or more"),
        (one().minimum(-1), "the minimum is -1"),
        (
            MeterPrice::per_unit("tokens", -1),
            "the price of a unit is -1",
        ),
        (MeterPrice::package("tokens", 0, 5), "a size above 0"),
        (MeterPrice::percentage("tokens", 101), "at most 100"),
        (MeterPrice::per_unit("tokens", i64::MAX), "give at most"),
    ] {
        let error = error_of(price);
        assert!(error.contains(says), "{error} and not {says}");
    }
    assert!(book_of(PlanPrices::new("pro").price(one().currency("EUR"))).is_ok());
    for (plan, says) in [
        (
            PlanPrices::new("pro").price(one()).price(one()),
            "two prices",
        ),
        (
            PlanPrices::new("pro")
                .price(one().when("model", "x"))
                .price(one().when("region", "eu")),
            "choose one dimension",
        ),
        (
            PlanPrices::new("pro").flat("base", 1).flat("base", 2),
            "`base`: this flat amount is there twice",
        ),
        (PlanPrices::new("pro").flat("", 1), "no name"),
        (PlanPrices::new("pro").flat("base", -1), "the amount is -1"),
        (PlanPrices::new("pro").minimum(-1), "the minimum is -1"),
        (
            PlanPrices::new("pro").currency("euro"),
            "three capital letters",
        ),
        (PlanPrices::new(" "), "a plan has no name"),
    ] {
        let error = book_of(plan).unwrap_err().to_string();
        assert!(error.contains(says), "{error} and not {says}");
    }
}

#[test]
fn versions_follow_on_each_other() {
    let at = Timestamp::from_unix_seconds;
    let version = |name: &str, from| PriceVersion::new(name, at(from)).plan(PlanPrices::new("pro"));
    let dollars = PriceVersion::new("c", at(30)).plan(PlanPrices::new("pro").currency("USD"));
    for (versions, says) in [
        (
            vec![version("a", 0).until(at(9)), version("b", 10)],
            "there is a gap between versions `a` and `b`",
        ),
        (
            vec![version("b", 10), version("a", 0).until(at(11))],
            "versions `a` and `b` overlap",
        ),
        (
            vec![version("a", 10), version("b", 10)],
            "overlap: both are valid from",
        ),
        (
            vec![version("a", 0), version("a", 10)],
            "version `a` is there twice",
        ),
        (
            vec![version("a", 10).until(at(10))],
            "ends before it begins",
        ),
        (vec![version("A", 10)], "no name of a version"),
        (vec![PriceVersion::new("a", at(0))], "has no plan"),
        (
            vec![version("a", 0).plan(PlanPrices::new("pro"))],
            "it is there twice",
        ),
        (
            vec![
                version("a", 0),
                PriceVersion::new("b", at(10)).plan(PlanPrices::new("other")),
                dollars,
            ],
            "plan `pro` is in EUR in version `a` and in USD in version `c`",
        ),
    ] {
        let book = PriceBook::builder("EUR");
        let book = versions
            .into_iter()
            .fold(book, |book, version| book.version(version));
        let error = book.build(&UsageMeters::default()).unwrap_err().to_string();
        assert!(error.contains(says), "{error} and not {says}");
    }
    let book = PriceBook::builder("EUR")
        .version(version("b", 10).until(at(20)))
        .version(version("a", 0).until(at(10)))
        .build(&UsageMeters::default())
        .unwrap();
    let valid = |seconds| book.version_at(at(seconds)).map(PriceVersion::name);
    assert_eq!(
        [valid(-1), valid(0), valid(9)],
        [None, Some("a"), Some("a")]
    );
    assert_eq!(
        [valid(10), valid(19), valid(20)],
        [Some("b"), Some("b"), None]
    );
    assert!(
        PriceBook::builder("euro")
            .version(version("a", 0))
            .build(&meters())
            .is_err()
    );
}

#[test]
fn whatever_a_version_says_is_in_its_digest() {
    let of = |version: PriceVersion| {
        let book = PriceBook::builder("EUR")
            .version(version)
            .build(&meters())
            .unwrap();
        book.versions().next().unwrap().digest()
    };
    let version = |plan: PlanPrices| PriceVersion::new("first", Timestamp::EPOCH).plan(plan);
    let price = || MeterPrice::per_unit("tokens", 1);
    let tiers =
        |edge: i64, unit: i64, flat: i64| [Tier::up_to(edge, unit).flat(flat), Tier::rest(1)];
    let pro = |price| version(PlanPrices::new("pro").price(price));
    let all = [
        version(PlanPrices::new("pro")),
        version(PlanPrices::new("free")),
        version(PlanPrices::new("pro")).proration(Proration::Full),
        version(PlanPrices::new("pro").currency("USD")),
        version(PlanPrices::new("pro").minimum(1)),
        version(PlanPrices::new("pro").flat("a", 1)),
        version(PlanPrices::new("pro").flat("a", 2)),
        version(PlanPrices::new("pro").flat("b", 1)),
        pro(price()),
        pro(price().included(1)),
        pro(price().minimum(1)),
        pro(price().when("model", "x")),
        pro(price().when("model", "y")),
        pro(MeterPrice::per_unit("tokens", 2)),
        pro(MeterPrice::percentage("tokens", 1)),
        pro(MeterPrice::free("tokens")),
        pro(MeterPrice::package("tokens", 1, 1)),
        pro(MeterPrice::package("tokens", 2, 1)),
        pro(MeterPrice::package("tokens", 1, 2)),
        pro(MeterPrice::graduated("tokens", tiers(1, 1, 1))),
        pro(MeterPrice::volume("tokens", tiers(1, 1, 1))),
        pro(MeterPrice::volume("tokens", tiers(2, 1, 1))),
        pro(MeterPrice::volume("tokens", tiers(1, 2, 1))),
        pro(MeterPrice::volume("tokens", tiers(1, 1, 2))),
        PriceVersion::new("second", Timestamp::EPOCH).plan(PlanPrices::new("pro")),
        PriceVersion::new("first", Timestamp::from_unix_seconds(1)).plan(PlanPrices::new("pro")),
    ];
    let count = all.len();
    let digests: std::collections::BTreeSet<_> = all.into_iter().map(of).collect();
    assert_eq!(digests.len(), count);
    assert_eq!(
        of(pro(MeterPrice::per_unit("tokens", d("1.00")))),
        of(pro(price()))
    );
}

#[test]
fn each_plan_that_is_sold_has_prices() {
    let book = book_of(PlanPrices::new("pro")).unwrap();
    let error = |sold: &[&str], at| {
        let checked = book.check_plans(at, sold.iter().copied());
        checked
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let now = Timestamp::EPOCH;
    assert_eq!(error(&["pro"], now), "");
    assert!(error(&["free", "pro"], now).contains("no prices of plan `free`"));
    assert!(error(&[], now).contains("`pro`, which is not sold"));
    assert!(error(&["pro"], Timestamp::from_unix_seconds(-1)).contains("no version"));
}
