//! What SQL of one tenant leaves in a session for the next.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_core::TenantContext;
use tenancy_sqlx::{SessionMode, TenantPool, TenantPoolOptions};

use crate::in_both_ways;

/// Statements that stay; each is followed by the other tenant's query on the same pool of one connection.
const TRAPS: &[&str] = &[
    // What the driver has prepared for the next one, replaced by something that answers alike.
    "DO $$ DECLARE p text; BEGIN FOR p IN SELECT name FROM pg_prepared_statements LOOP
         EXECUTE format('DEALLOCATE %I', p);
         EXECUTE format('PREPARE %I (int4) AS INSERT INTO drop_box SELECT body FROM notes
             WHERE stars >= $1 RETURNING body', p);
     END LOOP; END $$",
    "CREATE TEMP TABLE notes AS SELECT 'trap' AS body",
    "CREATE TEMP TABLE t (n int);
     CREATE FUNCTION pg_temp.steal() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN INSERT INTO drop_box SELECT body FROM public.notes; RETURN NULL; END';
     CREATE CONSTRAINT TRIGGER steal AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION pg_temp.steal();
     COMMIT; BEGIN; INSERT INTO t VALUES (1)",
    "SET search_path = pg_temp; CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (false)",
    "SET default_transaction_read_only = on; COMMIT; BEGIN",
    "COMMIT; SET default_transaction_isolation = 'serializable'; SET default_transaction_read_only = on",
    "COMMIT",
    "COMMIT; RESET ALL",
    "COMMIT; SELECT tenancy_seal.open()",
    "COMMIT; BEGIN; SELECT 1 / 0",
    "DECLARE c CURSOR WITH HOLD FOR SELECT body FROM notes; COMMIT",
];

/// Reads a tenant's notes in a transaction that may write, by a statement that stays prepared.
async fn bodies(pool: &TenantPool, tenant: &TenantContext) -> anyhow::Result<usize> {
    let mut tx = pool.begin(tenant).await?;
    let read = sqlx::query("SELECT body FROM notes WHERE stars >= $1").bind(0);
    let rows = read.fetch_all(&mut *tx).await?.len();
    tx.commit().await?;
    Ok(rows)
}

#[tokio::test]
async fn nothing_of_one_tenants_runs_as_the_next() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        notes
            .as_admin("SET ROLE tenancy_owner; CREATE TABLE drop_box (body text); SELECT tenancy.share('drop_box');
                       RESET ROLE; GRANT INSERT ON drop_box TO tenancy_app")
            .await?;
        let (acme, globex) = (notes.context(&notes.acme), notes.context(&notes.globex));
        for sessions in [
            SessionMode::Transaction,
            SessionMode::Switched,
            SessionMode::Pinned,
        ] {
            for trap in TRAPS {
                let options = TenantPoolOptions::new()
                    .max_connections(1)
                    .acquire_timeout(Duration::from_secs(20))
                    .sessions(sessions);
                let pool = notes.pool(options).await?;
                assert_eq!(bodies(&pool, &globex).await?, 5);
                let mut tx = pool.begin(&acme).await?;
                assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 3);
                let _ = tx.execute(sqlx::raw_sql(AssertSqlSafe(*trap))).await;
                drop(tx);

                assert_eq!(bodies(&pool, &globex).await?, 5, "{trap}");
                let reader = pool.tenant(&globex)?.reader();
                for _ in 0..2 {
                    let read = sqlx::query("SELECT FROM notes").fetch_all(&reader);
                    assert_eq!(read.await?.len(), 5, "{trap}");
                }
                let mut admin = notes.database.admin().await?;
                // Both tenants' notes have texts of the same form: only `globex` has a fifth.
                let fifth: i64 = sqlx::query_scalar("SELECT count(*) FROM drop_box WHERE body = 'note 5'")
                    .fetch_one(&mut admin)
                    .await?;
                assert_eq!(fifth, 0, "{trap}");
                pool.close().await;
            }
        }
        Ok(())
    })
    .await
}
