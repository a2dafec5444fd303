//! Each way in which a tenant's statement runs is told of once, with its tenant, its principal, its shape and its rows.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tenancy_core::{AuditEntry, Clock as _, Outcome, SystemClock, TenantRecord, UserId};
use tenancy_core::{outbox::NewEvent, testing::ContextBuilder};
use tenancy_sqlx::statement_log::StatementOutcome;
use tenancy_sqlx::{BulkInsert, SessionMode, TenantPoolOptions, TxConnection};
use tenancy_tests::notes::{Notes, on_every_server};

use crate::world::Logged;

const BODIES: &str = "SELECT body FROM notes";

/// Runs one statement in each way, and returns what is to be told of them.
async fn in_each_way(
    notes: &Notes,
    logged: &Logged,
    tenant: &TenantRecord,
    user: UserId,
    own: u64,
) -> anyhow::Result<Vec<(&'static str, u64)>> {
    let context = ContextBuilder::new(&notes.tenancy, tenant.clone())
        .user(user)
        .build();
    let db = logged.pool.tenant(&context)?;
    let mut told = Vec::new();

    // Through the database as the tenant sees it.
    assert_eq!(db.fetch_all(BODIES).await?.len() as u64, own);
    told.push(("select body from notes", own));
    sqlx::query("SELECT body FROM notes WHERE stars >= $1")
        .bind(0)
        .fetch_one(&db)
        .await?;
    told.push(("select body from notes where stars >= $1", 1));
    sqlx::query("UPDATE notes SET stars = 7")
        .execute(&db)
        .await?;
    told.push(("update notes set stars = ?", own));

    // Through its reader: whole, a row, and as a stream.
    assert_eq!(db.reader().fetch_all(BODIES).await?.len() as u64, own);
    told.push(("select body from notes", own));
    let none = sqlx::query("SELECT body FROM notes WHERE stars = 4711")
        .fetch_optional(&db.reader())
        .await?;
    assert!(none.is_none());
    told.push(("select body from notes where stars = ?", 0));
    {
        let reader = db.reader();
        let mut rows = sqlx::query("SELECT id FROM notes").fetch(&reader);
        while rows.try_next().await?.is_some() {}
    }
    told.push(("select id from notes", own));

    // In a transaction, in a savepoint, and in a function that is handed a connection.
    let mut tx = logged.pool.begin(&context).await?;
    assert_eq!(tx.fetch_all(BODIES).await?.len() as u64, own);
    told.push(("select body from notes", own));
    assert_eq!(count(&mut tx).await? as u64, own);
    told.push(("select count(*) from notes", 1));
    let mut savepoint = tx.savepoint().await?;
    sqlx::query("UPDATE notes SET stars = stars + 1")
        .execute(&mut *savepoint)
        .await?;
    told.push(("update notes set stars = stars + ?", own));
    savepoint.rollback().await?;
    let inserted =
        BulkInsert::into_table("notes").column("body", vec!["one".to_owned(), "two".to_owned()]);
    assert_eq!(inserted.execute(&mut tx).await?, 2);
    told.push((
        "insert into \"notes\"(\"body\") select * from unnest($1[])",
        2,
    ));
    // What the library writes beside them is not told of, and does not count as past the log.
    tx.emit(&NewEvent::new("note.created", serde_json::json!({}))?)
        .await?;
    tx.record(&AuditEntry::new(
        SystemClock.now(),
        "note.create",
        Outcome::Allowed,
    ))
    .await?;
    tx.check_tenant().await?;
    tx.rollback().await?;
    Ok(told)
}

async fn count(connection: &mut TxConnection) -> Result<i64, sqlx::Error> {
    let row = connection.fetch_one("SELECT count(*) FROM notes").await?;
    row.try_get(0)
}

#[tokio::test]
async fn each_statement_is_told_of_once_in_each_mode() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new;
        for pool in [
            options().sessions(SessionMode::Transaction),
            options().sessions(SessionMode::Switched),
            options()
                .sessions(SessionMode::Pinned)
                .autocommit_writes(true),
        ] {
            let logged = Logged::start(notes, pool, |log| log.sample_one_in(1)).await?;
            for (tenant, own) in [(&notes.acme, 3), (&notes.globex, 5)] {
                let user = UserId::new();
                let told = in_each_way(notes, &logged, tenant, user, own).await?;
                let records = logged.records_of(tenant).await;
                let shapes: Vec<_> = records.iter().map(|r| (&*r.shape, r.rows)).collect();
                assert_eq!(shapes, told);
                for record in &records {
                    assert_eq!(record.actor, Some(tenancy_core::Actor::User(user)));
                    assert_eq!(record.outcome, StatementOutcome::Done);
                    assert!(record.sampled && !record.slow && !record.outside);
                    assert!(record.protected_tables.is_empty());
                }
            }
            let stats = logged.log.stats();
            assert_eq!((stats.past, stats.seen), (0, stats.recorded));
        }
        Ok(())
    })
    .await
}

/// A tenant's part in the log is what it has run: another's statements are neither its own nor left out.
#[tokio::test]
async fn statements_that_run_at_once_are_each_told_of_for_their_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let logged = Logged::whole(notes).await?;
        let mut running = tokio::task::JoinSet::new();
        for number in 0..60 {
            let (tenant, name) = [(&notes.acme, "acme"), (&notes.globex, "globex")][number % 2];
            let db = logged.pool.tenant(&notes.context(tenant))?;
            running.spawn(async move {
                let sql = format!("SELECT body AS {name}_{number} FROM notes");
                db.reader().fetch_all(AssertSqlSafe(sql)).await
            });
        }
        let mut rows = Vec::new();
        while let Some(ended) = running.join_next().await {
            rows.push(ended??.len());
        }
        rows.sort_unstable();
        // Both have rows of their own.
        assert_eq!(rows, [vec![3; 30], vec![5; 30]].concat());
        for (tenant, name, own) in [(&notes.acme, "acme", 3), (&notes.globex, "globex", 5)] {
            let records = logged.records_of(tenant).await;
            assert_eq!(records.len(), 30);
            for record in records {
                assert!(
                    record.shape.starts_with(&format!("select body as {name}_")),
                    "{record:?}"
                );
                assert_eq!(record.rows, own);
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_sample_is_one_in_so_many_by_number() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let logged =
            Logged::start(notes, TenantPoolOptions::new(), |log| log.sample_one_in(5)).await?;
        for number in 0..40 {
            let tenant = [&notes.acme, &notes.globex][number % 2];
            let db = logged.pool.tenant(&notes.context(tenant))?;
            db.reader().fetch_all(BODIES).await?;
        }
        assert_eq!(logged.records().await.len(), 8);
        let stats = logged.log.stats();
        assert_eq!((stats.seen, stats.recorded), (40, 8));
        Ok(())
    })
    .await
}
