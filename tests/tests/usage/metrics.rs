//! Custom metrics in PostgreSQL: the suite, who may, and what the trail says.

use anyhow::ensure;
use sqlx::Executor as _;
use tenancy_core::{Actor, TenantId};
use tenancy_sqlx::PgUsage;
use tenancy_tests::notes::{on_every_server, sqlstate};
use tenancy_usage::{
    Aggregation, CustomMetric, CustomMetrics as _, MetricAuthor, MetricOutcome, conformance,
};

use super::{at_now, counting};

#[tokio::test]
async fn postgres_keeps_custom_metrics() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let tenants = [(); conformance::MEASURED_TENANTS].map(|()| TenantId::new());
        conformance::metrics(&usage, &tenants).await;
        Ok(())
    })
    .await
}

/// Whoever changed a metric stands in the trail, of the tenant or of nobody, and what changed nothing does not.
#[tokio::test]
async fn the_trail_tells_of_metrics() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let acme = notes.acme.id;
        let metric =
            CustomMetric::new("large", "tokens", Aggregation::Sum).only("model", ["large"]);
        let of_acme = MetricAuthor::for_tenant(acme, Actor::System, "ticket 1");
        let of_all = MetricAuthor::for_all(Actor::System, "ticket 2");
        for author in [&of_acme, &of_acme, &of_all] {
            usage.define_metric(&metric, author).await?;
        }
        usage.remove_metric("large", &of_acme).await?;
        usage.remove_metric("large", &of_acme).await?;
        let mut admin = notes.database.admin().await?;
        let told: Vec<(Option<sqlx::types::Uuid>, String, String, Vec<String>)> = sqlx::query_as(
            "SELECT r.tenant_id, r.action, p.reason, p.targets FROM tenancy.audit_records AS r
                 JOIN tenancy.audit_particulars AS p ON p.entry = r.id
             WHERE r.action LIKE 'usage.%-metric' ORDER BY r.id",
        )
        .fetch_all(&mut admin)
        .await?;
        let mut told: Vec<_> = told
            .iter()
            .map(|(tenant, action, reason, targets)| {
                (
                    tenant.map(TenantId::from_uuid),
                    &**action,
                    &**reason,
                    targets.join(","),
                )
            })
            .collect();
        told.sort();
        let target = || "usage-metric:large".to_owned();
        ensure!(
            told == [
                (None, "usage.define-metric", "ticket 2", target()),
                (Some(acme), "usage.define-metric", "ticket 1", target()),
                (Some(acme), "usage.remove-metric", "ticket 1", target()),
            ],
            "{told:?}"
        );
        Ok(())
    })
    .await
}

/// Two that define the last one at once: one of them is refused.
#[tokio::test]
async fn the_last_place_is_taken_once() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.max_connections(4).build();
        let author = MetricAuthor::for_tenant(notes.acme.id, Actor::System, "a test");
        let metric = |n: usize| CustomMetric::new(format!("m{n}"), "tokens", Aggregation::Sum);
        for n in 1..CustomMetric::MOST {
            usage.define_metric(&metric(n), &author).await?;
        }
        let (one, two) = (metric(1_000), metric(1_001));
        let (one, two) = tokio::join!(
            usage.define_metric(&one, &author),
            usage.define_metric(&two, &author)
        );
        let defined = [&one, &two]
            .into_iter()
            .filter(|it| matches!(it, Ok(MetricOutcome::Defined)))
            .count();
        ensure!(defined == 1, "{one:?} {two:?}");
        Ok(())
    })
    .await
}

/// The login of the service neither reads nor writes definitions; programs of operators do both.
#[tokio::test]
async fn the_service_has_no_metrics_and_operators_have() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        let metric = CustomMetric::new("large", "tokens", Aggregation::Sum);
        let author = MetricAuthor::for_tenant(notes.globex.id, Actor::System, "a test");
        usage.define_metric(&metric, &author).await?;
        let mut admin = notes.database.admin().await?;
        let there: i64 = sqlx::query_scalar("SELECT count(*) FROM tenancy.usage_metrics")
            .fetch_one(&mut admin)
            .await?;
        ensure!(there == 1);
        let mut app = notes.app().await?;
        for statement in [
            "SELECT count(*) FROM tenancy.usage_metrics",
            "SELECT count(*) FROM tenancy.list_metrics(gen_random_uuid())",
            "DELETE FROM tenancy.usage_metrics",
        ] {
            let refused = app.execute(statement).await;
            ensure!(sqlstate(refused) == "42501", "{statement}");
        }
        let operators = PgUsage::of_operators(&notes.system, conformance::meters()).build();
        ensure!(operators.list_metrics(notes.globex.id).await?.len() == 1);
        ensure!(operators.list_metrics(notes.acme.id).await?.is_empty());
        ensure!(operators.remove_metric("large", &author).await?);
        Ok(())
    })
    .await
}
