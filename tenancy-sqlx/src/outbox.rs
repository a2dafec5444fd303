//! The outbox in PostgreSQL: reading it across tenants.

mod alerts;
mod record;
mod rows;

use std::{fmt, time::Duration};

use async_trait::async_trait;
pub(crate) use record::{add_entry, add_events};
use sqlx::{Row as _, types::Uuid};
use tenancy_core::{
    AuditEntry, Clock as _, EventId, Outcome, SystemClock, TenantId,
    outbox::{
        Claim, ClaimRequest, ConsumerLag, ConsumerName, EventPage, Failure, Intervention, NewEvent,
        Outbox, OutboxError, OutboxErrorKind, ParkedEvent, Start,
    },
};

use crate::{
    connections::Connections,
    danger::SystemPool,
    options::Timeouts,
    session::{self, Open},
};

/// The outbox in the schema `tenancy`, for consumers and operators.
///
/// [`TenantTx::emit`](crate::TenantTx::emit) writes events; a
/// [`OutboxConsumer`](tenancy_core::outbox::OutboxConsumer) over this reads them.
///
/// ```no_run
/// use tenancy_core::outbox::{EventHandler, OutboxConsumer};
/// use tenancy_sqlx::{PgOutbox, danger::SystemPool};
///
/// # async fn example(webhooks: impl EventHandler + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// let system = SystemPool::connect("postgres://tenancy_system@localhost/notes").await?;
/// let consumer = OutboxConsumer::builder("webhooks", PgOutbox::new(&system), webhooks).build()?;
/// consumer.run(std::future::pending()).await;
/// # Ok(())
/// # }
/// ```
///
/// # Late commits
/// Events get their places in the order when a consumer first sees them, one consumer at a time. So a
/// transaction that commits late is not skipped, and one that is open for long keeps back its own events
/// and nobody else's.
///
/// # Copies of the database
/// Positions and events are rows, and belong together in each copy: a dump, a restore to a point in time, a
/// standby that takes over. Consumers see again what they had seen since the copy was made, and skip nothing.
///
/// # Security
/// It reads the events of all tenants, through the operators' login. Run consumers in a process of their own
/// where a serving process should not have that login.
#[derive(Clone)]
pub struct PgOutbox {
    pool: Connections,
}

impl PgOutbox {
    /// The outbox through the operators' login.
    #[must_use]
    pub fn new(system: &SystemPool) -> Self {
        Self {
            pool: system.raw().clone(),
        }
    }

    /// Writes events in a transaction of their own, each for the tenant that it names or for none.
    ///
    /// For what happens outside of any change of rows. Inside a transaction that crosses tenants there is
    /// [`AcrossTenants::emit`](crate::danger::AcrossTenants::emit).
    ///
    /// # Errors
    /// [`OutboxErrorKind::Unavailable`].
    pub async fn emit(&self, events: &[NewEvent]) -> Result<(), OutboxError> {
        let mut tx = self.begin().await?;
        let events: Vec<_> = events.iter().map(|event| (event.tenant(), event)).collect();
        add_events(&mut tx, &events).await.map_err(told)?;
        tx.commit().await.map_err(told)
    }

    async fn begin(&self) -> Result<Open, OutboxError> {
        let batch = session::nobodys_batch("BEGIN", &Timeouts::CHANGE);
        session::begin(&self.pool, batch)
            .await
            .map_err(OutboxError::unavailable)
    }

    /// Runs a statement with a claim in a transaction of its own.
    async fn change(
        &self,
        consumer: &ConsumerName,
        statement: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<(), OutboxError> {
        let mut tx = self.begin().await?;
        let told = |error| told_of(consumer, error);
        statement.execute(&mut *tx).await.map_err(told)?;
        tx.commit().await.map_err(told)
    }

    /// Changes something for an operator, and records it in the same transaction.
    async fn intervene(
        &self,
        by: &Intervention,
        action: &'static str,
        consumer: &ConsumerName,
        place: u64,
        statement: &'static str,
    ) -> Result<(), OutboxError> {
        let mut tx = self.begin().await?;
        let of: Option<(Uuid, Option<Uuid>)> = sqlx::query_as(
            "SELECT e.event, e.tenant_id FROM tenancy.outbox_parked AS p
                 JOIN tenancy.outbox_events AS e ON e.id = p.event_id
             WHERE p.consumer = $1 AND p.place = $2",
        )
        .bind(consumer.as_str())
        .bind(number(place))
        .fetch_optional(&mut *tx)
        .await
        .map_err(told)?;
        let changed: bool = sqlx::query_scalar(statement)
            .bind(consumer.as_str())
            .bind(number(place))
            .fetch_one(&mut *tx)
            .await
            .map_err(told)?;
        let (true, Some((event, tenant))) = (changed, of) else {
            return Err(OutboxError::new(
                OutboxErrorKind::NotFound,
                format!("the consumer `{consumer}` has no parked event at place {place}"),
            ));
        };
        let mut entry = entry(by, action, consumer).about("event", EventId::from_uuid(event));
        entry.tenant = tenant.map(TenantId::from_uuid);
        add_entry(&mut tx, entry.tenant, &entry)
            .await
            .map_err(told)?;
        tx.commit().await.map_err(told)
    }
}

fn entry(by: &Intervention, action: &'static str, consumer: &ConsumerName) -> AuditEntry {
    AuditEntry::new(SystemClock.now(), action, Outcome::Allowed)
        .actor(by.actor().clone())
        .reason(by.reason().to_owned())
        .about("consumer", consumer)
}

fn number(place: u64) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

fn lasting(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 1_000_000)
}

fn limit(at_most: usize) -> i32 {
    i32::try_from(at_most.min(1000)).unwrap_or(1000)
}

fn told(error: sqlx::Error) -> OutboxError {
    OutboxError::unavailable(crate::Error::from(error))
}

/// What the database says to whoever works on a consumer.
fn told_of(consumer: &ConsumerName, error: sqlx::Error) -> OutboxError {
    let code = error.as_database_error().and_then(|said| said.code());
    match code.as_deref() {
        Some("TN002") => OutboxError::lease_lost(consumer),
        Some("54000") => OutboxError::too_many_consumers(),
        _ => told(error),
    }
}

#[async_trait]
impl Outbox for PgOutbox {
    async fn claim(&self, request: &ClaimRequest) -> Result<Option<Claim>, OutboxError> {
        let mut tx = self.begin().await?;
        let told = |error| told_of(&request.consumer, error);
        let claim: Option<i64> =
            sqlx::query_scalar("SELECT tenancy.outbox_claim($1, $2, $3, $4, $5, $6)")
                .bind(request.consumer.as_str())
                .bind(request.holder)
                .bind(lasting(request.lease))
                .bind(request.start == Start::Now)
                .bind(i32::try_from(request.most_tries).unwrap_or(i32::MAX))
                .bind(lasting(request.pause))
                .fetch_one(&mut *tx)
                .await
                .map_err(told)?;
        tx.commit().await.map_err(told)?;
        let claim = claim.and_then(|claim| u64::try_from(claim).ok());
        Ok(claim.map(|claim| Claim::new(request.consumer.clone(), claim, request.lease)))
    }

    async fn next_page(&self, claim: &Claim, at_most: usize) -> Result<EventPage, OutboxError> {
        let mut tx = self.begin().await?;
        let told = |error| told_of(&claim.consumer, error);
        let found = sqlx::query(
            "SELECT place, is_parked, event, tenant_id, kind, payload, caused_by, tries,
                 (extract(epoch FROM created_at) * 1000000)::bigint AS created_at
             FROM tenancy.outbox_page($1, $2, $3, $4)",
        )
        .bind(claim.consumer.as_str())
        .bind(number(claim.number))
        .bind(lasting(claim.lease))
        .bind(limit(at_most))
        .fetch_all(&mut *tx)
        .await
        .map_err(told)?;
        tx.commit().await.map_err(told)?;
        let mut page = EventPage::default();
        for row in &found {
            let event = rows::event(row).map_err(told)?;
            match row.try_get("is_parked").map_err(told)? {
                true => page.parked.push(event),
                false => page.new.push(event),
            }
        }
        Ok(page)
    }

    async fn renew(&self, claim: &Claim) -> Result<(), OutboxError> {
        let renew = sqlx::query("SELECT tenancy.outbox_renew($1, $2, $3)")
            .bind(claim.consumer.as_str())
            .bind(number(claim.number))
            .bind(lasting(claim.lease));
        self.change(&claim.consumer, renew).await
    }

    async fn note_success(
        &self,
        claim: &Claim,
        place: u64,
        next: Option<u64>,
    ) -> Result<(), OutboxError> {
        let succeed = sqlx::query("SELECT tenancy.outbox_succeed($1, $2, $3, $4, $5)")
            .bind(claim.consumer.as_str())
            .bind(number(claim.number))
            .bind(lasting(claim.lease))
            .bind(number(place))
            .bind(next.map(number));
        self.change(&claim.consumer, succeed).await
    }

    async fn park(
        &self,
        claim: &Claim,
        place: u64,
        failure: &Failure,
        next: Option<u64>,
    ) -> Result<(), OutboxError> {
        let park = sqlx::query("SELECT tenancy.outbox_park($1, $2, $3, $4, $5, $6, $7)")
            .bind(claim.consumer.as_str())
            .bind(number(claim.number))
            .bind(lasting(claim.lease))
            .bind(number(place))
            .bind(failure.error.as_str())
            .bind(failure.retry_after.map(lasting))
            .bind(next.map(number));
        self.change(&claim.consumer, park).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), OutboxError> {
        let release = sqlx::query("SELECT tenancy.outbox_release($1, $2)")
            .bind(claim.consumer.as_str())
            .bind(number(claim.number));
        self.change(&claim.consumer, release).await
    }

    async fn parked(
        &self,
        consumer: &ConsumerName,
        after: u64,
        at_most: usize,
    ) -> Result<Vec<ParkedEvent>, OutboxError> {
        let mut tx = self.begin().await?;
        let found = sqlx::query(
            "SELECT p.place, e.event, e.tenant_id, e.kind, e.payload, e.caused_by, p.tries, p.last_error,
                 (extract(epoch FROM e.created_at) * 1000000)::bigint AS created_at,
                 (extract(epoch FROM p.due_at) * 1000000)::bigint AS due_at,
                 (extract(epoch FROM p.set_aside_at) * 1000000)::bigint AS set_aside_at
             FROM tenancy.outbox_parked AS p JOIN tenancy.outbox_events AS e ON e.id = p.event_id
             WHERE p.consumer = $1 AND p.place > $2 ORDER BY p.place LIMIT $3",
        )
        .bind(consumer.as_str())
        .bind(number(after))
        .bind(limit(at_most))
        .fetch_all(&mut *tx)
        .await
        .map_err(told)?;
        tx.give_back();
        let parked: Result<_, _> = found.iter().map(rows::parked).collect();
        parked.map_err(told)
    }

    async fn retry(
        &self,
        by: &Intervention,
        consumer: &ConsumerName,
        place: u64,
    ) -> Result<(), OutboxError> {
        let retry = "SELECT tenancy.outbox_retry($1, $2)";
        self.intervene(by, "outbox.retry", consumer, place, retry)
            .await
    }

    async fn drop_parked(
        &self,
        by: &Intervention,
        consumer: &ConsumerName,
        place: u64,
    ) -> Result<(), OutboxError> {
        let remove = "SELECT tenancy.outbox_drop($1, $2)";
        self.intervene(by, "outbox.drop", consumer, place, remove)
            .await
    }

    async fn remove_consumer(
        &self,
        by: &Intervention,
        consumer: &ConsumerName,
    ) -> Result<(), OutboxError> {
        let mut tx = self.begin().await?;
        let removed: bool = sqlx::query_scalar("SELECT tenancy.outbox_remove_consumer($1)")
            .bind(consumer.as_str())
            .fetch_one(&mut *tx)
            .await
            .map_err(told)?;
        if !removed {
            let message = format!("there is no consumer `{consumer}`");
            return Err(OutboxError::new(OutboxErrorKind::NotFound, message));
        }
        let entry = entry(by, "outbox.remove-consumer", consumer);
        add_entry(&mut tx, None, &entry).await.map_err(told)?;
        tx.commit().await.map_err(told)
    }

    async fn lag(&self) -> Result<Vec<ConsumerLag>, OutboxError> {
        let mut tx = self.begin().await?;
        let found = sqlx::query(
            "WITH unplaced AS MATERIALIZED (
                 SELECT count(*) AS events, min(e.created_at) AS oldest
                 FROM tenancy.outbox_events AS e WHERE e.place IS NULL
             )
             SELECT c.name, c.place, h.place - c.place + u.events AS waiting,
                 (extract(epoch FROM least(u.oldest, (SELECT e.created_at
                     FROM tenancy.outbox_events AS e WHERE e.place > c.place
                     ORDER BY e.place LIMIT 1))) * 1000000)::bigint AS oldest_waiting,
                 p.parked, p.set_aside,
                 (extract(epoch FROM c.held_until) * 1000000)::bigint AS held_until
             FROM tenancy.outbox_consumers AS c, tenancy.outbox_head AS h, unplaced AS u
                 CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE k.set_aside_at IS NULL) AS parked,
                     count(*) FILTER (WHERE k.set_aside_at IS NOT NULL) AS set_aside
                 FROM tenancy.outbox_parked AS k WHERE k.consumer = c.name) AS p
             ORDER BY c.name",
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(told)?;
        tx.give_back();
        let lag: Result<_, _> = found.iter().map(rows::lag).collect();
        lag.map_err(told)
    }

    async fn prune(&self, age: Duration, at_most: usize) -> Result<u64, OutboxError> {
        let mut tx = self.begin().await?;
        let removed: i64 = sqlx::query_scalar("SELECT tenancy.outbox_prune($1, $2)")
            .bind(lasting(age))
            .bind(i32::try_from(at_most).unwrap_or(i32::MAX))
            .fetch_one(&mut *tx)
            .await
            .map_err(told)?;
        tx.commit().await.map_err(told)?;
        Ok(u64::try_from(removed).unwrap_or_default())
    }
}

impl fmt::Debug for PgOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgOutbox").finish_non_exhaustive()
    }
}
