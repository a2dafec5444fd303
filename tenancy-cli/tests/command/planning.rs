//! `tenancy adopt plan`: schemas that others have made, answered until nothing is asked.

use std::fs;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _};
use tempfile::TempDir;
use tenancy_tests::{Server, Template, TestDatabase};

use crate::stand::{Run, tenancy};

/// Customers with users and notes, and whatever else can go wrong.
const SCHEMA: &str = r#"
    CREATE TABLE organizations (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, slug text UNIQUE);
    CREATE TABLE users (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, organization_id uuid NOT NULL REFERENCES organizations,
        email text NOT NULL UNIQUE, boss bigint REFERENCES users, UNIQUE (organization_id, boss));
    CREATE SCHEMA "We""ird";
    CREATE TABLE "We""ird"."Notes of a name that is as long as a name can be in PostgreSQL," (
        id serial PRIMARY KEY, "Author" bigint NOT NULL REFERENCES users DEFERRABLE INITIALLY DEFERRED,
        organization_id uuid NOT NULL REFERENCES organizations, token text UNIQUE);
    CREATE TABLE events (id int, at date, user_id bigint NOT NULL REFERENCES users, PRIMARY KEY (id, at))
        PARTITION BY RANGE (at);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    CREATE TABLE documents (id uuid PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
    CREATE TABLE old_documents (reason text) INHERITS (documents);
    CREATE TABLE left_side (id int PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
    CREATE TABLE right_side (id int PRIMARY KEY, left_id int NOT NULL REFERENCES left_side);
    ALTER TABLE left_side ADD right_id int REFERENCES right_side;
    CREATE TABLE files (id int PRIMARY KEY, organization_id uuid REFERENCES organizations);
    CREATE TABLE logs (id int PRIMARY KEY, organization_id uuid);
    CREATE TABLE countries (code char(2) PRIMARY KEY);
    CREATE TABLE schema_migrations (version text PRIMARY KEY);
    CREATE VIEW seen AS SELECT id, email FROM users;
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM seen;
    CREATE FUNCTION upsert() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
        INSERT INTO users (organization_id, email) SELECT id, 'x' FROM organizations
        ON CONFLICT (email) DO NOTHING $$;

    INSERT INTO organizations VALUES
        ('00000000-0000-7000-8000-00000000000a', 'Acme', 'acme'), ('00000000-0000-7000-8000-00000000000b', 'Globex', 'globex');
    INSERT INTO users (organization_id, email) VALUES
        ('00000000-0000-7000-8000-00000000000a', 'ann'), ('00000000-0000-7000-8000-00000000000b', 'bob');
    INSERT INTO documents VALUES ('00000000-0000-7000-8000-000000000001', 1);
    INSERT INTO old_documents VALUES ('00000000-0000-7000-8000-000000000002', 2, 'old');
    INSERT INTO events VALUES (1, '2020-05-05', 1);
    INSERT INTO files VALUES (1, '00000000-0000-7000-8000-00000000000a');
"#;

const ANSWERS: &str = r#"
    [adopt]
    root = "public.organizations"
    shared = ["public.countries"]

    [adopt.tables."public.files"]
    from = ["organization_id"]

    [adopt.tables."public.logs"]
    from = ["organization_id"]

    [adopt.keys]
    "public.organizations_slug_key" = "tenant"
    "public.users_email_key" = "tenant"
    "We\"ird.Notes of a name that is as long as a name can be in P_token_key" = "everywhere"
"#;

/// A database with a schema, and a folder for files.
struct Adopted {
    database: TestDatabase,
    folder: TempDir,
}

impl Adopted {
    async fn new(server: &Server, sql: &str) -> anyhow::Result<Self> {
        let adopted = Self {
            database: server.database(&Template::empty()).await?,
            folder: tempfile::tempdir()?,
        };
        adopted.execute(sql).await?;
        Ok(adopted)
    }

    async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let mut admin = self.database.admin().await?;
        admin.execute(AssertSqlSafe(sql.to_owned())).await?;
        Ok(())
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn answer(&self, answers: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.folder.path().join("tenancy.toml"), answers)?)
    }

    /// Plans in the folder, with what is in its `tenancy.toml`.
    fn plan(&self, arguments: &[&str]) -> anyhow::Result<Run> {
        self.plan_as(&self.database.url(), arguments)
    }

    fn plan_as(&self, url: &str, arguments: &[&str]) -> anyhow::Result<Run> {
        let mut command = tenancy(&[&["adopt", "plan"], arguments].concat());
        command.env("TENANCY_ADMIN_DATABASE_URL", url);
        command.current_dir(self.folder.path());
        Ok(Run::of(command.output()?))
    }

    /// The questions, each as its code and what it is about.
    fn questions(&self, arguments: &[&str]) -> anyhow::Result<Vec<(String, String)>> {
        let run = self.plan(&[arguments, &["--format", "json"]].concat())?;
        let objects = run.json().with_context(|| format!("{run:?}"))?;
        let questions =
            of_kind(&objects, "question").map(|one| (text(one, "code"), text(one, "about")));
        let mut questions: Vec<_> = questions.collect();
        questions.sort();
        Ok(questions)
    }

    /// Everything in the catalog and in the tables, as a digest.
    async fn dump(&self) -> anyhow::Result<String> {
        let mut admin = self.database.admin().await?;
        let dump: String = sqlx::query_scalar(
            "SELECT md5(concat(
                (SELECT string_agg((to_jsonb(c) - '{reltuples,relpages,relallvisible,relallfrozen,relfrozenxid,relminmxid}'::text[])::text,
                    '' ORDER BY c.oid) FROM pg_class AS c WHERE c.oid >= 16384),
                (SELECT string_agg(a::text, '' ORDER BY a.attrelid, a.attnum) FROM pg_attribute AS a WHERE a.attrelid >= 16384),
                (SELECT string_agg(c::text, '' ORDER BY c.oid) FROM pg_constraint AS c WHERE c.oid >= 16384),
                (SELECT string_agg(p::text, '' ORDER BY p.oid) FROM pg_proc AS p WHERE p.oid >= 16384),
                (SELECT string_agg(t::text, '' ORDER BY t.oid) FROM pg_trigger AS t),
                (SELECT string_agg(p::text, '' ORDER BY p.oid) FROM pg_policy AS p),
                (SELECT string_agg(n::text, '' ORDER BY n.oid) FROM pg_namespace AS n),
                (SELECT string_agg(d::text, '') FROM pg_description AS d WHERE d.objoid >= 16384),
                database_to_xml(true, true, '')))",
        )
        .fetch_one(&mut admin)
        .await?;
        Ok(dump)
    }
}

fn text(object: &Value, field: &str) -> String {
    object[field].as_str().unwrap_or_default().to_owned()
}

fn of_kind<'o>(objects: &'o [Value], kind: &'static str) -> impl Iterator<Item = &'o Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = pairs
        .iter()
        .map(|(one, two)| ((*one).to_owned(), (*two).to_owned()))
        .collect();
    pairs.sort();
    pairs
}

#[tokio::test]
async fn what_is_asked_is_answered_and_nothing_changes() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adopted = Adopted::new(&server, SCHEMA).await?;
        let before = adopted.dump().await?;

        let nobody = adopted.plan(&[])?.ends_with(1)?;
        ensure!(
            nobody.out.contains("--root public.organizations  "),
            "{nobody:?}"
        );
        ensure!(nobody.out.contains("--one-tenant NAME"), "{nobody:?}");

        let root = ["--root", "public.organizations"];
        let token = "We\"ird.Notes of a name that is as long as a name can be in P_token_key";
        let asked = pairs(&[
            ("nullable", "public.files"),
            ("soft", "public.logs"),
            ("whose", "public.countries"),
            ("key", "public.organizations_slug_key"),
            ("key", "public.users_email_key"),
            ("key", token),
        ]);
        ensure!(
            adopted.questions(&root)? == asked,
            "{:?}",
            adopted.questions(&root)?
        );
        let out = adopted.file("plan.json");
        let open = adopted
            .plan(&[&root[..], &["--out", &out]].concat())?
            .ends_with(1)?;
        for line in [
            "[adopt.tables.\"public.files\"]\nfrom = [\"organization_id\"]",
            "organization_id leads to public.organizations, and may be null; no row of 1 has a null",
            "\"public.users_email_key\" = \"tenant\"  # or \"everywhere\"",
            "    \"public.countries\",  # no reference leads from it or to it",
            "not complete",
        ] {
            ensure!(
                open.out.contains(line) || open.err.contains(line),
                "{line}\n{open:?}"
            );
        }
        ensure!(!fs::exists(&out)?, "an open plan was written");

        adopted.answer(ANSWERS)?;
        let picture = adopted.file("plan.svg");
        let done = adopted
            .plan(&["--out", &out, "--picture", &picture])?
            .ends_with(0)?;
        ensure!(
            done.out.contains("12 tables, 12 decided, 0 questions"),
            "{done:?}"
        );
        for hand in [
            "ALTER VIEW \"public\".\"seen\" SET (security_invoker = true)",
            "public.counted: it holds rows of all tenants",
            "public.upsert(): it acts as",
            "ON CONFLICT (tenant_id, email)",
        ] {
            ensure!(done.out.contains(hand), "{hand}\n{done:?}");
        }
        let drawn = fs::read_to_string(&picture)?;
        ensure!(drawn.contains("We&quot;ird.Notes of a name") && !drawn.contains("We\"ird"));
        decided(&serde_json::from_str(&fs::read_to_string(&out)?)?)?;

        ensure!(
            adopted.dump().await? == before,
            "the plan has changed something"
        );
        adopted.database.close().await?;
    }
    Ok(())
}

/// What the run reads.
fn decided(plan: &Value) -> anyhow::Result<()> {
    let tables = plan["tables"].as_array().context("tables")?;
    let place = |name: &str| {
        tables
            .iter()
            .position(|table| table["table"]["name"] == name)
    };
    let table = |name: &str| place(name).map(|place| &tables[place]).context("a table");
    ensure!(table("organizations")?["rows"]["source"]["kind"] == "root");
    ensure!(table("countries")?["rows"]["kind"] == "shared");
    ensure!(table("schema_migrations")?["rows"]["kind"] == "closed");
    ensure!(
        place("events_1").is_none(),
        "a partition was decided for itself"
    );
    let notes = table("Notes of a name that is as long as a name can be in PostgreSQL,")?;
    ensure!(
        notes["rows"]["source"]["by"]["columns"][0] == "organization_id",
        "{notes}"
    );
    ensure!(
        notes["rows"]["source"]["also"][0]["columns"][0] == "Author",
        "{notes}"
    );
    let heir = table("old_documents")?;
    ensure!(
        heir["rows"]["source"]["by"]["columns"][0] == "user_id",
        "{heir}"
    );
    let cycle = table("left_side")?;
    ensure!(
        cycle["rows"]["source"]["also"][0]["to"]["name"] == "right_side",
        "{cycle}"
    );
    for (one, other) in [
        ("organizations", "users"),
        ("users", "events"),
        ("left_side", "right_side"),
    ] {
        ensure!(place(one) < place(other), "{one} comes after {other}");
    }
    let token = notes["keys"].as_array().context("keys")?;
    ensure!(
        token.iter().any(|key| key["holds"] == "everywhere"),
        "{notes}"
    );
    ensure!(
        plan["schema"]
            .as_str()
            .is_some_and(|digest| digest.len() == 64)
    );
    ensure!(
        plan["tenants"]["kind"] == "root" && plan["tenants"]["label"] == "name",
        "{plan}"
    );
    Ok(())
}

#[tokio::test]
async fn rows_that_reach_two_tenants_or_none_are_named() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adopted = Adopted::new(&server, SCHEMA).await?;
        adopted.answer(ANSWERS)?;
        adopted.plan(&[])?.ends_with(0)?;
        adopted
            .execute(
                r#"INSERT INTO "We""ird"."Notes of a name that is as long as a name can be in PostgreSQL," ("Author", organization_id)
                     SELECT 2, '00000000-0000-7000-8000-00000000000a' FROM generate_series(1, 5);
                 INSERT INTO files VALUES (7, NULL);
                 INSERT INTO logs VALUES (8, '00000000-0000-7000-8000-00000000000c');
                 INSERT INTO old_documents VALUES ('00000000-0000-7000-8000-000000000003', 77, 'gone');
                 INSERT INTO left_side VALUES (1, 1); INSERT INTO left_side VALUES (2, 2);
                 INSERT INTO right_side VALUES (3, 1); UPDATE left_side SET right_id = 3 WHERE id = 2;
                 ALTER TABLE organizations ADD main_user bigint REFERENCES users;
                 UPDATE organizations SET main_user = 2 WHERE slug = 'acme';"#,
            )
            .await?;
        let found = pairs(&[
            (
                "disagrees",
                "We\"ird.Notes of a name that is as long as a name can be in PostgreSQL,",
            ),
            ("disagrees", "public.left_side"),
            ("disagrees", "public.organizations"),
            ("null", "public.files"),
            ("orphan", "public.logs"),
            ("orphan", "public.old_documents"),
        ]);
        ensure!(
            adopted.questions(&[])? == found,
            "{:?}",
            adopted.questions(&[])?
        );
        let told = adopted.plan(&[])?.ends_with(1)?;
        for said in [
            "lead to different tenants in 5 rows: 1; 2; 3; correct them, or drop the foreign key",
            "organization_id is null in 1 row: 7;",
            "organization_id of 1 row leads to no row of public.organizations: 8;",
            "user_id of 1 row leads to no row of public.users: old_documents (0,2);",
            "its key and main_user (to public.users) lead to different tenants in 1 row: 00000000-0000-7000-8000-00000000000a;",
            "right_id (to public.right_side) lead to different tenants in 1 row: 2;",
        ] {
            ensure!(told.out.contains(said), "{said}\n{told:?}");
        }
        let otherwise = "from = [\"organization_id\"]\n    otherwise = \"00000000-0000-7000-8000-00000000000b\"";
        adopted.answer(&ANSWERS.replacen("from = [\"organization_id\"]", otherwise, 1))?;
        let left = adopted.questions(&[])?;
        ensure!(
            left.len() == 5 && left.iter().all(|(code, _)| code != "null"),
            "{left:?}"
        );
        adopted.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn ids_of_other_types_and_one_tenant_are_planned_too() -> anyhow::Result<()> {
    for server in Server::all().await? {
        for of in ["int", "text"] {
            let schema = format!(
                "CREATE TABLE accounts (id {of} PRIMARY KEY); CREATE TABLE things (id int PRIMARY KEY, account {of} NOT NULL \
                 REFERENCES accounts); CREATE TABLE parts (id int PRIMARY KEY, thing int NOT NULL REFERENCES things); INSERT \
                 INTO accounts VALUES ('1'), ('2'); INSERT INTO things VALUES (1, '1'), (2, '2'); INSERT INTO parts VALUES (1, 2)"
            );
            let adopted = Adopted::new(&server, &schema).await?;
            let out = adopted.file("plan.json");
            adopted
                .plan(&["--root", "public.accounts", "--out", &out])?
                .ends_with(0)?;
            let plan: Value = serde_json::from_str(&fs::read_to_string(&out)?)?;
            ensure!(plan["tenants"]["key"] == "id", "{plan}");

            let one = ["--one-tenant", "Acme", "--out", &out];
            adopted.plan(&one)?.ends_with(0)?;
            let plan: Value = serde_json::from_str(&fs::read_to_string(&out)?)?;
            ensure!(plan["tenants"]["name"] == "Acme", "{plan}");
            ensure!(
                plan["tables"][0]["rows"]["source"]["kind"] == "one",
                "{plan}"
            );
            adopted.plan(&one)?.ends_with(0)?;
            let again: Value = serde_json::from_str(&fs::read_to_string(&out)?)?;
            ensure!(plan == again, "the same plan is another");
            adopted.execute("ALTER TABLE parts ADD note text").await?;
            adopted.plan(&one)?.ends_with(0)?;
            let other: Value = serde_json::from_str(&fs::read_to_string(&out)?)?;
            ensure!(
                plan["schema"] != other["schema"],
                "another schema has the same digest"
            );
            let changed = |plan: &Value| -> Vec<String> {
                let tables = plan["tables"].as_array().into_iter().flatten();
                tables.map(|table| text(table, "definition")).collect()
            };
            let differing = changed(&plan)
                .iter()
                .zip(changed(&other))
                .filter(|(one, two)| *one != two)
                .count();
            ensure!(differing == 1, "{differing} tables have changed");
            adopted.database.close().await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_planned_is_said() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let empty = Adopted::new(&server, "SELECT 1").await?;
        let nothing = empty.plan(&["--one-tenant", "Acme"])?.ends_with(2)?;
        ensure!(
            nothing.err.contains("has no table of an application"),
            "{nothing:?}"
        );
        empty.database.close().await?;

        let adopted = Adopted::new(&server, SCHEMA).await?;
        for (root, wanted) in [
            (
                "public.organisations",
                "the nearest is `public.organizations`",
            ),
            ("public.seen", "is a view"),
            ("public.events_1", "name `public.events`"),
            ("public.events", "no primary key of one column"),
        ] {
            let told = adopted.plan(&["--root", root])?.ends_with(2)?;
            ensure!(told.err.contains(wanted), "{told:?}");
        }
        for (answers, wanted) in [
            (
                "[adopt]\nroot = \"public.organizations\"\nshared = [\"public.countrys\"]",
                "tenancy.toml: line 3, column 11: there is no table `public.countrys`; the nearest is `public.countries`",
            ),
            (
                "[adopt]\nroot = \"public.organizations\"\n[adopt.keys]\n\"public.countries_pkey\" = \"tenant\"",
                "tenancy.toml: line 4, column 1: `public.countries_pkey` is no key of a tenant's table",
            ),
            (
                "[adopt]\nroots = 1",
                "tenancy.toml: line 2, column 1: `[adopt]` has no field `roots`",
            ),
        ] {
            adopted.answer(answers)?;
            let told = adopted.plan(&[])?.ends_with(2)?;
            ensure!(told.err.contains(wanted), "{told:?}");
        }
        adopted.answer("[adopt]\nroot = \"public.organizations\"\nshared = [\"public.users\"]")?;
        let told = adopted.plan(&[])?.ends_with(1)?;
        ensure!(
            told.out.contains("public.users: it is shared, and its foreign key users_organization_id_fkey refers to tenants' rows"),
            "{told:?}"
        );
        ensure!(
            adopted
                .plan(&["--answers", "nowhere.toml"])?
                .ends_with(2)?
                .err
                .contains("nowhere.toml")
        );

        adopted
            .execute("DO $$ BEGIN CREATE ROLE planning_nobody LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
            .await?;
        let url = adopted.database.url_as("planning_nobody", None);
        adopted.answer(ANSWERS)?;
        let refused = adopted.plan_as(&url, &[])?.ends_with(2)?;
        ensure!(
            refused.err.contains("may not read")
                && refused.err.contains("GRANT SELECT")
                && refused.err.contains("\"public\".\"users\""),
            "{refused:?}"
        );
        let without = Run::of(tenancy(&["adopt", "plan"]).output()?).ends_with(2)?;
        ensure!(
            without.err.contains("TENANCY_ADMIN_DATABASE_URL"),
            "{without:?}"
        );
        adopted.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_stands_in_the_way_comes_first() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adopted = Adopted::new(
            &server,
            "CREATE TABLE tenants (id uuid PRIMARY KEY, parent uuid REFERENCES tenants);
             CREATE TABLE rooms (id int PRIMARY KEY, tenant_id int, owner uuid NOT NULL REFERENCES tenants, nights int4range,
                 EXCLUDE USING gist (nights WITH &&));
             CREATE TABLE pairs (a int, b int, owner uuid NOT NULL REFERENCES tenants, UNIQUE (a, b));
             CREATE TABLE uses (id int PRIMARY KEY, owner uuid NOT NULL REFERENCES tenants, a int, b int);
             ALTER TABLE uses ADD FOREIGN KEY (a, b) REFERENCES pairs (a, b) MATCH FULL ON UPDATE SET NULL NOT VALID;
             CREATE RULE quiet AS ON DELETE TO uses DO INSTEAD NOTHING;
             CREATE UNLOGGED TABLE quick (id int PRIMARY KEY, owner uuid NOT NULL REFERENCES tenants);
             CREATE SEQUENCE loose; ALTER TABLE quick ADD n int DEFAULT nextval('loose');
             CREATE PUBLICATION listed FOR TABLE pairs (a, b);
             CREATE VIEW grouped AS SELECT id, n FROM quick GROUP BY id",
        )
        .await?;
        let run = adopted
            .plan(&["--root", "public.tenants", "--format", "json"])?
            .ends_with(1)?;
        let objects = run.json()?;
        let mut hands: Vec<_> = of_kind(&objects, "hand")
            .map(|hand| (text(hand, "code"), hand["first"] == true))
            .collect();
        hands.sort();
        let wanted = [
            ("exclusion", true),
            ("match-full", false),
            ("not-valid", false),
            ("on-update-set", true),
            ("publication-columns", false),
            ("root-to-root", true),
            ("rule", false),
            ("sequence", false),
            ("tenant-column", true),
            ("unlogged", false),
            ("view", false),
            ("view-by-key", true),
        ];
        let wanted = wanted.map(|(code, first)| (code.to_owned(), first));
        ensure!(hands == wanted, "{hands:?}");
        let mends = of_kind(&objects, "hand").filter(|hand| text(hand, "mend").is_empty());
        ensure!(mends.count() == 0, "something has no mend");
        ensure!(of_kind(&objects, "question").count() == 0, "{run:?}");
        adopted.database.close().await?;
    }
    Ok(())
}
