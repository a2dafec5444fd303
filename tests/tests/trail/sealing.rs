//! Entries get their links after they have committed: by several processes, in any order of commits, and never twice.

use std::time::Duration;

use anyhow::ensure;
use futures_util::future::try_join_all;
use sqlx::{Connection as _, Executor as _};
use tenancy_core::{AuditSink as _, AuditTrail as _, Directory as _};
use tenancy_sqlx::{PgAuditSink, TenantPoolOptions};
use tenancy_tests::notes::{PASSWORD, on_every_server};

use super::{entry, linked, report, system};

/// Longer than any of this takes.
const FAIL_SAFE: Duration = Duration::from_secs(60);

/// Leaves the partition of all other months alone.
const DROP_MONTHS: &str = "DO $$ DECLARE part regclass; BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent IN
        ('tenancy.audit_records'::regclass, 'tenancy.audit_particulars'::regclass)
        AND inhrelid::regclass::text !~ 'other' LOOP
        EXECUTE 'DROP TABLE ' || part;
    END LOOP; END $$";

#[tokio::test]
async fn several_processes_that_seal_make_one_chain() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, globex) = (Some(notes.acme.id), Some(notes.globex.id));
        let mut sinks = Vec::new();
        for _ in 0..3 {
            let options = notes.database.options_as("tenancy_audit", Some(PASSWORD));
            sinks.push(PgAuditSink::connect_with(options).await?);
        }
        let writing = sinks.iter().enumerate().map(|(process, sink)| async move {
            for number in 0..40 {
                let number = u64::try_from(process * 1_000 + number)?;
                for tenant in [acme, globex, None] {
                    sink.record_durably(entry(tenant, number)).await?;
                }
            }
            anyhow::Ok(())
        });
        try_join_all(writing).await?;
        // What the sinks have not linked by now, this does; a chain that a sink is linking is left to it.
        while sqlx::query_scalar::<_, i64>("SELECT count(*) FROM tenancy.audit_unsealed")
            .fetch_one(&mut system(notes).await?)
            .await?
            > 0
        {
            notes.directory.seal().await?;
        }
        for tenant in [acme, globex, None] {
            let report = report(notes, tenant).await?;
            ensure!(report.is_whole() && report.verified == 120, "{report:?}");
        }
        Ok(())
    })
    .await
}

/// The sink links by itself, without a call.
#[tokio::test]
async fn a_sink_seals_what_others_have_recorded() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        tx.record(&entry(None, 1)).await?;
        tx.commit().await?;
        ensure!(report(notes, Some(notes.acme.id)).await?.unsealed == 1);
        let options = notes.database.options_as("tenancy_audit", Some(PASSWORD));
        let sink = PgAuditSink::connect_with(options).await?;
        while sink.sealed() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let report = report(notes, Some(notes.acme.id)).await?;
        ensure!((report.verified, report.unsealed) == (1, 0), "{report:?}");
        Ok(())
    })
    .await
}

/// What commits late gets a later number, and holds nobody up.
#[tokio::test]
async fn a_late_commit_comes_later_in_the_chain() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut late = pool.begin(&notes.context(&notes.acme)).await?;
        let first = entry(None, 1);
        late.record(&first).await?;
        let second = linked(notes, Some(notes.acme.id), 1).await?.remove(0);
        ensure!(report(notes, Some(notes.acme.id)).await?.verified == 1);
        late.commit().await?;
        notes.directory.seal().await?;
        let order: Vec<uuid::Uuid> = sqlx::query_scalar(
            "SELECT entry FROM tenancy.audit_links WHERE chain = $1 ORDER BY seq",
        )
        .bind(notes.acme.id.as_uuid())
        .fetch_all(&mut system(notes).await?)
        .await?;
        ensure!(order == [second.id, first.id], "{order:?}");
        ensure!(first.id < second.id);
        ensure!(report(notes, Some(notes.acme.id)).await?.is_whole());
        Ok(())
    })
    .await
}

/// A sealer that ends in the middle has linked nothing, and the next one goes on.
#[tokio::test]
async fn a_sealer_that_ends_in_the_middle_leaves_nothing_half_done() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        linked(notes, Some(notes.acme.id), 3).await?;
        PgAuditSink::new(&notes.system)
            .record_durably(entry(Some(notes.acme.id), 9))
            .await?;
        let mut dying = system(notes).await?;
        dying.execute("BEGIN").await?;
        let sealed: i32 = sqlx::query_scalar("SELECT tenancy.seal_trail(10, false, false)")
            .fetch_one(&mut dying)
            .await?;
        // The sink may have been first.
        ensure!(sealed <= 1);
        dying.close_hard().await?;
        notes.directory.seal().await?;
        loop {
            let report = report(notes, Some(notes.acme.id)).await?;
            ensure!(report.is_whole(), "{report:?}");
            if report.verified == 4 {
                return Ok(());
            }
            notes.directory.seal().await?;
        }
    })
    .await
}

/// An id of the far past, of the far future, and of no version: each is kept and linked.
#[tokio::test]
async fn an_entry_that_no_month_is_for_is_kept_all_the_same() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let sink = PgAuditSink::new(&notes.system);
        for id in [
            "00000000-0000-7000-8000-000000000001",
            "ffffffff-ffff-7fff-bfff-ffffffffffff",
            "9c5b94b1-35ad-49bb-b118-8e8fc24abf80",
        ] {
            let mut entry = entry(Some(notes.acme.id), 1);
            entry.id = id.parse()?;
            entry.at = entry.at + Duration::from_secs(100 * 365 * 86_400);
            sink.record_durably(entry).await?;
        }
        // Months that are missing are no reason to lose an entry either.
        notes.as_admin(DROP_MONTHS).await?;
        linked(notes, Some(notes.acme.id), 3).await?;
        let report = report(notes, Some(notes.acme.id)).await?;
        ensure!(report.is_whole() && report.verified == 6, "{report:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_directory_has_a_trail_to_keep() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stores = std::sync::Arc::new(notes.directory.clone()).stores();
        ensure!(stores.has(tenancy_core::Capability::Trail));
        Ok(())
    })
    .await
}

/// What a tenant's login writes by its own SQL keeps no entry of another tenant from its link.
#[tokio::test]
async fn what_can_not_be_linked_is_refused_when_it_is_added() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        for (at, targets) in [
            ("'infinity'", "'{}'"),
            ("'-infinity'", "'{}'"),
            ("'10000-01-01'", "'{}'"),
            ("now()", "ARRAY[NULL]::text[]"),
            ("now()", "ARRAY[ARRAY['a:b'], ARRAY['c:d']]"),
        ] {
            let mut tx = pool.begin(&notes.context(&notes.globex)).await?;
            let add = format!(
                "WITH r AS (INSERT INTO tenancy.audit_records (id, at, tenant_id, actor_kind, action, outcome)
                     VALUES ('00000000-0000-7000-8000-000000000001', {at}, '{0}', 'user', 'a.b', 'allowed'))
                 INSERT INTO tenancy.audit_particulars (entry, tenant_id, targets)
                     VALUES ('00000000-0000-7000-8000-000000000001', '{0}', {targets})",
                notes.globex.id
            );
            let refused = tx.execute(sqlx::AssertSqlSafe(add)).await;
            ensure!(tenancy_tests::notes::sqlstate(refused) == "23514", "{at}, {targets}");
            tx.rollback().await?;
        }
        linked(notes, Some(notes.acme.id), 2).await?;
        ensure!(report(notes, Some(notes.acme.id)).await?.verified == 2);
        Ok(())
    })
    .await
}

/// A round ends at its number, however many chains there are.
#[tokio::test]
async fn a_round_links_as_many_as_it_may_and_no_more() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut admin = notes.database.admin().await?;
        admin
            .execute(
                "INSERT INTO tenancy.audit_records (id, at, tenant_id, actor_kind, action, outcome)
                 SELECT gen_random_uuid(), now(), gen_random_uuid(), 'user', 'a.b', 'allowed' FROM generate_series(1, 30)",
            )
            .await?;
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let sealed = "SELECT tenancy.seal_trail(8, true, false)";
            rounds.push(sqlx::query_scalar::<_, i32>(sealed).fetch_one(&mut admin).await?);
        }
        ensure!(rounds == [8, 8, 8, 6, 0], "{rounds:?}");
        Ok(())
    })
    .await
}

/// A target of any length is kept as far as an index has a place for it, and nothing waits behind it.
#[tokio::test]
async fn a_long_target_is_cut_and_not_lost() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let sink = PgAuditSink::new(&notes.system);
        let random: String = (0..200).map(|_| uuid::Uuid::now_v7().to_string()).collect();
        let long = entry(Some(notes.acme.id), 1).about("url", format!("\u{e9}{random}"));
        sink.record_durably(long.clone()).await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        let mut other = long.clone();
        other.id = uuid::Uuid::now_v7();
        tx.record(&other).await?;
        tx.commit().await?;
        notes.directory.seal().await?;
        let kept: Vec<i32> = sqlx::query_scalar(
            "SELECT octet_length(targets[2]) FROM tenancy.audit_particulars WHERE entry = ANY ($1)",
        )
        .bind([long.id, other.id])
        .fetch_all(&mut system(notes).await?)
        .await?;
        ensure!(
            kept.len() == 2 && kept.iter().all(|len| (500..=512).contains(len)),
            "{kept:?}"
        );
        ensure!(report(notes, Some(notes.acme.id)).await?.verified == 2);
        Ok(())
    })
    .await
}

/// A month that is made while entries of it are added: they wait for it, and none is refused. Without the wait, PostgreSQL
/// sends such an entry to the partition of all other months, and refuses it there.
#[tokio::test]
async fn an_entry_that_is_added_while_its_month_is_made_is_kept() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes.as_admin(DROP_MONTHS).await?;
        let mut maker = system(notes).await?;
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut maker)
            .await?;
        maker.execute("BEGIN").await?;
        let made: i32 = sqlx::query_scalar("SELECT tenancy.prepare_trail(0)")
            .fetch_one(&mut maker)
            .await?;
        ensure!(made == 2, "{made}");
        let sink = PgAuditSink::new(&notes.system);
        let adding = sink.record_durably(entry(Some(notes.acme.id), 1));
        let committing = async {
            let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity AS a
                WHERE $1 = ANY (pg_blocking_pids(a.pid)) AND a.query LIKE '%append_records%')";
            let mut admin = notes.database.admin().await?;
            while !sqlx::query_scalar::<_, bool>(waits)
                .bind(pid)
                .fetch_one(&mut admin)
                .await?
            {
                tokio::task::yield_now().await;
            }
            maker.execute("COMMIT").await?;
            anyhow::Ok(())
        };
        let both = async { tokio::join!(adding, committing) };
        let (added, committed) = tokio::time::timeout(FAIL_SAFE, both).await?;
        committed?;
        added?;
        let strays: i64 = sqlx::query_scalar("SELECT count(*) FROM tenancy.audit_records_other")
            .fetch_one(&mut notes.database.admin().await?)
            .await?;
        ensure!(strays == 0);
        notes.directory.seal().await?;
        ensure!(report(notes, Some(notes.acme.id)).await?.is_whole());
        Ok(())
    })
    .await
}
