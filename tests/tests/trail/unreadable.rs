//! JSON in an entry that PostgreSQL takes and a program does not read: it is told as a text, and nothing else is lost.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tenancy_core::{AuditFilter, AuditTrail as _, ExportFormat, TailOptions};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::{Notes, on_every_server};
use uuid::Uuid;

use super::{linked, report, service};

/// An entry that the application writes in its own SQL.
async fn written(notes: &Notes, details: &str, changes: &str) -> anyhow::Result<Uuid> {
    let id = Uuid::now_v7();
    let pool = notes.pool(TenantPoolOptions::new()).await?;
    let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
    sqlx::query(
        "WITH r AS (
             INSERT INTO tenancy.audit_records (id, at, version, tenant_id, actor_kind, action, outcome)
             VALUES ($1, now(), 1, $2, 'system', 'note.share', 'allowed'))
         INSERT INTO tenancy.audit_particulars (entry, tenant_id, details, changes)
         VALUES ($1, $2, $3::text::json, $4::text::json)",
    )
    .bind(id)
    .bind(notes.acme.id.as_uuid())
    .bind(details)
    .bind(changes)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    pool.close().await;
    Ok(id)
}

#[tokio::test]
async fn an_entry_that_can_not_be_read_is_told_as_a_text() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let acme = Some(notes.acme.id);
        let admin = service(notes)?;
        let shares = AuditFilter::new().action("note.share");
        let often = TailOptions::new().poll_interval(Duration::from_millis(10));
        let mut tail = admin.tail_entries(acme, &shares, often).await?;
        let before = linked(notes, acme, 2).await?;
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        let sound = r#"[{ "field": "n", "before": 1, "after": 2 }]"#;
        let too_large = r#"[{ "field": "n", "before": 1e999, "after": 2 }]"#;
        let odd = [
            written(notes, r#"{ "n": 1e999 }"#, sound).await?,
            written(notes, &deep, sound).await?,
            written(notes, r#"{ "n": 1 }"#, too_large).await?,
        ];
        notes.directory.seal().await?;

        let page = admin.list_entries(acme, &shares, None, 10).await?;
        ensure!(page.len() == 5, "{page:?}");
        let of = |id| page.iter().find(|entry| entry.id == id).context("an entry");
        for (id, stored) in [(odd[0], r#"{ "n": 1e999 }"#), (odd[1], &*deep)] {
            let told = of(id)?.details.as_ref().context("details")?;
            ensure!(told["text"] == stored, "{told}");
            ensure!(told["unreadable"].is_string(), "{told}");
            ensure!(of(id)?.changes.len() == 1);
        }
        let last = of(odd[2])?;
        ensure!(last.details == Some(serde_json::json!({ "n": 1 })));
        let [change] = &*last.changes else {
            anyhow::bail!("{:?}", last.changes);
        };
        ensure!((&*change.field, &change.after) == ("unreadable", &Value::from(too_large)));
        // The others are as they were.
        for entry in &before {
            ensure!(of(entry.id)?.details == entry.details);
        }

        for format in [
            ExportFormat::JsonLines,
            ExportFormat::Csv,
            ExportFormat::Ocsf,
        ] {
            let export = admin.export_entries(acme, &shares, format).await?;
            let mut text = Vec::new();
            ensure!(export.write_to(&mut text).await?.entries == 5, "{format:?}");
            ensure!(String::from_utf8(text)?.contains("1e999"), "{format:?}");
        }
        let mut told = 0;
        while told < 5 {
            let next = tokio::time::timeout(Duration::from_secs(20), tail.next()).await;
            told += next.context("the tail tells nothing")??.len();
        }
        let handed = notes.directory.list_linked(acme.into(), 1, 1_000).await?;
        ensure!(
            odd.iter()
                .all(|id| handed.iter().any(|linked| linked.entry.id == *id))
        );
        // The digests are over the text.
        let whole = report(notes, acme).await?;
        ensure!(whole.is_whole() && whole.verified >= 5, "{whole:?}");
        Ok(())
    })
    .await
}
