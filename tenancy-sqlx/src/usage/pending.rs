//! Events that a tenant's transaction writes with its rows, and the task that counts them after the commit.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use sqlx::{
    PgConnection,
    postgres::PgRow,
    types::{Json, Uuid},
};
use tenancy_core::{TenantContext, TenantId, Timestamp};
use tenancy_usage::{EventOutcome, UsageError, UsageEvent};
use tokio::task::AbortHandle;

use super::{Inner, PgUsage, Written, batch::Batch, column, unavailable};
use crate::{Error, ErrorKind, Savepoint, TenantTx, session};

/// How long after a round that found nothing more the next one begins.
const PAUSE: Duration = Duration::from_millis(250);

/// The longest pause after a round that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often the partitions of months to come are looked after.
const HOUR: Duration = Duration::from_secs(3_600);

/// How many events a round counts at most, in one transaction.
const ROUND: i32 = 1_000;

/// Counts what transactions have written, again and again. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Counter {
    task: AbortHandle,
}

impl Counter {
    pub(super) fn start(inner: &Arc<Inner>) -> Self {
        let task = tokio::spawn(run(Arc::downgrade(inner)));
        Self {
            task: task.abort_handle(),
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(inner: Weak<Inner>) {
    let mut pause = PAUSE;
    let mut prepared: Option<Instant> = None;
    while let Some(inner) = inner.upgrade() {
        if prepared.is_none_or(|at| at.elapsed() >= HOUR) {
            prepared = Some(Instant::now());
            if let Err(error) = inner.prepare().await {
                tracing::warn!(%error, "partitions of usage are not made ahead");
            }
        }
        match inner.count_round().await {
            // There is more. Partitions are looked after in between.
            Ok(count) if count >= u64::from(ROUND.unsigned_abs()) => continue,
            Ok(_) => pause = PAUSE,
            Err(_) if inner.pool.is_closed() => return,
            Err(error) => {
                tracing::warn!(%error, "usage that transactions have written waits to be counted");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        drop(inner);
        tokio::time::sleep(pause).await;
    }
}

impl Inner {
    /// Makes the partitions of the months that events may be of.
    async fn prepare(&self) -> Result<(), UsageError> {
        let mut tx = self.begin().await?;
        sqlx::query("SELECT tenancy.prepare_usage(3)")
            .execute(&mut *tx)
            .await
            .map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)
    }

    pub(super) async fn count_pending(&self) -> Result<u64, UsageError> {
        let mut whole = 0;
        loop {
            let count = self.count_round().await?;
            whole += count;
            if count < u64::from(ROUND.unsigned_abs()) {
                return Ok(whole);
            }
        }
    }

    /// Takes some away and counts them, in one transaction. What can't be counted is kept in a table of its own.
    async fn count_round(&self) -> Result<u64, UsageError> {
        let mut attempts = 0;
        loop {
            let mut tx = self.begin().await?;
            match self.count_taken(&mut tx).await {
                Ok((count, refused)) => {
                    tx.commit().await.map_err(unavailable)?;
                    let told = u64::try_from(refused.len()).unwrap_or(u64::MAX);
                    self.uncounted.fetch_add(told, Ordering::Relaxed);
                    for why in refused {
                        tracing::error!(%why, "usage that a transaction has written can't be counted");
                    }
                    return Ok(count);
                }
                Err(error) if super::has_lost(&error) && attempts < super::ATTEMPTS => {
                    attempts += 1;
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
    }

    /// How many rows it took, and why some were refused.
    async fn count_taken(&self, tx: &mut session::Open) -> Result<(u64, Vec<String>), sqlx::Error> {
        let known = self.meters.iter().map(|meter| meter.name().to_owned());
        let rows = sqlx::query(
            "SELECT u.number, u.tenant_id, u.event, u.written_at::text AS written,
                 (extract(epoch FROM u.written_at) * 1000000)::bigint AS written_at
             FROM tenancy.take_pending_usage($1, $2) AS u ORDER BY u.number",
        )
        .bind(ROUND)
        .bind(known.collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await?;
        let (mut events, mut moments, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        let mut refused = Refused::default();
        for row in &rows {
            // What an application has written there by its own SQL need not be an event. Its tenant is the one as which the
            // row was written, whatever the event says.
            let tenant = TenantId::from_uuid(column(row, "tenant_id")?);
            match column::<Json<UsageEvent>>(row, "event") {
                Ok(Json(event)) => {
                    events.push(UsageEvent { tenant, ..event });
                    moments.push(Timestamp::from_unix_micros(column(row, "written_at")?));
                    taken.push(row);
                }
                Err(error) => {
                    Batch::refused(tenant).send(tx, self.clock.now()).await?;
                    refused.add(row, error.to_string())?;
                }
            }
        }
        let outcomes = self.record(tx, &events, Written::At(&moments)).await?;
        for (outcome, row) in outcomes.iter().zip(taken) {
            match outcome {
                EventOutcome::Counted | EventOutcome::AlreadyCounted => {}
                EventOutcome::Conflict => {
                    refused.add(row, "another event was counted under its id".to_owned())?;
                }
                EventOutcome::Unmatched(error)
                | EventOutcome::TooLate(error)
                | EventOutcome::Refused(error) => refused.add(row, error.to_string())?,
                other => refused.add(row, format!("{other:?}"))?,
            }
        }
        let why = refused.why.clone();
        refused.keep(tx).await?;
        Ok((rows.len() as u64, why))
    }
}

/// Rows that can't be counted, as the function `refuse_usage` takes them.
#[derive(Default)]
struct Refused {
    numbers: Vec<i64>,
    tenants: Vec<Uuid>,
    events: Vec<Json<serde_json::Value>>,
    why: Vec<String>,
    written: Vec<String>,
}

impl Refused {
    fn add(&mut self, row: &PgRow, why: String) -> Result<(), sqlx::Error> {
        self.numbers.push(column(row, "number")?);
        self.tenants.push(column(row, "tenant_id")?);
        self.events.push(column(row, "event")?);
        self.written.push(column(row, "written")?);
        self.why.push(why);
        Ok(())
    }

    async fn keep(self, tx: &mut session::Open) -> Result<(), sqlx::Error> {
        if self.numbers.is_empty() {
            return Ok(());
        }
        sqlx::query("SELECT tenancy.refuse_usage($1, $2, $3, $4, $5::text[]::timestamptz[])")
            .bind(self.numbers)
            .bind(self.tenants)
            .bind(self.events)
            .bind(self.why)
            .bind(self.written)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }
}

impl TenantTx {
    /// Writes usage of this transaction's tenant. It commits or rolls back with the transaction's rows, and is counted
    /// about a quarter of a second after the commit.
    ///
    /// Whose usage it is the transaction's [context](Self::context) says: tenant, project, API key, user and job of the
    /// event are those of the context.
    ///
    /// ```no_run
    /// # use tenancy_core::{Clock as _, SystemClock};
    /// # use tenancy_sqlx::{PgUsage, TenantTx};
    /// # use tenancy_usage::UsageEvent;
    /// # async fn example(mut tx: TenantTx, usage: PgUsage) -> Result<(), Box<dyn std::error::Error>> {
    /// sqlx::query("INSERT INTO exports (id) VALUES ($1)").bind(4711).execute(&mut *tx).await?;
    /// let event = UsageEvent::in_context(tx.context(), "exports", "api", "export-4711", SystemClock.now());
    /// tx.record_usage(&usage, event).await?;
    /// tx.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUsage`] if the event can't be counted, before anything is sent; or what the database says.
    pub async fn record_usage(&mut self, usage: &PgUsage, event: UsageEvent) -> Result<(), Error> {
        let context = self.context().clone();
        write(self, &context, usage, event).await
    }
}

impl Savepoint<'_> {
    /// Writes usage, as [`TenantTx::record_usage`] does. It is undone with the savepoint.
    ///
    /// # Errors
    /// As [`TenantTx::record_usage`].
    pub async fn record_usage(&mut self, usage: &PgUsage, event: UsageEvent) -> Result<(), Error> {
        let context = self.context().clone();
        write(self, &context, usage, event).await
    }
}

async fn write(
    connection: &mut PgConnection,
    context: &TenantContext,
    usage: &PgUsage,
    event: UsageEvent,
) -> Result<(), Error> {
    let event = event.of_context(context);
    usage
        .inner
        .meters
        .check(&event, usage.inner.clock.now(), &usage.inner.times)
        .map_err(|error| Error::with_detail(ErrorKind::InvalidUsage, error.to_string()))?;
    sqlx::query("INSERT INTO tenancy.usage_pending (tenant_id, event) VALUES ($1, $2)")
        .bind(event.tenant.as_uuid())
        .bind(Json(&event))
        .execute(connection)
        .await?;
    Ok(())
}
