//! Entries that are found by their target.

use anyhow::ensure;
use sqlx::{Executor as _, Row as _};
use tenancy_core::{AuditEntry, AuditFilter, AuditSink as _, AuditTarget, Outcome, TenantId};
use tenancy_sqlx::{PgAuditSink, TenantPoolOptions};
use tenancy_tests::notes::{Notes, on_every_server};

use super::{entry, service};

async fn recorded(notes: &Notes, tenant: TenantId, count: u64) -> anyhow::Result<Vec<AuditEntry>> {
    let sink = PgAuditSink::new(&notes.system);
    let mut all = Vec::new();
    for number in 0..count {
        let mut one = entry(Some(tenant), number).about("plan", "pro");
        if number == 1 {
            one.outcome = Outcome::Refused;
        }
        sink.record_durably(one.clone()).await?;
        all.push(one);
    }
    Ok(all)
}

/// Two tenants have done something to the same target, and each finds what is its own, page by page, also where more is
/// asked.
#[tokio::test]
async fn a_tenant_finds_its_own_entries_of_a_target_that_others_have_too() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        let of_globex = recorded(notes, globex, 3).await?;
        let of_acme = recorded(notes, acme, 5).await?;
        let filter = AuditFilter::new().target(AuditTarget::new("plan", "pro"));
        let admin = service(notes)?;

        let theirs = admin.list_entries(Some(globex), &filter, None, 10).await?;
        ensure!(theirs.iter().rev().eq(&of_globex), "{theirs:?}");

        let mut found = Vec::new();
        loop {
            let after = found.last().map(|entry: &AuditEntry| entry.id);
            let page = admin.list_entries(Some(acme), &filter, after, 2).await?;
            if page.is_empty() {
                break;
            }
            ensure!(page.len() <= 2, "{page:?}");
            found.extend(page);
        }
        ensure!(found.iter().rev().eq(&of_acme), "{found:?}");

        let refused = filter.clone().outcome(Outcome::Refused);
        let found = admin.list_entries(Some(acme), &refused, None, 1).await?;
        ensure!(found.iter().eq(of_acme.get(1)), "{found:?}");

        let everybody = admin.list_entries(None, &filter, None, 100).await?;
        ensure!(everybody.len() == 8, "{everybody:?}");
        Ok(())
    })
    .await
}

/// The function that looks targets up runs with rights that row security does not bind.
#[tokio::test]
async fn the_look_up_of_targets_answers_for_the_sessions_tenant_alone() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        recorded(notes, notes.globex.id, 3).await?;
        let sql = "SELECT count(*) FROM tenancy.find_entries_of('plan:pro', NULL, NULL)";
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        for (tenant, expected) in [(&notes.globex, 3), (&notes.acme, 0)] {
            let mut tx = pool.begin(&notes.context(tenant)).await?;
            let found: i64 = tx.fetch_one(sql).await?.try_get(0)?;
            tx.rollback().await?;
            ensure!(found == expected, "{found} of {expected}");
        }
        let mut nobody = notes.app().await?;
        let found: i64 = nobody.fetch_one(sql).await?.try_get(0)?;
        ensure!(found == 0, "without a tenant {found} were found");
        Ok(())
    })
    .await
}
