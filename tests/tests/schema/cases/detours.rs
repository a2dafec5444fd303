//! Ways around the guard that lead over something else: rules, functions, groups, foreign keys. Each is
//! found at start. What looks like one and is none is not.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tenancy_tests::notes::on_every_server;

use crate::{as_owner, refusal, told};

const OWNER: &str = "SET LOCAL ROLE tenancy_owner; ";

/// What is planted by an administrator, or as [`OWNER`], and what is found of what.
const DETOURS: [(&str, &str); 17] = [
    // `security_invoker` is for what a view selects, and not for its rules.
    (
        "CREATE VIEW v WITH (security_invoker) AS SELECT id, body FROM notes;
         CREATE RULE r AS ON UPDATE TO v DO INSTEAD UPDATE notes SET body = NEW.body WHERE id = OLD.id;
         GRANT SELECT, UPDATE ON v TO tenancy_app",
        "view-past-guard public.v",
    ),
    // Nobody is asked for USAGE on the way through a view.
    (
        "CREATE SCHEMA hidden;
         CREATE FUNCTION hidden.bodies() RETURNS TABLE (body text) LANGUAGE sql SECURITY DEFINER
             AS 'SELECT body FROM public.notes';
         CREATE VIEW report AS SELECT * FROM hidden.bodies(); GRANT SELECT ON report TO tenancy_app",
        "definer-function hidden.bodies()",
    ),
    (
        "CREATE SCHEMA hidden; CREATE TABLE hidden.t (tenant_id uuid, s text);
         GRANT SELECT ON hidden.t TO tenancy_app;
         CREATE VIEW tv WITH (security_invoker) AS SELECT * FROM hidden.t; GRANT SELECT ON tv TO tenancy_app",
        "unguarded-table hidden.t",
    ),
    (
        "$OWNER CREATE FUNCTION bodies() RETURNS TABLE (body text) LANGUAGE sql STABLE
             AS 'SELECT body FROM public.notes';
         CREATE MATERIALIZED VIEW mv AS SELECT body FROM bodies(); GRANT SELECT ON mv TO tenancy_app",
        "materialized-view public.mv",
    ),
    (
        "$OWNER CREATE FUNCTION members() RETURNS TABLE (slug text) LANGUAGE sql SECURITY DEFINER
             AS 'SELECT slug FROM tenancy.tenants'",
        "definer-reads-unguarded public.members()",
    ),
    (
        "$OWNER CREATE TABLE closed (tenant_id uuid, s text);
         CREATE FUNCTION atomic() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
             BEGIN ATOMIC SELECT s FROM closed; END",
        "definer-reads-unguarded public.atomic()",
    ),
    (
        "$OWNER CREATE TABLE closed (tenant_id uuid, s text);
         CREATE FUNCTION inner_one() RETURNS SETOF text LANGUAGE sql AS 'SELECT s FROM public.closed';
         CREATE FUNCTION outer_one() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
             AS 'SELECT public.inner_one()'",
        "definer-reads-unguarded public.outer_one()",
    ),
    // A group, for which no policy of ours is.
    (
        "CREATE ROLE detour_group; CREATE POLICY published ON notes USING (body <> '');
         GRANT SELECT ON notes TO detour_group; GRANT detour_group TO tenancy_app",
        "role-past-guard public.notes",
    ),
    // The owner's functions may call it.
    (
        "CREATE FUNCTION helper() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
             AS 'SELECT body FROM public.notes';
         REVOKE ALL ON FUNCTION helper() FROM PUBLIC; GRANT EXECUTE ON FUNCTION helper() TO tenancy_owner",
        "definer-function public.helper()",
    ),
    (
        "CREATE FUNCTION tenancy.peek() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
             AS 'SELECT body FROM public.notes'",
        "definer-function tenancy.peek()",
    ),
    // Foreign keys are followed past row security.
    (
        "$OWNER CREATE TABLE grp (id int PRIMARY KEY); CREATE TABLE member (grp int REFERENCES grp ON DELETE CASCADE);
         SELECT tenancy.protect('member'); GRANT SELECT, DELETE ON grp TO tenancy_app",
        "cascade-past-guard public.member",
    ),
    (
        "$OWNER CREATE TABLE kept (id int PRIMARY KEY); SELECT tenancy.protect('kept', global => '{kept_pkey}');
         CREATE TABLE between (id int UNIQUE, kept int);
         CREATE TABLE member (between int REFERENCES between (id) ON DELETE CASCADE);
         SELECT tenancy.protect('member');
         ALTER TABLE between ADD FOREIGN KEY (kept) REFERENCES kept (id) ON DELETE CASCADE",
        "cascade-past-guard public.member",
    ),
    // What refers to tenants' rows is a tenant's, whatever its columns are called.
    (
        "$OWNER CREATE TABLE kept (id int PRIMARY KEY); SELECT tenancy.protect('kept', global => '{kept_pkey}');
         CREATE TABLE about (kept int REFERENCES kept (id)); GRANT SELECT ON about TO tenancy_app",
        "unguarded-table public.about",
    ),
    (
        "$OWNER CREATE TABLE about (org uuid, prj uuid,
             FOREIGN KEY (org, prj) REFERENCES tenancy.projects (tenant_id, id));
         GRANT SELECT ON about TO tenancy_app",
        "unguarded-table public.about",
    ),
    (
        "$OWNER CREATE TABLE numbered (tenant_id int); GRANT SELECT ON numbered TO tenancy_app",
        "unguarded-table public.numbered",
    ),
    (
        "$OWNER CREATE TABLE tasks (id int PRIMARY KEY); SELECT tenancy.protect('tasks', project => true);
         DROP POLICY tenancy_project ON tasks; DROP POLICY tenancy_owner_project ON tasks",
        "guard-altered public.tasks",
    ),
    (
        "GRANT SELECT ON notes TO PUBLIC; GRANT TRUNCATE ON notes TO PUBLIC",
        "privilege-past-guard public.notes",
    ),
];

/// What nobody has to be kept from: it writes only, is called by nobody, or merely has the name.
const INNOCENT: [&str; 6] = [
    "$OWNER CREATE TABLE log (tenant_id uuid, m text);
     CREATE FUNCTION au() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
         $$ BEGIN INSERT INTO public.log VALUES (NEW.tenant_id, 'please log in'); RETURN NULL; END $$;
     CREATE TRIGGER au AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION au()",
    "$OWNER CREATE TABLE log (tenant_id uuid);
     CREATE FUNCTION a() RETURNS float LANGUAGE sql SECURITY DEFINER AS 'SELECT log(10.0)::float -- from log';
     CREATE FUNCTION b() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT abs(42)'",
    "CREATE TABLE closed (tenant_id uuid);
     CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END';
     CREATE TRIGGER trg AFTER INSERT ON closed EXECUTE FUNCTION trg()",
    "$OWNER CREATE TABLE sign_ons (issuer text, tenant_id uuid);
     CREATE FUNCTION find(i text) RETURNS uuid LANGUAGE sql SECURITY DEFINER
         AS 'SELECT tenant_id FROM public.sign_ons WHERE issuer = i';
     COMMENT ON FUNCTION find(text) IS 'one row [tenancy: looks across tenants]'",
    "$OWNER CREATE TABLE countries (code text); SELECT tenancy.share('countries');
     CREATE MATERIALIZED VIEW codes AS SELECT code FROM countries; SELECT tenancy.share('codes')",
    "$OWNER CREATE TABLE jobs (id bigserial PRIMARY KEY, payload jsonb);
     GRANT SELECT, INSERT, UPDATE, DELETE ON jobs TO tenancy_app;
     CREATE FUNCTION take() RETURNS SETOF jobs LANGUAGE sql SECURITY DEFINER
         AS 'DELETE FROM public.jobs WHERE id = (SELECT min(id) FROM public.jobs) RETURNING *'",
];

/// The errors that are found once something is planted, which is taken back.
async fn found(admin: &mut PgConnection, plant: &str) -> anyhow::Result<Vec<String>> {
    let plant = plant.replace("$OWNER", OWNER);
    admin.execute("BEGIN").await?;
    admin.execute(AssertSqlSafe(plant)).await?;
    let found = sqlx::query_scalar(
        "SELECT code || ' ' || subject FROM tenancy.relation_findings('tenancy_app') WHERE level = 'error'
         UNION SELECT code || ' ' || subject FROM tenancy.definer_findings('tenancy_app')",
    )
    .fetch_all(&mut *admin)
    .await?;
    admin.execute("ROLLBACK").await?;
    Ok(found)
}

#[tokio::test]
async fn each_detour_is_found() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes.as_admin("CREATE SCHEMA IF NOT EXISTS public; GRANT CREATE ON SCHEMA public TO tenancy_owner").await?;
        let mut admin = notes.database.admin().await?;
        for (plant, expected) in DETOURS {
            let found = found(&mut admin, plant).await.map_err(|error| error.context(plant))?;
            assert!(found.iter().any(|one| one == expected), "{plant}: {found:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_innocent_is_not_found() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut admin = notes.database.admin().await?;
        for plant in INNOCENT {
            let found = found(&mut admin, plant)
                .await
                .map_err(|error| error.context(plant))?;
            assert_eq!(found, Vec::<String>::new(), "{plant}");
        }
        Ok(())
    })
    .await
}

/// The text of some function of the application is no business of a table elsewhere.
#[tokio::test]
async fn odd_texts_of_functions_keep_no_table_from_being_protected() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            r#"CREATE TABLE "user-events" (id int PRIMARY KEY, n int);
             CREATE FUNCTION bump(i int) RETURNS void LANGUAGE sql AS $$
                 INSERT INTO "user-events" VALUES (i, 1) ON CONFLICT (id) DO UPDATE SET n = excluded.n $$;
             CREATE FUNCTION odd() RETURNS text LANGUAGE sql AS $$
                 SELECT format('insert into "%s" values (1, 1) on conflict (id) do nothing', 'x')
                     || 'insert into 2022_events values (1) on conflict (id) do nothing' $$;
             CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE odd_tenant (id int, "ten(ant\" uuid);
             CREATE FUNCTION rows_of() RETURNS SETOF odd_tenant LANGUAGE sql AS 'SELECT id, NULL::uuid FROM odd_tenant';
             SELECT tenancy.protect('plain'), tenancy.protect('odd_tenant', 'ten(ant\')"#,
        )
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_view_that_groups_in_two_places_is_refused_and_not_given_another_meaning()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE n (id int PRIMARY KEY, body text, org_id uuid);
             CREATE TABLE stock (id int, org_id int, qty int);
             CREATE VIEW tot AS SELECT id, body AS x FROM n GROUP BY id
                 UNION ALL SELECT id, sum(qty)::text FROM stock GROUP BY id",
        )
        .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('n', 'org_id')").await);
        assert!(
            said.contains("the view public.tot groups by its key alone"),
            "{said}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn mending_a_dropped_guard_does_not_grant_anew() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "REVOKE UPDATE, DELETE ON notes FROM tenancy_app;
             DROP POLICY tenancy_allow ON notes; DROP POLICY tenancy_guard ON notes;
             SELECT tenancy.protect('notes');
             CREATE TABLE p (n int) PARTITION BY RANGE (n); SELECT tenancy.protect('p');
             REVOKE ALL ON p FROM tenancy_system;
             CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (5); SELECT tenancy.protect('p')",
        )
        .await?;
        let may = "SELECT concat_ws(' ', has_table_privilege('tenancy_app', 'notes', 'UPDATE, DELETE'),
            has_table_privilege('tenancy_system', 'p_1', 'SELECT, INSERT, UPDATE, DELETE'),
            (SELECT count(*) FROM pg_policies WHERE tablename = 'notes'))";
        assert_eq!(told(notes, may).await?.as_deref(), Some("f f 5"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_was_said_of_a_partitions_part_of_a_key_is_kept() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE st (id int PRIMARY KEY) PARTITION BY RANGE (id);
             CREATE TABLE st_1 PARTITION OF st FOR VALUES FROM (0) TO (9);
             ALTER INDEX st_1_pkey SET (fillfactor = 55); COMMENT ON CONSTRAINT st_1_pkey ON st_1 IS 'part';
             CREATE TABLE se (a text); CREATE UNIQUE INDEX se_l ON se (lower(a));
             ALTER INDEX se_l ALTER COLUMN 1 SET STATISTICS 777;
             SELECT tenancy.protect('st'), tenancy.protect('se')",
        )
        .await?;
        let kept = "SELECT concat_ws(' ', c.reloptions, obj_description(k.oid, 'pg_constraint'),
                (SELECT attstattarget FROM pg_attribute WHERE attrelid = 'se_l'::regclass AND attnum = 2))
            FROM pg_class AS c JOIN pg_constraint AS k ON k.conindid = c.oid WHERE c.relname = 'st_1_pkey'";
        assert_eq!(told(notes, kept).await?.as_deref(), Some("{fillfactor=55} part 777"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn sharing_what_somebody_else_has_opened_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin("CREATE TABLE sut (n int); GRANT SELECT, INSERT ON sut TO PUBLIC")
            .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.share('sut')").await);
        assert!(
            said.contains("ALTER TABLE public.sut OWNER TO tenancy_owner"),
            "{said}"
        );
        let name = format!("other_{}", uuid::Uuid::now_v7().simple());
        notes.as_admin(&format!("CREATE ROLE {name}")).await?;
        as_owner(
            notes,
            &format!("CREATE TABLE own (n int); GRANT ALL ON own TO {name} WITH GRANT OPTION"),
        )
        .await?;
        notes
            .as_admin(&format!("SET ROLE {name}; GRANT INSERT ON own TO PUBLIC"))
            .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.share('own')").await);
        notes
            .as_admin(&format!("DROP OWNED BY {name} CASCADE; DROP ROLE {name}"))
            .await?;
        assert!(
            said.contains(&format!("FROM PUBLIC GRANTED BY {name}")),
            "{said}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn columns_that_can_not_be_a_scope_are_named() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE e (project_id uuid); CREATE TABLE nul (tenant_id uuid); INSERT INTO nul VALUES (NULL);
             CREATE TYPE of_type AS (n int); CREATE TABLE typed OF of_type",
        )
        .await?;
        for (call, says) in [
            ("protect('e', 'project_id', true)", "the column project_id names its tenant"),
            ("protect('nul')", "UPDATE public.nul SET tenant_id"),
            ("protect('typed')", "ALTER TABLE public.typed NOT OF"),
            ("protect(NULL)", "no table was named"),
        ] {
            let said = refusal(as_owner(notes, &format!("SELECT tenancy.{call}")).await);
            assert!(said.contains(says), "{call}: {said}");
        }
        if notes.database.server().version_num().await? >= 180_000 {
            let make = "CREATE TABLE later (tenant_id uuid); INSERT INTO later VALUES (NULL);
                ALTER TABLE later ADD CONSTRAINT nn NOT NULL tenant_id NOT VALID";
            as_owner(notes, make).await?;
            let said = refusal(as_owner(notes, "SELECT tenancy.protect('later')").await);
            assert!(said.contains("UPDATE public.later SET tenant_id"), "{said}");
        }
        Ok(())
    })
    .await
}
