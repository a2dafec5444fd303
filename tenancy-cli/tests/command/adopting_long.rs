//! Two million rows that get their tenant while others write: `TENANCY_LONG`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use sqlx::PgConnection;
use tenancy_tests::{Server, Version, long};

use crate::adopting_stand::{Adoption, by};

const SCHEMA: &str = "
    CREATE TABLE orgs (id uuid PRIMARY KEY);
    CREATE TABLE entries (id bigserial PRIMARY KEY, org uuid NOT NULL REFERENCES orgs, body text NOT NULL);
    CREATE INDEX entries_org ON entries (org);
    INSERT INTO orgs SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid FROM generate_series(1, 100) AS n;
    INSERT INTO entries (org, body)
        SELECT ('00000000-0000-4000-8000-' || lpad((1 + n % 100)::text, 12, '0'))::uuid, 'body of the entry ' || n
        FROM generate_series(1, 2000000) AS n;
    ANALYZE;
";

/// Writes until told to stop. Returns how long each write took.
async fn write(mut old: PgConnection, stop: Arc<AtomicBool>) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::new();
    for number in 0_i64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let from = Instant::now();
        sqlx::query("UPDATE entries SET body = body || '.' WHERE id = $1")
            .bind(1 + number * 7_919 % 2_000_000)
            .execute(&mut old)
            .await?;
        sqlx::query(
            "INSERT INTO entries (org, body) VALUES ('00000000-0000-4000-8000-000000000007', 'new')",
        )
        .execute(&mut old)
        .await?;
        took.push(from.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(took)
}

/// Median, 99th percentile and maximum in milliseconds.
fn told(mut took: Vec<Duration>) -> String {
    took.sort();
    let at = |share: usize| took.get((took.len() * share / 100).min(took.len().saturating_sub(1)));
    let ms = |took: Option<&Duration>| took.map_or(0.0, |took| took.as_secs_f64() * 1_000.0);
    format!(
        "| {} | {:.2} | {:.2} | {:.2} |",
        took.len(),
        ms(at(50)),
        ms(at(99)),
        ms(took.last())
    )
}

#[tokio::test]
async fn two_million_rows_are_filled_beside_writers() -> anyhow::Result<()> {
    if !long() {
        return Ok(());
    }
    let server = Server::start(Version::Default).await?;
    let adoption = Adoption::new(&server, SCHEMA).await?;
    adoption
        .write_plan((
            serde_json::json!({ "kind": "root", "table": { "schema": "public", "name": "orgs" }, "key": "id",
                "label": null }),
            vec![
                (
                    "orgs",
                    serde_json::json!({ "kind": "tenant", "source": { "kind": "root" } }),
                    vec![],
                ),
                ("entries", by("org", "orgs", "id"), vec![]),
            ],
        ))
        .await?;
    println!("| when | writes | median ms | 99 % ms | longest ms |\n|---|---|---|---|---|");
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(adoption.old_app().await?, Arc::clone(&stop)));
    tokio::time::sleep(Duration::from_secs(20)).await;
    stop.store(true, Ordering::Relaxed);
    println!("| before {}", told(writer.await??));
    for (from, until) in [
        ("prepare", "new-rows"),
        ("backfill", "backfill"),
        ("check", "observe"),
    ] {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn(write(adoption.old_app().await?, Arc::clone(&stop)));
        let mut command = adoption.command(&["run", "--plan", &adoption.plan(), "--until", until]);
        let done = tokio::task::spawn_blocking(move || command.output()).await??;
        stop.store(true, Ordering::Relaxed);
        ensure!(done.status.success(), "{done:?}");
        println!("| {from} to {until} {}", told(writer.await??));
    }
    let done = adoption
        .run(&["run", "--until", "report", "--format", "text"])?
        .ends_with(0)?;
    println!("{}", done.out);
    let rows: Vec<(i64, i64)> = adoption
        .rows("SELECT count(*), count(tenant_id) FROM entries")
        .await?;
    ensure!(rows[0].0 == rows[0].1 && rows[0].0 > 2_000_000, "{rows:?}");
    adoption.close().await
}
