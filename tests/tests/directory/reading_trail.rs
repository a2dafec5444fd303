//! Reading the trail in PostgreSQL: a tail tells what commits late, an export has all of one tenant, and both are
//! recorded.

use std::time::Duration;

use anyhow::Context as _;
use tenancy_core::{
    AuditEntry, AuditFilter, AuditTail, Clock as _, ExportFormat, Outcome, SystemClock,
    TailOptions, testing::service,
};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::on_every_server;
use uuid::Uuid;

fn entry() -> AuditEntry {
    AuditEntry::new(SystemClock.now(), "note.share", Outcome::Allowed).about("note", 4711)
}

async fn next(tail: &mut AuditTail) -> anyhow::Result<Vec<Uuid>> {
    let entries = tokio::time::timeout(Duration::from_secs(20), tail.next()).await;
    let entries = entries.context("the tail tells nothing")??;
    Ok(entries.iter().map(|entry| entry.id).collect())
}

#[tokio::test]
async fn what_commits_after_a_later_entry_is_told_once_and_is_in_the_export() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let admin = notes.tenancy.admin(service());
        let shares = AuditFilter::new().action("note.share");
        let own = Some(notes.acme.id);
        let often = TailOptions::new().poll_interval(Duration::from_millis(50));
        let mut tail = admin.tail_entries(own, &shares, often).await?;

        let (first, second, others) = (entry(), entry(), entry());
        let mut late = pool.begin(&notes.context(&notes.acme)).await?;
        late.record(&first).await?;
        for (tenant, entry) in [(&notes.globex, &others), (&notes.acme, &second)] {
            let mut soon = pool.begin(&notes.context(tenant)).await?;
            soon.record(entry).await?;
            soon.commit().await?;
        }
        assert_eq!(next(&mut tail).await?, [second.id]);
        late.commit().await?;
        assert_eq!(next(&mut tail).await?, [first.id]);

        // The other tenant's is there, and in no one else's export.
        let told = admin
            .list_entries(Some(notes.globex.id), &shares, None, 10)
            .await?;
        assert_eq!(told.len(), 1);
        let export = admin
            .export_entries(own, &shares, ExportFormat::JsonLines)
            .await?;
        let mut text = Vec::new();
        assert_eq!(export.write_to(&mut text).await?.entries, 2);
        let text = String::from_utf8(text)?;
        let rows = text.lines().map(serde_json::from_str::<serde_json::Value>);
        let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
        let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str()).collect();
        let (first, second) = (first.id.to_string(), second.id.to_string());
        assert_eq!(ids, [Some(&*second), Some(&*first)]);
        assert_eq!(rows[0]["targets"][0]["id"], "4711");

        let readings = notes.audit.entries();
        let readings = readings.iter().filter(|entry| entry.action == "trail.read");
        let how: Vec<_> = readings.filter_map(|entry| entry.details.clone()).collect();
        let how: Vec<_> = how.iter().map(|details| details["how"].clone()).collect();
        assert_eq!(how, ["tail", "list", "export"]);
        Ok(())
    })
    .await
}
