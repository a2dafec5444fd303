//! What an adoption refuses, and that nothing was changed then.

use anyhow::ensure;
use serde_json::json;
use sqlx::{Executor as _, types::Uuid};
use tenancy_tests::{Server, Version, notes::PASSWORD};

use crate::{
    adopting_stand::{Adoption, SHOP, by, reference, shop_plan},
    stand::Run,
};

/// Runs the plan of the shop over a schema that was changed before the plan was made.
async fn refused(change: &str, expected: &[&str]) -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.as_admin(change).await?;
    adoption.write_plan(shop_plan()).await?;
    let before = adoption.catalog().await?;
    let run = adoption
        .run(&["run", "--plan", &adoption.plan()])?
        .ends_with(2)?;
    for part in expected {
        ensure!(run.err.contains(part), "{part}: {run:?}");
    }
    ensure!(adoption.catalog().await? == before);
    adoption.close().await
}

#[tokio::test]
async fn what_a_table_can_not_have_is_named() -> anyhow::Result<()> {
    refused(
        "CREATE EXTENSION btree_gist; ALTER TABLE tasks ADD CONSTRAINT no_two EXCLUDE USING gist (code WITH =)",
        &["tasks", "no_two", "DROP CONSTRAINT"],
    )
    .await?;
    refused(
        "ALTER TABLE projects ADD tenant_id int",
        &["projects", "tenant_id already", "RENAME"],
    )
    .await?;
    refused(
        "CREATE TABLE stray (project bigint REFERENCES projects)",
        &["stray", "not in the plan"],
    )
    .await?;
    refused(
        "ALTER TABLE jobs ADD project bigint REFERENCES projects",
        &["jobs", "is no tenant's"],
    )
    .await?;
    refused(
        "ALTER TABLE projects ENABLE ROW LEVEL SECURITY",
        &["projects", "row security"],
    )
    .await?;
    refused(
        "CREATE TABLE projects_old () INHERITS (projects); ALTER TABLE projects_old FORCE ROW LEVEL SECURITY",
        &["projects_old", "row security"],
    )
    .await?;
    refused(
        "ALTER TABLE countries ENABLE ROW LEVEL SECURITY",
        &["countries", "row security"],
    )
    .await
}

#[tokio::test]
async fn what_the_backfill_would_set_off_or_break_is_named() -> anyhow::Result<()> {
    refused(
        "ALTER TABLE tasks ENABLE ALWAYS TRIGGER touches",
        &["tasks", "touches", "ENABLE TRIGGER"],
    )
    .await?;
    refused(
        "CREATE TABLE tasks_old () INHERITS (tasks);
         CREATE TRIGGER touches BEFORE UPDATE ON tasks_old FOR EACH ROW EXECUTE FUNCTION touch();
         ALTER TABLE tasks_old ENABLE REPLICA TRIGGER touches",
        &["tasks_old", "touches"],
    )
    .await?;
    refused(
        "CREATE PUBLICATION everything FOR ALL TABLES",
        &["everything", "Odd", "REPLICA IDENTITY FULL"],
    )
    .await?;
    refused(
        "CREATE FUNCTION all_projects() RETURNS SETOF projects LANGUAGE sql AS 'SELECT id, org_id, name FROM projects';
         CREATE FUNCTION whole_projects() RETURNS SETOF projects LANGUAGE sql AS 'SELECT * FROM projects'",
        &["all_projects", "select *"],
    )
    .await
}

#[tokio::test]
async fn a_schema_that_changes_meanwhile_is_refused_by_its_tables() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--until", "new-rows"])?
        .ends_with(0)?;
    adoption
        .as_admin("ALTER TABLE projects ADD note text; ALTER TABLE jobs RENAME TO work; CREATE INDEX ON tasks (size)")
        .await?;
    let run = adoption.run(&["run"])?.ends_with(2)?;
    ensure!(
        run.err.contains("public.projects has changed") && !run.err.contains("tasks"),
        "{run:?}"
    );
    adoption.as_admin("DROP TABLE countries CASCADE").await?;
    let run = adoption.run(&["run"])?.ends_with(2)?;
    ensure!(run.err.contains("public.countries is gone"), "{run:?}");
    adoption.run(&["rollback"])?.ends_with(0)?;
    adoption.close().await
}

#[tokio::test]
async fn a_schema_that_has_changed_since_is_refused_by_its_tables() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    adoption
        .as_admin("ALTER TABLE projects ADD note text; DROP TABLE countries")
        .await?;
    let run = adoption
        .run(&["run", "--plan", &adoption.plan()])?
        .ends_with(2)?;
    ensure!(
        run.err.contains("projects has changed")
            && run.err.contains("countries is gone")
            && !run.err.contains("tasks"),
        "{run:?}"
    );
    adoption.run(&["run"])?.ends_with(2)?;
    let nowhere = adoption
        .run(&["run", "--plan", "/nowhere/plan.json"])?
        .ends_with(2)?;
    ensure!(nowhere.err.contains("/nowhere/plan.json"), "{nowhere:?}");
    adoption.run(&["status"])?.ends_with(0)?;
    adoption.close().await
}

#[tokio::test]
async fn whoever_may_not_is_told_what_is_missing() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    let mut command = adoption.command(&["run", "--plan", &adoption.plan()]);
    command.env(
        "TENANCY_ADMIN_DATABASE_URL",
        adoption.database.url_as("old_app", Some(PASSWORD)),
    );
    let run = Run::of(command.output()?).ends_with(2)?;
    ensure!(
        run.err.contains("old_app") && run.err.contains("administrator"),
        "{run:?}"
    );
    let mut command = adoption.command(&["status"]);
    command.env_remove("TENANCY_ADMIN_DATABASE_URL");
    let run = Run::of(command.output()?).ends_with(2)?;
    ensure!(run.err.contains("TENANCY_ADMIN_DATABASE_URL"), "{run:?}");
    adoption.close().await
}

#[tokio::test]
async fn a_second_run_is_told_who_has_the_first() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    let mut admin = adoption.database.admin().await?;
    let pid: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid() FROM pg_advisory_lock(7236830212054017390)")
            .fetch_one(&mut admin)
            .await?;
    let run = adoption
        .run(&["run", "--plan", &adoption.plan()])?
        .ends_with(2)?;
    ensure!(run.err.contains(&pid.to_string()), "{pid}: {run:?}");
    sqlx::Connection::close(admin).await?;
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--until", "columns"])?
        .ends_with(0)?;
    // Another plan is another adoption.
    let (tenants, mut tables) = shop_plan();
    tables.pop();
    adoption.write_plan((tenants, tables)).await?;
    let run = adoption
        .run(&["run", "--plan", &adoption.plan()])?
        .ends_with(2)?;
    ensure!(run.err.contains("another plan"), "{run:?}");
    adoption.close().await
}

#[tokio::test]
async fn a_lock_that_somebody_keeps_is_not_queued_for() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    let mut reader = adoption.old_app().await?;
    reader
        .execute("BEGIN; SELECT count(*) FROM projects")
        .await?;
    let mut command = adoption.command(&[
        "run",
        "--plan",
        &adoption.plan(),
        "--until",
        "columns",
        "--lock-timeout",
        "50",
    ]);
    let child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    // Others read and write meanwhile, again and again.
    let mut old = adoption.old_app().await?;
    old.execute("SET statement_timeout = '2s'").await?;
    let tried = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tenancy adopt'";
    let mut seen = 0;
    while seen < 20 {
        old.execute("UPDATE projects SET name = name WHERE id = 1")
            .await?;
        let running: Vec<(i64,)> = adoption.rows(tried).await?;
        seen += running[0].0;
    }
    reader.execute("COMMIT").await?;
    let done = Run::of(child.wait_with_output()?);
    done.ends_with(0)?;
    adoption.close().await
}

#[tokio::test]
async fn rows_that_contradict_the_plan_stop_it() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let schema = "
        CREATE TABLE orgs (id uuid PRIMARY KEY);
        CREATE TABLE teams (id int PRIMARY KEY, org uuid NOT NULL REFERENCES orgs);
        CREATE TABLE people (id int PRIMARY KEY, org uuid NOT NULL REFERENCES orgs, team int REFERENCES teams);
        CREATE TABLE visits (id int PRIMARY KEY, person int);
        CREATE TABLE maybe (id int PRIMARY KEY, org uuid REFERENCES orgs);
        INSERT INTO orgs SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid FROM generate_series(1, 2) AS n;
        INSERT INTO teams SELECT n, ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid FROM generate_series(1, 2) AS n;
        INSERT INTO people SELECT n, '00000000-0000-4000-8000-000000000001', 1 + (n > 5)::int FROM generate_series(1, 10) AS n;
        INSERT INTO visits SELECT n, n FROM generate_series(1, 12) AS n;
        INSERT INTO maybe VALUES (1, NULL), (2, '00000000-0000-4000-8000-000000000002');
    ";
    let adoption = Adoption::new(&server, schema).await?;
    let people = json!({ "kind": "tenant", "source": { "kind": "reference", "by": reference("org", "orgs", "id"),
        "also": [reference("team", "teams", "id")] } });
    let root = json!({ "kind": "root", "table": { "schema": "public", "name": "orgs" }, "key": "id", "label": null });
    let tables = vec![
        (
            "orgs",
            json!({ "kind": "tenant", "source": { "kind": "root" } }),
            vec![],
        ),
        ("teams", by("org", "orgs", "id"), vec![]),
        ("people", people, vec![]),
        ("visits", by("person", "people", "id"), vec![]),
        ("maybe", by("org", "orgs", "id"), vec![]),
    ];
    adoption.write_plan((root, tables)).await?;
    let stopped = adoption
        .run(&["run", "--plan", &adoption.plan(), "--format", "json"])?
        .ends_with(1)?;
    let lines = stopped.json()?;
    let faults: Vec<_> = lines
        .iter()
        .filter(|line| line.get("fault").is_some())
        .collect();
    let of = |table: &str| faults.iter().find(|line| line["table"] == table);
    let disagree = of("public.people").ok_or_else(|| anyhow::anyhow!("{lines:?}"))?;
    ensure!(
        disagree["number"] == 5
            && disagree["rows"][0] == "id = 10"
            && disagree["rows"].as_array().map(Vec::len) == Some(3),
        "{disagree}"
    );
    let orphans = of("public.visits").ok_or_else(|| anyhow::anyhow!("{lines:?}"))?;
    ensure!(
        orphans["number"] == 2 && orphans["rows"] == json!(["id = 11", "id = 12"]),
        "{orphans}"
    );
    let none = of("public.maybe").ok_or_else(|| anyhow::anyhow!("{lines:?}"))?;
    ensure!(
        none["number"] == 1 && none["rows"] == json!(["id = 1"]),
        "{none}"
    );
    let begun: Vec<(i64,)> = adoption
        .rows("SELECT count(*) FROM tenancy_adopt.phases WHERE phase = 'indexes'")
        .await?;
    ensure!(begun == [(0,)]);
    // Mended, it goes on.
    adoption
        .as_admin(
            "UPDATE people SET team = 1; DELETE FROM visits WHERE id > 10; UPDATE maybe SET org = (SELECT min(id::text)::uuid
                 FROM orgs) WHERE org IS NULL",
        )
        .await?;
    adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
    let mut app = adoption.app(Uuid::from_u128(9)).await?;
    let none: i64 = sqlx::query_scalar("SELECT count(*) FROM people")
        .fetch_one(&mut app)
        .await?;
    ensure!(none == 0);
    adoption.close().await
}
