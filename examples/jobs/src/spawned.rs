//! A task that a request starts and does not wait for.
//!
//! The task takes the request's [`TenantDb`] along. So it works in the tenant of the request, for the caller of the
//! request, and needs no login of its own.

use tenancy::postgres::TenantDb;
use tokio::task::JoinHandle;

use crate::Error;

/// Begins to write a report. A handler calls this and answers 202.
pub fn begin_report(db: TenantDb) -> JoinHandle<Result<(), Error>> {
    tokio::spawn(async move {
        // Long after the request, the caller may have left, or the tenant may be suspended.
        let context = db.context();
        let context = context.tenancy().revalidate(context).await?;
        let db = db.pool().tenant(&context)?;

        let drafts: i64 = sqlx::query_scalar("SELECT count(*) FROM drafts")
            .fetch_one(&db)
            .await?;
        let text = format!("{}: {drafts} drafts", context.record().name);
        sqlx::query("INSERT INTO reports (text) VALUES ($1)")
            .bind(text)
            .execute(&db)
            .await?;
        Ok(())
    })
}
