//! Custom metrics: they tell what they say, of the events of the tenant that asks, and each is its owner's.

use std::slice::from_ref;

use rust_decimal::Decimal;
use tenancy_core::{Actor, TenantId, UserId};

use super::{all_time, record, tokens, total};
use crate::{
    Aggregation, CorrectionOutcome, CustomMetric, CustomMetrics, MetricAuthor, MetricOutcome,
    Resolution, RollupQuery, UsageCorrection, UsageError, UsageErrorKind, UsageEvent,
};

fn answer(tenant: TenantId, id: &str, quantity: i64, model: &str, region: &str) -> UsageEvent {
    let event = tokens(tenant, id, quantity);
    let event = if region.is_empty() {
        event
    } else {
        event.dimension("region", region)
    };
    event.dimension("model", model)
}

fn of(tenant: TenantId) -> MetricAuthor {
    MetricAuthor::for_tenant(tenant, Actor::System, "a test")
}

/// Quantity and number of events of a metric in all time.
async fn told(
    sink: &dyn CustomMetrics,
    tenant: TenantId,
    metric: &CustomMetric,
) -> Option<(Decimal, u64)> {
    let rollups = sink
        .rollups(&metric.total(tenant, all_time()))
        .await
        .unwrap();
    assert!(rollups.len() <= 1, "{rollups:?}");
    rollups.first().map(|one| (one.quantity, one.events))
}

/// Values choose events, each dimension has to fit, and another aggregation tells them; corrections count, also of events that
/// came before the metric was thought of.
pub async fn a_metric_tells_what_it_says(sink: &dyn CustomMetrics, [acme, globex]: [TenantId; 2]) {
    let events = [
        answer(acme, "1", 700, "large", "eu"),
        answer(acme, "2", 90, "small", "eu"),
        answer(acme, "3", 300, "large", "us"),
        answer(acme, "4", 40, "large", ""),
        tokens(acme, "5", 1_000),
        answer(globex, "1", 9, "large", "eu"),
    ];
    record(sink, &events).await;
    assert_eq!(total(sink, globex, "tokens").await, Some((9.into(), 1)));
    let metric = |aggregation| CustomMetric::new("m", "tokens", aggregation);
    for (metric, quantity, events) in [
        (metric(Aggregation::Sum), 2_130, 5),
        (metric(Aggregation::Count), 5, 5),
        (
            metric(Aggregation::Max).only("model", ["large", "small"]),
            700,
            4,
        ),
        (metric(Aggregation::Min).only("model", ["large"]), 40, 3),
        (metric(Aggregation::Count).only("model", ["large"]), 3, 3),
        (
            metric(Aggregation::Sum)
                .only("model", ["large"])
                .only("region", ["us", "ap"]),
            300,
            1,
        ),
    ] {
        assert_eq!(
            told(sink, acme, &metric).await,
            Some((quantity.into(), events)),
            "{metric:?}"
        );
    }
    let none = metric(Aggregation::Sum).only("model", ["huge"]);
    assert_eq!(told(sink, acme, &none).await, None);
    // A value is no pattern, and no other spelling of it.
    for value in ["Large", "larg", "%", "[\"large\"]", "\"large\""] {
        let none = metric(Aggregation::Sum).only("model", [value]);
        assert_eq!(told(sink, acme, &none).await, None, "{value}");
    }
    let large = metric(Aggregation::Max).only("model", ["large"]);
    let day = sink
        .rollups(&large.each(acme, Resolution::Day, all_time()))
        .await
        .unwrap();
    assert_eq!(day.len(), 1, "{day:?}");
    assert_eq!(day[0].quantity, 700.into());

    let correction = UsageCorrection::void(events[0].event_key(), "suite", "metric-1")
        .by(Actor::System, "a test");
    assert_eq!(
        sink.correct(from_ref(&correction)).await.unwrap(),
        [CorrectionOutcome::Applied]
    );
    assert_eq!(told(sink, acme, &large).await, Some((300.into(), 2)));
    assert_eq!(told(sink, globex, &large).await, Some((9.into(), 1)));
}

/// A metric is told to its tenant alone, one for all to each; it is changed and removed by its owner alone.
pub async fn a_metric_is_its_owners(sink: &dyn CustomMetrics, [acme, globex]: [TenantId; 2]) {
    let ann = Actor::User(UserId::new());
    let all = MetricAuthor::for_all(ann.clone(), "a test");
    let long = CustomMetric::new("long", "tokens", Aggregation::Max).only("model", ["large"]);
    let define = async |metric: &CustomMetric, author: &MetricAuthor| {
        sink.define_metric(metric, author).await.unwrap()
    };
    assert_eq!(define(&long, &of(acme)).await, MetricOutcome::Defined);
    assert_eq!(define(&long, &of(acme)).await, MetricOutcome::Unchanged);
    assert_eq!(define(&long, &all).await, MetricOutcome::Defined);
    let other = CustomMetric::new("long", "tokens", Aggregation::Min).only("region", ["us", "eu"]);
    assert_eq!(define(&other, &of(acme)).await, MetricOutcome::Redefined);

    let list = async |tenant| {
        let listed = sink.list_metrics(tenant).await.unwrap();
        listed
            .into_iter()
            .map(|it| (it.owner, it.metric))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        list(acme).await,
        [(None, long.clone()), (Some(acme), other.clone())]
    );
    assert_eq!(list(globex).await, [(None, long.clone())]);
    let by = sink.list_metrics(globex).await.unwrap().remove(0).by;
    assert_eq!(*by, ann.to_string());

    assert!(!sink.remove_metric("long", &of(globex)).await.unwrap());
    assert!(!sink.remove_metric("short", &of(acme)).await.unwrap());
    assert_eq!(list(acme).await.len(), 2);
    assert!(sink.remove_metric("long", &all).await.unwrap());
    assert!(!sink.remove_metric("long", &all).await.unwrap());
    assert_eq!(list(acme).await, [(Some(acme), other)]);
    assert_eq!(list(globex).await, []);
}

/// What can't be told, a reason that is missing, and one more than there may be.
pub async fn a_metric_that_cant_be_told_is_refused(sink: &dyn CustomMetrics, tenant: TenantId) {
    let refused = |result: Result<MetricOutcome, UsageError>, says: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), UsageErrorKind::InvalidMetric, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    };
    let tokens = |name: &str| CustomMetric::new(name, "tokens", Aggregation::Max);
    let many: Vec<_> = (0..=CustomMetric::MOST_VALUES)
        .map(|n| n.to_string())
        .collect();
    for (metric, says) in [
        (tokens("No Name"), "no name of a metric"),
        (tokens("requests"), "the name of a declared meter"),
        (
            CustomMetric::new("m", "pages", Aggregation::Sum),
            "`pages`, which is not declared",
        ),
        (
            CustomMetric::new("m", "tokens", Aggregation::Unique),
            "asks for the `unique` of `tokens`",
        ),
        (
            CustomMetric::new("m", "requests", Aggregation::Max),
            "recorded as `count`",
        ),
        (
            CustomMetric::new("m", "connections", Aggregation::Sum),
            "recorded as `max`",
        ),
        (
            tokens("m").only("colour", ["red"]),
            "no dimension of `tokens`",
        ),
        (tokens("m").only("model", [] as [&str; 0]), "names 0 values"),
        (tokens("m").only("model", many), "names 65 values"),
        (tokens("m").only("model", ["\0"]), "NUL"),
        (tokens("m").only("model", ["é".repeat(65)]), "130 bytes"),
    ] {
        refused(sink.define_metric(&metric, &of(tenant)).await, says);
    }
    let without = MetricAuthor::for_tenant(tenant, Actor::System, " ");
    refused(
        sink.define_metric(&tokens("m"), &without).await,
        "the reason has",
    );

    for n in 0..CustomMetric::MOST {
        sink.define_metric(&tokens(&format!("m{n}")), &of(tenant))
            .await
            .unwrap();
    }
    refused(
        sink.define_metric(&tokens("one-more"), &of(tenant)).await,
        "100 custom metrics",
    );
    let redefined = CustomMetric::new("m7", "tokens", Aggregation::Sum);
    assert_eq!(
        sink.define_metric(&redefined, &of(tenant)).await.unwrap(),
        MetricOutcome::Redefined
    );
    assert_eq!(
        sink.list_metrics(tenant).await.unwrap().len(),
        CustomMetric::MOST
    );

    // A query that no metric has made is looked at too.
    for (query, says) in [
        (
            RollupQuery::total(tenant, "tokens", all_time()).only("colour", ["red"]),
            "no dimension `colour`",
        ),
        (
            RollupQuery::total(tenant, "tokens", all_time()).only("model", [] as [&str; 0]),
            "no values",
        ),
        (
            RollupQuery::total(tenant, "tokens", all_time()).told_by(Aggregation::Latest),
            "the `latest`",
        ),
    ] {
        let error = sink.rollups(&query).await.unwrap_err();
        assert_eq!(error.kind(), UsageErrorKind::InvalidQuery);
        assert!(error.to_string().contains(says), "{error}");
    }
}
