//! Plain reads in sessions that name their tenant, without a transaction.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tenancy_sqlx::{SessionMode, StartErrorKind, TenantDb, TenantPool, TenantPoolOptions};
use tenancy_tests::{
    DelayProxy,
    notes::{Notes, at_rest, on_every_server, sqlstate},
};
use tokio::task::JoinSet;

const COUNT: &str = "SELECT count(*) FROM notes";

fn switched(connections: u32) -> TenantPoolOptions {
    TenantPoolOptions::new()
        .max_connections(connections)
        .sessions(SessionMode::Switched)
        .check_session_every(0)
}

/// The rows that a reader sees; with and without arguments.
async fn seen(db: &TenantDb) -> anyhow::Result<(i64, i64)> {
    let plain: i64 = sqlx::query_scalar(COUNT).fetch_one(&db.reader()).await?;
    let filtered = sqlx::query("SELECT body FROM notes WHERE stars >= $1").bind(0);
    let rows = filtered.fetch_all(&db.reader()).await?;
    Ok((plain, i64::try_from(rows.len())?))
}

async fn both(notes: &Notes, pool: &TenantPool) -> anyhow::Result<()> {
    for (tenant, own) in [(&notes.acme, 3), (&notes.globex, 5)] {
        let db = pool.tenant(&notes.context(tenant))?;
        assert_eq!(seen(&db).await?, (own, own));
    }
    Ok(())
}

/// A function of the application's that anybody may call.
async fn function(notes: &Notes, head: &str, body: &str) -> anyhow::Result<()> {
    notes
        .as_admin(&format!(
            "CREATE FUNCTION {head} LANGUAGE plpgsql AS $$ BEGIN {body}; END $$"
        ))
        .await
}

#[tokio::test]
async fn a_plain_read_takes_two_round_trips_and_none_afterwards() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let pool = notes.pool_through(&proxy, switched(1)).await?;
        both(notes, &pool).await?;
        for tenant in [&notes.acme, &notes.acme, &notes.globex] {
            let db = pool.tenant(&notes.context(tenant))?;
            at_rest(&pool, 1).await?;
            let before = proxy.round_trips();
            let filtered = sqlx::query("SELECT body FROM notes WHERE stars >= $1").bind(0);
            filtered.fetch_one(&db.reader()).await?;
            at_rest(&pool, 1).await?;
            assert_eq!(proxy.round_trips() - before, 2);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_reader_sees_its_own_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let one = notes.pool(switched(1)).await?;
        for _ in 0..3 {
            both(notes, &one).await?;
        }

        let several = notes.pool(switched(3)).await?;
        let mut readers = JoinSet::new();
        for number in 0..200 {
            let (tenant, own) = [(&notes.acme, 3), (&notes.globex, 5)][number % 2];
            let db = several.tenant(&notes.context(tenant))?;
            readers.spawn(async move { anyhow::Ok(seen(&db).await? == (own, own)) });
        }
        while let Some(own) = readers.join_next().await {
            assert!(own??, "another tenant's rows");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_transaction_after_a_read_finds_no_name_and_no_limit_of_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(switched(1)).await?;
        let acme = pool.tenant(&notes.context(&notes.acme))?;
        for stray in ["COMMIT", "ROLLBACK", "RESET ALL"] {
            assert_eq!(seen(&acme).await?, (3, 3));
            let mut tx = pool.begin(&notes.context(&notes.globex)).await?;
            assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 5);
            tx.execute("UPDATE notes SET stars = stars").await?;
            tx.execute(stray).await?;

            let row = tx
                .fetch_one(
                    "SELECT current_setting('tenancy.tenant_id', true),
                        current_setting('tenancy.project_id', true),
                        current_setting('default_transaction_read_only'),
                        current_setting('statement_timeout'),
                        (SELECT count(*) FROM notes)",
                )
                .await?;
            assert_eq!(row.get::<Option<&str>, _>(0).unwrap_or(""), "", "{stray}");
            assert_eq!(row.get::<Option<&str>, _>(1).unwrap_or(""), "", "{stray}");
            assert_eq!(row.get::<&str, _>(2), "off", "{stray}");
            assert_eq!(row.get::<&str, _>(3), "30s", "{stray}");
            assert_eq!(row.get::<i64, _>(4), 0, "{stray}");
        }
        // A readiness check is nobody's.
        assert_eq!(seen(&acme).await?, (3, 3));
        pool.ready().await?;
        Ok(())
    })
    .await
}

/// Reproduced where sessions keep their tenant: the next requests read the other tenant's rows.
#[tokio::test]
async fn a_function_that_names_another_tenant_changes_nothing_for_the_next_read()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let head = "sneak(other text) RETURNS text";
        let body = "RETURN set_config('tenancy.tenant_id', other, false)";
        function(notes, head, body).await?;
        let pool = notes.pool(switched(1)).await?;
        let acme = pool.tenant(&notes.context(&notes.acme))?;
        let other = notes.globex.id.to_string();
        let sneak = sqlx::query_scalar::<_, String>("SELECT sneak($1)").bind(&other);
        assert_eq!(sneak.fetch_one(&acme.reader()).await?, other);
        both(notes, &pool).await?;

        let sneak = sqlx::query_scalar::<_, String>("SELECT sneak($1)").bind(&other);
        sneak.fetch_one(&acme.reader()).await?;
        let mut tx = acme.begin().await?;
        assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 3);
        tx.execute("COMMIT").await?;
        assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_function_leaves_in_a_session_is_gone_with_the_next_use() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let body = "PERFORM pg_advisory_lock(7); PERFORM set_config('app.left', 'behind', false)";
        function(notes, "leave() RETURNS void", body).await?;
        let pool = notes.pool(switched(1)).await?;
        let acme = pool.tenant(&notes.context(&notes.acme))?;
        let globex = pool.tenant(&notes.context(&notes.globex))?;
        let left = "SELECT coalesce(current_setting('app.left', true), '') || (SELECT count(*)
                    FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())";
        let both = format!("SELECT left_by.*, ({left}) FROM leave() AS left_by");
        let row = sqlx::query(AssertSqlSafe(both))
            .fetch_one(&acme.reader())
            .await?;
        assert_eq!(row.get::<&str, _>(1), "behind1");

        let found: String = sqlx::query_scalar(left).fetch_one(&globex.reader()).await?;
        assert_eq!(found, "0");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_plain_read_can_not_write() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let body = "INSERT INTO notes (body) VALUES ('x'); RETURN 1";
        function(notes, "write() RETURNS int", body).await?;
        let pool = notes.pool(switched(1)).await?;
        let acme = pool.tenant(&notes.context(&notes.acme))?;
        for write in ["SELECT write()", "DELETE FROM notes"] {
            let refused = sqlx::query(write).execute(&acme.reader()).await;
            assert_eq!(sqlstate(refused), "25006", "{write}");
        }
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        sqlx::query("SELECT write()").execute(&acme).await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 4);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn limits_hold_and_a_failed_read_leaves_a_usable_connection() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let limit = Some(Duration::from_millis(50));
        let pool = notes.pool(switched(1).statement_timeout(limit)).await?;
        let acme = pool.tenant(&notes.context(&notes.acme))?;
        for (fails, state) in [("SELECT pg_sleep(60)", "57014"), ("SELECT 1 / 0", "22012")] {
            let failed = sqlx::query(fails).fetch_all(&acme.reader()).await;
            assert_eq!(sqlstate(failed), state);
            let failed = sqlx::query(fails).fetch_optional(&acme.reader()).await;
            assert_eq!(sqlstate(failed), state);
        }
        both(notes, &pool).await
    })
    .await
}

#[tokio::test]
async fn a_release_fails_no_plain_read() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(switched(1)).await?;
        let acme = pool.tenant(&notes.context(&notes.acme))?;
        let all = "SELECT * FROM notes WHERE stars >= $1";
        let columns = async || {
            let rows = sqlx::query(all).bind(0).fetch_all(&acme.reader()).await?;
            let row = sqlx::query(all).bind(0).fetch_one(&acme.reader()).await?;
            assert_eq!((rows.len(), rows[0].len()), (3, row.len()));
            anyhow::Ok(row.len())
        };
        let before = columns().await?;
        for added in 1..4 {
            let release = format!("ALTER TABLE notes ADD COLUMN added{added} int");
            notes.as_admin(&release).await?;
            assert_eq!(columns().await?, before + added);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn connections_that_died_are_replaced_without_an_error() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let pool = notes.pool_through(&proxy, switched(2)).await?;
        both(notes, &pool).await?;
        proxy.cut();
        both(notes, &pool).await
    })
    .await
}

#[tokio::test]
async fn options_that_contradict_each_other_are_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let writes = || TenantPoolOptions::new().autocommit_writes(true);
        for contradiction in [
            switched(1).reset_session(false),
            writes().reset_session(false),
            writes().sessions(SessionMode::Transaction),
            writes().check_tenant_at_commit(true),
            writes().replica("postgres://localhost/notes"),
        ] {
            let text = format!("{contradiction:?}");
            let app = notes.app_options();
            let refused = contradiction.connect_with(app, &notes.tenancy).await;
            let refused = refused.unwrap_err();
            assert_eq!(
                refused.kind(),
                StartErrorKind::BadOptions,
                "{text}: {refused}"
            );
        }
        Ok(())
    })
    .await
}
