//! The audit trail in PostgreSQL.

use std::time::{Duration, Instant};

use sqlx::types::Uuid;
use tenancy_core::{AuditEntry, AuditSink as _, Clock as _, Outcome, SystemClock};
use tenancy_sqlx::{
    PgAuditSink, StartErrorKind, TenantPoolOptions, danger::SystemPool, schema::Installer,
};
use tenancy_tests::{
    DelayProxy,
    notes::{Notes, PASSWORD, on_every_server, sqlstate},
};

fn entry(notes: &Notes, number: usize) -> AuditEntry {
    AuditEntry::new(SystemClock.now(), "note.delete", Outcome::Allowed)
        .tenant(notes.acme.id)
        .target(format!("note:{number}"))
}

/// Waits until these entries, and no others, are stored.
async fn stored(notes: &Notes, mut expected: Vec<Uuid>) -> anyhow::Result<()> {
    expected.sort();
    let mut admin = notes.database.admin().await?;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found: Vec<Uuid> =
            sqlx::query_scalar("SELECT id FROM tenancy.audit_entries ORDER BY id")
                .fetch_all(&mut admin)
                .await?;
        if found == expected {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "{found:?} instead of {expected:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn queued_entries_outlast_a_restart_of_the_database() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = notes.database.options_as("tenancy_system", Some(PASSWORD));
        let proxy = DelayProxy::for_options(&options, Duration::ZERO)?;
        let system = SystemPool::connect_with(proxy.reroute(options)).await?;
        let sink = PgAuditSink::new(&system);
        let mut ids = Vec::new();
        let mut record = |number| {
            let entry = entry(notes, number);
            ids.push(entry.id);
            sink.record(entry);
        };
        record(0);
        proxy.refuse(true);
        proxy.cut();
        (1..50).for_each(&mut record);
        proxy.refuse(false);
        (50..60).for_each(&mut record);

        stored(notes, ids).await?;
        assert_eq!(sink.dropped(), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_entry_that_no_text_can_hold_does_not_keep_others_waiting() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let sink = PgAuditSink::new(&notes.system);
        let with_nul = entry(notes, 1)
            .target("external:a\0b")
            .reason("c\0d".to_owned())
            .details(serde_json::json!({ "e\0": ["f\0"] }));
        let after = entry(notes, 2);
        let ids = vec![with_nul.id, after.id];
        sink.record(with_nul);
        sink.record(after);

        stored(notes, ids).await?;
        let target = "SELECT targets -> 0 ->> 'id' FROM tenancy.audit_entries ORDER BY id";
        let target: String = sqlx::query_scalar(target)
            .fetch_one(&mut notes.database.admin().await?)
            .await?;
        assert_eq!(target, "a\u{fffd}b");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_entry_that_the_table_refuses_is_counted_and_the_next_one_stored() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        notes
            .as_admin("ALTER TABLE tenancy.audit_particulars ADD CHECK (targets <> '{note:1}')")
            .await?;
        let sink = PgAuditSink::new(&notes.system);
        let after = entry(notes, 2);
        let ids = vec![after.id];
        sink.record(entry(notes, 1));
        sink.record(after);

        stored(notes, ids).await?;
        assert_eq!(sink.dropped(), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn storing_an_entry_twice_is_storing_it_once() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let sink = PgAuditSink::new(&notes.system);
        let entry = entry(notes, 1);
        sink.record_durably(entry.clone()).await?;
        sink.record_durably(entry.clone()).await?;
        stored(notes, vec![entry.id]).await
    })
    .await
}

/// The login of the trail adds entries, and can't look at what it has added.
#[tokio::test]
async fn the_audit_login_adds_and_reads_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = notes.database.options_as("tenancy_audit", Some(PASSWORD));
        let sink = PgAuditSink::connect_with(options.clone()).await?;
        let entry = entry(notes, 1);
        sink.record_durably(entry.clone()).await?;
        sink.record_durably(entry.clone()).await?;
        stored(notes, vec![entry.id]).await?;

        let mut login: sqlx::PgConnection = sqlx::ConnectOptions::connect(&options).await?;
        for statement in [
            "SELECT FROM tenancy.audit_log",
            "SELECT FROM tenancy.audit_entries",
            "SELECT FROM tenancy.audit_records",
            "SELECT FROM tenancy.audit_links",
            "SELECT FROM tenancy.audit_unsealed",
            "SELECT FROM tenancy.audit_trail",
            "INSERT INTO tenancy.audit_log (id, at, action, outcome)
                 VALUES (gen_random_uuid(), now(), 'test', 'allowed')",
            "INSERT INTO tenancy.audit_entries (id, at, actor_kind, action, outcome)
                 VALUES (gen_random_uuid(), now(), 'user', 'test', 'allowed')",
            "UPDATE tenancy.audit_log SET actor = 'nobody'",
            "UPDATE tenancy.audit_records SET actor_kind = 'nobody'",
            "DELETE FROM tenancy.audit_log",
            "DELETE FROM tenancy.audit_records",
            "SELECT FROM tenancy.tenants",
            "SELECT tenancy.resolve_tenant('slug', '', 'acme')",
            "SELECT FROM notes",
        ] {
            let refused = sqlx::Executor::execute(&mut login, statement).await;
            assert_eq!(sqlstate(refused), "42501", "{statement}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_trail_is_not_opened_with_another_login() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for (login, kind) in [
            ("tenancy_app", StartErrorKind::WrongLogin),
            ("tenancy_registry", StartErrorKind::WrongLogin),
            ("tenancy_system", StartErrorKind::WrongLogin),
        ] {
            let options = notes.database.options_as(login, Some(PASSWORD));
            let error = PgAuditSink::connect_with(options).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(
                error.to_string().contains("connect as the audit role"),
                "{error}"
            );
        }
        let admin = notes.database.admin_options();
        let error = PgAuditSink::connect_with(admin).await.unwrap_err();
        assert_eq!(error.kind(), StartErrorKind::LoginBypasses, "{error}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nothing_shows_a_password_when_it_is_printed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let tx = pool.begin(&notes.context(&notes.acme)).await?;
        let printed = format!(
            "{pool:?} {db:?} {tx:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            notes.system,
            notes.directory,
            PgAuditSink::new(&notes.system),
            TenantPoolOptions::new(),
            Installer::new().passwords(PASSWORD, PASSWORD),
            notes.tenancy,
        );
        assert!(!printed.contains(PASSWORD), "{printed}");
        Ok(())
    })
    .await
}

/// M15.
#[tokio::test]
async fn what_is_queued_is_flushed_when_the_service_ends() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let sink = PgAuditSink::new(&notes.system);
        let entries: Vec<_> = (0..1000).map(|number| entry(notes, number)).collect();
        let mut refused = entry(notes, 1000);
        refused.outcome = Outcome::Refused;
        let mut ids: Vec<_> = entries
            .iter()
            .chain([&refused])
            .map(|entry| entry.id)
            .collect();
        entries.into_iter().for_each(|entry| sink.record(entry));
        sink.record(refused);
        sink.flush().await?;

        ids.sort();
        let stored: Vec<Uuid> =
            sqlx::query_scalar("SELECT id FROM tenancy.audit_entries ORDER BY id")
                .fetch_all(&mut notes.database.admin().await?)
                .await?;
        assert!(stored == ids, "{} entries are stored", stored.len());
        assert_eq!(sink.dropped(), 0);
        Ok(())
    })
    .await
}

/// M15. A process that ends without waiting.
#[tokio::test]
async fn what_is_lost_with_the_runtime_is_counted() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = notes.database.options_as("tenancy_audit", Some(PASSWORD));
        let first = entry(notes, 0);
        let others: Vec<_> = (1..100).map(|number| entry(notes, number)).collect();
        let ended = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let sink = runtime.block_on(async {
                let sink = PgAuditSink::connect_with(options).await?;
                sink.record_durably(first).await?;
                anyhow::Ok(sink)
            })?;
            others.into_iter().for_each(|entry| sink.record(entry));
            drop(runtime);
            Ok(sink)
        });
        let sink = ended.await??;
        assert_eq!(sink.dropped(), 99);
        assert!(sink.flush().await.is_err());
        Ok(())
    })
    .await
}

/// Nobody changes what is in the trail: not by writing another entry under the same id, either.
#[tokio::test]
async fn an_entry_of_the_release_before_is_not_replaced_by_the_service() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut operators: sqlx::PgConnection = sqlx::ConnectOptions::connect(
            &notes.database.options_as("tenancy_system", Some(PASSWORD)),
        )
        .await?;
        let before = entry(notes, 1);
        sqlx::query(
            "SELECT tenancy.append_audit($1, now(), $2, 'user:mallory', 'note.steal', 'allowed',
                 NULL, 'note:1', NULL, NULL, 0)",
        )
        .bind(before.id)
        .bind(notes.acme.id.as_uuid())
        .execute(&mut operators)
        .await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        // Also a tenant whose entry it is not.
        let mut tx = pool.begin(&notes.context(&notes.globex)).await?;
        let mut forged = AuditEntry::new(SystemClock.now(), "note.read", Outcome::Allowed);
        forged.id = before.id;
        let done = tx.record(&forged).await;
        let done = match done {
            Ok(()) => tx.commit().await,
            refused => refused,
        };
        let actions: Vec<String> =
            sqlx::query_scalar("SELECT action FROM tenancy.audit_trail WHERE id = $1")
                .bind(before.id)
                .fetch_all(&mut operators)
                .await?;
        anyhow::ensure!(
            actions.iter().any(|action| action == "note.steal"),
            "operators read {actions:?} instead of `note.steal`; {done:?}"
        );
        pool.close().await;
        Ok(())
    })
    .await
}

/// A text that is too long is cut, and its entry not lost; what was done is done in any case.
#[tokio::test]
async fn a_long_text_costs_neither_the_change_nor_its_entry() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let sink = PgAuditSink::new(&notes.system);
        let mut lost = Vec::new();
        let long = entry(notes, 1).target(format!("path:{}", "x".repeat(140_000)));
        if let Err(error) = sink.record_durably(long).await {
            lost.push(format!("a sink's long target: {error}"));
        }
        let details = serde_json::json!({ "sent": "x".repeat(140_000) });
        if let Err(error) = sink.record_durably(entry(notes, 2).details(details)).await {
            lost.push(format!("a sink's long details: {error}"));
        }
        for (what, authority) in [
            (
                "a long reason",
                tenancy_core::testing::service().because("x".repeat(5_000)),
            ),
            (
                "a reason with NUL",
                tenancy_core::testing::service().because("a\0b"),
            ),
        ] {
            let done = notes
                .tenancy
                .admin(authority)
                .rename(notes.acme.id, "New")
                .await;
            if let Err(error) = done {
                lost.push(format!("{what}: {error:?}"));
            }
        }
        anyhow::ensure!(lost.is_empty(), "{lost:#?}");
        Ok(())
    })
    .await
}
