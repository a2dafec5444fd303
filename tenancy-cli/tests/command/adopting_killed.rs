//! An adoption that is killed at any point goes on, while the old application writes.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use sqlx::{Executor as _, PgConnection};
use tenancy_tests::{Random, Server, Version, long, seed};

use crate::adopting_stand::{Adoption, SHOP, shop_plan};

/// The old application: it inserts, updates and deletes until it is told to stop, also customers, and tells what it has
/// left.
async fn write(mut old: PgConnection, stop: Arc<AtomicBool>) -> anyhow::Result<Vec<String>> {
    let mut written = Vec::new();
    for number in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let code = format!("w{number}");
        sqlx::query(
            "INSERT INTO tasks (project_id, code, title)
             SELECT id, $1, 'first' FROM projects ORDER BY id OFFSET $2 LIMIT 1",
        )
        .bind(&code)
        .bind(i64::from(number % 40))
        .execute(&mut old)
        .await
        .with_context(|| format!("insert {number}"))?;
        sqlx::query("UPDATE tasks SET title = 'second' WHERE code = $1")
            .bind(&code)
            .execute(&mut old)
            .await
            .with_context(|| format!("update {number}"))?;
        if number % 3 == 0 {
            sqlx::query("DELETE FROM tasks WHERE code = $1")
                .bind(&code)
                .execute(&mut old)
                .await
                .with_context(|| format!("delete {number}"))?;
        } else {
            written.push(code);
        }
        if number % 5 == 0 {
            let name = format!("new {number}");
            sqlx::query(
                "WITH org AS (INSERT INTO orgs (name) VALUES ($1) RETURNING id)
                 INSERT INTO projects (org_id, name) SELECT id, 'first' FROM org",
            )
            .bind(&name)
            .execute(&mut old)
            .await
            .with_context(|| format!("org {number}"))?;
            sqlx::query("INSERT INTO orgs (name) VALUES ($1) ON CONFLICT DO NOTHING")
                .bind(&name)
                .execute(&mut old)
                .await
                .with_context(|| format!("org {number} again"))?;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(written)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_loses_nothing_and_never_fails() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(adoption.old_app().await?, Arc::clone(&stop)));
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--batch", "50"])?
        .ends_with(0)?;
    adoption
        .run(&["rollback", "--to", "new-rows"])?
        .ends_with(0)?;
    adoption.run(&["run", "--batch", "50"])?.ends_with(0)?;
    stop.store(true, Ordering::Relaxed);
    let written = writer.await??;
    ensure!(written.len() > 20, "{}", written.len());
    let found: Vec<(String,)> = adoption
        .rows(
            "SELECT k.code FROM tasks AS k JOIN projects AS p ON p.id = k.project_id AND p.tenant_id = k.tenant_id
             WHERE k.title = 'second'",
        )
        .await?;
    for code in &written {
        ensure!(found.iter().any(|found| found.0 == *code), "{code} is lost");
    }
    ensure!(found.len() == written.len());
    every_org_is_a_tenant(&adoption).await?;
    adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
    adoption.close().await
}

/// That each row of the root is a tenant, and each tenant a row.
async fn every_org_is_a_tenant(adoption: &Adoption) -> anyhow::Result<()> {
    let odd: Vec<(Option<String>, Option<String>)> = adoption
        .rows(
            "SELECT o.name, t.name FROM orgs AS o FULL JOIN tenancy.tenants AS t ON t.id = o.id
             WHERE o.id IS NULL OR t.id IS NULL",
        )
        .await?;
    ensure!(odd.is_empty(), "{odd:?}");
    Ok(())
}

#[tokio::test]
async fn killed_at_any_point_it_goes_on() -> anyhow::Result<()> {
    let mut random = Random::new(seed()?);
    let server = Server::start(Version::Default).await?;
    let rounds = if long() { 50 } else { 3 };
    let mut all = 0;
    for round in 0..rounds {
        let adoption = Adoption::new(&server, SHOP).await?;
        let (catalog, contents) = (adoption.catalog().await?, adoption.contents().await?);
        adoption.write_plan(shop_plan()).await?;
        let plan = adoption.plan();
        let mut kills = 0;
        let done = loop {
            let mut command = adoption.command(&[
                "run", "--plan", &plan, "--until", "report", "--batch", "100", "--pause", "1",
            ]);
            let mut child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            if kills == 4 {
                break child.wait_with_output()?;
            }
            tokio::time::sleep(Duration::from_millis(30 + random.below(900))).await;
            child.kill()?;
            let ended = child.wait_with_output()?;
            if ended.status.success() {
                break ended;
            }
            kills += 1;
        };
        all += kills;
        ensure!(done.status.success(), "round {round}: {done:?}");
        adoption.run(&["status"])?.ends_with(0)?;
        ensure!(adoption.contents().await? == contents, "round {round}");
        let left: Vec<(String,)> = adoption
            .rows(
                "SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                 WHERE n.nspname = 'public' AND c.relname LIKE 'tenancy\\_adopt%'",
            )
            .await?;
        ensure!(left.is_empty(), "round {round}: {left:?}");
        // So is its way back.
        let mut back = adoption
            .command(&["rollback"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        tokio::time::sleep(Duration::from_millis(30 + random.below(500))).await;
        back.kill()?;
        back.wait()?;
        if !adoption
            .rows::<(bool,)>("SELECT to_regnamespace('tenancy_adopt') IS NULL")
            .await?[0]
            .0
        {
            adoption.run(&["rollback"])?.ends_with(0)?;
        }
        let after = adoption.catalog().await?;
        let differs: Vec<_> = after
            .iter()
            .filter(|line| !catalog.contains(line))
            .chain(catalog.iter().filter(|line| !after.contains(line)))
            .collect();
        ensure!(differs.is_empty(), "round {round}: {differs:#?}");
        ensure!(adoption.contents().await? == contents, "round {round}");
        adoption.close().await?;
    }
    ensure!(all > 0, "none was killed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_beside_a_writer_it_goes_on() -> anyhow::Result<()> {
    let mut random = Random::new(seed()?);
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    let plan = adoption.plan();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(adoption.old_app().await?, Arc::clone(&stop)));
    // Forward to the cut-over and back, each killed until one goes through.
    let mut kills = 0;
    for arguments in [
        &["run", "--plan", &plan, "--batch", "50"][..],
        &["rollback", "--to", "columns"],
        &["run", "--batch", "50"],
    ] {
        for _ in 0..4 {
            let mut child = adoption
                .command(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            tokio::time::sleep(Duration::from_millis(20 + random.below(400))).await;
            child.kill()?;
            kills += u32::from(!child.wait()?.success());
        }
        adoption.run(arguments)?.ends_with(0)?;
    }
    ensure!(kills > 0, "none was killed");
    stop.store(true, Ordering::Relaxed);
    let written = writer.await??;
    let found: Vec<(i64,)> = adoption
        .rows(
            "SELECT count(*) FROM tasks AS k JOIN projects AS p ON p.id = k.project_id AND p.tenant_id = k.tenant_id
             JOIN orgs AS o ON o.id = p.org_id AND o.tenant_id = p.tenant_id WHERE k.title = 'second'",
        )
        .await?;
    ensure!(
        found[0].0 == i64::try_from(written.len())?,
        "{found:?} of {}",
        written.len()
    );
    every_org_is_a_tenant(&adoption).await?;
    adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
    adoption.close().await
}

#[tokio::test]
async fn a_build_says_whose_transaction_it_waits_for() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--until", "check"])?
        .ends_with(0)?;
    let mut old = adoption.old_app().await?;
    // Without a word of it the run goes on after this, and the test fails.
    old.execute("SET idle_in_transaction_session_timeout = '60s'")
        .await?;
    old.execute("BEGIN; UPDATE projects SET name = name WHERE id = 1")
        .await?;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut old)
        .await?;
    let mut child = adoption
        .command(&["run", "--until", "indexes"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(child.stderr.take().context("stderr")?).lines();
    let mut told = false;
    for line in lines {
        let line = line?;
        if line.contains("waits for the transaction") && line.contains(&format!("process {pid}")) {
            told = true;
            old.execute("COMMIT").await?;
        }
    }
    ensure!(told);
    ensure!(child.wait()?.success());
    adoption.close().await
}

#[tokio::test]
async fn an_index_whose_build_was_killed_is_built_anew() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SHOP).await?;
    adoption.write_plan(shop_plan()).await?;
    adoption
        .run(&["run", "--plan", &adoption.plan(), "--until", "check"])?
        .ends_with(0)?;
    // A build fails where a value is there twice, and leaves an invalid index of the name.
    let key: Vec<(String,)> = adoption
        .rows("SELECT 'tenancy_adopt_k' || 'tasks_pkey'::regclass::oid")
        .await?;
    let name = &key[0].0;
    let mut admin = adoption.database.admin().await?;
    let failed = admin
        .execute(sqlx::AssertSqlSafe(format!(
            "CREATE UNIQUE INDEX CONCURRENTLY {name} ON tasks (tenant_id, project_id)"
        )))
        .await;
    ensure!(failed.is_err(), "tasks of a project are several");
    let status = adoption.run(&["status"])?.ends_with(1)?;
    ensure!(status.out.contains(name.as_str()), "{status:?}");
    adoption.run(&["run", "--until", "report"])?.ends_with(0)?;
    let valid: Vec<(String,)> = adoption
        .rows("SELECT pg_get_indexdef('tasks_pkey'::regclass)")
        .await?;
    ensure!(valid[0].0.ends_with("(tenant_id, id)"), "{valid:?}");
    adoption.close().await
}
