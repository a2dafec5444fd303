//! A worker that sends the mails that wait, of any tenant.
//!
//! It claims one across tenants, and works on it in its own tenant: with the tenant's rows and no others, whatever the
//! mail says. Each mail is sent at least once. A worker that is killed leaves its claim, which counts for five minutes.

use std::time::Duration;

use tenancy::{
    JobRun, Tenancy, TenantId,
    postgres::{
        TenantPool,
        danger::{self, SystemPool},
    },
};
use uuid::Uuid;

use crate::Error;

/// What sends a mail: the recipient, and the text.
pub trait Send {
    /// Sends it.
    ///
    /// # Errors
    /// If it was not sent. It is tried again in five minutes.
    fn send(&self, to: &str, body: &str) -> impl Future<Output = Result<(), Error>>;
}

/// Sends what waits, until the future is dropped. The run lives as long as the worker: its beginning is one entry in
/// the audit trail, and each mail adds none.
///
/// # Errors
/// If the run can't begin. What goes wrong with one mail is logged, and the worker goes on.
pub async fn work(
    tenancy: &Tenancy,
    pool: &TenantPool,
    system: &SystemPool,
    sender: &impl Send,
) -> Result<(), Error> {
    let run = tenancy.begin_job("mail-worker", "sends the mails that wait")?;
    loop {
        match send_next(&run, system, pool, sender).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "a mail was not sent"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Sends one mail; `false` if none waits.
///
/// # Errors
/// If the database does not answer, the tenant is not served, or the mail was not sent.
pub async fn send_next(
    run: &JobRun,
    system: &SystemPool,
    pool: &TenantPool,
    sender: &impl Send,
) -> Result<bool, Error> {
    // Across tenants: which mail, and whose.
    let mut all = danger::across_tenants_in(run, system).await?;
    let claimed: Option<(Uuid, Uuid)> = sqlx::query_as(
        "UPDATE mails SET claimed_at = now() WHERE (tenant_id, id) = (
             SELECT tenant_id, id FROM mails
             WHERE sent_at IS NULL AND (claimed_at IS NULL OR claimed_at < now() - interval '5 minutes')
             ORDER BY claimed_at NULLS FIRST, id LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING tenant_id, id",
    )
    .fetch_optional(&mut *all)
    .await?;
    all.commit().await?;
    let Some((tenant, mail)) = claimed else {
        return Ok(false);
    };

    // In the tenant: everything else.
    let context = run.enter(TenantId::from_uuid(tenant)).await?;
    let db = pool.tenant(&context)?;
    let (to, body): (String, String) =
        sqlx::query_as("SELECT recipient, body FROM mails WHERE id = $1")
            .bind(mail)
            .fetch_one(&db)
            .await?;
    sender.send(&to, &body).await?;
    sqlx::query("UPDATE mails SET sent_at = now() WHERE id = $1")
        .bind(mail)
        .execute(&db)
        .await?;
    Ok(true)
}
