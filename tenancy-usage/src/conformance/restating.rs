//! Random histories with corrections, against a sum that is written in the plainest way.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use rust_decimal::Decimal;
use tenancy_core::{
    Actor, TenantId, Timestamp,
    quota::{Calendar, Period},
    testing::random::Random,
};

use super::{NOW, each, meters, record};
use crate::{
    Aggregation, CorrectionOutcome, EventOutcome, Resolution, UsageChange, UsageCorrection,
    UsageDigest, UsageEvent, UsageSink,
};

/// What the plain sum knows: each event as it counts now, and each correction.
#[derive(Default)]
struct Naive {
    /// By tenant and id; `None` of what was voided.
    events: HashMap<(TenantId, Box<str>), Option<UsageEvent>>,
    known: HashMap<(TenantId, Box<str>), UsageDigest>,
}

impl Naive {
    fn correct(&mut self, correction: &UsageCorrection) -> CorrectionOutcome {
        let own = (correction.event.tenant, correction.id.clone());
        match self.known.get(&own) {
            Some(digest) if *digest == correction.digest() => {
                return CorrectionOutcome::AlreadyApplied;
            }
            Some(_) => return CorrectionOutcome::Conflict,
            None => {}
        }
        let key = (correction.event.tenant, correction.event.id.clone());
        match (self.events.get_mut(&key), correction.change) {
            (None, _) => return CorrectionOutcome::UnknownEvent,
            (Some(None), _) => return CorrectionOutcome::Voided,
            (Some(event), UsageChange::Void) => *event = None,
            (Some(Some(event)), UsageChange::Amend(quantity)) => {
                event.quantity = quantity;
                if &*event.meter == "requests" {
                    event.events = u64::try_from(quantity).unwrap();
                }
            }
        }
        self.known.insert(own, correction.digest());
        CorrectionOutcome::Applied
    }

    /// Quantity and number of events of each window.
    fn windows(
        &self,
        tenant: TenantId,
        meter: &str,
        period: Option<Period>,
        aggregation: Aggregation,
    ) -> BTreeMap<Timestamp, (Decimal, u64)> {
        let mut windows = BTreeMap::<Timestamp, Vec<&UsageEvent>>::new();
        for event in self.events.values().flatten() {
            if event.tenant == tenant && &*event.meter == meter {
                let start = match period {
                    Some(period) => Calendar::utc().window(period, event.at).start,
                    None => minute(event.at),
                };
                windows.entry(start).or_default().push(event);
            }
        }
        let told = windows.into_iter().map(|(start, events)| {
            let quantities = events.iter().map(|it| it.quantity);
            let quantity = match aggregation {
                Aggregation::Count | Aggregation::Sum => quantities.sum(),
                Aggregation::Max => quantities.max().unwrap(),
                Aggregation::Min => quantities.min().unwrap(),
                Aggregation::Latest => {
                    let newest = events.iter().max_by_key(|it| (it.at, &it.source, &it.id));
                    newest.unwrap().quantity
                }
                Aggregation::Unique => {
                    let values: BTreeSet<_> = events.iter().map(|it| &it.unique_value).collect();
                    values.len().into()
                }
            };
            (start, (quantity, events.iter().map(|it| it.events).sum()))
        });
        told.collect()
    }
}

/// Plays a random history of so many rounds: some events of every aggregation, and some corrections of what there is, was
/// voided, was never there, or was corrected before. Compares each outcome, and in the end each minute, hour, day and month of
/// each meter.
pub async fn corrected_histories(
    sink: &dyn UsageSink,
    tenants: [TenantId; 2],
    seed: u64,
    rounds: usize,
) {
    let mut random = Random::new(seed);
    let (mut naive, mut sent) = (Naive::default(), Vec::<UsageCorrection>::new());
    let mut keys = Vec::new();
    for round in 0..rounds {
        let events: Vec<_> = (0..=random.below(4))
            .map(|place| some_event(&mut random, tenants, format!("{round}-{place}")))
            .collect();
        let outcomes = record(sink, &events).await;
        assert!(outcomes.iter().all(|it| *it == EventOutcome::Counted));
        for event in events {
            keys.push(event.clone());
            let key = (event.tenant, event.id.clone());
            naive.events.insert(key, Some(event));
        }
        let corrections: Vec<_> = (0..random.below(4))
            .map(|place| some_correction(&mut random, &keys, &sent, format!("{round}-{place}")))
            .collect();
        let expected: Vec<_> = corrections.iter().map(|it| naive.correct(it)).collect();
        let outcomes = sink.correct(&corrections).await.unwrap();
        assert_eq!(outcomes, expected, "seed {seed}, round {round}");
        sent.extend(corrections);
    }
    for tenant in tenants {
        for meter in meters().iter() {
            for (resolution, period) in [
                (Resolution::Minute, None),
                (Resolution::Hour, Some(Period::Hour)),
                (Resolution::Day, Some(Period::Day)),
                (Resolution::Period, Some(Period::Month)),
            ] {
                let expected = naive.windows(tenant, meter.name(), period, meter.aggregation());
                assert!(!expected.is_empty(), "seed {seed}: a history of nothing");
                let told = each(sink, tenant, meter.name(), resolution).await;
                let told: BTreeMap<_, _> = (told.into_iter())
                    .map(|(window, quantity, events)| (window.start, (quantity, events)))
                    .collect();
                let what = meter.name();
                assert_eq!(told, expected, "seed {seed}, {what} by {resolution:?}");
            }
        }
    }
}

fn minute(at: Timestamp) -> Timestamp {
    let seconds = at.as_unix_seconds();
    Timestamp::from_unix_seconds(seconds - seconds.rem_euclid(60))
}

fn some_event(random: &mut Random, tenants: [TenantId; 2], id: String) -> UsageEvent {
    let meters = meters();
    let meters: Vec<_> = meters.iter().collect();
    let meter = *random.of(&meters);
    // Few hours, so that many events share a window.
    let at = NOW - Duration::from_secs(random.below(6 * 3_600) as u64);
    let event = UsageEvent::new(*random.of(&tenants), meter.name(), "suite", id, at);
    match meter.aggregation() {
        Aggregation::Count => event,
        Aggregation::Unique => event.unique_value(format!("{}", random.below(3))),
        _ => event.quantity(Decimal::new(random.below(50) as i64, 1)),
    }
}

fn some_correction(
    random: &mut Random,
    events: &[UsageEvent],
    sent: &[UsageCorrection],
    id: String,
) -> UsageCorrection {
    if !sent.is_empty() && random.one_in(4) {
        let again = random.of(sent).clone();
        return if random.one_in(3) {
            // Another one under its id.
            UsageCorrection {
                change: UsageChange::Amend(77.into()),
                ..again
            }
        } else {
            again
        };
    }
    let event = random.of(events);
    let mut key = event.event_key();
    if random.one_in(8) {
        key.id = "never".into();
    }
    let correction = match &*event.meter {
        "visitors" => UsageCorrection::void(key, "suite", id),
        _ if random.one_in(3) => UsageCorrection::void(key, "suite", id),
        "requests" => UsageCorrection::amend(key, 1 + random.below(9) as i64, "suite", id),
        _ => UsageCorrection::amend(key, Decimal::new(random.below(50) as i64, 1), "suite", id),
    };
    correction.by(Actor::System, "a history")
}
