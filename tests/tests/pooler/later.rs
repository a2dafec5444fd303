//! A pooler that comes to stand between a service and its database while the service runs.

use std::time::Duration;

use anyhow::ensure;
use tenancy_sqlx::{SessionMode, TenantDb, TenantPoolOptions};
use tenancy_tests::{DelayProxy, PgBouncerVersion, notes::Notes};
use tokio::task::JoinSet;

use crate::Kind;

/// As it is set up where it takes what services ask for at the start of a session, and drops it.
const DROPS: &str = "ignore_startup_parameters = extra_float_digits, options";

/// The counts that so many reads have shown; those that failed are left out.
async fn counts(db: TenantDb, reads: usize) -> Vec<i64> {
    let mut counts = Vec::new();
    for _ in 0..reads {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes");
        counts.extend(count.fetch_one(&db.reader()).await.ok());
    }
    counts
}

#[tokio::test]
async fn no_row_of_another_tenants_is_shown_in_any_mode() -> anyhow::Result<()> {
    for (kind, server) in Kind::all().await? {
        if kind.version == PgBouncerVersion::Old {
            continue;
        }
        for mode in [
            SessionMode::Transaction,
            SessionMode::Switched,
            SessionMode::Pinned,
        ] {
            let notes = Notes::start(&server).await?;
            notes.seed(&notes.acme, 3).await?;
            notes.seed(&notes.globex, 5).await?;
            let app = notes.app_options();
            let proxy = DelayProxy::for_options(&app, Duration::ZERO)?;
            let options = TenantPoolOptions::new()
                .max_connections(4)
                .sessions(mode)
                .check_session_every(0);
            let pool = notes.pool_through(&proxy, options).await?;

            let bouncer = kind.start(&server, "transaction", 2, DROPS).await?;
            let rerouted = bouncer.reroute(app);
            proxy.redirect((rerouted.get_host(), rerouted.get_port()))?;
            // As at a failover.
            proxy.cut();
            let mut readers = JoinSet::new();
            for number in 0..8 {
                let (tenant, own) = [(&notes.acme, 3), (&notes.globex, 5)][number % 2];
                let db = pool.tenant(&notes.context(tenant))?;
                readers.spawn(async move { (own, counts(db, 25).await) });
            }
            let mut answers = 0;
            while let Some(read) = readers.join_next().await {
                let (own, counts) = read?;
                ensure!(
                    counts.iter().all(|count| *count == own),
                    "{mode:?} behind {kind:?}: {own} notes, and {counts:?}"
                );
                answers += counts.len();
            }
            // Transactions go on where the pooler keeps statements. Other modes say what has come between.
            if mode == SessionMode::Transaction {
                ensure!(answers > 0, "behind {kind:?}, none is answered");
            } else {
                let db = pool.tenant(&notes.context(&notes.acme))?.reader();
                let refused = sqlx::query("SELECT FROM notes").fetch_all(&db).await;
                let refused = refused.unwrap_err().to_string();
                ensure!(refused.contains("restart the service"), "{refused}");
            }
            pool.close().await;
        }
    }
    Ok(())
}
