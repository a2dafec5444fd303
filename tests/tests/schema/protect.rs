//! `tenancy.protect`: what it makes of a table, and what it refuses.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tenancy_core::TenantRecord;
use tenancy_sqlx::{TenantPoolOptions, schema};
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};

use crate::{as_owner, refusal, told};

/// Inserts a row of each tenant as the tenant, and makes sure that `acme` sees its own.
async fn shows_own_rows_only(notes: &Notes, table: &str, column: &str) -> anyhow::Result<()> {
    let pool = notes.pool(TenantPoolOptions::new()).await?;
    for tenant in [&notes.acme, &notes.globex] {
        let db = pool.tenant(&notes.context(tenant))?;
        let insert = AssertSqlSafe(format!("INSERT INTO {table} ({column}) VALUES (1)"));
        sqlx::query(insert).execute(&db).await?;
        let select = AssertSqlSafe(format!("SELECT FROM {table}"));
        let rows = sqlx::query(select).fetch_all(&db).await?.len();
        anyhow::ensure!(rows == 1, "{table} shows {rows} rows");
    }
    pool.close().await;
    Ok(())
}

#[tokio::test]
async fn a_table_without_the_column_gets_it_and_everything_else() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let make = "CREATE TABLE plain (n int PRIMARY KEY); SELECT tenancy.protect('plain')";
        as_owner(notes, make).await?;

        shows_own_rows_only(notes, "plain", "n").await?;
        let state = told(
            notes,
            "SELECT concat_ws(' ', relowner::regrole, relrowsecurity, relforcerowsecurity,
                 (SELECT count(*) FROM pg_index WHERE indrelid = c.oid AND indkey[0] =
                     (SELECT attnum FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id')))
             FROM pg_class AS c WHERE oid = 'plain'::regclass",
        );
        assert_eq!(state.await?.as_deref(), Some("tenancy_owner t t 1"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_policies_and_grants_are_these() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let policies = told(
            notes,
            "SELECT string_agg(concat_ws(' ', policyname, permissive, cmd, roles, qual, with_check),
                 E'\\n' ORDER BY policyname)
             FROM pg_policies WHERE tablename = 'notes'",
        );
        let own = "(tenant_id = ( SELECT tenancy.current_tenant() AS current_tenant))";
        let seen = "((tenant_id >= ( SELECT tenancy.first_tenant() AS first_tenant)) AND \
            (tenant_id <= ( SELECT tenancy.last_tenant() AS last_tenant)))";
        let expected = format!(
            "tenancy_allow PERMISSIVE ALL {{tenancy_app}} {own} {own}\n\
             tenancy_guard RESTRICTIVE ALL {{tenancy_app}} {own} {own}\n\
             tenancy_owner PERMISSIVE ALL {{tenancy_owner}} true true\n\
             tenancy_owner_guard RESTRICTIVE ALL {{tenancy_owner}} {seen} {seen}\n\
             tenancy_system PERMISSIVE ALL {{tenancy_system}} true true"
        );
        assert_eq!(policies.await?, Some(expected));

        let grants = told(
            notes,
            "SELECT string_agg(grantee || ' ' || privilege_type, ', ' ORDER BY grantee, privilege_type)
             FROM information_schema.role_table_grants
             WHERE table_name = 'notes' AND grantee <> 'tenancy_owner'",
        );
        let expected = "tenancy_app DELETE, tenancy_app INSERT, tenancy_app SELECT, \
            tenancy_app UPDATE, tenancy_system DELETE, tenancy_system INSERT, \
            tenancy_system SELECT, tenancy_system UPDATE";
        assert_eq!(grants.await?.as_deref(), Some(expected));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn protecting_again_changes_nothing_and_waits_for_nobody() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let state = "SELECT concat_ws(' ',
            (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_policy WHERE polrelid = 'notes'::regclass),
            (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_constraint WHERE conrelid = 'notes'::regclass),
            (SELECT string_agg(indexrelid::text, ',' ORDER BY indexrelid) FROM pg_index WHERE indrelid = 'notes'::regclass),
            (SELECT relacl FROM pg_class WHERE oid = 'notes'::regclass))";
        let before = told(notes, state).await?;
        let mut reader = notes.database.admin().await?;
        let mut reading = reader.begin().await?;
        reading.execute("SELECT FROM notes LIMIT 1").await?;

        let mut owner = notes.database.admin().await?;
        owner
            .execute("SET ROLE tenancy_owner; SET lock_timeout = '2s'")
            .await?;
        schema::protect(&mut owner, "notes").await?;
        schema::protect(&mut owner, "public.notebooks").await?;

        assert_eq!(told(notes, state).await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn protecting_again_mends_a_policy_that_was_altered() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for damage in [
            "ALTER POLICY tenancy_allow ON notes USING (true)",
            "ALTER POLICY tenancy_guard ON notes USING (true) WITH CHECK (true)",
            "ALTER POLICY tenancy_guard ON notes TO tenancy_system",
            "DROP POLICY tenancy_guard ON notes",
            "DROP POLICY tenancy_guard ON notes; CREATE POLICY tenancy_guard ON notes USING (true)",
            "ALTER TABLE notes NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
            "GRANT TRUNCATE ON notes TO tenancy_app",
            "DROP POLICY tenancy_owner_guard ON notes",
            "ALTER POLICY tenancy_owner_guard ON notes USING (true) WITH CHECK (true)",
        ] {
            let state = "SELECT concat_ws(' ', relrowsecurity, relforcerowsecurity, relacl, (
                    SELECT string_agg(concat_ws(' ', policyname, permissive, roles, qual, with_check), ' '
                        ORDER BY policyname) FROM pg_policies WHERE tablename = 'notes'))
                FROM pg_class WHERE oid = 'notes'::regclass";
            let before = told(notes, state).await?;
            as_owner(notes, damage).await?;
            assert_ne!(told(notes, state).await?, before, "{damage}");

            as_owner(notes, "SELECT tenancy.protect('notes')").await?;
            assert_eq!(told(notes, state).await?, before, "{damage}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn rows_without_a_tenant_are_an_error_that_says_what_to_do() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let make = "CREATE TABLE filled (n int); INSERT INTO filled VALUES (1)";
        as_owner(notes, make).await?;
        let protect = "SELECT tenancy.protect('filled')";
        let told = refusal(as_owner(notes, protect).await);
        assert!(told.contains("rows that belong to no tenant"), "{told}");
        assert!(told.contains("ADD COLUMN tenant_id uuid"), "{told}");

        as_owner(notes, "ALTER TABLE filled ADD tenant_id uuid").await?;
        let told = refusal(as_owner(notes, protect).await);
        assert!(
            told.contains("\"tenant_id\"") && told.contains("null values"),
            "{told}"
        );

        let unknown = TenantRecord::new("nobody".parse()?, "Nobody").id;
        let fill = |id| format!("UPDATE filled SET tenant_id = '{id}'");
        as_owner(notes, &fill(unknown)).await?;
        assert_eq!(sqlstate(as_owner(notes, protect).await), "23503");

        as_owner(notes, &fill(notes.acme.id)).await?;
        as_owner(notes, protect).await?;
        assert_eq!(notes.count("filled", &notes.acme).await?, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_no_table_of_the_application_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let make = "CREATE VIEW v AS SELECT 1 AS n; CREATE MATERIALIZED VIEW m AS SELECT 1 AS n;
            CREATE SEQUENCE s; CREATE TABLE badly_typed (tenant_id text)";
        as_owner(notes, make).await?;
        notes
            .as_admin(
                "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER elsewhere FOREIGN DATA WRAPPER w;
                 CREATE FOREIGN TABLE f (n int) SERVER elsewhere;
                 ALTER FOREIGN TABLE f OWNER TO tenancy_owner",
            )
            .await?;
        for (table, says) in [
            ("v", "security_invoker"),
            ("m", "row security exists for tables only"),
            ("f", "row security exists for tables only"),
            ("s", "row security exists for tables only"),
            ("tenancy.tenants", "not a table of the application"),
            ("badly_typed", "not of type uuid"),
        ] {
            let protect = format!("SELECT tenancy.protect('{table}')");
            let told = refusal(as_owner(notes, &protect).await);
            assert!(told.contains(says), "{table}: {told}");
        }
        let temporary = "CREATE TEMP TABLE t (n int); SELECT tenancy.protect('t')";
        let told = refusal(as_owner(notes, temporary).await);
        assert!(told.contains("not a table of the application"), "{told}");
        let missing = as_owner(notes, "SELECT tenancy.protect('no_such_table')").await;
        assert_eq!(sqlstate(missing), "42P01");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn partitions_and_children_show_nothing_under_their_own_names() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE events (n int, PRIMARY KEY (n)) PARTITION BY RANGE (n);
             CREATE TABLE events_low PARTITION OF events FOR VALUES FROM (0) TO (100);
             CREATE TABLE events_high PARTITION OF events FOR VALUES FROM (100) TO (200)
                 PARTITION BY RANGE (n);
             CREATE TABLE events_high_leaf PARTITION OF events_high FOR VALUES FROM (100) TO (200);
             CREATE TABLE parent (n int); CREATE TABLE child () INHERITS (parent);
             SELECT tenancy.protect('events'), tenancy.protect('parent')",
        )
        .await?;
        for table in ["events", "parent", "child"] {
            shows_own_rows_only(notes, table, "n").await?;
        }
        let fill = format!(
            "INSERT INTO events (tenant_id, n) VALUES ('{0}', 2), ('{0}', 150);
             INSERT INTO child (tenant_id, n) VALUES ('{0}', 2)",
            notes.globex.id
        );
        notes.as_admin(&fill).await?;

        // A partition of a later day is closed until the table is protected again.
        as_owner(
            notes,
            "CREATE TABLE events_open PARTITION OF events FOR VALUES FROM (300) TO (400)",
        )
        .await?;
        let mut app = notes.app().await?;
        let by_name = app.fetch_all("SELECT FROM events_open").await;
        assert_eq!(sqlstate(by_name), "42501");
        as_owner(
            notes,
            "CREATE TABLE open (n int) PARTITION BY RANGE (n);
             CREATE TABLE open_part PARTITION OF open FOR VALUES FROM (0) TO (9)",
        )
        .await?;
        let alone = as_owner(notes, "SELECT tenancy.protect('open_part')").await;
        assert!(alone.unwrap_err().to_string().contains("is not protected"));

        as_owner(
            notes,
            "CREATE TABLE events_new PARTITION OF events FOR VALUES FROM (200) TO (300);
             SELECT tenancy.protect('events')",
        )
        .await?;
        let fill = format!(
            "INSERT INTO events (tenant_id, n) VALUES ('{}', 250)",
            notes.globex.id
        );
        notes.as_admin(&fill).await?;

        let mut nobody = notes.app().await?;
        for table in [
            "events",
            "events_low",
            "events_high",
            "events_high_leaf",
            "events_new",
            "parent",
            "child",
        ] {
            assert!(notes.count(table, &notes.globex).await? > 0, "{table}");
            let select = AssertSqlSafe(format!("SELECT FROM {table}"));
            assert_eq!(nobody.fetch_all(select).await?.len(), 0, "{table}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn odd_names_and_another_column_are_fine() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let make = r#"CREATE SCHEMA "Sales Dept"; GRANT USAGE ON SCHEMA "Sales Dept" TO tenancy_app;
            CREATE TABLE "Sales Dept"."Order ""Details""" ("Line No" int PRIMARY KEY);
            CREATE TABLE "select" ("Line No" int UNIQUE, "Org Id" uuid);
            SELECT tenancy.protect('"Sales Dept"."Order ""Details"""');
            SELECT tenancy.protect('"select"', 'Org Id')"#;
        let grant = format!(
            "GRANT CREATE ON DATABASE {} TO tenancy_owner",
            notes.database.name()
        );
        notes.as_admin(&grant).await?;
        as_owner(notes, make).await?;

        shows_own_rows_only(notes, r#""Sales Dept"."Order ""Details""""#, r#""Line No""#).await?;
        shows_own_rows_only(notes, r#""select""#, r#""Line No""#).await
    })
    .await
}

/// A table that another role made before the installation: an application that is adopted.
#[tokio::test]
async fn a_table_of_another_owner_is_taken_over_with_its_sequence() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let make =
            "CREATE TABLE old (id bigserial PRIMARY KEY, n int); SELECT tenancy.protect('old')";
        notes.as_admin(make).await?;

        shows_own_rows_only(notes, "old", "n").await?;
        let owner = told(
            notes,
            "SELECT relowner::regrole::text FROM pg_class WHERE oid = 'old'::regclass",
        );
        assert_eq!(owner.await?.as_deref(), Some("tenancy_owner"));
        Ok(())
    })
    .await
}
