//! `tenancy adopt run`: schemas of one customer become those of many, whatever they look like.

use anyhow::ensure;
use sqlx::{Executor as _, PgConnection, types::Uuid};
use tenancy_tests::{Server, Version};

use crate::adopting_stand::{Adoption, LONG_NAME, ODD, ONE, SHOP, by, odd_plan, shop_plan};

/// What each session of the service sees of a table: its tenant's rows, while others' exist.
async fn is_kept_apart(adoption: &Adoption, table: &str) -> anyhow::Result<()> {
    let all: Vec<(Uuid, i64)> = adoption
        .rows(&format!(
            "SELECT tenant_id, count(*) FROM {table} GROUP BY 1 ORDER BY 1"
        ))
        .await?;
    ensure!(all.len() > 1, "{table} has rows of one tenant: {all:?}");
    for (tenant, own) in all {
        let mut app = adoption.app(tenant).await?;
        let seen: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
                .fetch_one(&mut app)
                .await?;
        ensure!(seen == own, "{table}: {tenant} sees {seen} of its {own}");
    }
    Ok(())
}

#[tokio::test]
async fn each_row_of_a_root_becomes_a_tenant() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adoption = Adoption::new(&server, SHOP).await?;
        let before = adoption.contents().await?;
        adoption.write_plan(shop_plan()).await?;
        let observed = adoption.run(&["run", "--plan", &adoption.plan()])?;
        let observed = observed.ends_with(0)?;
        ensure!(observed.out.contains("observe is done"), "{observed:?}");
        adoption.run(&["status"])?.ends_with(1)?;
        // No trigger of the application's has run.
        ensure!(adoption.contents().await? == before);

        // The old application writes as before: a customer of its own, and what hangs on it.
        let mut old = adoption.old_app().await?;
        old.execute(
            "INSERT INTO orgs (name) VALUES ('New & Co');
             INSERT INTO projects (org_id, name) SELECT id, 'first' FROM orgs WHERE name = 'New & Co';
             INSERT INTO tasks (project_id, code, title) SELECT id, 'n-1', 'x' FROM projects WHERE name = 'first';
             UPDATE tasks SET title = 'longer' WHERE code = 'n-1'",
        )
        .await?;
        let slug: Vec<(String,)> = adoption
            .rows(
                "SELECT t.slug FROM tenancy.tenants AS t JOIN orgs AS o ON o.id = t.id AND o.tenant_id = t.id
                 JOIN projects AS p ON p.tenant_id = t.id JOIN tasks AS k ON k.tenant_id = t.id AND k.size = 6
                 WHERE o.name = 'New & Co'",
            )
            .await?;
        ensure!(slug == [("new-co".to_owned(),)], "{slug:?}");
        // It moves a project to another customer, and its tasks go along.
        old.execute(
            "UPDATE projects SET org_id = (SELECT id FROM orgs WHERE name = 'Org 1') WHERE name = 'first'",
        )
        .await?;
        let moved: Vec<(bool,)> = adoption
            .rows(
                "SELECT k.tenant_id = o.id FROM tasks AS k, orgs AS o WHERE k.code = 'n-1' AND o.name = 'Org 1'",
            )
            .await?;
        ensure!(moved == [(true,)], "{moved:?}");
        old.execute(
            "DELETE FROM touched; DELETE FROM projects WHERE name = 'first'; DELETE FROM orgs WHERE name = 'New & Co'",
        )
        .await?;

        let done = adoption
            .run(&["run", "--until", "report", "--format", "json"])?
            .ends_with(0)?;
        let tables = done.json()?;
        let tables: Vec<_> = tables
            .iter()
            .filter(|line| line.get("table").is_some())
            .collect();
        ensure!(
            tables.len() == 6 && tables.iter().all(|table| table["same"] == true),
            "{done:?}"
        );
        ensure!(adoption.contents().await? == before);
        adoption.run(&["status"])?.ends_with(0)?;

        for table in ["orgs", "projects", "tasks", "\"Odd \"\"Name\""] {
            is_kept_apart(&adoption, table).await?;
        }
        keys_hold_within_a_tenant(&adoption).await?;
        let found: Vec<(String,)> = adoption
            .rows("SELECT code || ' ' || object FROM tenancy.check() WHERE severity = 'error'")
            .await?;
        ensure!(found.is_empty(), "{found:?}");
        adoption.run(&["run", "--until", "finish"])?.ends_with(0)?;
        let left: Vec<(bool,)> = adoption
            .rows("SELECT to_regnamespace('tenancy_adopt') IS NULL")
            .await?;
        ensure!(left == [(true,)]);
        adoption.run(&["rollback"])?.ends_with(2)?;
        adoption.close().await?;
    }
    Ok(())
}

async fn keys_hold_within_a_tenant(adoption: &Adoption) -> anyhow::Result<()> {
    let tenants: Vec<(Uuid,)> = adoption.rows("SELECT id FROM orgs ORDER BY name").await?;
    let mut app = adoption.app(tenants[1].0).await?;
    let inserted = "INSERT INTO tasks (project_id, code, title)
        SELECT min(p.id), $1, 'x' FROM projects AS p";
    let taken: Vec<(String,)> = adoption
        .rows("SELECT k.code FROM tasks AS k JOIN orgs AS o ON o.id = k.tenant_id WHERE o.name = 'Org 1' LIMIT 1")
        .await?;
    let taken = &taken[0].0;
    sqlx::query(inserted).bind(taken).execute(&mut app).await?;
    let again = sqlx::query(inserted).bind(taken).execute(&mut app).await;
    let code = again.err().and_then(|error| {
        let code = error.as_database_error()?.code()?;
        Some(code.into_owned())
    });
    ensure!(code.as_deref() == Some("23505"), "{code:?}");
    Ok(())
}

#[tokio::test]
async fn one_customer_becomes_the_first_tenant() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, ONE).await?;
    let before = adoption.contents().await?;
    let tenant = "0190a000-0000-7000-8000-000000000001";
    let one = serde_json::json!({ "kind": "tenant", "source": { "kind": "one" } });
    adoption
        .write_plan((
            serde_json::json!({ "kind": "one", "tenant": tenant, "name": "First Customer" }),
            vec![
                ("authors", one.clone(), vec![]),
                ("books", one.clone(), vec![("books_isbn_key", "everywhere")]),
                ("chapters", one, vec![]),
            ],
        ))
        .await?;
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--until", "report"])?
        .ends_with(0)?;
    ensure!(adoption.contents().await? == before);
    let other = Uuid::from_u128(7);
    adoption
        .as_admin(&format!(
            "INSERT INTO tenancy.tenants (id, slug, name, status) VALUES ('{other}', 'second', 'Second', 'active')"
        ))
        .await?;
    let mut app = adoption.app(other).await?;
    let none: i64 = sqlx::query_scalar("SELECT count(*) FROM books")
        .fetch_one(&mut app)
        .await?;
    let all: Vec<(i64,)> = adoption.rows("SELECT count(*) FROM books").await?;
    ensure!(none == 0 && all[0].0 > 0, "{none} {all:?}");
    app.execute("INSERT INTO authors (name) VALUES ('A1')")
        .await?;
    // That it belongs to another tenant's author can't even be asked.
    let refers = app
        .execute("INSERT INTO books (author, isbn) VALUES (1, 'new')")
        .await;
    ensure!(refers.is_err(), "a book of another tenant's author");
    let first = tenant.parse()?;
    let mut first: PgConnection = adoption.app(first).await?;
    let all_own: i64 = sqlx::query_scalar("SELECT count(*) FROM books")
        .fetch_one(&mut first)
        .await?;
    ensure!(all_own == all[0].0);
    adoption.close().await
}

#[tokio::test]
async fn integers_and_texts_name_tenants_by_a_mapping() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    for kind in ["int", "text"] {
        let schema = format!(
            "CREATE TABLE customers (id {kind} PRIMARY KEY, title text);
             CREATE TABLE notes (id bigserial PRIMARY KEY, customer {kind} NOT NULL REFERENCES customers, body text);
             INSERT INTO customers SELECT n, 'Kunde ' || n FROM generate_series(1, 4) AS n;
             INSERT INTO notes (customer, body) SELECT c.id, 'n' || n FROM customers AS c, generate_series(1, 30) AS n;"
        );
        let adoption = Adoption::new(&server, &schema).await?;
        let before = adoption.contents().await?;
        adoption
            .write_plan((
                serde_json::json!({ "kind": "root", "table": { "schema": "public", "name": "customers" },
                    "key": "id", "label": "title" }),
                vec![
                    (
                        "customers",
                        serde_json::json!({ "kind": "tenant", "source": { "kind": "root" } }),
                        vec![],
                    ),
                    ("notes", by("customer", "customers", "id"), vec![]),
                ],
            ))
            .await?;
        adoption
            .run(&["run", "--plan", &adoption.plan()])?
            .ends_with(0)?;
        let mut old = adoption.old_app().await?;
        old.execute(sqlx::AssertSqlSafe(format!(
            "INSERT INTO customers VALUES ('77'::{kind}, 'late'); INSERT INTO notes (customer, body) VALUES ('77'::{kind}, 'x')"
        )))
        .await?;
        adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
        adoption
            .as_admin("DELETE FROM notes WHERE body = 'x'")
            .await?;
        adoption
            .as_admin("DELETE FROM customers WHERE title = 'late'")
            .await?;
        ensure!(adoption.contents().await? == before);
        is_kept_apart(&adoption, "notes").await?;
        is_kept_apart(&adoption, "customers").await?;
        let slugs: Vec<(String,)> = adoption
            .rows("SELECT slug FROM tenancy.tenants ORDER BY slug")
            .await?;
        ensure!(
            slugs.iter().map(|slug| slug.0.as_str()).collect::<Vec<_>>()
                == ["kunde-1", "kunde-2", "kunde-3", "kunde-4", "late"],
            "{slugs:?}"
        );
        adoption.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn tables_of_every_shape_are_adopted() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adoption = Adoption::new(&server, ODD).await?;
        let before = adoption.contents().await?;
        adoption.write_plan(odd_plan()).await?;
        adoption
            .run(&["run", "--plan", &adoption.plan()])?
            .ends_with(0)?;
        // The old application may write a row before the one that says its tenant.
        let mut old = adoption.old_app().await?;
        old.execute(
            "BEGIN; INSERT INTO late (id, left_id) VALUES (900, 900);
             INSERT INTO left_side (id, org) SELECT 900, min(id::text)::uuid FROM orgs; COMMIT",
        )
        .await?;
        adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
        let late: Vec<(bool,)> = adoption
            .rows("SELECT tenant_id = (SELECT min(id::text)::uuid FROM orgs) FROM late WHERE id = 900")
            .await?;
        ensure!(late == [(true,)], "{late:?}");
        adoption.as_admin("DELETE FROM late WHERE id = 900").await?;
        adoption
            .as_admin("DELETE FROM left_side WHERE id = 900")
            .await?;
        ensure!(adoption.contents().await? == before);
        // Taken back, it may do so again, and forward again nothing is lost.
        adoption
            .run(&["rollback", "--to", "observe"])?
            .ends_with(0)?;
        let mut old = adoption.old_app().await?;
        old.execute(
            "BEGIN; INSERT INTO late (id, left_id) VALUES (900, 900);
             INSERT INTO left_side (id, org) SELECT 900, min(id::text)::uuid FROM orgs;
             DELETE FROM late WHERE id = 900; DELETE FROM left_side WHERE id = 900; COMMIT",
        )
        .await?;
        adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
        ensure!(adoption.contents().await? == before);
        for table in [
            "events",
            "event_notes",
            "log",
            "left_side",
            "right_side",
            "late",
            &format!("\"{LONG_NAME}\""),
        ] {
            is_kept_apart(&adoption, table).await?;
        }
        adoption.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_the_plan_writes_is_carried_out() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, ONE).await?;
    let before = adoption.contents().await?;
    let planned = adoption.run(&[
        "plan",
        "--one-tenant",
        "First Customer",
        "--out",
        &adoption.plan(),
    ])?;
    let planned = planned.ends_with(0)?;
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--until", "report"])?
        .ends_with(0)?;
    ensure!(adoption.contents().await? == before, "{planned:?}");
    let tenants: Vec<(Uuid, i64)> = adoption
        .rows("SELECT tenant_id, count(*) FROM chapters GROUP BY 1")
        .await?;
    ensure!(tenants.len() == 1 && tenants[0].1 == 2_000, "{tenants:?}");
    let mut app = adoption.app(tenants[0].0).await?;
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM chapters")
        .fetch_one(&mut app)
        .await?;
    let mut other = adoption.app(Uuid::from_u128(5)).await?;
    let none: i64 = sqlx::query_scalar("SELECT count(*) FROM chapters")
        .fetch_one(&mut other)
        .await?;
    ensure!(seen == 2_000 && none == 0, "{seen} {none}");
    adoption.close().await
}

#[tokio::test]
async fn each_tenant_is_a_row_of_the_root_and_no_other() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    let plan = adoption.plan();
    adoption
        .run(&["run", "--plan", &plan, "--until", "prepare"])?
        .ends_with(0)?;
    let mut old = adoption.old_app().await?;
    // Before the triggers are there.
    old.execute("INSERT INTO orgs (name) VALUES ('Between')")
        .await?;
    adoption
        .run(&["run", "--until", "new-rows"])?
        .ends_with(0)?;
    // Rows that are there already are no new tenants.
    old.execute(
        "INSERT INTO orgs (name) VALUES ('Org 1') ON CONFLICT DO NOTHING;
         INSERT INTO orgs (name) VALUES ('Org 2') ON CONFLICT (name) DO UPDATE SET name = excluded.name;
         BEGIN; INSERT INTO orgs (name) VALUES ('Given up'); ROLLBACK;
         INSERT INTO orgs (name) VALUES ('After')",
    )
    .await?;
    adoption.run(&["run"])?.ends_with(0)?;
    let slugs: Vec<(String,)> = adoption
        .rows("SELECT slug FROM tenancy.tenants ORDER BY slug")
        .await?;
    let slugs: Vec<_> = slugs.iter().map(|slug| slug.0.as_str()).collect();
    ensure!(
        slugs == ["after", "between", "org-1", "org-2", "org-3", "org-4"],
        "{slugs:?}"
    );
    adoption.close().await
}

#[tokio::test]
async fn the_same_id_is_the_same_tenant_whatever_a_session_has_set() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let schema = "CREATE TABLE customers (id int PRIMARY KEY);
         CREATE TABLE notes (id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES customers);
         INSERT INTO customers VALUES (1), (2)";
    let adoption = Adoption::new(&server, schema).await?;
    let root = serde_json::json!({ "kind": "tenant", "source": { "kind": "root" } });
    adoption
        .write_plan((
            serde_json::json!({ "kind": "root", "table": { "schema": "public", "name": "customers" }, "key": "id",
                "label": null }),
            vec![
                ("customers", root, vec![]),
                ("notes", by("customer", "customers", "id"), vec![]),
            ],
        ))
        .await?;
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--until", "new-rows"])?
        .ends_with(0)?;
    let mut old = adoption.old_app().await?;
    old.execute(
        "SET \"TimeZone\" = 'Asia/Kathmandu'; SET \"DateStyle\" = 'German'; UPDATE customers SET id = id",
    )
    .await?;
    adoption.run(&["run"])?.ends_with(0)?;
    let tenants: Vec<(i64, i64)> = adoption
        .rows(
            "SELECT count(*), count(c.id) FROM tenancy.tenants AS t LEFT JOIN customers AS c ON c.tenant_id = t.id",
        )
        .await?;
    ensure!(tenants == [(2, 2)], "{tenants:?}");
    adoption.close().await
}

#[tokio::test]
async fn rows_move_with_what_they_refer_to_whoever_may_change_them() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    // A trigger of the application's that goes by the writer's path runs as before.
    let schema = format!(
        "{SHOP}; CREATE TRIGGER touches_projects BEFORE UPDATE ON projects FOR EACH ROW EXECUTE FUNCTION touch();
         CREATE TABLE parts (task int NOT NULL REFERENCES tasks, n int)"
    );
    let adoption = Adoption::new(&server, &schema).await?;
    adoption
        .as_admin(
            "REVOKE UPDATE ON tasks, projects FROM old_app; GRANT UPDATE (name, org_id) ON projects TO old_app;
             DELETE FROM \"Odd \"\"Name\"",
        )
        .await?;
    let (tenants, mut tables) = shop_plan();
    tables.push(("parts", by("task", "tasks", "id"), vec![]));
    adoption.write_plan((tenants, tables)).await?;
    let catalog = adoption.catalog().await?;
    adoption
        .run(&["run", "--plan", &adoption.plan()])?
        .ends_with(0)?;
    adoption
        .as_admin("INSERT INTO parts (task, n) SELECT id, id FROM tasks WHERE project_id = 1")
        .await?;
    let mut old = adoption.old_app().await?;
    old.execute(
        "UPDATE projects SET name = 'moved', org_id = (SELECT id FROM orgs WHERE name = 'Org 3') WHERE id = 1",
    )
    .await?;
    let moved: Vec<(i64, bool)> = adoption
        .rows(
            "SELECT count(*), bool_and(k.tenant_id = o.id AND r.tenant_id = o.id)
             FROM tasks AS k JOIN parts AS r ON r.task = k.id, orgs AS o WHERE k.project_id = 1 AND o.name = 'Org 3'",
        )
        .await?;
    ensure!(moved == [(40, true)], "{moved:?}");
    adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
    // No right that was given for it stays.
    adoption.run(&["rollback"])?.ends_with(0)?;
    let after = adoption.catalog().await?;
    ensure!(after == catalog);
    adoption.close().await
}

#[tokio::test]
async fn partitions_may_come_and_go_meanwhile() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adoption = Adoption::new(&server, ODD).await?;
        adoption.as_admin("DROP TABLE event_notes").await?;
        let (tenants, mut tables) = odd_plan();
        tables.retain(|table| table.0 != "event_notes");
        adoption.write_plan((tenants, tables)).await?;
        adoption
            .run(&["run", "--plan", &adoption.plan(), "--until", "new-rows"])?
            .ends_with(0)?;
        adoption
            .as_admin(
                "ALTER TABLE events DETACH PARTITION events_1; DROP TABLE events_2;
                 CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM (2000) TO (3000);
                 CREATE TABLE events_4 (id int NOT NULL, org uuid NOT NULL, at int NOT NULL, tenant_id uuid);
                 INSERT INTO events_4 SELECT row_number() OVER (), id, 3001 FROM orgs;
                 ALTER TABLE events ATTACH PARTITION events_4 FOR VALUES FROM (3000) TO (4000);
                 INSERT INTO events SELECT 1, min(id::text)::uuid, 2001 FROM orgs",
            )
            .await?;
        // It still refers to tenants, and is none's.
        let refused = adoption.run(&["run", "--until", "report"])?.ends_with(2)?;
        ensure!(
            refused.err.contains("events_1") && refused.err.contains("DROP CONSTRAINT"),
            "{refused:?}"
        );
        adoption
            .as_admin("ALTER TABLE events_1 DROP CONSTRAINT events_org_fkey")
            .await?;
        adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
        is_kept_apart(&adoption, "events").await?;
        let status = adoption.run(&["status"])?.ends_with(0)?;
        ensure!(
            status.out.contains("events_4") && !status.out.contains("events_1"),
            "{status:?}"
        );
        adoption.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn names_as_long_as_can_be_are_cut_by_bytes() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    // 32 letters of two bytes each would be one too many.
    let (table, other) = ("ä".repeat(31), format!("{}ö", "ä".repeat(30)));
    let (key, last) = ("é".repeat(31), format!("{}è", "é".repeat(30)));
    let schema = format!(
        "CREATE TABLE orgs (id uuid PRIMARY KEY);
         CREATE TABLE {table} (org uuid NOT NULL REFERENCES orgs, n int UNIQUE);
         CREATE TABLE {other} (org uuid NOT NULL REFERENCES orgs, n int, CONSTRAINT {key} UNIQUE (n), CONSTRAINT {last} UNIQUE (org, n));
         CREATE TABLE plain (org uuid NOT NULL REFERENCES orgs);
         CREATE TABLE plain_tenant_id_idx (org uuid NOT NULL REFERENCES orgs);
         INSERT INTO orgs VALUES ('00000000-0000-4000-8000-000000000001')",
    );
    let adoption = Adoption::new(&server, &schema).await?;
    let catalog = adoption.catalog().await?;
    let root = serde_json::json!({ "kind": "tenant", "source": { "kind": "root" } });
    adoption
        .write_plan((
            serde_json::json!({ "kind": "root", "table": { "schema": "public", "name": "orgs" }, "key": "id",
                "label": null }),
            vec![
                ("orgs", root, vec![]),
                (&table, by("org", "orgs", "id"), vec![]),
                (
                    &other,
                    by("org", "orgs", "id"),
                    vec![(&key, "everywhere"), (&last, "tenant")],
                ),
                ("plain", by("org", "orgs", "id"), vec![]),
                ("plain_tenant_id_idx", by("org", "orgs", "id"), vec![]),
            ],
        ))
        .await?;
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--until", "report"])?
        .ends_with(0)?;
    adoption.run(&["rollback"])?.ends_with(0)?;
    ensure!(adoption.catalog().await? == catalog);
    adoption.close().await
}
