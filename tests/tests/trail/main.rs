//! The audit trail as an auditor looks at it: chains that show what was done to them, erasing, pruning, partitions.

mod anchoring;
mod crashing;
mod erasing;
mod flooding;
mod guards;
mod handing;
mod keeping;
mod pruning;
mod sealing;
mod tampering;
mod targets;
mod unreadable;

use sqlx::{Connection as _, PgConnection};
use tenancy_core::{
    Admin, AuditEntry, AuditSink as _, AuditTrail as _, ChainReport, Clock as _, Outcome,
    SystemClock, TenantId, danger,
};
use tenancy_sqlx::PgAuditSink;
use tenancy_tests::notes::{Notes, PASSWORD};

fn service(notes: &Notes) -> anyhow::Result<Admin> {
    Ok(notes.tenancy.admin(danger::service("a test")?))
}

fn entry(tenant: Option<TenantId>, number: u64) -> AuditEntry {
    let mut entry = AuditEntry::new(SystemClock.now(), "note.share", Outcome::Allowed)
        .about("note", number)
        .change("visibility", "private", "shared")
        .details(serde_json::json!({ "number": number, "exact": 12_345_678_901_234_567_890_u64 }))
        .reason(format!("reason {number}: ünïcode and \"quotes\""));
    entry.tenant = tenant;
    entry.ip = "2001:db8::7".parse().ok();
    entry.user_agent = Some("curl/8".to_owned());
    entry
}

/// So many entries of a tenant, linked.
async fn linked(
    notes: &Notes,
    tenant: Option<TenantId>,
    count: u64,
) -> anyhow::Result<Vec<AuditEntry>> {
    let sink = PgAuditSink::new(&notes.system);
    let entries: Vec<_> = (0..count).map(|number| entry(tenant, number)).collect();
    for entry in &entries {
        sink.record_durably(entry.clone()).await?;
    }
    notes.directory.seal().await?;
    Ok(entries)
}

async fn report(notes: &Notes, tenant: Option<TenantId>) -> anyhow::Result<ChainReport> {
    Ok(notes.directory.verify_chain(tenant.into(), &[]).await?)
}

async fn system(notes: &Notes) -> anyhow::Result<PgConnection> {
    let options = notes.database.options_as("tenancy_system", Some(PASSWORD));
    Ok(PgConnection::connect_with(&options).await?)
}
