//! A process that is killed loses what it had queued, and nothing that was awaited.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use tenancy_core::{AuditSink as _, AuditTrail as _, TenantId};
use tenancy_sqlx::PgAuditSink;
use tenancy_tests::notes::{PASSWORD, on_every_server};

use super::{entry, report, system};

const CHILD: &str = "TENANCY_TEST_TRAIL_URL";
const WHOSE: &str = "TENANCY_TEST_TRAIL_TENANT";

/// How many entries wait in memory at most: `PgAuditSink` says so.
const QUEUE: i64 = 4_096;

/// No test by itself: the process that the next one kills. Each line says how many entries were awaited, and how many were
/// queued before that.
#[tokio::test]
async fn the_process_that_is_killed() -> anyhow::Result<()> {
    let (Ok(url), Ok(whose)) = (std::env::var(CHILD), std::env::var(WHOSE)) else {
        return Ok(());
    };
    let tenant: TenantId = whose.parse()?;
    let sink = PgAuditSink::connect(&url).await?;
    for awaited in 1_u64.. {
        for number in 0..7 {
            sink.record(entry(Some(tenant), number));
        }
        sink.record_durably(entry(Some(tenant), 1_000_000 + awaited))
            .await?;
        println!("\nawaited {awaited}");
    }
    Ok(())
}

#[tokio::test]
async fn a_process_that_is_killed_loses_its_queue_and_nothing_that_was_awaited()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let url = notes.database.url_as("tenancy_audit", Some(PASSWORD));
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "crashing::the_process_that_is_killed",
                "--nocapture",
            ])
            .env(CHILD, url)
            .env(WHOSE, notes.acme.id.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().context("its output")?;
        let read = tokio::task::spawn_blocking(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            let awaited =
                lines.filter_map(|line| line.strip_prefix("awaited ")?.parse::<i64>().ok());
            awaited.take(200).last()
        });
        let awaited = read
            .await?
            .context("it ended before it had recorded anything")?;
        child.kill()?;
        child.wait()?;
        ensure!(awaited == 200, "{awaited}");

        let (durable, queued): (i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE p.targets[1] ~ '^note:1000'),
                 count(*) FILTER (WHERE p.targets[1] !~ '^note:1000')
             FROM tenancy.audit_records AS r JOIN tenancy.audit_particulars AS p ON p.entry = r.id
             WHERE r.tenant_id = $1",
        )
        .bind(notes.acme.id.as_uuid())
        .fetch_one(&mut system(notes).await?)
        .await?;
        // It may have written one more, whose line was not read.
        ensure!(
            durable >= awaited,
            "{durable} of {awaited} that were awaited"
        );
        ensure!(queued >= awaited * 7 - QUEUE, "{queued} of {}", awaited * 7);
        notes.directory.seal().await?;
        let report = report(notes, Some(notes.acme.id)).await?;
        ensure!(report.is_whole() && report.unsealed == 0, "{report:?}");
        ensure!(
            report.verified >= u64::try_from(durable + queued)?,
            "{report:?}"
        );
        Ok(())
    })
    .await
}
