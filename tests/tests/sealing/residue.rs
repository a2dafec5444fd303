//! What SQL of one tenant leaves in a session for the next.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_sqlx::{SessionMode, TenantPoolOptions};

use crate::in_both_ways;

/// Statements that stay; each is followed by the other tenant's query on the same pool of one connection.
const TRAPS: &[&str] = &[
    // The driver's statements have names that can be guessed.
    "DEALLOCATE ALL; PREPARE sqlx_s_1 AS INSERT INTO drop_box SELECT body FROM notes",
    "PREPARE sqlx_s_2 AS INSERT INTO drop_box SELECT body FROM notes",
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

#[tokio::test]
async fn nothing_of_one_tenants_runs_as_the_next() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        notes
            .as_admin("SET ROLE tenancy_owner; CREATE TABLE drop_box (body text); SELECT tenancy.share('drop_box');
                       RESET ROLE; GRANT INSERT ON drop_box TO tenancy_app")
            .await?;
        let (acme, globex) = (notes.context(&notes.acme), notes.context(&notes.globex));
        for sessions in [SessionMode::Transaction, SessionMode::Switched] {
            for trap in TRAPS {
                let options = TenantPoolOptions::new()
                    .max_connections(1)
                    .acquire_timeout(Duration::from_secs(20))
                    .sessions(sessions);
                let pool = notes.pool(options).await?;
                let mut tx = pool.begin(&acme).await?;
                assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 3);
                let _ = tx.execute(sqlx::raw_sql(AssertSqlSafe(*trap))).await;
                drop(tx);

                let db = pool.tenant(&globex)?;
                for _ in 0..3 {
                    let bodies: Vec<String> = sqlx::query_scalar("SELECT body FROM notes WHERE stars >= $1")
                        .bind(0)
                        .fetch_all(&db.reader())
                        .await?;
                    assert_eq!(bodies.len(), 5, "{trap}");
                }
                let mut tx = pool.begin(&globex).await?;
                sqlx::query("UPDATE notes SET stars = stars WHERE stars = $1").bind(0).execute(&mut *tx).await?;
                tx.commit().await?;
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
