//! `tenancy adopt rollback`, and `adopt status` with what was observed.

use anyhow::ensure;
use sqlx::{Executor as _, types::Uuid};
use tenancy_tests::{Server, Version};

use crate::adopting_stand::{Adoption, ODD, SHOP, odd_plan, shop_plan};

/// The phases that leave something to take back, and those between them.
const PHASES: [&str; 11] = [
    "prepare",
    "columns",
    "new-rows",
    "backfill",
    "check",
    "indexes",
    "constraints",
    "validate",
    "observe",
    "enforce",
    "report",
];

#[tokio::test]
async fn each_phase_is_taken_back_to_what_was() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adoption = Adoption::new(&server, SHOP).await?;
        let (catalog, contents) = (adoption.catalog().await?, adoption.contents().await?);
        adoption.write_plan(shop_plan()).await?;
        for phase in PHASES {
            let plan = adoption.plan();
            let mut before = catalog.clone();
            if let Some(last) = PHASES.iter().take_while(|last| **last != phase).last() {
                adoption
                    .run(&["run", "--plan", &plan, "--until", last])?
                    .ends_with(0)?;
                before = adoption.catalog().await?;
            }
            adoption
                .run(&["run", "--plan", &plan, "--until", phase])?
                .ends_with(0)?;
            // These look, and change rows; the others change the catalog.
            if !["backfill", "check", "report"].contains(&phase) {
                ensure!(adoption.catalog().await? != before, "{phase} does nothing");
            }
            adoption.run(&["rollback"])?.ends_with(0)?;
            same(&catalog, &adoption.catalog().await?, phase)?;
            ensure!(adoption.contents().await? == contents, "after {phase}");
        }
        adoption.close().await?;
    }
    Ok(())
}

/// That two pictures of a catalog have the same lines.
fn same(before: &[String], after: &[String], what: &str) -> anyhow::Result<()> {
    let differs: Vec<_> = after
        .iter()
        .filter(|line| !before.contains(line))
        .chain(before.iter().filter(|line| !after.contains(line)))
        .collect();
    ensure!(differs.is_empty(), "{what}: {differs:#?}");
    Ok(())
}

#[tokio::test]
async fn a_phase_that_was_not_done_is_not_gone_back_to() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--until", "check"])?
        .ends_with(0)?;
    let catalog = adoption.catalog().await?;
    for phase in ["indexes", "enforce", "report", "finish"] {
        let run = adoption.run(&["rollback", "--to", phase])?.ends_with(2)?;
        ensure!(run.err.contains(phase), "{phase}: {run:?}");
        ensure!(adoption.catalog().await? == catalog, "{phase}");
    }
    // One that was ended goes on to where it was to end.
    adoption
        .as_admin(
            "UPDATE tenancy_adopt.phases SET done_at = NULL; UPDATE tenancy_adopt.adoption SET back_to = 2",
        )
        .await?;
    adoption
        .run(&["rollback", "--to", "columns"])?
        .ends_with(2)?;
    adoption
        .run(&["rollback", "--to", "new-rows"])?
        .ends_with(0)?;
    adoption.close().await
}

/// What an application may have around its tables that the cut-over must leave as it is.
const AROUND: &str = "
    ALTER TABLE jobs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenancy_of_its_own ON jobs USING (true);
    CREATE TABLE jobs_old () INHERITS (jobs);
    ALTER TABLE jobs_old ENABLE ROW LEVEL SECURITY;
    CREATE PUBLICATION some_columns FOR TABLE projects (id, name) WHERE (id > 0), TABLE tasks (id, code);
    GRANT SELECT (id), UPDATE (name) ON projects TO tenancy_app;
";

#[tokio::test]
async fn what_stands_around_the_tables_stays_and_comes_back() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, &format!("{SHOP}{AROUND}")).await?;
    let catalog = adoption.catalog().await?;
    adoption.write_plan(shop_plan()).await?;
    for phase in ["observe", "report"] {
        adoption
            .run(&["run", "--plan", &adoption.plan(), "--until", phase])?
            .ends_with(0)?;
        let security: Vec<(bool,)> = adoption
            .rows(
                "SELECT bool_and(relrowsecurity) AND bool_or(relforcerowsecurity) FROM pg_class
                 WHERE oid IN ('jobs'::regclass, 'jobs_old'::regclass)",
            )
            .await?;
        ensure!(security == [(true,)], "{phase}");
        let published: Vec<(bool,)> = adoption
            .rows("SELECT 'tenant_id' = ANY (attnames) FROM pg_publication_tables")
            .await?;
        ensure!(published == [(phase == "report",); 2], "{phase}");
        adoption.run(&["rollback"])?.ends_with(0)?;
        same(&catalog, &adoption.catalog().await?, phase)?;
        let recorded: Vec<(i64,)> = adoption
            .rows("SELECT count(*) FROM tenancy.protections")
            .await?;
        ensure!(recorded == [(0,)], "{phase}: {recorded:?}");
    }
    adoption.close().await
}

#[tokio::test]
async fn tables_of_every_shape_are_taken_back_while_the_application_writes() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adoption = Adoption::new(&server, ODD).await?;
        let (catalog, contents) = (adoption.catalog().await?, adoption.contents().await?);
        adoption.write_plan(odd_plan()).await?;
        adoption
            .run(&["run", "--plan", &adoption.plan(), "--until", "report"])?
            .ends_with(0)?;
        for phase in ["observe", "validate", "check", "new-rows", "columns"] {
            adoption.run(&["rollback", "--to", phase])?.ends_with(0)?;
            // A row before the one that says its tenant; into a partition; into what inherits.
            let mut old = adoption.old_app().await?;
            old.execute(
                "BEGIN; INSERT INTO late (id, left_id) VALUES (900, 900);
                 INSERT INTO left_side (id, org) SELECT 900, min(id::text)::uuid FROM orgs;
                 INSERT INTO events SELECT 900, min(id::text)::uuid, 40 FROM orgs;
                 INSERT INTO log_old SELECT min(id::text)::uuid, 'new' FROM orgs; COMMIT;
                 DELETE FROM late WHERE id = 900; DELETE FROM left_side WHERE id = 900;
                 DELETE FROM events WHERE id = 900; DELETE FROM log_old WHERE line = 'new'",
            )
            .await?;
        }
        adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
        adoption.run(&["rollback"])?.ends_with(0)?;
        same(&catalog, &adoption.catalog().await?, "to the start")?;
        ensure!(adoption.contents().await? == contents);
        adoption.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_rollback_that_ends_after_the_cut_over_leaves_the_application_writing()
-> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, ODD).await?;
    let (catalog, contents) = (adoption.catalog().await?, adoption.contents().await?);
    adoption.write_plan(odd_plan()).await?;
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--until", "report"])?
        .ends_with(0)?;
    // What a rollback does first, and no more.
    adoption
        .as_admin(
            "UPDATE tenancy_adopt.phases SET done_at = NULL; UPDATE tenancy_adopt.adoption SET back_to = -1; BEGIN;
             SET LOCAL lock_timeout = '2s'; SELECT tenancy_adopt.restore(); DELETE FROM tenancy_adopt.undo WHERE phase = 'enforce'; COMMIT",
        )
        .await?;
    let mut old = adoption.old_app().await?;
    old.execute(
        "BEGIN; INSERT INTO late (id, left_id) VALUES (900, 900);
         INSERT INTO left_side (id, org) SELECT 900, min(id::text)::uuid FROM orgs;
         INSERT INTO orgs VALUES ('00000000-0000-4000-8000-000000000099');
         INSERT INTO events VALUES (900, '00000000-0000-4000-8000-000000000099', 40); COMMIT",
    )
    .await?;
    let tenants: Vec<(i64, i64)> = adoption
        .rows("SELECT count(*), count(tenant_id) FROM (SELECT tenant_id FROM events WHERE id = 900 UNION ALL SELECT tenant_id FROM late) AS r")
        .await?;
    ensure!(
        tenants[0].0 > 4 && tenants[0].0 == tenants[0].1,
        "{tenants:?}"
    );
    old.execute(
        "DELETE FROM events WHERE id = 900; DELETE FROM orgs WHERE id = '00000000-0000-4000-8000-000000000099';
         DELETE FROM late WHERE id = 900; DELETE FROM left_side WHERE id = 900",
    )
    .await?;
    adoption.run(&["rollback"])?.ends_with(0)?;
    same(&catalog, &adoption.catalog().await?, "to the start")?;
    ensure!(adoption.contents().await? == contents);
    adoption.close().await
}

#[tokio::test]
async fn a_rollback_to_a_phase_is_that_phase_again() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    let contents = adoption.contents().await?;
    adoption.write_plan(shop_plan()).await?;
    let mut catalogs = Vec::new();
    for phase in PHASES {
        adoption
            .run(&["run", "--plan", &adoption.plan(), "--until", phase])?
            .ends_with(0)?;
        catalogs.push((phase, adoption.catalog().await?));
    }
    for (phase, catalog) in catalogs.iter().rev() {
        adoption.run(&["rollback", "--to", phase])?.ends_with(0)?;
        let after = adoption.catalog().await?;
        // What is built beside has the number of what it is built beside in its name.
        let named = |line: &&String| !line.contains("tenancy_adopt_");
        // What was validated stays valid.
        let valid = |lines: &[String]| -> Vec<String> {
            lines
                .iter()
                .map(|line| line.replace(" NOT VALID", ""))
                .collect()
        };
        let (after, catalog) = (valid(&after), valid(catalog));
        let differs: Vec<_> = after
            .iter()
            .filter(|line| !catalog.contains(line))
            .chain(catalog.iter().filter(|line| !after.contains(line)))
            .filter(named)
            .collect();
        ensure!(differs.is_empty(), "to {phase}: {differs:#?}");
        // The old application goes on.
        let mut old = adoption.old_app().await?;
        if *phase != "enforce" && *phase != "report" {
            old.execute(
                "BEGIN; UPDATE tasks SET title = title || 'x';
                 INSERT INTO orgs (name) VALUES ('new'); INSERT INTO projects (org_id, name) SELECT id, 'p' FROM orgs
                 WHERE name = 'new'; INSERT INTO tasks (project_id, code) SELECT id, 'k' FROM projects WHERE name = 'p'; ROLLBACK",
            )
            .await?;
        }
    }
    // And forward again, all the way.
    adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
    ensure!(adoption.contents().await? == contents);
    adoption.close().await
}

#[tokio::test]
async fn a_cut_over_that_was_used_is_not_taken_back_past_duplicates() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--until", "report"])?
        .ends_with(0)?;
    adoption
        .as_admin(
            "INSERT INTO tasks (tenant_id, project_id, code, title)
             SELECT p.tenant_id, min(p.id), 'both', 'x' FROM projects AS p GROUP BY 1",
        )
        .await?;
    let catalog = adoption.catalog().await?;
    let refused = adoption.run(&["rollback"])?.ends_with(2)?;
    ensure!(
        refused.err.contains("tasks_code") && refused.err.contains("both"),
        "{refused:?}"
    );
    ensure!(adoption.catalog().await? == catalog);
    adoption
        .as_admin("DELETE FROM tasks WHERE code = 'both'")
        .await?;
    adoption.run(&["rollback"])?.ends_with(0)?;
    adoption.close().await
}

#[tokio::test]
async fn what_would_be_denied_is_recorded_and_let_through() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adoption = Adoption::new(&server, SHOP).await?;
        adoption.write_plan(shop_plan()).await?;
        adoption
            .run(&["run", "--plan", &adoption.plan()])?
            .ends_with(0)?;
        let tenants: Vec<(Uuid,)> = adoption.rows("SELECT id FROM orgs ORDER BY name").await?;
        let mut app = adoption.app(tenants[0].0).await?;
        let own: i64 = sqlx::query_scalar("SELECT count(*) FROM projects WHERE org_id = $1")
            .bind(tenants[0].0)
            .fetch_one(&mut app)
            .await?;
        ensure!(own > 0);
        adoption.run(&["status"])?.ends_with(1)?;
        // Without a condition it touches all: in a transaction that is rolled back, in one that writes nothing, and plainly.
        app.execute("BEGIN; UPDATE projects SET name = 'mine' || id; ROLLBACK")
            .await?;
        app.execute("BEGIN READ ONLY; SELECT FROM tasks; ROLLBACK")
            .await?;
        app.execute("SELECT FROM orgs").await?;
        // Rows that it may not write stand against the cut-over: of another tenant, and moved to another.
        app.execute(sqlx::AssertSqlSafe(format!(
            "INSERT INTO projects (org_id, name) SELECT '{1}', 'n' || n FROM generate_series(1, 50) AS n;
             INSERT INTO projects (org_id, name) VALUES ('{0}', 'own');
             UPDATE projects SET org_id = '{1}' WHERE name = 'own'",
            tenants[0].0, tenants[1].0
        )))
        .await?;
        sqlx::Connection::close(app).await?;
        // Statistics are there when a session has ended.
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'tenancy_app'";
        while adoption.rows::<(i64,)>(sessions).await? != [(0,)] {
            tokio::task::yield_now().await;
        }
        let status = adoption
            .run(&["status", "--format", "json"])?
            .ends_with(1)?
            .json()?;
        let of = |kind: &str, table: &str| {
            let found = status
                .iter()
                .find(|line| line[kind].as_str() == Some(table));
            found.cloned().unwrap_or_default()
        };
        ensure!(
            of("hidden", "public.projects")["times"].as_i64() >= Some(30),
            "{status:?}"
        );
        ensure!(
            of("hidden", "public.tasks")["times"].as_i64() >= Some(1_200),
            "{status:?}"
        );
        // Each transaction records a command once, and the statistics count its rows.
        let orgs = of("hidden", "public.orgs");
        ensure!(
            orgs["rows"][0]["command"] == "SELECT"
                && orgs["rows"][0]["times"] == 1
                && orgs["times"].as_i64() >= Some(3),
            "{status:?}"
        );
        let projects = of("denied", "public.projects");
        ensure!(
            projects["times"].as_i64() == Some(51)
                && projects["rows"][0]["command"] == "INSERT"
                && projects["rows"][1]["command"] == "UPDATE to another tenant",
            "{status:?}"
        );
        ensure!(of("denied", "public.orgs").is_null(), "{status:?}");
        ensure!(
            orgs["rows"][0]["tenant"] == tenants[0].0.to_string(),
            "{orgs}"
        );
        let refused = adoption.run(&["run", "--until", "enforce"])?.ends_with(1)?;
        ensure!(refused.out.contains("projects"), "{refused:?}");
        adoption
            .run(&["run", "--until", "report", "--forget-denials"])?
            .ends_with(0)?;
        adoption.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn rows_that_would_be_hidden_do_not_stand_against_the_cut_over() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let adoption = Adoption::new(&server, SHOP).await?;
        adoption.write_plan(shop_plan()).await?;
        adoption
            .run(&["run", "--plan", &adoption.plan()])?
            .ends_with(0)?;
        let tenants: Vec<(Uuid,)> = adoption.rows("SELECT id FROM orgs ORDER BY name").await?;
        let mut app = adoption.app(tenants[0].0).await?;
        let all = app.execute("SELECT FROM tasks").await?.rows_affected();
        ensure!(all == 1_600, "{all}");
        let done = adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
        ensure!(
            done.out.contains("would be hidden: public.tasks"),
            "{done:?}"
        );
        adoption.run(&["status"])?.ends_with(0)?;
        adoption.close().await?;
    }
    Ok(())
}
