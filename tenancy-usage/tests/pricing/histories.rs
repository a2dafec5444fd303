//! Histories of events, with repetitions and late ones, to the cent: by the library, and by a second program that has the raw
//! events alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*};
use tenancy_core::{
    ManualClock, TenantId, Timestamp,
    quota::{Calendar, Period, Window},
};
use tenancy_usage::{
    Decimal, EventOutcome, MemoryUsage, UsageEvent, UsageMeter, UsageMeters, UsageSink,
    invoice::{DraftInvoice, Rating},
    price::{MeterPrice, PlanPrices, PriceBook, PriceVersion, Proration, Tier},
};

use super::{
    NOW,
    naive::{self, NaiveModel, NaivePrice, NaiveTier},
};

fn millionths(count: i128) -> Decimal {
    Decimal::from_i128_with_scale(count, 6)
}

fn cents(count: i128) -> Decimal {
    Decimal::from_i128_with_scale(count, 2)
}

fn quarters(count: i128) -> Decimal {
    Decimal::from_i128_with_scale(count * 25, 2)
}

fn tiers() -> impl Strategy<Value = Vec<NaiveTier>> {
    let tier = (1_i128..30, 0_i128..2_000_000, 0_i128..3);
    vec(tier, 1..5).prop_map(|tiers| {
        let (mut edge, last) = (0, tiers.len() - 1);
        let tier = |(place, (width, millionths, flat)): (usize, (i128, i128, i128))| {
            edge += width;
            NaiveTier {
                up_to: (place < last).then_some(edge),
                millionths,
                flat_cents: flat * 50,
            }
        };
        tiers.into_iter().enumerate().map(tier).collect()
    })
}

fn price() -> impl Strategy<Value = NaivePrice> {
    let model = prop_oneof![
        (0_i128..2_000_000).prop_map(NaiveModel::PerUnit),
        tiers().prop_map(NaiveModel::Graduated),
        tiers().prop_map(NaiveModel::Volume),
        (1_i128..40, 0_i128..500)
            .prop_map(|(quarters, cents)| NaiveModel::Package { quarters, cents }),
    ];
    let included = prop_oneof![Just(0), 0_i128..40];
    let minimum = prop_oneof![Just(0), 0_i128..2_000];
    (model, included, minimum).prop_map(|(model, included, minimum_cents)| NaivePrice {
        model,
        included,
        minimum_cents,
    })
}

fn real(meter: &str, naive: &NaivePrice) -> MeterPrice {
    let tiers = |tiers: &[NaiveTier]| {
        let real = tiers.iter().map(|tier| {
            let unit_price = millionths(tier.millionths);
            let real = match tier.up_to {
                Some(edge) => Tier::up_to(quarters(edge), unit_price),
                None => Tier::rest(unit_price),
            };
            real.flat(cents(tier.flat_cents))
        });
        real.collect::<Vec<_>>()
    };
    let price = match &naive.model {
        NaiveModel::PerUnit(price) => MeterPrice::per_unit(meter, millionths(*price)),
        NaiveModel::Graduated(all) => MeterPrice::graduated(meter, tiers(all)),
        NaiveModel::Volume(all) => MeterPrice::volume(meter, tiers(all)),
        NaiveModel::Package {
            quarters: size,
            cents: price,
        } => MeterPrice::package(meter, quarters(*size), cents(*price)),
    };
    let price = price.included(quarters(naive.included));
    price.minimum(cents(naive.minimum_cents))
}

/// An event: which of the ids, when in the two months, how many quarters of a unit, whether it comes after the first month's
/// close.
#[derive(Debug, Clone)]
struct Sent {
    id: u8,
    second: u32,
    quarters: i128,
    is_late: bool,
}

/// January and February of 2027: 59 days.
const SECONDS: u32 = 59 * 86_400;

fn sent() -> impl Strategy<Value = Sent> {
    (0_u8..20, 0..SECONDS, 0_i128..60, prop::bool::weighted(0.2)).prop_map(
        |(id, second, quarters, is_late)| Sent {
            id,
            second,
            quarters,
            is_late,
        },
    )
}

fn months() -> [Window; 2] {
    let january = Calendar::utc().window(Period::Month, NOW);
    [january, Calendar::utc().window(Period::Month, january.end)]
}

async fn invoice(
    book: &PriceBook,
    sink: &MemoryUsage,
    tenant: TenantId,
    month: Window,
    changes: &[Timestamp],
    adjusted: Option<(&DraftInvoice, &DraftInvoice)>,
) -> DraftInvoice {
    let mut rating = Rating::new(book, tenant, month);
    // From plan a to b, and back, and so on.
    let named: Vec<_> = changes
        .iter()
        .copied()
        .zip(["b", "a"].into_iter().cycle())
        .collect();
    let before = named.iter().rev().find(|(at, _)| *at < month.start);
    let first = before.map_or("a", |(_, plan)| plan);
    for segment in book.segments(month, first, &named) {
        let mut usage = Vec::new();
        for query in book.queries(tenant, month, &segment) {
            usage.extend(sink.rollups(&query).await.unwrap());
        }
        rating = rating.segment(segment, usage);
    }
    if let Some((before, after)) = adjusted {
        rating = rating.adjust(before, after);
    }
    rating.rate().unwrap()
}

/// The events that count, in the order in which they were sent; the first of each id.
fn counted(sent: &[Sent]) -> Vec<Sent> {
    let mut counted = BTreeMap::new();
    for event in sent
        .iter()
        .filter(|it| !it.is_late)
        .chain(sent.iter().filter(|it| it.is_late))
    {
        counted.entry(event.id).or_insert_with(|| event.clone());
    }
    counted.into_values().collect()
}

/// What is due for a month, from raw events alone. The flat amounts are 1 and 2 euros, of each plan that the tenant had in it, however
/// often it came back to it.
fn naive_month(prices: &[NaivePrice; 2], events: &[Sent], month: usize, changes: &[u32]) -> i128 {
    let (start, end) = if month == 0 {
        (0, 31 * 86_400)
    } else {
        (31 * 86_400, SECONDS)
    };
    let plan_at = |second: u32| {
        let changed = changes
            .iter()
            .filter(|change| **change - **change % 60 <= second);
        changed.count() % 2
    };
    let mut due = 0;
    for (plan, price) in prices.iter().enumerate() {
        let changed = changes.iter().map(|change| *change - *change % 60);
        let mut began = changed
            .filter(|at| *at >= start && *at < end)
            .chain([start]);
        if !began.any(|at| plan_at(at) == plan) {
            continue;
        }
        let mut quarters = 0;
        for event in events {
            if event.second >= start && event.second < end && plan_at(event.second) == plan {
                quarters += event.quarters;
            }
        }
        due += 100 * (plan as i128 + 1) + naive::price(price, quarters);
    }
    due
}

async fn plays(prices: [NaivePrice; 2], sent: Vec<Sent>, mut changes: Vec<u32>) {
    changes.sort_unstable();
    let meters = UsageMeters::new([UsageMeter::sum("tokens")]).unwrap();
    let plan = |name: &str, fee: i64, price: &NaivePrice| {
        PlanPrices::new(name)
            .flat("base fee", fee)
            .price(real("tokens", price))
    };
    let version = PriceVersion::new("first", Timestamp::EPOCH)
        .plan(plan("a", 1, &prices[0]))
        .plan(plan("b", 2, &prices[1]))
        .proration(Proration::Full);
    let book = PriceBook::builder("EUR")
        .version(version)
        .build(&meters)
        .unwrap();
    let [january, february] = months();
    let clock = Arc::new(ManualClock::at(
        january.start + Duration::from_secs(30 * 86_400),
    ));
    let times = tenancy_usage::EventTimes::new(
        Duration::from_secs(90 * 86_400),
        Duration::from_secs(90 * 86_400),
    );
    let sink = MemoryUsage::new(meters).clock(clock).times(times.unwrap());
    let (tenant, at) = (TenantId::new(), |second: u32| {
        january.start + Duration::from_secs(second.into())
    });
    let record = async |is_late: bool| {
        for event in sent.iter().filter(|event| event.is_late == is_late) {
            let event = UsageEvent::new(
                tenant,
                "tokens",
                "history",
                event.id.to_string(),
                at(event.second),
            )
            .quantity(quarters(event.quarters));
            let outcome = sink.record(&[event]).await.unwrap().remove(0);
            assert!(
                matches!(
                    outcome,
                    EventOutcome::Counted | EventOutcome::AlreadyCounted | EventOutcome::Conflict
                ),
                "{outcome:?}"
            );
        }
    };
    record(false).await;
    let moments: Vec<_> = changes.iter().map(|second| at(*second)).collect();
    let in_time: Vec<_> = sent.iter().filter(|it| !it.is_late).cloned().collect();
    let billed = invoice(&book, &sink, tenant, january, &moments, None).await;
    let expected = naive_month(&prices, &counted(&in_time), 0, &changes);
    assert_eq!(billed.total(), cents(expected), "January, as it was closed");

    record(true).await;
    let again = invoice(&book, &sink, tenant, january, &moments, None).await;
    let second = invoice(
        &book,
        &sink,
        tenant,
        february,
        &moments,
        Some((&billed, &again)),
    )
    .await;
    let all = counted(&sent);
    let expected =
        naive_month(&prices, &all, 0, &changes) + naive_month(&prices, &all, 1, &changes);
    assert_eq!(
        billed.total() + second.total(),
        cents(expected),
        "both months, with late events"
    );

    let computed_again = invoice(
        &book,
        &sink,
        tenant,
        february,
        &moments,
        Some((&billed, &again)),
    )
    .await;
    second.check_same(&computed_again).unwrap();
    let kept = DraftInvoice::from_json(&second.to_json()).unwrap();
    assert_eq!(kept, second, "as it was kept");
    let late: Vec<_> = all
        .iter()
        .filter(|it| it.is_late && it.second < 31 * 86_400)
        .collect();
    let is_same = billed.check_same(&again).is_ok();
    assert!(
        !late.is_empty() || is_same,
        "nothing came late, and the digests differ"
    );
    assert!(
        !(is_same && late.iter().any(|it| it.quarters > 0)),
        "usage came late, and the digests are the same"
    );
}

/// 10,000 histories, or 50,000 with `TENANCY_LONG`.
fn histories() -> ProptestConfig {
    let is_long = std::env::var("TENANCY_LONG").is_ok_and(|long| long == "1");
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if is_long { 50_000 } else { 10_000 })
    }
}

proptest! {
    #![proptest_config(histories())]

    #[test]
    fn invoices_are_those_of_a_naive_program(
        prices in [price(), price()],
        sent in vec(sent(), 0..25),
        changes in vec(0..SECONDS, 0..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(plays(prices, sent, changes));
    }
}
