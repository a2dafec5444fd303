//! A pass through all tenants every night, which goes on where it was stopped.

use std::time::Duration;

use tenancy::{
    EachTenantReport, JobRun, Tenancy, TenantContext, TenantId,
    postgres::{
        TenantPool,
        danger::{self, SystemPool},
    },
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::Error;

/// The job's name: in the audit trail, and where its position is kept.
const JOB: &str = "drafts-cleanup";

/// Runs the pass every day, until the future is dropped.
pub async fn every_day(tenancy: &Tenancy, pool: &TenantPool, system: &SystemPool) {
    let mut days = tokio::time::interval(Duration::from_secs(24 * 60 * 60));
    loop {
        days.tick().await;
        match remove_old_drafts(tenancy, pool, system).await {
            Ok(report) => tracing::info!(done = report.done, failed = report.failures, "{JOB}"),
            // The next day goes on where this one has stopped.
            Err(error) => tracing::error!(%error, "{JOB}"),
        }
    }
}

/// Removes drafts that are older than a year, in each tenant that is served.
///
/// # Errors
/// If the tenants can't be listed, or the database does not answer. What one tenant's statement says is in the report.
pub async fn remove_old_drafts(
    tenancy: &Tenancy,
    pool: &TenantPool,
    system: &SystemPool,
) -> Result<EachTenantReport<sqlx::Error>, Error> {
    let run = tenancy.begin_job(JOB, "removes drafts that are older than a year")?;
    let begin = position(&run, system).await?;
    let (told, mut reached) = watch::channel(begin);
    let each = run
        .each_tenant()
        .after(begin)
        .concurrency(4)
        .on_progress(move |report| {
            let _ = told.send(report.position);
        });
    let pass = each.run(async move |tenant: TenantContext| {
        let db = pool.tenant(&tenant).map_err(sqlx::Error::from)?;
        sqlx::query("DELETE FROM drafts WHERE written_at < now() - interval '1 year'")
            .execute(&db)
            .await?;
        Ok(())
    });
    // Kept while the pass goes on, so that a process that is killed loses little. Ends with the pass.
    let keeping = async {
        while reached.changed().await.is_ok() {
            let position = *reached.borrow_and_update();
            keep_position(&run, system, position).await?;
        }
        Ok::<_, Error>(())
    };
    let (report, kept) = tokio::join!(pass, keeping);
    kept?;
    let report = report?;
    // Tomorrow begins with the first tenant.
    keep_position(&run, system, None).await?;
    Ok(report)
}

async fn position(run: &JobRun, system: &SystemPool) -> Result<Option<TenantId>, Error> {
    let mut across = danger::across_tenants_in(run, system).await?;
    let found: Option<Uuid> =
        sqlx::query_scalar("SELECT position FROM job_positions WHERE job = $1")
            .bind(JOB)
            .fetch_optional(&mut *across)
            .await?;
    Ok(found.map(TenantId::from_uuid))
}

async fn keep_position(
    run: &JobRun,
    system: &SystemPool,
    position: Option<TenantId>,
) -> Result<(), Error> {
    let mut across = danger::across_tenants_in(run, system).await?;
    let keep = match position {
        Some(tenant) => sqlx::query(
            "INSERT INTO job_positions (job, position) VALUES ($1, $2)
             ON CONFLICT (job) DO UPDATE SET position = EXCLUDED.position",
        )
        .bind(JOB)
        .bind(tenant.as_uuid()),
        None => sqlx::query("DELETE FROM job_positions WHERE job = $1").bind(JOB),
    };
    keep.execute(&mut *across).await?;
    across.commit().await?;
    Ok(())
}
