//! What the service's login may not do to tables, roles and policies.

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::{on_every_server, sqlstate};

#[tokio::test]
async fn the_login_can_not_step_out_of_row_security() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        for attempt in [
            "TRUNCATE notes",
            "TRUNCATE notes, notebooks CASCADE",
            "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE notes NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE notes OWNER TO tenancy_app",
            "DROP POLICY tenancy_guard ON notes",
            "ALTER POLICY tenancy_allow ON notes USING (true)",
            "CREATE POLICY open ON notes USING (true)",
            "CREATE TRIGGER spy AFTER INSERT ON notes EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "CREATE TABLE copies (LIKE notes)",
            "CREATE FUNCTION spy() RETURNS void LANGUAGE sql AS ''",
            "SET LOCAL ROLE tenancy_owner",
            "SET LOCAL ROLE tenancy_system",
            "SET LOCAL ROLE postgres",
            "SET SESSION AUTHORIZATION tenancy_system",
            "SET LOCAL session_replication_role = 'replica'",
            "GRANT tenancy_system TO tenancy_app",
            "ALTER ROLE tenancy_app BYPASSRLS",
            "SELECT tenancy.protect('notes')",
            "SELECT tenancy.advance_generation(gen_random_uuid())",
            "UPDATE tenancy.role_names SET name = 'tenancy_app'",
            "DELETE FROM tenancy.migrations",
        ] {
            let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
            let refused = sqlstate(tx.execute(attempt).await);
            // PostgreSQL 18 has its own code for a role that may not be taken on.
            assert!(refused == "42501" || refused == "22023", "{attempt}: {refused}");
        }
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn switching_row_security_off_is_an_error_and_not_a_way_round() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        tx.execute("SET LOCAL row_security = off").await?;

        assert_eq!(sqlstate(tx.fetch_all("SELECT FROM notes").await), "42501");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn taking_off_a_role_gives_the_login_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        for attempt in [
            "SET LOCAL ROLE NONE",
            "RESET ROLE",
            "SET SESSION AUTHORIZATION DEFAULT",
            "SELECT set_config('role', 'none', true)",
        ] {
            let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
            tx.execute(attempt).await?;
            let rows = tx.fetch_all("SELECT FROM notes").await?.len();
            assert_eq!(rows, 3, "{attempt}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_login_writes_protected_tables_only() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let writable: Vec<String> = sqlx::query_scalar(
            "SELECT c.oid::regclass::text FROM pg_class AS c
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
                 AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
                 AND has_table_privilege('tenancy_app', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
                 -- A view with the caller's rights reaches no more than the tables behind it.
                 AND NOT (c.relkind = 'v' AND c.reloptions @> '{security_invoker=true}')
                 AND NOT (c.relrowsecurity AND EXISTS (
                     SELECT FROM pg_policy AS p
                     WHERE p.polrelid = c.oid AND p.polname = 'tenancy_guard'))",
        )
        .fetch_all(&mut notes.database.admin().await?)
        .await?;

        assert_eq!(writable, Vec::<String>::new());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_careless_policy_of_a_later_day_opens_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for careless in [
            "CREATE POLICY everybody ON notes USING (true)",
            "CREATE POLICY anybody ON notes TO tenancy_app USING (true) WITH CHECK (true)",
            "CREATE POLICY authors ON notes FOR UPDATE USING (true) WITH CHECK (true)",
        ] {
            notes.as_admin(careless).await?;
        }
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let acme = pool.tenant(&notes.context(&notes.acme))?;

        let seen = sqlx::query("SELECT FROM notes").fetch_all(&acme).await?;
        assert_eq!(seen.len(), 3);
        let moved = format!("UPDATE notes SET tenant_id = '{}'", notes.globex.id);
        let moved = sqlx::query(AssertSqlSafe(moved)).execute(&acme).await;
        assert_eq!(sqlstate(moved), "42501");
        Ok(())
    })
    .await
}
