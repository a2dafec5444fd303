//! Verification as a call, with what it leaves behind.

use anyhow::ensure;
use tenancy_core::{AuditFilter, Outcome, ProjectId, TraceId};
use tenancy_sqlx::danger;
use tenancy_tests::notes::on_every_server;

use super::{entry, linked, report, service};

#[tokio::test]
async fn a_verification_is_recorded_with_what_it_found() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        linked(notes, Some(notes.acme.id), 3).await?;
        let found = service(notes)?
            .verify_trail(Some(notes.acme.id), &[])
            .await?;
        ensure!(found.is_whole() && found.verified == 3, "{found:?}");
        notes
            .as_admin(&format!(
                "ALTER TABLE tenancy.audit_links DISABLE TRIGGER USER;
                 UPDATE tenancy.audit_links SET hash = '\\x{}' WHERE chain = '{}' AND seq = 2",
                "00".repeat(32),
                notes.acme.id
            ))
            .await?;
        let found = service(notes)?
            .verify_trail(Some(notes.acme.id), &[])
            .await?;
        let fault = found
            .fault
            .ok_or_else(|| anyhow::anyhow!("nothing was found"))?;
        ensure!(fault.seq == 2, "{fault:?}");
        let told: Vec<_> = (notes.audit.entries().into_iter())
            .filter(|entry| entry.action == "trail.verify")
            .map(|entry| (entry.tenant, entry.outcome))
            .collect();
        let acme = Some(notes.acme.id);
        ensure!(
            told == [(acme, Outcome::Allowed), (acme, Outcome::Failed)],
            "{told:?}"
        );
        Ok(())
    })
    .await
}

/// Every field comes back as it was recorded, and can be looked for.
#[tokio::test]
async fn an_entry_is_listed_with_its_project_its_trace_and_its_changes() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let trace = TraceId::from_stored("0af7651916cd43dd8448eb211c80319c");
        let project = ProjectId::new();
        let mut full = entry(Some(notes.acme.id), 1)
            .project(project)
            .about("user", "a:b");
        full.trace_id = trace;
        let other = entry(Some(notes.acme.id), 2);
        let sink = tenancy_sqlx::PgAuditSink::new(&notes.system);
        for entry in [&full, &other] {
            tenancy_core::AuditSink::record_durably(&sink, entry.clone()).await?;
        }
        let admin = service(notes)?;
        for (filter, expected) in [
            (AuditFilter::new(), vec![&other, &full]),
            (AuditFilter::new().project(project), vec![&full]),
            (
                AuditFilter::new().target(tenancy_core::AuditTarget::new("user", "a:b")),
                vec![&full],
            ),
            (
                AuditFilter::new().target(tenancy_core::AuditTarget::new("note", 2)),
                vec![&other],
            ),
            (
                AuditFilter::new().target(tenancy_core::AuditTarget::new("note", 3)),
                vec![],
            ),
        ] {
            let mut found = admin
                .list_entries(Some(notes.acme.id), &filter, None, 10)
                .await?;
            found.retain(|entry| entry.action == "note.share");
            ensure!(
                found.iter().eq(expected.iter().copied()),
                "{filter:?}: {found:?}"
            );
        }
        let elsewhere = admin
            .list_entries(Some(notes.globex.id), &AuditFilter::new(), None, 10)
            .await?;
        ensure!(elsewhere.iter().all(|entry| entry.action != "note.share"));
        ensure!(report(notes, Some(notes.acme.id)).await?.is_whole());
        Ok(())
    })
    .await
}

/// An entry of an action that was never declared is kept, and counted, by whatever way it comes.
#[tokio::test]
async fn an_action_that_was_never_declared_is_kept_and_counted() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let before = notes.tenancy.audit_actions().undeclared();
        notes.tenancy.audit().record(entry(Some(notes.acme.id), 1));
        let pool = notes.pool(tenancy_sqlx::TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        tx.record(&entry(None, 2)).await?;
        tx.commit().await?;
        let operator = tenancy_core::UserId::new();
        let mut all =
            danger::across_tenants(&notes.tenancy, &notes.system, operator, "a test").await?;
        all.record(&entry(Some(notes.globex.id), 3)).await?;
        all.commit().await?;
        let run = notes.tenancy.begin_job("nightly", "a test")?;
        let mut all = danger::across_tenants_in(&run, &notes.system).await?;
        all.record(&entry(Some(notes.globex.id), 4)).await?;
        all.commit().await?;
        ensure!(notes.tenancy.audit_actions().undeclared() == before + 4);
        let by_action = AuditFilter::new().action("note.share");
        let kept = service(notes)?
            .list_entries(Some(notes.acme.id), &by_action, None, 10)
            .await?;
        ensure!(kept.len() == 1, "{kept:?}");
        Ok(())
    })
    .await
}
