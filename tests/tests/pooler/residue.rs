//! What one tenant's transaction leaves in a session of the server.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::residue::{RESIDUE, backend, left_behind};

use crate::{Through, through_every_kind};

/// What is left where other clients of the pooler can meet it, besides [`RESIDUE`].
const MORE: [(&str, &str); 4] = [
    (
        "PREPARE mine AS SELECT 'secret'",
        "SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'",
    ),
    (
        "SET SESSION default_transaction_read_only = on",
        "SELECT (current_setting('default_transaction_read_only') = 'on')::int::bigint",
    ),
    (
        "SET SESSION TIME ZONE 'Asia/Tokyo'",
        "SELECT (current_setting('TimeZone') <> 'UTC')::int::bigint",
    ),
    (
        "CREATE TEMP SEQUENCE mine; SELECT nextval('mine')",
        "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()",
    ),
];

/// Settings that PgBouncer itself keeps apart.
const OWN_OF_CLIENTS: [&str; 1] = ["SET SESSION TIME ZONE 'Asia/Tokyo'"];

#[tokio::test]
async fn what_a_transaction_leaves_is_met_by_plain_clients_and_not_by_a_tenant()
-> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        for (leave, count) in RESIDUE.into_iter().chain(MORE) {
            if !OWN_OF_CLIENTS.contains(&leave) {
                let met = met_by_plain_clients(through, leave, count).await?;
                assert!(met > 0, "{leave} leaves nothing");
            }
            let one = || TenantPoolOptions::new().max_connections(1);
            let pools = [through.pool(one()).await?, through.pool(one()).await?];
            let (left, same) =
                left_behind(through.notes, [&pools[0], &pools[1]], leave, count).await?;
            assert_eq!((left, same), (0, true), "{leave} through {through:?}");
            for pool in pools {
                pool.close().await;
            }
        }
        Ok(())
    })
    .await
}

/// The same without the library: how much of what one client left there is for another.
async fn met_by_plain_clients(
    through: &Through<'_>,
    leave: &str,
    count: &str,
) -> anyhow::Result<i64> {
    let (mut former, mut next) = (through.raw().await?, through.raw().await?);
    let tenant = through.notes.acme.id;
    let transaction =
        format!("BEGIN; SELECT set_config('tenancy.tenant_id', '{tenant}', true); {leave}; COMMIT");
    plain(&mut former, &transaction).await?;
    let row = next
        .fetch_one(sqlx::raw_sql(AssertSqlSafe(count.to_owned())))
        .await?;
    let met = row.try_get(0)?;
    plain(&mut next, "DISCARD ALL").await?;
    Ok(met)
}

async fn plain(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    connection.execute(sql).await.map(drop)
}

#[tokio::test]
async fn what_outlives_a_commit_that_fails_is_not_met_either() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let pool = through.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool
            .begin(&through.notes.context(&through.notes.acme))
            .await?;
        let before = backend(&mut tx).await?;
        plain(
            &mut tx,
            "CREATE TEMP TABLE twice (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
             INSERT INTO twice VALUES (1), (1);
             SELECT pg_advisory_lock(4711)",
        )
        .await?;
        let failed = tx.commit().await.unwrap_err();
        assert!(failed.to_string().contains("twice"), "{failed}");

        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = $1";
        let mut admin = through.notes.database.admin().await?;
        let still: i64 = sqlx::query_scalar(held)
            .bind(before)
            .fetch_one(&mut admin)
            .await?;
        assert_eq!(still, 1, "the lock did not outlive the transaction");

        let mut next = pool
            .begin(&through.notes.context(&through.notes.globex))
            .await?;
        assert_eq!(backend(&mut next).await?, before);
        let own: i64 = sqlx::query_scalar(held)
            .bind(before)
            .fetch_one(&mut *next)
            .await?;
        assert_eq!(own, 0);
        Ok(())
    })
    .await
}

/// The server's own defaults are others than those which sqlx asks for.
#[tokio::test]
async fn a_session_is_as_sqlx_asked_for_it() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let database = through.notes.database.name();
        let defaults = format!(
            "ALTER DATABASE {database} SET timezone = 'Asia/Tokyo';
             ALTER DATABASE {database} SET datestyle = 'German';
             ALTER DATABASE {database} SET client_encoding = 'LATIN1'"
        );
        through.notes.as_admin(&defaults).await?;
        let app = through.app_options().application_name("o'notes");
        let pool = TenantPoolOptions::new()
            .connect_with(app, &through.notes.tenancy)
            .await?;
        let db = pool.tenant(&through.notes.context(&through.notes.acme))?;
        for _ in 0..3 {
            let told: (String, String, String, String, String) = sqlx::query_as(
                "SELECT current_setting('TimeZone'), current_setting('DateStyle'),
                     current_setting('client_encoding'), current_setting('application_name'), $1",
            )
            .bind("žluť €")
            .fetch_one(&db)
            .await?;
            let (zone, dates, encoding, name, text) = told;
            assert_eq!((zone.as_str(), dates.as_str()), ("UTC", "ISO, MDY"));
            assert_eq!((encoding.as_str(), text.as_str()), ("UTF8", "žluť €"));
            assert_eq!(name, "o'notes");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn statements_do_not_pile_up_in_the_server() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let pool = through
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;
        let db = pool.tenant(&through.notes.context(&through.notes.acme))?;
        // More than sqlx keeps prepared.
        let mut tx = db.begin().await?;
        for n in 0..150 {
            let asked = format!("SELECT {n}");
            let told: i32 = sqlx::query_scalar(AssertSqlSafe(asked))
                .fetch_one(&mut *tx)
                .await?;
            assert_eq!(told, n);
        }
        tx.commit().await?;
        let count = "SELECT count(*) FROM pg_prepared_statements";
        let left: i64 = sqlx::query_scalar(count).fetch_one(&db).await?;
        if through.kind.keeps_statements {
            assert!(left <= 200, "{left}");
        } else {
            assert_eq!(left, 1, "besides the one that asks");
        }
        Ok(())
    })
    .await
}
