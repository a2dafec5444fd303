//! Sessions that go on naming their tenant, so that the next plain statement goes out alone; and
//! writes in autocommit.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tenancy_core::{ProjectId, TenantStatus, testing::ContextBuilder, testing::StoreDirectly as _};
use tenancy_sqlx::{SessionMode, TenantDb, TenantPool, TenantPoolOptions};
use tenancy_tests::{
    DelayProxy,
    notes::{Notes, at_rest, on_every_server, sqlstate},
};

const READ: &str = "SELECT body FROM notes WHERE stars >= $1";
const WRITE: &str = "INSERT INTO notes (body) VALUES ($1)";

fn pinned() -> TenantPoolOptions {
    TenantPoolOptions::new()
        .max_connections(1)
        .sessions(SessionMode::Pinned)
        .check_session_every(0)
}

async fn read(db: &TenantDb) -> Result<usize, sqlx::Error> {
    let rows = sqlx::query(READ).bind(0).fetch_all(&db.reader()).await?;
    Ok(rows.len())
}

async fn write(db: &TenantDb) -> Result<(), sqlx::Error> {
    sqlx::query(WRITE).bind("written").execute(db).await?;
    Ok(())
}

/// How many round trips an operation takes, and what follows it behind the caller's back.
async fn trips<T>(
    proxy: &DelayProxy,
    pool: &TenantPool,
    operation: impl Future<Output = Result<T, sqlx::Error>>,
) -> anyhow::Result<u64> {
    at_rest(pool, 1).await?;
    let before = proxy.round_trips();
    operation.await?;
    at_rest(pool, 1).await?;
    Ok(proxy.round_trips() - before)
}

/// Both tenants' databases through a proxy, with the statements prepared.
async fn warm(
    notes: &Notes,
    options: TenantPoolOptions,
) -> anyhow::Result<(DelayProxy, TenantPool, TenantDb, TenantDb)> {
    let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
    let pool = notes.pool_through(&proxy, options).await?;
    let acme = pool.tenant(&notes.context(&notes.acme))?;
    let globex = pool.tenant(&notes.context(&notes.globex))?;
    assert_eq!((read(&acme).await?, read(&globex).await?), (3, 5));
    write(&acme).await?;
    write(&globex).await?;
    Ok((proxy, pool, acme, globex))
}

async fn kill_all(notes: &Notes) -> anyhow::Result<()> {
    notes
        .as_admin(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
             WHERE usename = 'tenancy_app' AND datname = current_database()",
        )
        .await
}

#[tokio::test]
async fn a_session_that_names_the_tenant_takes_one_round_trip() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool, acme, globex) = warm(notes, pinned()).await?;
        let before = pool.stats();
        assert_eq!(trips(&proxy, &pool, read(&acme)).await?, 2);
        assert_eq!(trips(&proxy, &pool, read(&acme)).await?, 1);
        assert_eq!(trips(&proxy, &pool, read(&acme)).await?, 1);
        assert_eq!(trips(&proxy, &pool, read(&globex)).await?, 2);
        assert_eq!(trips(&proxy, &pool, read(&globex)).await?, 1);
        let after = pool.stats();
        let counted = (
            after.pinned - before.pinned,
            after.switched - before.switched,
        );
        assert_eq!(counted, (3, 2));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_project_is_another_name() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool, acme, _) = warm(notes, pinned()).await?;
        let context = ContextBuilder::new(&notes.tenancy, notes.acme.clone())
            .project(ProjectId::new())
            .build();
        let project = pool.tenant(&context)?;
        read(&acme).await?;
        for db in [&project, &acme] {
            assert_eq!(trips(&proxy, &pool, read(db)).await?, 2);
            assert_eq!(trips(&proxy, &pool, read(db)).await?, 1);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn writes_run_in_autocommit_where_the_pool_is_told_to() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = pinned().autocommit_writes(true);
        let (proxy, pool, acme, globex) = warm(notes, options).await?;
        assert_eq!(trips(&proxy, &pool, write(&acme)).await?, 2);
        assert_eq!(trips(&proxy, &pool, write(&acme)).await?, 1);
        // Where only reads are allowed is another name.
        assert_eq!(trips(&proxy, &pool, read(&acme)).await?, 2);
        let refused = sqlx::query("DELETE FROM notes")
            .execute(&acme.reader())
            .await;
        assert_eq!(sqlstate(refused), "25006");
        assert_eq!(trips(&proxy, &pool, write(&globex)).await?, 2);
        assert_eq!(notes.count("notes", &notes.acme).await?, 6);
        assert_eq!(notes.count("notes", &notes.globex).await?, 7);

        let steal = "INSERT INTO notes (tenant_id, body) VALUES ($1, 'stolen')";
        let steal = sqlx::query(steal).bind(notes.globex.id.as_uuid());
        assert_eq!(sqlstate(steal.execute(&acme).await), "42501");
        let all = sqlx::query("UPDATE notes SET stars = stars").execute(&acme);
        assert_eq!(all.await?.rows_affected(), 6);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_plain_write_in_a_transaction_leaves_nothing_to_tidy_up() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, pool, acme, _) = warm(notes, pinned()).await?;
        for _ in 0..2 {
            assert_eq!(trips(&proxy, &pool, write(&acme)).await?, 3);
        }
        let lock = sqlx::query("SELECT pg_advisory_lock(1)").execute(&acme);
        // BEGIN, prepared and run, COMMIT, then tidied up.
        assert_eq!(trips(&proxy, &pool, lock).await?, 5);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_not_plain_runs_in_a_transaction() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = pinned().session_functions(["stay"]);
        let (proxy, pool, acme, _) = warm(notes, options).await?;
        notes
            .as_admin(
                "CREATE FUNCTION stay() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM set_config('app.stays', 'here', false); RETURN 1; END $$",
            )
            .await?;
        read(&acme).await?;
        let named = sqlx::query("SELECT public.stay()");
        let reader = acme.reader();
        let named = named.execute(&reader);
        // BEGIN, prepared and run, then tidied up.
        assert_eq!(trips(&proxy, &pool, named).await?, 4);
        let left: Option<String> = sqlx::query_scalar("SELECT current_setting('app.stays', true)")
            .fetch_one(&acme.reader())
            .await?;
        assert_eq!(left.unwrap_or_default(), "");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_function_has_left_is_gone_with_the_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin(
                "CREATE FUNCTION leave() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
                 CREATE TEMP TABLE left_behind (body text);
                 PERFORM set_config('app.left', 'behind', false), pg_advisory_lock(7);
                 RETURN 1; END $$",
            )
            .await?;
        let pool = notes.pool(pinned().autocommit_writes(true)).await?;
        let acme = pool.tenant(&notes.context(&notes.acme))?;
        let globex = pool.tenant(&notes.context(&notes.globex))?;
        let left = "SELECT coalesce(current_setting('app.left', true), '')
            || coalesce(to_regclass('pg_temp.left_behind')::text, '')
            || (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())";
        for next in [&acme, &globex] {
            sqlx::query("SELECT leave()").execute(&acme).await?;
            let mut tx = next.begin().await?;
            let found: String = tx.fetch_one(left).await?.get(0);
            assert_eq!(found, "0");
            tx.rollback().await?;
        }
        sqlx::query("SELECT leave()").execute(&acme).await?;
        let both = AssertSqlSafe(left.to_owned());
        let found: String = sqlx::query_scalar(both).fetch_one(&globex).await?;
        assert_eq!(found, "0");
        Ok(())
    })
    .await
}

/// One function lets a session write, the next one writes.
#[tokio::test]
async fn no_temporary_table_of_one_tenant_is_there_for_the_next() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin(
                "CREATE FUNCTION loosen() RETURNS text LANGUAGE sql AS $$
                     SELECT set_config('default_transaction_read_only', 'off', false) $$;
                 CREATE FUNCTION shadow() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
                     CREATE TEMP TABLE notes AS SELECT * FROM public.notes; RETURN 1; END $$",
            )
            .await?;
        let pool = notes.pool(pinned()).await?;
        let acme = pool.tenant(&notes.context(&notes.acme))?;
        let globex = pool.tenant(&notes.context(&notes.globex))?;
        for next in [&globex, &acme] {
            for step in ["SELECT loosen()", "SELECT shadow()"] {
                sqlx::query(step).execute(&acme.reader()).await?;
            }
            let own = if std::ptr::eq(next, &globex) { 5 } else { 3 };
            // Another tenant, or a transaction of the same one.
            let mut tx = next.begin().await?;
            let shadowed = "SELECT to_regclass('pg_temp.notes') IS NOT NULL";
            assert!(!tx.fetch_one(shadowed).await?.get::<bool, _>(0));
            assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), own);
            tx.rollback().await?;
        }
        for step in ["SELECT loosen()", "SELECT shadow()"] {
            sqlx::query(step).execute(&acme.reader()).await?;
        }
        assert_eq!(read(&globex).await?, 5);
        write(&globex).await?;
        assert_eq!(notes.count("notes", &notes.globex).await?, 6);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_function_has_locked_is_free_soon() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin(
                "CREATE FUNCTION hold() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM pg_advisory_lock(7); RETURN 1; END $$",
            )
            .await?;
        let pool = notes.pool(pinned()).await?;
        let acme = pool.tenant(&notes.context(&notes.acme))?;
        sqlx::query("SELECT hold()").execute(&acme.reader()).await?;
        // Waits until then.
        notes.as_admin("SELECT pg_advisory_lock(7)").await?;
        assert_eq!(read(&acme).await?, 3);
        Ok(())
    })
    .await
}

/// The session's name is not what keeps tenants apart, and it is looked at.
#[tokio::test]
async fn a_function_that_names_another_tenant_is_found() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin(
                "CREATE FUNCTION sneak(other text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
                 RETURN set_config('tenancy.tenant_id', other, false); END $$",
            )
            .await?;
        for mode in [SessionMode::Switched, SessionMode::Pinned] {
            let pool = pinned().sessions(mode).check_session_every(1);
            let pool = notes.pool(pool).await?;
            let acme = pool.tenant(&notes.context(&notes.acme))?;
            assert_eq!(read(&acme).await?, 3);
            let sneak = sqlx::query("SELECT sneak($1)").bind(notes.globex.id.to_string());
            let lost = sneak.execute(&acme.reader()).await.unwrap_err();
            let lost = lost.to_string();
            assert!(lost.contains("no longer carries its tenant"), "{lost}");
            // It has run, and nothing was rolled back.
            assert!(lost.contains("the statement has taken effect"), "{lost}");
            assert!(!lost.contains("rolled back"), "{lost}");
            assert_eq!(read(&acme).await?, 3);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_process_that_was_ended_costs_a_read_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = pinned().autocommit_writes(true);
        let (_proxy, _pool, acme, _) = warm(notes, options).await?;
        for _ in 0..3 {
            read(&acme).await?;
            kill_all(notes).await?;
            assert_eq!(read(&acme).await?, 4);
        }
        // Whether a write has run can't be told.
        write(&acme).await?;
        kill_all(notes).await?;
        assert_eq!(sqlstate(write(&acme).await), "57P01");
        write(&acme).await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 6);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_connection_that_breaks_is_an_error_once() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (proxy, _pool, acme, _) = warm(notes, pinned()).await?;
        read(&acme).await?;
        proxy.cut();
        let broken = read(&acme).await;
        assert!(matches!(broken, Err(sqlx::Error::Io(_))), "{broken:?}");
        assert_eq!(read(&acme).await?, 4);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_strict_pool_asks_before_each_statement() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = pinned().strict(true);
        let (proxy, pool, acme, _) = warm(notes, options).await?;
        for _ in 0..2 {
            assert_eq!(trips(&proxy, &pool, read(&acme)).await?, 2);
        }
        notes
            .directory
            .set_status(notes.acme.id, TenantStatus::Suspended)
            .await?;
        let refused = read(&acme).await.unwrap_err();
        let refused = tenancy_sqlx::Error::from(refused);
        assert_eq!(refused.kind(), tenancy_sqlx::ErrorKind::TenantChanged);
        Ok(())
    })
    .await
}
