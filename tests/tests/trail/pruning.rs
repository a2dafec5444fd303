//! Retention by plan: what is old goes, the chains go on, and partitions that are empty are dropped.

use std::time::Duration;

use anyhow::ensure;
use tenancy_core::{AuditTrail as _, ChainFaultKind, PlanBook, Retention, danger};
use tenancy_tests::notes::{builder, on_every_server};

use super::{linked, report};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn what_is_older_than_the_plan_says_is_removed_and_the_chain_goes_on() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for tenant in [Some(notes.acme.id), Some(notes.globex.id), None] {
            linked(notes, tenant, 9).await?;
        }
        let heads = notes.directory.list_heads(None, 10).await?;
        let anchor = *heads
            .iter()
            .find(|head| head.tenant == Some(notes.acme.id))
            .ok_or_else(|| anyhow::anyhow!("no head"))?;
        // The clock of the engine is what retention goes by.
        let clock = std::sync::Arc::new(tenancy_core::ManualClock::now_frozen());
        let plans = PlanBook::new()
            .plan("free", ["*"])
            .plan("kept", ["*"])
            .retention("free", [("audit", Retention::Days(30))])
            .retention("kept", [("audit", Retention::ForGood)])
            .for_tenants_without_plan("free");
        let tenancy = builder(notes.directory.clone())?
            .shared_audit(notes.audit.clone())
            .plans(plans)
            .clock(clock.clone())
            .build()?;
        let admin = tenancy.admin(danger::service("retention")?);
        admin.set_plan(notes.globex.id, Some("kept")).await?;
        let otherwise = Retention::Days(60);
        ensure!(
            admin.apply_trail_retention(otherwise).await? == 0,
            "nothing is old"
        );
        clock.advance(31 * DAY);
        let removed = admin.apply_trail_retention(otherwise).await?;
        ensure!(removed == 9, "{removed} of acme");
        clock.advance(30 * DAY);
        let removed = admin.apply_trail_retention(otherwise).await?;
        ensure!(removed >= 9, "{removed} of nobody");
        linked(notes, Some(notes.acme.id), 2).await?;
        let acme = report(notes, Some(notes.acme.id)).await?;
        ensure!(acme.is_whole() && acme.pruned >= 9, "{acme:?}");
        let globex = report(notes, Some(notes.globex.id)).await?;
        ensure!(
            globex.is_whole() && globex.pruned == 0 && globex.verified >= 9,
            "{globex:?}"
        );
        // The anchor of before is the end of what is gone, or is behind it.
        let anchored = notes
            .directory
            .verify_chain(notes.acme.id.into(), &[anchor])
            .await?;
        ensure!(anchored.is_whole(), "{anchored:?}");
        // Whoever goes on removing by hand is refused, or found.
        let hand = notes.as_admin("DELETE FROM tenancy.audit_links").await;
        ensure!(hand.is_err());
        Ok(())
    })
    .await
}

/// A third of a long chain, in several steps.
#[tokio::test]
async fn the_oldest_third_is_removed_and_the_rest_verifies() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenant = Some(notes.acme.id);
        linked(notes, tenant, 30).await?;
        let between = tenancy_core::Clock::now(&tenancy_core::SystemClock);
        linked(notes, tenant, 60).await?;
        let mut record =
            tenancy_core::ChangeRecord::new(super::entry(tenant, 0).reason("the oldest third"));
        record.entry.action = "trail.prune".into();
        let pruned = notes
            .directory
            .prune_chain(tenant.into(), between, &record)
            .await?;
        ensure!((pruned.removed, pruned.upto) == (30, 30), "{pruned:?}");
        notes.directory.seal().await?;
        let whole = report(notes, tenant).await?;
        ensure!(
            whole.is_whole() && (whole.pruned, whole.verified) == (30, 61),
            "{whole:?}"
        );

        // One more is removed by hand.
        notes
            .as_admin(&format!(
                "ALTER TABLE tenancy.audit_links DISABLE TRIGGER USER;
                 DELETE FROM tenancy.audit_links WHERE chain = '{}' AND seq = 31",
                notes.acme.id
            ))
            .await?;
        let fault = report(notes, tenant)
            .await?
            .fault
            .map(|fault| (fault.kind, fault.seq));
        ensure!(
            fault == Some((ChainFaultKind::BeginningMissing, 31)),
            "{fault:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn months_that_are_over_and_empty_are_dropped_and_those_to_come_are_made()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'tenancy.audit_records'::regclass";
        let mut admin = notes.database.admin().await?;
        let before: i64 = sqlx::query_scalar(months).fetch_one(&mut admin).await?;
        ensure!(before == 5, "this month, three more, and all others: {before}");
        // A month that is over.
        notes
            .as_admin(
                "SET ROLE tenancy_owner; CREATE TABLE tenancy.audit_records_2020_01 PARTITION OF tenancy.audit_records
                     FOR VALUES FROM (tenancy.first_uuid('2020-01-01 UTC')) TO (tenancy.first_uuid('2020-02-01 UTC'))",
            )
            .await?;
        let dropped: i32 = sqlx::query_scalar("SELECT tenancy.drop_pruned_partitions()").fetch_one(&mut admin).await?;
        ensure!(dropped == 1, "{dropped}");
        let after: i64 = sqlx::query_scalar(months).fetch_one(&mut admin).await?;
        ensure!(after == before, "{after}");
        let made: i32 = sqlx::query_scalar("SELECT tenancy.prepare_trail(5)").fetch_one(&mut admin).await?;
        ensure!(made == 4, "two months, in two tables: {made}");
        let again: i32 = sqlx::query_scalar("SELECT tenancy.prepare_trail(5)").fetch_one(&mut admin).await?;
        ensure!(again == 0, "{again}");
        linked(notes, Some(notes.acme.id), 2).await?;
        ensure!(report(notes, Some(notes.acme.id)).await?.is_whole());
        Ok(())
    })
    .await
}
