//! The same for the directory's connections and those of the system login.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tenancy_core::{
    AuditEntry, AuditSink as _, GenerationFeed as _, Outcome, Settings, Slug, TenantDirectory as _,
    TenantKey, UserId, testing::StoreDirectly as _,
};
use tenancy_sqlx::{
    PgAuditSink, PgDirectory,
    danger::{self, SystemPool},
};
use tenancy_tests::{
    DelayProxy,
    notes::{self, Notes, PASSWORD, on_every_server},
};

use crate::{dropped_after, probe};

const ONE_WAY: Duration = Duration::from_micros(200);

/// Drops a look-up at every wait; after each, the directory's one connection still serves.
async fn look_up_at_every_wait(
    look_up: impl AsyncFn(&PgDirectory, &Notes) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), ONE_WAY)?;
        let directory = notes
            .directory(proxy.reroute(notes.app_options()), 1)
            .await?;
        for waits in 0..500 {
            let found = dropped_after(waits, look_up(&directory, notes)).await;
            let place = || format!("dropped at wait {waits}");
            let next = directory.find_tenant(&notes.globex.id.into()).await;
            let next = next.with_context(place)?.with_context(place)?;
            ensure!(next.id == notes.globex.id, "{}: found another", place());
            probe::nobody_in_a_transaction(notes, "tenancy_app")
                .await
                .with_context(place)?;
            if let Some(found) = found {
                return found;
            }
        }
        anyhow::bail!("it never completed")
    })
    .await
}

#[tokio::test]
async fn finding_a_tenant_by_id() -> anyhow::Result<()> {
    look_up_at_every_wait(async |directory, notes| {
        let found = directory.find_tenant(&notes.acme.id.into()).await?;
        ensure!(found.is_some_and(|tenant| tenant.id == notes.acme.id));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn finding_a_tenant_by_name() -> anyhow::Result<()> {
    look_up_at_every_wait(async |directory, notes| {
        let key = TenantKey::Slug("acme".parse::<Slug>()?);
        let found = directory.find_tenant(&key).await?;
        ensure!(found.is_some_and(|tenant| tenant.id == notes.acme.id));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn asking_what_has_changed() -> anyhow::Result<()> {
    look_up_at_every_wait(async |directory, _| {
        directory.changes_since(None).await?;
        Ok(())
    })
    .await
}

async fn system_through(notes: &Notes, proxy: &DelayProxy) -> anyhow::Result<SystemPool> {
    let options = notes.database.options_as("tenancy_system", Some(PASSWORD));
    Ok(SystemPool::connect_with(proxy.reroute(options)).await?)
}

#[tokio::test]
async fn changing_a_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), ONE_WAY)?;
        let system = system_through(notes, &proxy).await?;
        let directory = notes.directory.clone().with_system(&system);
        for waits in 0..500 {
            let settings = Settings::new(serde_json::json!({ "waits": waits }));
            let change = directory.set_settings(notes.acme.id, &settings);
            let changed = dropped_after(waits, change).await;

            // The next one, on the connection that the dropped one used, really is stored.
            let other = Settings::new(serde_json::json!({ "after": waits }));
            directory.set_settings(notes.globex.id, &other).await?;
            let stored = notes.directory.find_tenant(&notes.globex.id.into()).await?;
            ensure!(
                stored.is_some_and(|tenant| tenant.settings == other),
                "dropped at wait {waits}"
            );
            probe::nobody_in_a_transaction(notes, "tenancy_system").await?;
            if let Some(changed) = changed {
                return Ok(changed?);
            }
        }
        anyhow::bail!("it never completed")
    })
    .await
}

#[tokio::test]
async fn reading_across_tenants() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), ONE_WAY)?;
        let system = system_through(notes, &proxy).await?;
        let sink = std::sync::Arc::new(PgAuditSink::new(&system));
        let tenancy = notes::builder(notes.directory.clone())?
            .shared_audit(sink.clone())
            .build()?;
        for waits in 0..500 {
            let reading = async {
                let mut all =
                    danger::across_tenants(&tenancy, &system, UserId::new(), "test").await?;
                let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
                    .fetch_one(&mut *all)
                    .await?;
                anyhow::Ok(count)
            };
            let count = dropped_after(waits, reading).await;

            // An entry that is reported as durable is, on whatever connection it was written.
            let entry = AuditEntry::new(tenancy.clock().now(), "test", Outcome::Allowed);
            let id = entry.id;
            sink.record_durably(entry).await?;
            let stored: i64 =
                sqlx::query_scalar("SELECT count(*) FROM tenancy.audit_entries WHERE id = $1")
                    .bind(id)
                    .fetch_one(&mut notes.database.admin().await?)
                    .await?;
            ensure!(stored == 1, "dropped at wait {waits}: the entry is lost");
            probe::nobody_in_a_transaction(notes, "tenancy_system").await?;
            if let Some(count) = count {
                ensure!(count? == 8);
                return Ok(());
            }
        }
        anyhow::bail!("it never completed")
    })
    .await
}
