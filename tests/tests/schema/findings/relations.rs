//! Findings of tables, views and functions that a login can get to.

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_sqlx::{TenantPoolOptions, danger};
use tenancy_tests::notes::{Notes, on_every_server};

use super::{Fault, errors, found, is_found_and_mended, refusal};
use crate::logins::Login;

/// What faults are planted in: protected tables of every shape, and one that all may read.
const WORLD: &str = "
    SET ROLE tenancy_owner;
    CREATE TABLE countries (code text PRIMARY KEY);
    SELECT tenancy.share('countries');
    CREATE TABLE events (tenant_id uuid, at date, n int) PARTITION BY RANGE (at);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    SELECT tenancy.protect('events');
    CREATE TABLE \"odd Table\" (n int);
    SELECT tenancy.protect('\"odd Table\"', 'whose Row');
    CREATE TABLE tasks (n int, project_id uuid);
    SELECT tenancy.protect('tasks');
    SELECT tenancy.ensure_policies('tasks', 'tenant_id', 'project_id');
    RESET ROLE;
    CREATE ROLE {}_third; CREATE ROLE {}_group; GRANT {}_group TO {};
    GRANT CREATE ON SCHEMA public TO {}_third";

const GONE: &str = "DROP OWNED BY {}_third, {}_group; DROP ROLE {}_third, {}_group";

fn privileges() -> Vec<Fault> {
    vec![
        Fault::new(
            "TRUNCATE by a group (D15)",
            "GRANT TRUNCATE ON notes TO {}_group",
            ("privilege-past-guard", "public.notes"),
            "",
        ),
        Fault::new(
            "REFERENCES on a column",
            "GRANT REFERENCES (id) ON notes TO {}",
            ("privilege-past-guard", "public.notes"),
            "",
        ),
        Fault::new(
            "TRIGGER by everybody, on a shared table",
            "GRANT TRIGGER ON countries TO PUBLIC",
            ("privilege-past-guard", "public.countries"),
            "",
        ),
        Fault::new(
            "all of it at once (D6)",
            "GRANT ALL ON countries TO {}",
            ("privilege-past-guard", "public.countries"),
            "REVOKE ALL ON countries FROM {}",
        ),
        Fault::new(
            "grants on our own tables (D15)",
            "GRANT SELECT, INSERT ON tenancy.api_keys TO {}_group",
            ("registry-privilege", "tenancy.api_keys"),
            "",
        ),
        Fault::new(
            "a column of our own tables by everybody",
            "GRANT UPDATE (status) ON tenancy.tenants TO PUBLIC",
            ("registry-privilege", "tenancy.tenants"),
            "",
        ),
    ]
}

fn guards() -> Vec<Fault> {
    let altered = |name, plant, subject| Fault::new(name, plant, ("guard-altered", subject), "");
    vec![
        altered(
            "row security switched off (D15)",
            "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
            "public.notes",
        ),
        altered(
            "row security no longer forced",
            "ALTER TABLE \"odd Table\" NO FORCE ROW LEVEL SECURITY",
            "public.\"odd Table\"",
        ),
        altered(
            "the guard says another thing",
            "ALTER POLICY tenancy_guard ON notes USING (tenant_id = tenant_id)",
            "public.notes",
        ),
        altered(
            "the guard checks another thing",
            "ALTER POLICY tenancy_guard ON \"odd Table\" WITH CHECK (\"whose Row\" IS NOT NULL)",
            "public.\"odd Table\"",
        ),
        altered(
            "the guard is for another role",
            "ALTER POLICY tenancy_owner_guard ON notes TO {}_third",
            "public.notes",
        ),
        altered(
            "the guard is permissive",
            "DROP POLICY tenancy_guard ON notes; CREATE POLICY tenancy_guard ON notes TO tenancy_app
             USING (tenant_id = (SELECT tenancy.current_tenant()))
             WITH CHECK (tenant_id = (SELECT tenancy.current_tenant()))",
            "public.notes",
        ),
        altered(
            "the owner's guard is gone",
            "DROP POLICY tenancy_owner_guard ON events",
            "public.events",
        ),
        altered(
            "the guard of the project lets everything through",
            "ALTER POLICY tenancy_project ON tasks USING (project_id IS NOT NULL OR true)",
            "public.tasks",
        ),
        altered(
            "the table belongs to somebody else",
            "ALTER TABLE notes OWNER TO {}_third",
            "public.notes",
        ),
        altered(
            "row security of the registry is off",
            "ALTER TABLE tenancy.memberships DISABLE ROW LEVEL SECURITY",
            "tenancy.memberships",
        ),
        altered(
            "the guard of the registry is altered",
            "ALTER POLICY tenancy_guard ON tenancy.tenants USING (true)",
            "tenancy.tenants",
        ),
        Fault::new(
            "the policies speak of two columns",
            "ALTER POLICY tenancy_guard ON notes USING (tenant_id = notebook_id)",
            ("unguarded-table", "public.notes"),
            "",
        ),
        Fault::new(
            "no policy and no row security",
            "DROP POLICY tenancy_guard ON notes; DROP POLICY tenancy_allow ON notes;
             DROP POLICY tenancy_owner_guard ON notes; ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
            ("unguarded-table", "public.notes"),
            "",
        ),
    ]
}

fn unguarded() -> Vec<Fault> {
    vec![
        Fault::new(
            "a table with a tenant column (D5)",
            "CREATE TABLE own AS SELECT * FROM notes; GRANT SELECT ON own TO {}",
            ("unguarded-table", "public.own"),
            "DROP TABLE own",
        ),
        Fault::new(
            "one that can only be written, by a column",
            "CREATE TABLE own AS SELECT * FROM notes; GRANT UPDATE (body) ON own TO {}_group",
            ("unguarded-table", "public.own"),
            "DROP TABLE own",
        ),
        Fault::new(
            "the tenant as a text",
            "CREATE TABLE own AS SELECT tenant_id::text, body FROM notes; GRANT SELECT ON own TO {}",
            ("unguarded-table", "public.own"),
            "DROP TABLE own",
        ),
        Fault::new(
            "a column named like another table's",
            "CREATE TABLE own (\"whose Row\" uuid); GRANT SELECT ON own TO PUBLIC",
            ("unguarded-table", "public.own"),
            "DROP TABLE own",
        ),
        Fault::new(
            "a reference to the tenants",
            "CREATE TABLE own (org uuid REFERENCES tenancy.tenants); GRANT SELECT ON own TO {}",
            ("unguarded-table", "public.own"),
            "DROP TABLE own",
        ),
        Fault::new(
            "a partition that maintenance opened (D16)",
            "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
             GRANT SELECT ON events_2 TO {}",
            ("unguarded-child", "public.events_2"),
            "DROP TABLE events_2",
        ),
        Fault::new(
            "an heir below a protected table",
            "CREATE TABLE heir () INHERITS (notes); GRANT INSERT ON heir TO {}_group",
            ("unguarded-child", "public.heir"),
            "DROP TABLE heir",
        ),
        Fault::new(
            "a parent of a protected table (D4)",
            "CREATE TABLE base (n int, tenant_id uuid NOT NULL); ALTER TABLE \"odd Table\" ADD tenant_id uuid NOT NULL;
             ALTER TABLE \"odd Table\" INHERIT base; GRANT SELECT ON base TO {}",
            ("unguarded-parent", "public.base"),
            "ALTER TABLE \"odd Table\" NO INHERIT base; ALTER TABLE \"odd Table\" DROP tenant_id; DROP TABLE base",
        ),
        Fault::new(
            "a parent two levels up, read through a view",
            "CREATE TABLE top (n int); CREATE TABLE base () INHERITS (top);
             ALTER TABLE \"odd Table\" INHERIT base; CREATE VIEW shown AS SELECT * FROM top;
             ALTER VIEW shown OWNER TO tenancy_owner; ALTER TABLE top OWNER TO tenancy_owner;
             GRANT SELECT ON shown TO {}",
            ("unguarded-parent", "public.top"),
            "ALTER TABLE \"odd Table\" NO INHERIT base; DROP VIEW shown; DROP TABLE base, top",
        ),
        Fault::new(
            "a parent of a table that has a tenant column and was never protected",
            "CREATE TABLE base (n int); CREATE TABLE heir (tenant_id uuid) INHERITS (base);
             GRANT SELECT ON base TO {}",
            ("unguarded-parent", "public.base"),
            "DROP TABLE base CASCADE",
        ),
        Fault::new(
            "a materialized view of such a parent",
            "CREATE TABLE base (n int); CREATE TABLE heir (tenant_id uuid) INHERITS (base);
             CREATE MATERIALIZED VIEW totals AS SELECT n FROM base; GRANT SELECT ON totals TO {}",
            ("materialized-view", "public.totals"),
            "DROP TABLE base CASCADE",
        ),
        Fault::new(
            "a materialized view (D5)",
            "CREATE MATERIALIZED VIEW totals AS SELECT tenant_id, count(*) FROM notes GROUP BY 1;
             GRANT SELECT ON totals TO {}",
            ("materialized-view", "public.totals"),
            "DROP MATERIALIZED VIEW totals",
        ),
        Fault::new(
            "a materialized view of a view, read through a view",
            "CREATE VIEW inner_one AS SELECT body FROM notes;
             CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM inner_one;
             CREATE VIEW shown AS SELECT * FROM totals; ALTER VIEW shown OWNER TO tenancy_owner;
             GRANT SELECT ON shown TO {}_group",
            ("materialized-view", "public.totals"),
            "DROP VIEW shown; DROP MATERIALIZED VIEW totals; DROP VIEW inner_one",
        ),
        Fault::new(
            "a foreign table that leads back",
            "CREATE EXTENSION postgres_fdw; CREATE SERVER back FOREIGN DATA WRAPPER postgres_fdw;
             CREATE FOREIGN TABLE far (body text) SERVER back OPTIONS (schema_name 'public', table_name 'notes');
             GRANT SELECT ON far TO {}",
            ("foreign-table", "public.far"),
            "DROP EXTENSION postgres_fdw CASCADE",
        ),
        Fault::new(
            "a foreign table with tenants",
            "CREATE EXTENSION postgres_fdw; CREATE SERVER back FOREIGN DATA WRAPPER postgres_fdw;
             CREATE FOREIGN TABLE far (tenant_id uuid) SERVER back OPTIONS (table_name 'elsewhere');
             GRANT SELECT ON far TO {}",
            ("unguarded-table", "public.far"),
            "DROP EXTENSION postgres_fdw CASCADE",
        ),
    ]
}

fn views_and_functions() -> Vec<Fault> {
    let define = "CREATE FUNCTION all_notes() RETURNS bigint LANGUAGE sql SECURITY DEFINER
        BEGIN ATOMIC SELECT count(*) FROM notes; END;";
    let by = |owner: &str| -> &'static str {
        Box::leak(format!("{define} ALTER FUNCTION all_notes OWNER TO {owner}").into_boxed_str())
    };
    let function = |name, plant| {
        let is = ("definer-function", "public.all_notes()");
        Fault::new(name, plant, is, "DROP FUNCTION all_notes")
    };
    vec![
        Fault::new(
            "a superuser's view (D5)",
            "CREATE VIEW shown AS SELECT * FROM notes; GRANT SELECT ON shown TO {}",
            ("view-past-guard", "public.shown"),
            "DROP VIEW shown",
        ),
        Fault::new(
            "the system role's view, for writing",
            "CREATE VIEW shown AS SELECT * FROM notes; ALTER VIEW shown OWNER TO tenancy_system;
             GRANT UPDATE ON shown TO {}_group",
            ("view-past-guard", "public.shown"),
            "DROP VIEW shown",
        ),
        Fault::new(
            "a third role's view below the owner's, of a table that has no grant",
            "SET ROLE tenancy_owner; CREATE TABLE hidden (n int); SELECT tenancy.protect('hidden');
             REVOKE ALL ON hidden FROM tenancy_app; GRANT SELECT ON hidden TO {}_third; RESET ROLE;
             CREATE VIEW inner_one AS SELECT * FROM hidden; ALTER VIEW inner_one OWNER TO {}_third;
             CREATE VIEW shown AS SELECT * FROM inner_one; ALTER VIEW shown OWNER TO tenancy_owner;
             GRANT SELECT ON inner_one TO tenancy_owner; GRANT SELECT ON shown TO {}",
            ("view-past-guard", "public.inner_one"),
            "DROP VIEW shown, inner_one; DROP TABLE hidden",
        ),
        Fault::new(
            "the owner's view of the registry",
            "CREATE VIEW shown AS SELECT slug FROM tenancy.tenants; ALTER VIEW shown OWNER TO tenancy_owner;
             GRANT SELECT ON shown TO {}",
            ("view-past-guard", "public.shown"),
            "DROP VIEW shown",
        ),
        Fault::new(
            "a rule of a table that writes as its owner",
            "CREATE TABLE inbox (body text); GRANT INSERT ON inbox TO {};
             CREATE RULE on_to AS ON INSERT TO inbox DO INSTEAD UPDATE notes SET body = NEW.body",
            ("view-past-guard", "public.inbox"),
            "DROP TABLE inbox",
        ),
        function("a superuser's function that everybody may call", define),
        function("the system role's function", by("tenancy_system")),
        Fault::new(
            "a third role's function, with rights on notes",
            "CREATE SCHEMA calls; GRANT USAGE ON SCHEMA calls TO {}_group;
             CREATE FUNCTION calls.all_notes() RETURNS bigint LANGUAGE sql SECURITY DEFINER
                 BEGIN ATOMIC SELECT count(*) FROM public.notes; END;
             ALTER FUNCTION calls.all_notes OWNER TO {}_third; GRANT SELECT (body) ON notes TO {}_third;
             REVOKE EXECUTE ON FUNCTION calls.all_notes FROM PUBLIC;
             GRANT EXECUTE ON FUNCTION calls.all_notes TO {}_group;
             GRANT CREATE ON SCHEMA calls TO tenancy_owner",
            ("definer-function", "calls.all_notes()"),
            "DROP SCHEMA calls CASCADE; REVOKE ALL ON notes FROM {}_third",
        ),
        Fault::new(
            "a trigger function that nobody may call",
            "CREATE FUNCTION all_notes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
                 $$ BEGIN UPDATE notes SET stars = 1; RETURN NEW; END $$;
             REVOKE EXECUTE ON FUNCTION all_notes FROM PUBLIC;
             CREATE TRIGGER sets_off AFTER INSERT ON notebooks FOR EACH ROW EXECUTE FUNCTION all_notes()",
            ("definer-function", "public.all_notes()"),
            "DROP FUNCTION all_notes CASCADE",
        ),
    ]
}

async fn in_the_world(
    faults: fn() -> Vec<Fault>,
    then: impl AsyncFn(&Notes, &Login) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let login = Login::make(notes, "", "GRANT tenancy_app TO {}").await?;
        notes.as_admin(&WORLD.replace("{}", &login.name)).await?;
        let clean = found(notes, &login.name).await?;
        anyhow::ensure!(errors(&clean).is_empty(), "{clean:#?}");
        for fault in faults() {
            is_found_and_mended(notes, &login.name, &login.options, &fault)
                .await
                .context(fault.name)?;
        }
        then(notes, &login).await?;
        notes.as_admin(&GONE.replace("{}", &login.name)).await?;
        login.remove(notes).await
    })
    .await
}

#[tokio::test]
async fn privileges_that_row_security_does_not_cover_are_found() -> anyhow::Result<()> {
    in_the_world(privileges, async |notes, login| {
        // MAINTAIN came with 17.
        let version = crate::told(notes, "SHOW server_version_num").await?;
        if version.unwrap_or_default().parse::<u32>()? >= 170_000 {
            let maintain = Fault::new(
                "MAINTAIN",
                "GRANT MAINTAIN ON notes TO {}",
                ("privilege-past-guard", "public.notes"),
                "",
            );
            is_found_and_mended(notes, &login.name, &login.options, &maintain).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_guard_that_was_altered_is_found() -> anyhow::Result<()> {
    in_the_world(guards, async |_, _| Ok(())).await
}

#[tokio::test]
async fn what_has_tenants_and_no_guard_is_found() -> anyhow::Result<()> {
    in_the_world(unguarded, async |_, _| Ok(())).await
}

#[tokio::test]
async fn views_and_functions_that_act_past_the_guard_are_found() -> anyhow::Result<()> {
    in_the_world(views_and_functions, async |_, _| Ok(())).await
}

/// What looks like a fault and is none.
#[tokio::test]
async fn what_leads_nowhere_is_not_found() -> anyhow::Result<()> {
    let none: fn() -> Vec<Fault> = Vec::new;
    in_the_world(none, async |notes, login| {
        for harmless in [
            // Nobody of the service may use it.
            "CREATE TABLE own AS SELECT * FROM notes",
            "CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM notes",
            "CREATE SCHEMA closed; CREATE TABLE closed.own AS SELECT * FROM notes;
             GRANT ALL ON closed.own TO {}",
            "CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
            "CREATE FUNCTION one() RETURNS int LANGUAGE sql SECURITY DEFINER RETURN 1;
             REVOKE EXECUTE ON FUNCTION one FROM PUBLIC",
            // It acts as whoever asks, at whatever depth, or as the owner, whom the guard binds.
            "CREATE VIEW asks WITH (security_invoker = on) AS SELECT * FROM notes;
             CREATE VIEW outer_one AS SELECT * FROM asks; GRANT SELECT ON asks, outer_one TO {}",
            "CREATE VIEW by_owner AS SELECT * FROM notes; ALTER VIEW by_owner OWNER TO tenancy_owner;
             GRANT SELECT ON by_owner TO {}",
            "CREATE FUNCTION two() RETURNS bigint LANGUAGE sql SECURITY DEFINER
                 BEGIN ATOMIC SELECT count(*) FROM notes; END; ALTER FUNCTION two OWNER TO tenancy_owner",
            // A third role without rights on a protected table; a shared table, a view of it.
            "CREATE FUNCTION three() RETURNS int LANGUAGE sql SECURITY DEFINER RETURN 1;
             ALTER FUNCTION three OWNER TO {}_third",
            "CREATE VIEW shown AS SELECT * FROM countries; GRANT SELECT ON shown TO {}",
            "CREATE MATERIALIZED VIEW listed AS SELECT * FROM countries; GRANT SELECT ON listed TO {}",
            // More policies only take away.
            "CREATE POLICY published ON notes USING (body <> '')",
            // It is set off by writing, and nobody of the service writes there.
            "CREATE FUNCTION four() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
                 $$ BEGIN UPDATE notes SET stars = 1; RETURN NEW; END $$;
             REVOKE EXECUTE ON FUNCTION four FROM PUBLIC;
             CREATE TRIGGER sets_off AFTER INSERT ON countries FOR EACH ROW EXECUTE FUNCTION four()",
            "CREATE EXTENSION pgcrypto",
        ] {
            notes.as_admin(&harmless.replace("{}", &login.name)).await?;
            let findings = found(notes, &login.name).await?;
            anyhow::ensure!(errors(&findings).is_empty(), "{harmless}: {findings:#?}");
        }
        Ok(())
    })
    .await
}

/// All tables at once, and one by one, `scope_columns` says the same.
#[tokio::test]
async fn the_check_takes_the_same_columns_for_a_tables_scope() -> anyhow::Result<()> {
    let none: fn() -> Vec<Fault> = Vec::new;
    in_the_world(none, async |notes, _| {
        let differ = "SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class AS c
            LEFT JOIN tenancy.guards() AS g ON g.relation = c.oid
            WHERE c.relkind IN ('r', 'p') AND c.oid <> 'tenancy.protected_example'::regclass
                AND tenancy.scope_columns(c.oid) <> array_remove(ARRAY[g.tenant_name, g.project_name], NULL)";
        assert_eq!(crate::told(notes, differ).await?, None);
        let protected = "SELECT count(*)::text FROM tenancy.guards() WHERE NOT registry";
        assert_eq!(crate::told(notes, protected).await?.as_deref(), Some("6"));
        Ok(())
    })
    .await
}

/// The login of `#[sqlx::test]` is nobody's concern; what the service would meet is.
#[tokio::test]
async fn an_assumed_role_is_spared_the_check_of_the_login_only() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let assumed = || {
            let options = TenantPoolOptions::new().max_connections(1);
            danger::assume_app_role(options, "tenancy_app", "a test with one login")
                .connect_with(notes.database.admin_options(), &notes.tenancy)
        };
        let pool = assumed().await?;
        assert!(pool.findings().await?.is_empty());
        pool.close().await;

        notes
            .as_admin("GRANT TRUNCATE ON notes TO tenancy_app")
            .await?;
        let error = assumed().await.err().context("accepted")?;
        assert!(
            error
                .to_string()
                .contains("REVOKE TRUNCATE ON public.notes"),
            "{error}"
        );
        Ok(())
    })
    .await
}

/// A pool starts while somebody holds a table: nothing of the check waits for one.
#[tokio::test]
async fn the_check_waits_for_nobody_who_alters_a_table() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin(
                "CREATE VIEW asks WITH (security_invoker) AS SELECT * FROM notes;
                 GRANT SELECT ON asks TO tenancy_app",
            )
            .await?;
        let mut migration = notes.database.admin().await?;
        migration
            .execute("BEGIN; LOCK TABLE notes, asks, notebooks, tenancy.tenants IN ACCESS EXCLUSIVE MODE")
            .await?;
        let mut app = notes.app().await?;
        app.execute("SET lock_timeout = '1s'").await?;
        let ask = "SELECT count(*) FROM tenancy.relation_findings('tenancy_app')";
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(ask)).fetch_one(&mut app).await?;
        assert_eq!(count, 0);
        migration.execute("ROLLBACK").await?;

        // Not vacuous: the lock is one that the text of a policy would wait for.
        notes.as_admin("ALTER TABLE notes DISABLE ROW LEVEL SECURITY").await?;
        let (_, told) = refusal(notes, notes.app_options()).await?;
        assert!(told.contains("row security is off"), "{told}");
        Ok(())
    })
    .await
}
