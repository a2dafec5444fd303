//! Billing in PostgreSQL: the suite, what the outbox and the trail say, who may, and processes that race.

mod racing;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use sqlx::{Executor as _, types::Uuid};
use tenancy_core::{Actor, Clock, TenantId, Timestamp, quota::Window};
use tenancy_sqlx::{PgBilling, PgBillingBuilder, RegistryPool};
use tenancy_tests::notes::{Notes, PASSWORD, on_every_server, seal_key, sqlstate};
use tenancy_usage::{
    UsageMeters,
    billing::{
        BillingStoreErrorKind, CloseOutcome, CreditStore as _, CustomerId, PeriodStore as _,
        QueueOutcome, ReportOutcome, ReportStore as _, SubscriptionStore as _, ThresholdStore as _,
        UsageReport,
    },
    conformance,
    credit::{Grant, GrantUnit},
    invoice::{BillingPeriod, ClosedPeriod, DraftInvoice, Rating},
    price::{Currency, PlanPrices, PriceBook, PriceVersion},
    subscription::{ObjectVersion, SubscriptionStatus, SubscriptionUpdate},
    threshold::ThresholdKey,
};

use super::at_now;

const DAY: Duration = Duration::from_secs(86_400);

async fn keeping(notes: &Notes, clock: Arc<dyn Clock>) -> anyhow::Result<PgBillingBuilder> {
    let options = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    let registry = match notes.seal {
        Some(_) => RegistryPool::connect_sealed(options, &seal_key()?).await?,
        None => RegistryPool::connect_with(options).await?,
    };
    Ok(PgBilling::builder(&registry)
        .grace(conformance::GRACE)
        .clock(clock))
}

/// The tenth of a month that ended so many tenths before the suite's time, closed.
fn closed(tenant: TenantId, ago: u32) -> anyhow::Result<ClosedPeriod> {
    let end = conformance::NOW - 3 * DAY * ago;
    let period = BillingPeriod::new(tenant, Window::new(end - 3 * DAY, end), Duration::ZERO);
    Ok(period.close(conformance::NOW)?)
}

fn invoice(period: &ClosedPeriod, fee: i64) -> anyhow::Result<DraftInvoice> {
    let version = PriceVersion::new("first", Timestamp::EPOCH)
        .plan(PlanPrices::new("pro").flat("base fee", fee));
    let book = PriceBook::builder("EUR").version(version);
    let book = book.build(&UsageMeters::default())?;
    let rating = Rating::new(&book, period.tenant(), period.window());
    Ok(rating.plan("pro", []).rate()?)
}

/// The events of a kind, and of which tenant each is.
async fn events(notes: &Notes, kind: &str) -> anyhow::Result<Vec<(TenantId, Value)>> {
    let rows: Vec<(Uuid, Value)> = sqlx::query_as(
        "SELECT tenant_id, payload FROM tenancy.outbox_events WHERE kind = $1 ORDER BY id",
    )
    .bind(kind)
    .fetch_all(&mut notes.database.admin().await?)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(tenant, payload)| (TenantId::from_uuid(tenant), payload))
        .collect())
}

#[tokio::test]
async fn postgres_keeps_billing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let clock = at_now();
        let billing = keeping(notes, clock.clone())
            .await?
            .max_connections(4)
            .build();
        let tenants = [(); conformance::BILLED_TENANTS].map(|()| TenantId::new());
        conformance::billing(&billing, &clock, &tenants).await;
        Ok(())
    })
    .await
}

/// What is new is told in the outbox, of its tenant; what changes nothing is not.
#[tokio::test]
async fn the_outbox_tells_what_is_new() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let billing = keeping(notes, at_now()).await?.build();
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        let key = |tenant| ThresholdKey::new(tenant, "tokens", conformance::NOW, 80);
        for _ in 0..2 {
            billing.cross(&[key(acme), key(globex)]).await?;
        }
        let told = json!({
            "meter": "tokens", "percent": 80, "period_starts_at": conformance::NOW.to_string()
        });
        let crossed = events(notes, "usage.threshold-crossed").await?;
        ensure!(
            crossed == [(acme, told.clone()), (globex, told)],
            "{crossed:?}"
        );

        let period = closed(acme, 1)?;
        for fee in [29, 31, 29] {
            billing
                .close_period(&period, &invoice(&period, fee)?)
                .await?;
        }
        let closings = events(notes, "billing.period-closed").await?;
        let window = period.window();
        let told = json!({
            "invoice": invoice(&period, 29)?.id(), "currency": "EUR", "total": "29.00",
            "period_starts_at": window.start.to_string(), "period_ends_at": window.end.to_string(),
        });
        ensure!(closings == [(acme, told)], "{closings:?}");

        billing
            .bind_customer(acme, "stripe", &CustomerId::new("cus_1"))
            .await?;
        let update = |seconds, status, plan: &str| {
            let at = conformance::NOW + Duration::from_secs(seconds);
            let version = ObjectVersion::at(at);
            SubscriptionUpdate::new("sub_1", "cus_1", version, status).plan(plan)
        };
        let (active, due) = (SubscriptionStatus::Active, SubscriptionStatus::PastDue);
        for update in [
            update(1, active, "pro"),
            update(3, active, "pro"),
            update(3, active, "pro"),
            update(2, SubscriptionStatus::Cancelled, "pro"),
            update(4, active, "team"),
            update(5, due, "team"),
            update(6, due, "team"),
        ] {
            billing.apply("stripe", &update).await?;
        }
        let changed = events(notes, "billing.subscription-changed").await?;
        ensure!(changed.iter().all(|(tenant, _)| *tenant == acme));
        let short = |told: &Value| format!("{} {}", told["state"], told["plan"]);
        let short: Vec<_> = changed.iter().map(|(_, told)| short(told)).collect();
        ensure!(
            short
                == [
                    r#""active" "pro""#,
                    r#""active" "team""#,
                    r#""past-due" "team""#
                ],
            "{changed:?}"
        );

        let report = UsageReport::new(CustomerId::new("cus_1"), "tokens", 1, conformance::NOW, "r");
        let queued = billing.queue_reports(acme, "stripe", &[report]).await?;
        ensure!(queued == [QueueOutcome::Queued]);
        let refused = [("r".into(), ReportOutcome::Refused("no meter".into()))];
        billing.settle_reports("stripe", &refused).await?;
        let refused = events(notes, "billing.report-refused").await?;
        let told = json!({ "provider": "stripe", "id": "r", "meter": "tokens", "why": "no meter" });
        ensure!(refused == [(acme, told)], "{refused:?}");
        Ok(())
    })
    .await
}

/// Who granted something, and why, stands in the tenant's trail, once; what was refused does not.
#[tokio::test]
async fn the_trail_tells_of_grants() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let billing = keeping(notes, at_now()).await?.build();
        let acme = notes.acme.id;
        let grant = |amount| {
            let euro = Currency::new("EUR")?;
            anyhow::Ok(Grant::money("welcome", euro, amount, conformance::NOW))
        };
        for _ in 0..2 {
            billing
                .grant(acme, &grant(20)?, &Actor::System, "ticket 1")
                .await?;
        }
        let other = grant(30)?;
        let other = billing.grant(acme, &other, &Actor::System, "ticket 2").await;
        ensure!(other.is_err_and(|it| it.kind() == BillingStoreErrorKind::Conflict));
        let told: Vec<(Option<Uuid>, String, Vec<String>)> = sqlx::query_as(
            "SELECT r.tenant_id, p.reason, p.targets FROM tenancy.audit_records AS r
                 JOIN tenancy.audit_particulars AS p ON p.entry = r.id WHERE r.action = 'billing.grant'",
        )
        .fetch_all(&mut notes.database.admin().await?)
        .await?;
        let targets = vec!["credit-grant:welcome".to_owned()];
        ensure!(
            told == [(Some(acme.as_uuid()), "ticket 1".to_owned(), targets)],
            "{told:?}"
        );
        Ok(())
    })
    .await
}

/// The login of the service has nothing of billing, programs of operators read and do not write, and what one tenant does leaves
/// what another has.
#[tokio::test]
async fn the_service_has_no_billing_and_operators_read() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let billing = keeping(notes, at_now()).await?.build();
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        let (euro, reason) = (Currency::new("EUR")?, "a test");
        let grant = Grant::money("welcome", euro, 20, conformance::NOW);
        for (tenant, customer) in [(globex, "cus_2"), (acme, "cus_1")] {
            billing
                .grant(tenant, &grant, &Actor::System, reason)
                .await?;
            let customer = CustomerId::new(customer);
            billing.bind_customer(tenant, "stripe", &customer).await?;
            let key = ThresholdKey::new(tenant, "tokens", conformance::NOW, 80);
            ensure!(billing.cross(&[key]).await?.len() == 1);
            let period = closed(tenant, 1)?;
            let report = UsageReport::new(
                customer.clone(),
                "tokens",
                1,
                conformance::NOW,
                tenant.to_string(),
            );
            billing.queue_reports(tenant, "stripe", &[report]).await?;
            let version = ObjectVersion::at(conformance::NOW);
            let subscription = format!("sub_{}", customer.as_str());
            let active = SubscriptionStatus::Active;
            let update = SubscriptionUpdate::new(subscription, customer.as_str(), version, active);
            billing.apply("stripe", &update).await?;
            let outcome = billing.close_period(&period, &invoice(&period, 5)?).await?;
            ensure!(matches!(outcome, CloseOutcome::Closed(_)), "{outcome:?}");
        }
        let unit = GrantUnit::Money(euro);
        billing
            .draw(acme, &unit, 15.into(), conformance::NOW, "more")
            .await?;

        // The rows of the other tenant are there, and untouched.
        let operators = PgBilling::of_operators(&notes.system).build();
        for (tenant, left) in [(globex, 15), (acme, 0)] {
            let ledger = operators.ledger(tenant).await?;
            ensure!(
                ledger.balance(&unit, conformance::NOW) == left.into(),
                "{ledger:?}"
            );
            ensure!(operators.subscriptions(tenant).await?.len() == 1);
            let kept = operators.list_closed(tenant, None, 10).await?;
            ensure!(kept.len() == 1 && kept.iter().all(|it| it.invoice.tenant == tenant));
        }
        let bound = operators.customer_of(globex, "stripe").await?;
        ensure!(bound == Some(CustomerId::new("cus_2")), "{bound:?}");

        let mut admin = notes.database.admin().await?;
        let mut app = notes.app().await?;
        for table in [
            "billing_thresholds",
            "billing_invoices",
            "billing_credits",
            "billing_customers",
            "billing_subscriptions",
            "billing_reports",
        ] {
            let sql = format!("SELECT count(*) FROM tenancy.{table} WHERE tenant_id = $1");
            let there: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.clone()))
                .bind(globex.as_uuid())
                .fetch_one(&mut admin)
                .await?;
            ensure!(there > 0, "{table}");
            for statement in [
                format!("SELECT count(*) FROM tenancy.{table}"),
                format!("DELETE FROM tenancy.{table}"),
            ] {
                let refused = app.execute(sqlx::AssertSqlSafe(statement)).await;
                ensure!(sqlstate(refused) == "42501", "{table}");
            }
        }
        for statement in [
            "SELECT tenancy.list_credits(gen_random_uuid())",
            "SELECT tenancy.cross_thresholds('{}', '{}', '{}', '{}')",
            "SELECT tenancy.bind_customer(gen_random_uuid(), 'stripe', 'cus_9')",
            "SELECT tenancy.take_reports('stripe', 1, now(), now(), now(), '')",
        ] {
            let refused = app.execute(statement).await;
            ensure!(sqlstate(refused) == "42501", "{statement}");
        }
        let written = operators.grant(acme, &grant, &Actor::System, reason).await;
        let error = written.err().context("operators read")?;
        ensure!(
            error.kind() == BillingStoreErrorKind::Unavailable,
            "{error}"
        );
        Ok(())
    })
    .await
}
