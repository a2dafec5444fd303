//! How long the check takes with a schema of some size.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _};
use tenancy_sqlx::{TenantPoolOptions, schema};
use tenancy_tests::{long, notes::on_every_server};

use crate::as_owner;

/// 500 protected tables, each with a reference to the one before and two keys; 100 views, of which
/// half are over views; 200 functions.
const SCHEMA: &str = "
DO $$
DECLARE
    table_name text;
    before text;
BEGIN
    FOR n IN 1..500 LOOP
        table_name := 'table_' || n || repeat('_', n % 31);
        EXECUTE format('CREATE TABLE %I (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), %s a int,
            b text UNIQUE, c jsonb, d timestamptz, e numeric, before_id uuid)', table_name,
            (SELECT string_agg(format('more_%s text,', m), ' ') FROM generate_series(1, n % 9) AS m));
        PERFORM tenancy.protect(table_name::regclass);
        IF before IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (tenant_id, before_id)
                REFERENCES %I (tenant_id, id)', table_name, before);
        END IF;
        CONTINUE WHEN n > 101;
        IF before IS NOT NULL THEN
            EXECUTE format('CREATE VIEW view_%s WITH (security_invoker) AS
                SELECT one.id, two.b FROM %I AS one JOIN %I AS two ON one.before_id = two.id %s',
                n - 1, table_name, before, CASE WHEN n > 51 THEN
                    format('JOIN view_%s AS v ON v.id = one.id', n - 51) END);
            EXECUTE format('GRANT SELECT ON view_%s TO tenancy_app', n - 1);
        END IF;
        before := table_name;
    END LOOP;
    FOR n IN 1..200 LOOP
        EXECUTE format('CREATE FUNCTION function_%s(a int) RETURNS int LANGUAGE plpgsql AS %L', n,
            repeat(E'\\n-- some lines of text that a function has', 20) || E'\\nBEGIN RETURN a; END');
    END LOOP;
END
$$";

/// The time of the first call on a connection, and the least of some more.
async fn times(url: &str, sql: &str) -> anyhow::Result<(Duration, Duration)> {
    let mut connection = sqlx::PgConnection::connect(url).await?;
    let mut times = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        sqlx::query(AssertSqlSafe(sql.to_owned()))
            .persistent(false)
            .fetch_all(&mut connection)
            .await?;
        times.push(begun.elapsed());
    }
    connection.close().await?;
    let first = *times.first().context("none")?;
    Ok((first, times.into_iter().min().unwrap_or(first)))
}

#[tokio::test]
async fn the_check_of_a_large_schema_is_timed() -> anyhow::Result<()> {
    if !long() {
        println!("skipped: set TENANCY_LONG=1");
        return Ok(());
    }
    on_every_server(async |notes| {
        as_owner(notes, SCHEMA).await?;
        let mut admin = notes.database.admin().await?;
        assert!(
            schema::findings(&mut admin, "tenancy_app")
                .await?
                .is_empty()
        );
        assert!(schema::code_warnings(&mut admin).await?.is_empty());
        let version = crate::told(notes, "SHOW server_version")
            .await?
            .unwrap_or_default();
        for call in [
            "login_findings('tenancy_app')",
            "guards()",
            "relation_findings('tenancy_app')",
            "code_warnings()",
        ] {
            let sql = format!("SELECT * FROM tenancy.{call}");
            let (first, least) = times(&notes.database.url(), &sql).await?;
            println!("PostgreSQL {version}: {call}: first {first:.1?}, least of 20 {least:.1?}");
        }
        let begun = Instant::now();
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        println!(
            "PostgreSQL {version}: a pool starts in {:.1?}",
            begun.elapsed()
        );
        pool.close().await;
        Ok(())
    })
    .await
}
