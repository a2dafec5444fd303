//! What a view or a function of the owner shows is guarded like a direct read.

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_sqlx::{TenantPoolOptions, danger};
use tenancy_tests::notes::{on_every_server, sqlstate};

use super::as_tenant;
use crate::{as_owner, told};

/// A view and a function of the owner, and a policy that would lay every row open.
const OPEN: &str = "CREATE VIEW all_notes AS SELECT * FROM notes;
    GRANT SELECT, UPDATE ON all_notes TO tenancy_app;
    CREATE FUNCTION every_note() RETURNS SETOF notes LANGUAGE sql SECURITY DEFINER
        AS 'SELECT * FROM public.notes';
    CREATE FUNCTION noted(tenant uuid) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
        AS 'BEGIN RETURN (SELECT count(*) FROM public.notes WHERE tenant_id = tenant); END';
    CREATE POLICY published ON notes USING (body <> '')";

#[tokio::test]
async fn d1_views_and_functions_of_the_owner_show_and_change_own_rows_only() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, OPEN).await?;
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        for (tenant, own) in [(&notes.acme, 3), (&notes.globex, 5)] {
            for sql in [
                "SELECT body FROM all_notes",
                "SELECT body FROM every_note()",
            ] {
                assert_eq!(as_tenant(notes, tenant, sql).await?.len(), own, "{sql}");
            }
        }
        let foreign = format!("SELECT noted('{}')::text", notes.globex.id);
        assert_eq!(as_tenant(notes, &notes.acme, &foreign).await?, ["0"]);

        let update = "UPDATE all_notes SET body = 'taken' RETURNING body";
        assert_eq!(as_tenant(notes, &notes.acme, update).await?.len(), 3);
        let taken = format!(
            "SELECT count(*)::text FROM notes WHERE body = 'taken' AND tenant_id = '{}'",
            notes.globex.id
        );
        let taken = told(notes, &taken).await?;
        assert_eq!(taken.as_deref(), Some("0"));

        let mut nobody = notes.app().await?;
        for sql in ["SELECT FROM all_notes", "SELECT FROM every_note()"] {
            assert_eq!(nobody.fetch_all(sql).await?.len(), 0, "{sql}");
        }
        Ok(())
    })
    .await
}

/// In development one login takes on the app role: its session is a superuser's.
#[tokio::test]
async fn d1_the_same_where_a_superuser_takes_on_the_app_role() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, OPEN).await?;
        let pool = danger::assume_app_role(TenantPoolOptions::new(), "tenancy_app", "a test")
            .connect_with(notes.database.admin_options(), &notes.tenancy)
            .await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        for sql in ["SELECT FROM all_notes", "SELECT FROM every_note()"] {
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&db).await?;
            assert_eq!(rows.len(), 3, "{sql}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d1_an_owners_view_is_served_by_the_tenants_index() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE VIEW all_notes AS SELECT * FROM notes; SELECT tenancy.share('all_notes')",
        )
        .await?;
        notes.crowd(300).await?;
        let plan = "SELECT set_config('enable_seqscan', 'off', false)";
        let mut app = notes.app().await?;
        app.execute(plan).await?;
        let plan: Vec<String> = sqlx::query_scalar("EXPLAIN SELECT body FROM all_notes")
            .fetch_all(&mut app)
            .await?;
        let plan = plan.join("\n");
        assert!(
            plan.contains("Index Cond: ((notes.tenant_id >=")
                || plan.contains("Index Cond: ((tenant_id >="),
            "{plan}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d3_a_migration_sees_every_row() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let before = told(notes, "SELECT count(*)::text FROM notes").await?;
        assert_eq!(before.as_deref(), Some("8"));
        as_owner(
            notes,
            "ALTER TABLE notes ADD rank int; UPDATE notes SET rank = 7;
             CREATE TABLE notes_copy AS SELECT * FROM notes;
             CREATE TABLE moved AS SELECT * FROM notes WHERE false;
             INSERT INTO moved SELECT * FROM notes",
        )
        .await?;
        for sql in [
            "SELECT count(*)::text FROM notes WHERE rank = 7",
            "SELECT count(*)::text FROM notes_copy",
            "SELECT count(*)::text FROM moved",
        ] {
            assert_eq!(told(notes, sql).await?.as_deref(), Some("8"), "{sql}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d3_a_key_over_an_orphan_is_an_error() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let orphan = format!(
            "CREATE TABLE stars (note_id uuid, tenant_id uuid);
             INSERT INTO stars VALUES (gen_random_uuid(), '{}');
             SELECT tenancy.protect('stars')",
            notes.acme.id
        );
        as_owner(notes, &orphan).await?;
        let key = "ALTER TABLE stars ADD FOREIGN KEY (tenant_id, note_id)
            REFERENCES notes (tenant_id, id)";
        assert_eq!(sqlstate(as_owner(notes, key).await), "23503");
        as_owner(notes, "DELETE FROM stars").await?;
        as_owner(notes, key).await?;
        Ok(())
    })
    .await
}

/// The owner acts through somebody who may not act as the owner: not a migration.
#[tokio::test]
async fn d3_nobody_but_a_migration_sees_every_row_as_the_owner() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, OPEN).await?;
        for role in ["SET ROLE tenancy_app", "SET ROLE tenancy_system"] {
            let mut admin = notes.database.admin().await?;
            admin.execute(role).await?;
            let rows = admin.fetch_all("SELECT FROM every_note()").await;
            // The system role may not call it; whoever may sees nothing without a tenant.
            match rows {
                Ok(rows) => assert_eq!(rows.len(), 0, "{role}"),
                Err(error) => assert_eq!(sqlstate::<(), _>(Err(error)), "42501"),
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d32_a_view_that_groups_by_a_key_is_made_anew_with_all_that_it_was() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE groups (id int PRIMARY KEY, name text);
             CREATE VIEW by_group WITH (security_invoker) AS
                 SELECT g.id, g.name, count(*) AS members FROM groups g GROUP BY g.id;
             CREATE VIEW over_it AS SELECT * FROM by_group;
             COMMENT ON VIEW by_group IS 'counts'; COMMENT ON COLUMN over_it.id IS 'the key';
             GRANT SELECT (id) ON over_it TO tenancy_app; GRANT SELECT ON over_it TO tenancy_system;
             CREATE FUNCTION ignored() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER ignored INSTEAD OF INSERT ON over_it FOR EACH ROW EXECUTE FUNCTION ignored()",
        )
        .await?;
        let state = "SELECT string_agg(concat_ws(' ', c.relname, c.relowner::regrole, c.reloptions, c.relacl,
                obj_description(c.oid), col_description(c.oid, 1),
                (SELECT attacl::text FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1),
                (SELECT count(*) FROM pg_trigger WHERE tgrelid = c.oid)), E'\\n' ORDER BY relname)
            FROM pg_class AS c WHERE relname IN ('by_group', 'over_it')";
        let before = told(notes, state).await?;
        as_owner(notes, "SELECT tenancy.protect('groups')").await?;
        assert_eq!(told(notes, state).await?, before);
        let view = told(notes, "SELECT pg_get_viewdef('by_group')").await?.unwrap_or_default();
        assert!(view.contains("tenant_id, "), "{view}");
        notes
            .as_admin(&format!("INSERT INTO groups (tenant_id, id) VALUES ('{0}', 1), ('{1}', 1)", notes.acme.id, notes.globex.id))
            .await?;
        let both = told(notes, "SELECT count(*)::text FROM by_group").await?;
        assert_eq!(both.as_deref(), Some("2"));
        let own = as_tenant(notes, &notes.acme, "SELECT id::text FROM over_it").await?;
        assert_eq!(own, ["1"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d32_what_can_not_be_made_anew_is_refused_with_its_name() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for (make, names) in [
            (
                "CREATE TABLE one (id int PRIMARY KEY, n text);
                 CREATE MATERIALIZED VIEW ones AS SELECT id, n FROM one GROUP BY id",
                "materialized view public.ones",
            ),
            (
                "CREATE TABLE two (id int PRIMARY KEY, n text);
                 CREATE FUNCTION twos() RETURNS bigint BEGIN ATOMIC
                     SELECT count(*) FROM (SELECT id, n FROM two GROUP BY id) AS t; END",
                "function public.twos()",
            ),
        ] {
            as_owner(notes, make).await?;
            let table = if make.contains("one") { "one" } else { "two" };
            let said = crate::refusal(as_owner(notes, &format!("SELECT tenancy.protect('{table}')")).await);
            assert!(said.contains(names), "{said}");
            let column = format!(
                "SELECT count(*)::text FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attname = 'tenant_id'"
            );
            assert_eq!(told(notes, &column).await?.as_deref(), Some("0"), "nothing has changed");
        }
        Ok(())
    })
    .await
}
