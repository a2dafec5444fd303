//! `tenancy adopt plan` over schemas that would mislead it, or that others have prepared for it.

use std::fs;

use anyhow::{Context as _, ensure};
use sqlx::Executor as _;
use tenancy_tests::Server;

use crate::planning::{Adopted, of_kind, pairs, text};

/// Customers whose ids are texts, by which they are compared.
const TEXTS: &str = "
    CREATE TABLE orgs (id varchar PRIMARY KEY);
    CREATE TABLE users (id varchar PRIMARY KEY, org_id varchar NOT NULL REFERENCES orgs);
    CREATE TABLE notes (id int PRIMARY KEY, org_id varchar NOT NULL REFERENCES orgs, author varchar NOT NULL REFERENCES users);
    INSERT INTO orgs VALUES ('a'), ('b'); INSERT INTO users VALUES ('ann', 'a'), ('bob', 'b');
    INSERT INTO notes VALUES (1, 'a', 'ann'), (2, 'b', 'bob');
";

#[tokio::test]
async fn an_operator_that_somebody_has_planted_is_not_run() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adopted = Adopted::new(
            &server,
            &format!(
                "{TEXTS} CREATE FUNCTION planted(varchar, varchar) RETURNS boolean LANGUAGE plpgsql
                     AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
                 CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = planted);
                 CREATE OPERATOR public.<> (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = planted);"
            ),
        )
        .await?;
        // It is what a statement of a careless session gets.
        let mut admin = adopted.database.admin().await?;
        let careless = admin
            .execute("SELECT FROM users AS u JOIN notes AS n ON u.id = n.author")
            .await;
        ensure!(careless.is_err_and(|error| error.to_string().contains("planted")));
        let root = ["--root", "public.orgs"];
        adopted.plan(&root)?.ends_with(0)?;
        adopted
            .execute("UPDATE notes SET author = 'bob' WHERE id = 1")
            .await?;
        let found = adopted.questions(&root)?;
        ensure!(
            found == pairs(&[("disagrees", "public.notes")]),
            "{found:?}"
        );
        adopted.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn rows_that_inherit_are_not_taken_for_those_above() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adopted = Adopted::new(
            &server,
            &format!(
                "{TEXTS} CREATE TABLE old_users () INHERITS (users); INSERT INTO old_users VALUES ('ann', 'b'), ('bob', 'a');"
            ),
        )
        .await?;
        adopted.plan(&["--root", "public.orgs"])?.ends_with(0)?;
        adopted.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_reference_by_its_name_is_compared_or_said_to_be_none() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adopted = Adopted::new(
            &server,
            "CREATE TABLE organizations (id int PRIMARY KEY, name text UNIQUE);
             CREATE TABLE users (id int PRIMARY KEY, organization_id int NOT NULL REFERENCES organizations);
             CREATE TABLE notes (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, organization_id bigint);
             INSERT INTO organizations VALUES (1, 'a'), (2, 'b'); INSERT INTO users VALUES (1, 1), (2, 2);
             INSERT INTO notes VALUES (5, 1, 1), (6, 2, NULL)",
        )
        .await?;
        let root = ["--root", "public.organizations"];
        let out = adopted.file("plan.json");
        adopted
            .plan(&[&root[..], &["--out", &out]].concat())?
            .ends_with(0)?;
        let plan: serde_json::Value = serde_json::from_str(&fs::read_to_string(&out)?)?;
        let tables = plan["tables"].as_array().context("tables")?;
        let of = |name: &str| tables.iter().find(|table| table["table"]["name"] == name);
        let notes = of("notes").context("notes")?;
        ensure!(
            notes["rows"]["source"]["also"][0]["columns"][0] == "organization_id",
            "{notes}"
        );
        // A tenant has one row in the root: its keys say nothing within one.
        let keys = of("organizations").context("root")?["keys"].clone();
        let keys = keys.as_array().context("keys")?;
        ensure!(
            keys.len() == 2 && keys.iter().all(|key| key["holds"] == "everywhere"),
            "{keys:?}"
        );

        adopted
            .execute("INSERT INTO notes VALUES (7, 1, 2)")
            .await?;
        let found = adopted.questions(&root)?;
        ensure!(
            found == pairs(&[("disagrees", "public.notes")]),
            "{found:?}"
        );
        let told = adopted
            .plan(&[&root[..], &["--out", &out]].concat())?
            .ends_with(1)?;
        let line = "ignore = [\"organization_id\"]";
        ensure!(told.out.contains(line), "{told:?}");
        ensure!(told.err.contains("is of an earlier plan"), "{told:?}");
        adopted.answer(&format!("[adopt.tables.\"public.notes\"]\n{line}"))?;
        adopted.plan(&root)?.ends_with(0)?;
        adopted.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_partition_s_own_reference_is_compared() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adopted = Adopted::new(
            &server,
            &format!(
                "{TEXTS} CREATE TABLE events (at int PRIMARY KEY, org_id varchar NOT NULL REFERENCES orgs, author varchar)
                     PARTITION BY RANGE (at);
                 CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (5);
                 CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (5) TO (9);
                 ALTER TABLE events_1 ADD FOREIGN KEY (author) REFERENCES users;
                 CREATE TABLE marks (id int PRIMARY KEY, event int NOT NULL REFERENCES events_1);
                 INSERT INTO events VALUES (1, 'a', 'ann'), (6, 'a', 'bob'); INSERT INTO marks VALUES (1, 1);"
            ),
        )
        .await?;
        let root = ["--root", "public.orgs", "--format", "json"];
        let run = adopted.plan(&root)?.ends_with(0)?;
        let objects = run.json()?;
        let marks = of_kind(&objects, "table").find(|table| table["table"] == "public.marks");
        let to = marks.map(|marks| text(&marks["from"], "to"));
        ensure!(to.as_deref() == Some("public.events"), "{objects:?}");
        adopted
            .execute("INSERT INTO events VALUES (2, 'a', 'bob')")
            .await?;
        let found = adopted.questions(&["--root", "public.orgs"])?;
        ensure!(
            found == pairs(&[("disagrees", "public.events")]),
            "{found:?}"
        );
        adopted.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn no_credential_is_printed() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adopted = Adopted::new(
            &server,
            &format!(
                "{TEXTS} CREATE TABLE sessions (id text PRIMARY KEY, author varchar NOT NULL REFERENCES users, org_id varchar);
                 CREATE TABLE people (email text PRIMARY KEY, org_id varchar REFERENCES orgs);
                 INSERT INTO sessions VALUES ('sesame', 'ann', 'b'); INSERT INTO people VALUES ('ann@example.org', NULL);"
            ),
        )
        .await?;
        for format in ["text", "json"] {
            let run = adopted
                .plan(&["--root", "public.orgs", "--format", format])?
                .ends_with(1)?;
            let asked = ["public.sessions_pkey", "sessions (0,1)", "people (0,1)"];
            for asked in asked {
                ensure!(run.out.contains(asked), "{asked} {run:?}");
            }
            let all = format!("{}{}", run.out, run.err);
            ensure!(!all.contains("sesame") && !all.contains("ann@"), "{all}");
        }
        adopted.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn answers_that_name_no_tenant_are_refused_at_their_place() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adopted = Adopted::new(
            &server,
            "CREATE TABLE orgs (id int PRIMARY KEY);
             CREATE TABLE users (id int PRIMARY KEY, org_id int NOT NULL REFERENCES orgs, nick int NOT NULL);
             CREATE TABLE files (id int PRIMARY KEY, org_id int REFERENCES orgs);
             CREATE TABLE one (id int PRIMARY KEY, two int); CREATE TABLE two (id int PRIMARY KEY, one int);
             CREATE TABLE visits (id int PRIMARY KEY, nick int);
             CREATE TABLE kept (id int PRIMARY KEY, tenant_id int);
             INSERT INTO orgs VALUES (1); INSERT INTO files VALUES (1, NULL)",
        )
        .await?;
        let files = "[adopt.tables.\"public.files\"]\nfrom = \"org_id\"\n";
        let one = "[adopt.tables.\"public.one\"]\nfrom = \"two\"\nto = \"public.two\"\n";
        for (answers, wanted) in [
            (
                format!("{files}otherwise = 2"),
                "line 3, column 13: `otherwise` of `public.files` names the tenant `2`, and no row of the root has that key",
            ),
            (
                format!("{files}otherwise = \"acme\""),
                "line 3, column 13: `otherwise` has to be a value of `id` of `public.orgs`, of type integer",
            ),
            (
                format!("{one}[adopt.tables.\"public.two\"]\nfrom = \"one\"\nto = \"public.one\""),
                "line 1, column 15: these answers lead in a circle",
            ),
            (
                one.to_owned(),
                "`public.one` gets its tenant from `public.two`, of which it is not known",
            ),
            (
                "[adopt.tables.\"public.visits\"]\nfrom = \"nick\"\nto = \"public.users\"\nto-columns = \"nick\"".to_owned(),
                "no unique key of `public.users` is one of (nick)",
            ),
        ] {
            adopted.answer(&answers)?;
            let told = adopted.plan(&["--root", "public.orgs"])?.ends_with(2)?;
            ensure!(told.err.contains(wanted), "{wanted}\n{told:?}");
        }
        let rest = "[adopt]\nroot = \"public.orgs\"\nclosed = [\"public.one\", \"public.two\", \"public.visits\", \"public.kept\"]\n";
        adopted.answer(&format!("{rest}{files}otherwise = 1"))?;
        adopted.plan(&[])?.ends_with(0)?;
        adopted.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_lines_that_are_offered_are_taken_together() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adopted = Adopted::new(
            &server,
            &format!(
                "{TEXTS} CREATE TABLE \"Od\"\"d\" (id int PRIMARY KEY, org_id varchar REFERENCES orgs, \"a\\b\" text UNIQUE, token text UNIQUE);
                 CREATE TABLE logs (id int PRIMARY KEY, org_id varchar); CREATE TABLE heirs () INHERITS (logs);
                 CREATE TABLE people (id int PRIMARY KEY);
                 CREATE TABLE memberships (org_id varchar NOT NULL REFERENCES orgs, person int NOT NULL REFERENCES people,
                     UNIQUE (org_id, person));
                 INSERT INTO logs VALUES (1, NULL), (2, 'a');"
            ),
        )
        .await?;
        let open = adopted.plan(&["--root", "public.orgs"])?.ends_with(1)?;
        ensure!(open.out.contains("Not complete: "), "{open:?}");
        ensure!(
            open.out
                .contains("by public.memberships a row may belong to several tenants"),
            "{open:?}"
        );
        let (_, lines) = open.out.split_once("decide otherwise\n").context("lines")?;
        let lines = lines.lines().filter(|line| !line.contains(" decided, "));
        let lines: Vec<_> = lines.collect();
        adopted.answer(&lines.join("\n"))?;
        // What is left are memberships of people who are closed now, and rows for which nobody has named a tenant.
        let run = adopted.plan(&["--format", "json"])?.ends_with(1)?;
        let objects = run.json()?;
        let left: Vec<_> = of_kind(&objects, "question")
            .map(|one| text(one, "code"))
            .collect();
        ensure!(left == ["null"], "{left:?} {lines:?}");
        adopted
            .execute("DELETE FROM logs WHERE org_id IS NULL")
            .await?;
        adopted.plan(&[])?.ends_with(0)?;
        adopted.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_table_that_is_locked_is_named() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adopted = Adopted::new(&server, TEXTS).await?;
        let mut other = adopted.database.admin().await?;
        other
            .execute("BEGIN; ALTER TABLE notes ADD CHECK (id > 0)")
            .await?;
        let told = adopted.plan(&["--root", "public.orgs"])?.ends_with(2)?;
        ensure!(
            told.err.contains("notes") && told.err.contains("run this again when they are done"),
            "{told:?}"
        );
        other.execute("ROLLBACK").await?;
        adopted.plan(&["--root", "public.orgs"])?.ends_with(0)?;
        adopted.database.close().await?;
    }
    Ok(())
}
