//! Random histories, against a sum that is written in the plainest way.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use rust_decimal::Decimal;
use tenancy_core::{
    TenantId, Timestamp,
    quota::{Calendar, Period},
    testing::random::Random,
};

use super::{NOW, each, record};
use crate::{EventOutcome, Resolution, UsageDigest, UsageEvent, UsageSink};

/// Plays a random history of so many batches: new events, repetitions with the same and with another time, conflicts. Then
/// compares each outcome and each hour, day and month with the sum of the events that count.
pub async fn histories(sink: &dyn UsageSink, tenants: [TenantId; 2], seed: u64, batches: usize) {
    let mut random = Random::new(seed);
    let mut sent: Vec<UsageEvent> = Vec::new();
    let mut counted = HashMap::<(TenantId, Box<str>), (UsageDigest, UsageEvent)>::new();
    for batch in 0..batches {
        let events: Vec<_> = (0..=random.below(5))
            .map(|place| some_event(&mut random, &sent, tenants, format!("{batch}-{place}")))
            .collect();
        let expected: Vec<_> = events
            .iter()
            .map(|event| {
                let key = (event.tenant, event.id.clone());
                match counted.get(&key) {
                    Some((digest, _)) if *digest == event.digest() => EventOutcome::AlreadyCounted,
                    Some(_) => EventOutcome::Conflict,
                    None => {
                        counted.insert(key, (event.digest(), event.clone()));
                        EventOutcome::Counted
                    }
                }
            })
            .collect();
        let outcomes = record(sink, &events).await;
        assert_eq!(outcomes, expected, "seed {seed}, batch {batch}");
        sent.extend(events);
    }
    let events: Vec<_> = counted.into_values().map(|(_, event)| event).collect();
    for tenant in tenants {
        for (resolution, period) in [
            (Resolution::Hour, Period::Hour),
            (Resolution::Day, Period::Day),
            (Resolution::Period, Period::Month),
        ] {
            for meter in ["tokens", "requests"] {
                let mut expected = BTreeMap::<Timestamp, (Decimal, u64)>::new();
                for event in events
                    .iter()
                    .filter(|it| it.tenant == tenant && &*it.meter == meter)
                {
                    let window = Calendar::utc().window(period, event.at);
                    let (sum, count) = expected.entry(window.start).or_default();
                    *sum += event.quantity;
                    *count += 1;
                }
                assert!(!expected.is_empty(), "seed {seed}: a history of nothing");
                let told = each(sink, tenant, meter, resolution).await;
                let told: BTreeMap<_, _> = (told.into_iter())
                    .map(|(window, quantity, events)| (window.start, (quantity, events)))
                    .collect();
                assert_eq!(told, expected, "seed {seed}, {meter} by {resolution:?}");
            }
        }
    }
}

fn some_event(
    random: &mut Random,
    sent: &[UsageEvent],
    tenants: [TenantId; 2],
    id: String,
) -> UsageEvent {
    let some_time =
        |random: &mut Random| NOW - Duration::from_secs(random.below(30 * 86_400) as u64);
    if !sent.is_empty() && random.one_in(3) {
        let again = random.of(sent).clone();
        return match random.below(4) {
            0 => UsageEvent {
                at: some_time(random),
                ..again
            },
            1 => again.job("another"),
            _ => again,
        };
    }
    let (tenant, at) = (*random.of(&tenants), some_time(random));
    if random.one_in(3) {
        return UsageEvent::new(tenant, "requests", "suite", id, at);
    }
    let quantity = Decimal::new(random.below(100_000) as i64, 3);
    let event = UsageEvent::new(tenant, "tokens", "suite", id, at).quantity(quantity);
    match random.below(3) {
        0 => event.dimension("model", "large"),
        1 => event.dimension("model", "small").dimension("region", "eu"),
        _ => event,
    }
}
