//! `tenancy adopt rollback`, and `adopt status` with what was observed.

use anyhow::ensure;
use sqlx::{Executor as _, types::Uuid};
use tenancy_tests::{Server, Version};

use crate::adopting_stand::{Adoption, SHOP, shop_plan};

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
            adoption
                .run(&["run", "--plan", &adoption.plan(), "--until", phase])?
                .ends_with(0)?;
            ensure!(adoption.catalog().await? != catalog, "{phase} does nothing");
            adoption.run(&["rollback"])?.ends_with(0)?;
            let after = adoption.catalog().await?;
            let differs: Vec<_> = after
                .iter()
                .filter(|line| !catalog.contains(line))
                .chain(catalog.iter().filter(|line| !after.contains(line)))
                .collect();
            ensure!(differs.is_empty(), "after {phase}: {differs:#?}");
            ensure!(adoption.contents().await? == contents, "after {phase}");
        }
        adoption.close().await?;
    }
    Ok(())
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
            old.execute("BEGIN; UPDATE tasks SET title = title || 'x'; ROLLBACK")
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
        let of = |table: &str| {
            let found = status
                .iter()
                .find(|line| line["denied"].as_str() == Some(table));
            found.cloned().unwrap_or_default()
        };
        ensure!(
            of("public.projects")["times"].as_i64() >= Some(30),
            "{status:?}"
        );
        ensure!(
            of("public.tasks")["times"].as_i64() >= Some(1_200),
            "{status:?}"
        );
        let orgs = of("public.orgs");
        ensure!(
            orgs["rows"][0]["command"] == "SELECT" && orgs["rows"][0]["times"] == 3,
            "{status:?}"
        );
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
