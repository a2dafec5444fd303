//! Invoices: plan changes, minimums, credits, adjustments, what is refused, and how they are written.

use std::time::Duration;

use tenancy_core::{Price, TenantId, Timestamp, quota::Window};
use tenancy_usage::{
    Rollup,
    credit::{CreditLedger, Grant, GrantUnit},
    invoice::{DraftInvoice, LineKind, Rating, RatingErrorKind},
    price::{
        Currency, MeterPrice, PlanPrices, PlanSegment, PriceBook, PriceVersion, Proration, Tier,
    },
};

use super::{NOW, book, book_of, d, invoice, meters, month, tokens};

const DAY: Duration = Duration::from_secs(86_400);

/// January has 31 days; the plan changes after 10 of them.
fn halves() -> [Window; 2] {
    let change = month().start + 10 * DAY;
    [
        Window::new(month().start, change),
        Window::new(change, month().end),
    ]
}

fn two_plans(proration: Proration) -> PriceBook {
    let tiers = [Tier::up_to(3_100, 0), Tier::rest(d("0.01"))];
    let version = PriceVersion::new("first", Timestamp::EPOCH)
        .proration(proration)
        .plan(PlanPrices::new("free").price(MeterPrice::free("tokens")))
        .plan(
            PlanPrices::new("pro").flat("base fee", 31).price(
                MeterPrice::graduated("tokens", tiers)
                    .included(310)
                    .minimum(d("15.50")),
            ),
        );
    PriceBook::builder("EUR")
        .version(version)
        .build(&meters())
        .unwrap()
}

fn changed(proration: Proration, used: [&str; 2]) -> DraftInvoice {
    let (book, tenant) = (two_plans(proration), TenantId::new());
    let [before, after] = halves();
    let usage = |window, quantity| [Rollup::new(tenant, "tokens", window, d(quantity), 1)];
    Rating::new(&book, tenant, month())
        .segment(PlanSegment::new("pro", after), usage(after, used[1]))
        .segment(PlanSegment::new("free", before), usage(before, used[0]))
        .rate()
        .unwrap()
}

#[test]
fn a_plan_change_scales_what_is_per_period() {
    // 21 of 31 days: a fee of 21, 210 included, a tier up to 2,100, a minimum of 10.50.
    let invoice = changed(Proration::ByTime, ["5000", "4310"]);
    let told: Vec<_> = invoice
        .lines
        .iter()
        .map(|it| (it.kind, it.quantity, it.amount.to_string()))
        .collect();
    assert_eq!(
        told,
        [
            (LineKind::Usage, 5_000.into(), "0.00".to_owned()),
            (LineKind::Flat, 1.into(), "21.00".to_owned()),
            (LineKind::Included, 210.into(), "0.00".to_owned()),
            (LineKind::Usage, 2_100.into(), "0.00".to_owned()),
            (LineKind::Usage, 2_000.into(), "20.00".to_owned()),
        ]
    );
    assert_eq!(
        changed(Proration::ByTime, ["0", "0"]).total().to_string(),
        "31.50"
    );
    // The whole fee, and the whole tier.
    assert_eq!(
        changed(Proration::Full, ["5000", "4310"])
            .total()
            .to_string(),
        "46.50"
    );
    assert_eq!(
        changed(Proration::Full, ["0", "5410"]).total().to_string(),
        "51.00"
    );
}

/// Who leaves a plan and comes back to it has it once: its fee, what it includes, and its tiers.
#[test]
fn a_plan_that_was_left_and_came_back_counts_once() {
    let edges = [0_u32, 10, 20, 31].map(|day| month().start + day * DAY);
    let tenant = TenantId::new();
    let total = |proration, used: [&str; 3]| {
        let book = two_plans(proration);
        let mut rating = Rating::new(&book, tenant, month());
        for (place, plan) in ["pro", "free", "pro"].iter().enumerate() {
            let window = Window::new(edges[place], edges[place + 1]);
            let usage = [Rollup::new(tenant, "tokens", window, d(used[place]), 1)];
            rating = rating.segment(PlanSegment::new(*plan, window), usage);
        }
        rating.rate().unwrap().total().to_string()
    };
    // A fee of 31, 310 included, a tier of 3,100, and 90 beyond it: 31 + 15.50, as its minimum.
    assert_eq!(total(Proration::Full, ["2000", "9", "1500"]), "46.50");
    assert_eq!(total(Proration::Full, ["2000", "9", "5000"]), "66.90");
    // 21 of 31 days: a fee of 21, 210 included, a tier of 2,100.
    assert_eq!(total(Proration::ByTime, ["210", "9", "0"]), "31.50");
    assert_eq!(total(Proration::ByTime, ["2000", "9", "2310"]), "41.00");
}

#[test]
fn a_condition_chooses_the_price_and_what_has_none_is_told() {
    let plan = PlanPrices::new("pro")
        .price(MeterPrice::per_unit("tokens", 3).when("model", "large"))
        .price(MeterPrice::per_unit("tokens", 1).when("model", "small"));
    let with_rest = plan.clone().price(MeterPrice::per_unit("tokens", 2));
    let tenant = TenantId::new();
    let usage = || {
        [
            tokens(tenant, "10").dimension("model", "large"),
            tokens(tenant, "20").dimension("model", "small"),
            tokens(tenant, "5").dimension("model", "other"),
            tokens(tenant, "7"),
            Rollup::new(tenant, "requests", month(), 9, 9),
        ]
    };
    let rate = |plan| {
        let book = book_of(plan).unwrap();
        Rating::new(&book, tenant, month())
            .plan("pro", usage())
            .rate()
            .unwrap()
    };
    let invoice = rate(with_rest);
    let told: Vec<_> = invoice
        .lines
        .iter()
        .map(|it| (&*it.description, it.quantity))
        .collect();
    let expected = [
        ("tokens (model = large)", 10),
        ("tokens (model = small)", 20),
        ("tokens", 12),
    ];
    assert_eq!(
        told,
        expected.map(|(what, quantity)| (what, quantity.into()))
    );
    assert_eq!(invoice.total().to_string(), "74.00");
    let unpriced = |invoice: &DraftInvoice| {
        let unpriced = invoice.unpriced.iter();
        unpriced
            .map(|it| (it.meter.to_string(), it.quantity))
            .collect::<Vec<_>>()
    };
    assert_eq!(unpriced(&invoice), [("requests".to_owned(), 9.into())]);
    let invoice = rate(plan);
    assert_eq!(
        unpriced(&invoice),
        [
            ("tokens".to_owned(), 12.into()),
            ("requests".to_owned(), 9.into())
        ]
    );
}

#[test]
fn a_minimum_of_the_plan_is_filled_up() {
    let plan = |minimum: i64| {
        let price = MeterPrice::per_unit("tokens", d("0.1"));
        PlanPrices::new("pro")
            .flat("base fee", 10)
            .price(price)
            .minimum(minimum)
    };
    for (minimum, total, lines) in [(14, "15.00", 2), (15, "15.00", 2), (16, "16.00", 3)] {
        let invoice = invoice(&book_of(plan(minimum)).unwrap(), "50");
        assert_eq!(
            (invoice.total().to_string().as_str(), invoice.lines.len()),
            (total, lines)
        );
    }
}

#[test]
fn credits_pay_what_is_due_and_no_more() {
    let euro = Currency::new("EUR").unwrap();
    let book = book(MeterPrice::per_unit("tokens", 1));
    let mut ledger = CreditLedger::new();
    ledger
        .grant(Grant::money("large", euro, 100, Timestamp::EPOCH))
        .unwrap();
    let mut first = invoice(&book, "30");
    first.apply_credits(&mut ledger, NOW).unwrap();
    first.apply_credits(&mut ledger, NOW).unwrap();
    assert_eq!((first.total(), first.subtotal()), (d("0.00"), d("30.00")));
    assert_eq!(first.lines.last().unwrap().amount, d("-30.00"));
    assert_eq!(ledger.balance(&GrantUnit::Money(euro), NOW), 70.into());
    let mut second = invoice(&book, "95.5");
    second.apply_credits(&mut ledger, NOW).unwrap();
    assert_eq!(second.total().to_string(), "25.50");
    assert_eq!(ledger.balance(&GrantUnit::Money(euro), NOW), 0.into());
    let mut third = invoice(&book, "0");
    third.apply_credits(&mut ledger, NOW).unwrap();
    assert_eq!(third.total().to_string(), "0.00");
    // Another sum for the invoice that credits were taken for.
    first.lines[0].amount = d("31.00");
    assert!(first.apply_credits(&mut ledger, NOW).is_err());
    // What was taken for it does not vanish where nothing is due any more.
    first.lines[0].amount = d("0.00");
    assert!(first.apply_credits(&mut ledger, NOW).is_err());
}

#[test]
fn a_late_event_is_an_adjustment_through_the_tiers() {
    let tiers = [Tier::up_to(100, 1), Tier::rest(d("0.5"))];
    let (book, tenant) = (
        book(MeterPrice::graduated("tokens", tiers)),
        TenantId::new(),
    );
    let rate = |quantity: &str| {
        let rating = Rating::new(&book, tenant, month());
        rating
            .plan("pro", [tokens(tenant, quantity)])
            .rate()
            .unwrap()
    };
    let next = Window::new(month().end, month().end + 28 * DAY);
    let usage = Rollup::new(tenant, "tokens", next, 10, 1);
    let (billed, again) = (rate("90"), rate("120"));
    let rating = || Rating::new(&book, tenant, next).plan("pro", [usage.clone()]);
    let invoice = rating().adjust(&billed, &again).rate().unwrap();
    let told: Vec<_> = invoice
        .lines
        .iter()
        .map(|it| (it.kind, it.quantity, it.amount))
        .collect();
    // 10 of the first tier and 20 of the second.
    assert_eq!(
        told,
        [
            (LineKind::Usage, 10.into(), d("10.00")),
            (LineKind::Adjustment, 30.into(), d("20.00"))
        ]
    );
    let given_back = rating().adjust(&again, &billed).rate().unwrap();
    assert_eq!(given_back.total(), d("-10.00"));
    assert!(given_back.to_csv().contains(",-20.00,EUR,"));
    let nothing = rating().adjust(&billed, &billed).rate().unwrap();
    assert_eq!(nothing.lines.len(), 1);
    // By other prices than those that were billed.
    let other_book = self::book(MeterPrice::per_unit("tokens", 1));
    let other = Rating::new(&other_book, tenant, month()).plan("pro", [tokens(tenant, "120")]);
    let other = other.rate().unwrap();
    let error = rating().adjust(&billed, &other).rate().unwrap_err();
    assert_eq!(error.kind(), RatingErrorKind::Differs);
    // Of this period itself, and of another tenant.
    let own = Rating::new(&book, tenant, month())
        .plan("pro", [])
        .adjust(&billed, &again);
    assert_eq!(own.rate().unwrap_err().kind(), RatingErrorKind::Usage);
    let other = Rating::new(&book, TenantId::new(), next)
        .plan("pro", [])
        .adjust(&billed, &again);
    assert_eq!(other.rate().unwrap_err().kind(), RatingErrorKind::Usage);
}

#[test]
fn an_invoice_that_can_not_be_computed_says_why() {
    let (book, tenant) = (two_plans(Proration::ByTime), TenantId::new());
    let rating = || Rating::new(&book, tenant, month());
    let [before, after] = halves();
    let foreign = tokens(TenantId::new(), "1");
    let undeclared = Rollup::new(tenant, "tokns", month(), 1, 1);
    let outside = Rollup::new(
        tenant,
        "tokens",
        Window::new(month().start, month().end + DAY),
        1,
        1,
    );
    let connections = || Rollup::new(tenant, "connections", month(), 1, 1);
    let before_prices = Window::new(Timestamp::from_unix_seconds(-60), Timestamp::EPOCH);
    let wide = MeterPrice::per_unit("tokens", d("0.123456789123"));
    let wide = super::book(wide);
    let huge = Rating::new(&wide, tenant, month())
        .plan("pro", [tokens(tenant, "123456789012345678.123456789")]);
    let version = PriceVersion::new("first", Timestamp::EPOCH)
        .plan(PlanPrices::new("free"))
        .plan(PlanPrices::new("pro").currency("USD"));
    let mixed = PriceBook::builder("EUR")
        .version(version)
        .build(&meters())
        .unwrap();
    let mixed = Rating::new(&mixed, tenant, month())
        .segment(PlanSegment::new("free", before), [])
        .segment(PlanSegment::new("pro", after), []);
    for (rating, kind, says) in [
        (
            Rating::new(&book, tenant, before_prices).plan("pro", []),
            RatingErrorKind::NoVersion,
            "no version",
        ),
        (
            rating().plan("prro", []),
            RatingErrorKind::UnknownPlan,
            "no plan `prro`",
        ),
        (rating(), RatingErrorKind::Segments, "the segments end at"),
        (
            rating().segment(PlanSegment::new("pro", before), []),
            RatingErrorKind::Segments,
            "give the plan of the rest",
        ),
        (
            rating().segment(PlanSegment::new("pro", after), []),
            RatingErrorKind::Segments,
            "it should at",
        ),
        (
            rating().plan("pro", []).plan("pro", []),
            RatingErrorKind::Segments,
            "follow on each other",
        ),
        (
            rating().plan("pro", [foreign]),
            RatingErrorKind::Usage,
            "is of tenant",
        ),
        (
            rating().plan("pro", [undeclared]),
            RatingErrorKind::Usage,
            "no usage meter `tokns`",
        ),
        (
            rating().plan("pro", [outside]),
            RatingErrorKind::Usage,
            "`PriceBook::queries`",
        ),
        (
            rating().plan("pro", [connections(), connections()]),
            RatingErrorKind::Usage,
            "does not add up",
        ),
        (huge, RatingErrorKind::Overflow, "28"),
        (mixed, RatingErrorKind::MixedCurrency, "is in USD"),
    ] {
        let error = rating.rate().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error} and not {says}");
    }
}

#[test]
fn a_changed_input_or_price_shows() {
    let tenant = TenantId::new();
    let rate = |price: i64, usage: &[Rollup]| {
        let book = book(MeterPrice::per_unit("tokens", price));
        Rating::new(&book, tenant, month())
            .plan("pro", usage.to_vec())
            .rate()
            .unwrap()
    };
    let part = |quantity: &str, events| Rollup {
        events,
        ..tokens(tenant, quantity)
    };
    let invoice = rate(1, &[part("1", 1), part("2", 1)]);
    // The order of rollups makes no difference; the same sum of others does.
    invoice
        .check_same(&rate(1, &[part("2", 1), part("1", 1)]))
        .unwrap();
    for (other, says) in [
        (rate(2, &[part("1", 1), part("2", 1)]), "version"),
        (rate(1, &[part("3", 1)]), "its usage is another"),
        (
            rate(1, &[part("1", 1), part("2", 2)]),
            "its usage is another",
        ),
        (rate(1, &[]), "lines"),
    ] {
        let error = invoice.check_same(&other).unwrap_err();
        assert!(error.to_string().contains(says), "{error} and not {says}");
    }
    let mut forged = invoice.clone();
    forged.lines[0].amount = d("9.00");
    let error = forged.check_same(&invoice).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("from the same usage: 9.00 before, 3.00 now"),
        "{error}"
    );
}

#[test]
fn it_is_written_without_floats_and_without_formulas() {
    let plan = PlanPrices::new("=pro")
        .flat("base, fee", 29)
        .price(MeterPrice::per_unit("tokens", d("0.1")));
    let (book, tenant) = (book_of(plan).unwrap(), TenantId::new());
    let invoice = Rating::new(&book, tenant, month()).plan("=pro", [tokens(tenant, "0.3")]);
    let invoice = invoice.rate().unwrap();
    let csv = invoice.to_csv();
    let rows: Vec<_> = csv.split("\r\n").collect();
    assert_eq!(rows.len(), 4, "{csv}");
    assert!(
        rows[1].starts_with("flat,\"'=pro\",,\"base, fee\",2027-01-01T00:00:00.000000Z,"),
        "{csv}"
    );
    assert!(rows[2].contains(",,0.3,tokens,0.1,0,0.03,EUR,"), "{csv}");
    let json = invoice.to_json();
    assert_eq!(json["total"], "29.03");
    assert_eq!(json["currency"], "EUR");
    assert_eq!(json["lines"][1]["quantity"], "0.3");
    assert_eq!(json["period"]["end"], "2027-02-01T00:00:00.000000Z");
    let digest = json["lines"][1]["input"].as_str().unwrap();
    assert!(rows[2].ends_with(digest) && digest.len() == 64, "{csv}");
}

#[test]
fn granted_units_come_off_after_what_is_included() {
    let price = MeterPrice::graduated("tokens", [Tier::up_to(100, 1), Tier::rest(2)]).included(10);
    let (book, tenant) = (book(price), TenantId::new());
    let rating = Rating::new(&book, tenant, month()).plan("pro", [tokens(tenant, "150")]);
    let without = rating.clone().rate().unwrap();
    assert_eq!(
        (without.billed("tokens"), without.total()),
        (140.into(), d("180.00"))
    );
    let mut ledger = CreditLedger::new();
    let unit = GrantUnit::Meter("tokens".into());
    ledger
        .grant(Grant::meter("package", "tokens", 60, Timestamp::EPOCH))
        .unwrap();
    let draws = ledger
        .draw(&unit, without.billed("tokens"), NOW, &without.id())
        .unwrap();
    assert_eq!((draws.len(), draws[0].amount), (1, 60.into()));
    let with = rating
        .clone()
        .granted("tokens", draws[0].amount)
        .rate()
        .unwrap();
    let told: Vec<_> = with
        .lines
        .iter()
        .map(|it| (it.kind, it.quantity, it.amount))
        .collect();
    assert_eq!(
        told,
        [
            (LineKind::Included, 10.into(), d("0.00")),
            (LineKind::Granted, 60.into(), d("0.00")),
            (LineKind::Usage, 80.into(), d("80.00")),
        ]
    );
    // What was granted is a part of the input.
    let error = without.check_same(&with).unwrap_err();
    assert!(
        error.to_string().contains("its usage is another"),
        "{error}"
    );
    // More than is used, and what can't be meant.
    let all = rating.clone().granted("tokens", 1_000).rate().unwrap();
    assert_eq!((all.billed("tokens"), all.total()), (0.into(), d("0.00")));
    for (meter, quantity) in [("tokens", -1), ("tokns", 1)] {
        let error = rating.clone().granted(meter, quantity).rate().unwrap_err();
        assert_eq!(error.kind(), RatingErrorKind::Usage, "{error}");
    }
}

#[test]
fn the_price_of_the_plan_book_is_a_flat_amount() {
    for (price, total) in [
        (Price::per_month(2_999, "EUR"), "29.99"),
        (Price::per_year(2_900, "JPY"), "2900"),
        (Price::per_month(1_234, "KWD"), "1.234"),
    ] {
        let plan = PlanPrices::new("pro").plan_price(&price).unwrap();
        let (book, tenant) = (book_of(plan).unwrap(), TenantId::new());
        let invoice = Rating::new(&book, tenant, month())
            .plan("pro", [])
            .rate()
            .unwrap();
        assert_eq!(invoice.total().to_string(), total);
    }
    assert!(
        PlanPrices::new("pro")
            .plan_price(&Price::ByAgreement)
            .is_err()
    );
    assert!(
        PlanPrices::new("pro")
            .plan_price(&Price::per_month(1, "euro"))
            .is_err()
    );
}
