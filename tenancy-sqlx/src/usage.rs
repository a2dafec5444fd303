//! `PgUsage`: usage that is counted in the schema `tenancy`, for all processes on one database.

mod batch;
mod correcting;
mod filling;
mod instant;
mod metrics;
mod pending;
mod pruning;
mod reading;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{Executor as _, Row as _};
use tenancy_core::{Clock, SystemClock, TenantId, Timestamp};
use tenancy_usage::{
    CorrectionOutcome, EventError, EventErrorKind, EventOutcome, EventTimes, Rollup, RollupQuery,
    UsageCalendar, UsageCorrection, UsageError, UsageEvent, UsageMeters, UsageSink, UsageStatus,
};

use crate::{
    RegistryPool,
    connections::{Connections, Settings},
    danger::SystemPool,
    options::Timeouts,
    session,
};
use batch::Batch;
pub(crate) use correcting::{entry, entry_row};
pub(crate) use instant::Instant;
use pending::Counter;
pub use pruning::PrunedUsage;

/// The SQLSTATE of a CHECK that does not hold, or of the bounds of a partition.
const CHECK_VIOLATION: &str = "23514";

/// How many events one transaction counts at most.
const MOST: usize = 1_000;

/// How often a transaction that lost against another begins again.
const ATTEMPTS: u32 = 5;

/// Counts usage in the schema `tenancy`: each event once, whichever process sends it, and what it adds up to in the same
/// transaction.
///
/// | what | how |
/// |---|---|
/// | an event of any tenant | [`record`](UsageSink::record): each 1,000 of a batch are one transaction |
/// | an event that has to be there exactly if the rows of a transaction are | [`TenantTx::record_usage`](crate::TenantTx::record_usage): counted about a quarter of a second after the commit |
///
/// The windows of minutes, hours, days and billing periods are kept while events come, so that a question reads as many
/// rows as it has windows and groups, however many events there were.
///
/// ```no_run
/// use tenancy_core::{Clock as _, SystemClock, TenantId};
/// use tenancy_sqlx::{PgUsage, RegistryPool};
/// use tenancy_usage::{UsageEvent, UsageMeter, UsageMeters, UsageSink as _};
///
/// # async fn example(acme: TenantId) -> Result<(), Box<dyn std::error::Error>> {
/// let registry = RegistryPool::connect("postgres://tenancy_registry@localhost/notes").await?;
/// let meters = UsageMeters::new([UsageMeter::sum("egress").unit("bytes")])?;
/// let usage = PgUsage::builder(&registry, meters).build();
/// let event = UsageEvent::new(acme, "egress", "proxy", "request-1", SystemClock.now());
/// usage.record(&[event.quantity(700)]).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Runtime
/// Make it in the runtime that outlives the server: it has a task there, which counts what transactions have written and
/// makes partitions ahead.
///
/// # Security
/// It counts through the registry login. The login of the service, whose SQL a caller may reach, adds events of its own
/// tenant within a transaction, and reads none.
#[derive(Clone)]
pub struct PgUsage {
    inner: Arc<Inner>,
    /// Ends with the last clone; none where usage is read alone.
    _counter: Option<Arc<Counter>>,
}

struct Inner {
    pool: Connections,
    meters: UsageMeters,
    calendar: UsageCalendar,
    times: EventTimes,
    clock: Arc<dyn Clock>,
    /// How many events of transactions could not be counted.
    uncounted: AtomicU64,
}

/// How [`PgUsage`] counts.
///
/// ```no_run
/// use std::time::Duration;
///
/// use tenancy_sqlx::{PgUsage, RegistryPool};
/// use tenancy_usage::{EventTimes, UsageCalendar, UsageMeters};
///
/// # fn example(registry: &RegistryPool, meters: UsageMeters) -> Result<(), Box<dyn std::error::Error>> {
/// let usage = PgUsage::builder(registry, meters)
///     .calendar(UsageCalendar::yearly())
///     .times(EventTimes::new(Duration::from_secs(7 * 86_400), Duration::from_secs(60))?)
///     .build();
/// # drop(usage);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct PgUsageBuilder {
    pool: Connections,
    connections: u32,
    /// Whether it counts what transactions have written.
    counts: bool,
    meters: UsageMeters,
    calendar: UsageCalendar,
    times: EventTimes,
    clock: Arc<dyn Clock>,
}

impl PgUsageBuilder {
    /// Where windows begin and end. Default: [`UsageCalendar::monthly`].
    pub fn calendar(mut self, calendar: UsageCalendar) -> Self {
        self.calendar = calendar;
        self
    }

    /// How late events are taken. Default: [`EventTimes::default`].
    pub const fn times(mut self, times: EventTimes) -> Self {
        self.times = times;
        self
    }

    /// Where it reads the time. Default: the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How many connections it has, beside those of the registry pool. Default: 2.
    pub const fn max_connections(mut self, most: u32) -> Self {
        self.connections = if most == 0 { 1 } else { most };
        self
    }

    fn inner(self) -> Inner {
        Inner {
            pool: self.pool.beside(Settings::new(self.connections)),
            meters: self.meters,
            calendar: self.calendar,
            times: self.times,
            clock: self.clock,
            uncounted: AtomicU64::new(0),
        }
    }

    /// Must be called inside a tokio runtime.
    #[must_use]
    pub fn build(self) -> PgUsage {
        let counts = self.counts;
        let inner = Arc::new(self.inner());
        PgUsage {
            _counter: counts.then(|| Arc::new(Counter::start(&inner))),
            inner,
        }
    }
}

impl PgUsage {
    /// Counts these meters in the database of the registry login, with connections of its own.
    pub fn builder(registry: &RegistryPool, meters: UsageMeters) -> PgUsageBuilder {
        Self::through(registry.raw(), meters, 2)
    }

    /// Reads usage of these meters through the system login, for programs of operators. It has no task and counts nothing:
    /// what it is given to record is an error of the database. Give it the calendar and the times by which the service
    /// counts.
    ///
    /// ```no_run
    /// use tenancy_core::TenantId;
    /// use tenancy_sqlx::{PgUsage, danger::SystemPool};
    /// use tenancy_usage::{UsageMeters, UsageSink as _};
    ///
    /// # async fn example(acme: TenantId) -> Result<(), Box<dyn std::error::Error>> {
    /// let system = SystemPool::connect("postgres://tenancy_system@localhost/notes").await?;
    /// let usage = PgUsage::of_operators(&system, UsageMeters::new(UsageMeters::catalogue())?).build();
    /// println!("{} events were counted", usage.status(acme).await?.counted);
    /// # Ok(())
    /// # }
    /// ```
    pub fn of_operators(system: &SystemPool, meters: UsageMeters) -> PgUsageBuilder {
        PgUsageBuilder {
            counts: false,
            ..Self::through(system.raw(), meters, 1)
        }
    }

    fn through(pool: &Connections, meters: UsageMeters, connections: u32) -> PgUsageBuilder {
        PgUsageBuilder {
            counts: true,
            pool: pool.clone(),
            connections,
            meters,
            calendar: UsageCalendar::default(),
            times: EventTimes::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Counts what transactions have [written](crate::TenantTx::record_usage) and committed, and returns how many events
    /// there were. Its task does this four times in a second; nobody has to call it.
    ///
    /// # Errors
    /// A [`UsageError`] of the kind [`Unavailable`](tenancy_usage::UsageErrorKind::Unavailable).
    pub async fn count_pending(&self) -> Result<u64, UsageError> {
        self.inner.count_pending().await
    }

    /// How many events of transactions it has refused, because something is wrong with them. Each is logged, counted in the
    /// tenant's [status](UsageSink::status), and kept in `tenancy.usage_refused` with the reason. Events of meters that it
    /// does not know it leaves to processes that know them.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        self.inner.uncounted.load(Ordering::Relaxed)
    }

    /// Counts what is pending, and closes its connections. Call it when the last request has ended.
    ///
    /// # Errors
    /// As [`count_pending`](Self::count_pending); the connections are closed all the same.
    pub async fn close(&self) -> Result<(), UsageError> {
        let counted = self.count_pending().await;
        self.inner.pool.close().await;
        counted.map(drop)
    }
}

impl fmt::Debug for PgUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgUsage")
            .field("meters", &self.inner.meters)
            .field("calendar", &self.inner.calendar)
            .finish_non_exhaustive()
    }
}

impl Inner {
    async fn begin(&self) -> Result<session::Open, UsageError> {
        begin(&self.pool).await.map_err(unavailable)
    }

    /// Counts what is new of a batch within a transaction.
    ///
    /// An event that the database can't take fails all that are sent with it. Then each half is sent, and so on, until it is
    /// alone: so it keeps no other out.
    async fn record(
        &self,
        tx: &mut session::Open,
        events: &[UsageEvent],
        written: Written<'_>,
    ) -> Result<Vec<EventOutcome>, sqlx::Error> {
        let mut outcomes = Vec::with_capacity(events.len());
        // The last is the next.
        let mut parts = vec![(0, events.len())];
        while let Some((from, to)) = parts.pop() {
            let part = events.get(from..to).unwrap_or_default();
            tx.execute("SAVEPOINT usage").await?;
            match self.record_all(tx, part, written.of(from)).await {
                Ok(told) => outcomes.extend(told),
                Err(error) => {
                    let Some(refused) = refused_by(&error) else {
                        return Err(error);
                    };
                    tx.execute("ROLLBACK TO SAVEPOINT usage").await?;
                    if let [event] = part {
                        Batch::refused(event.tenant)
                            .send(tx, self.clock.now())
                            .await?;
                        outcomes.push(refused.outcome(event));
                    } else {
                        let middle = from.midpoint(to);
                        parts.extend([(middle, to), (from, middle)]);
                    }
                }
            }
            tx.execute("RELEASE SAVEPOINT usage").await?;
        }
        Ok(outcomes)
    }

    /// Counts a batch in a transaction of its own. One that lost against another begins again.
    async fn record_alone(&self, events: &[UsageEvent]) -> Result<Vec<EventOutcome>, UsageError> {
        let mut attempts = 0;
        loop {
            let mut tx = self.begin().await?;
            match self.record(&mut tx, events, Written::Now).await {
                Ok(outcomes) => {
                    tx.commit().await.map_err(unavailable)?;
                    return Ok(outcomes);
                }
                Err(error) if has_lost(&error) && attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(unavailable(error)),
            }
        }
    }

    async fn record_all(
        &self,
        tx: &mut session::Open,
        events: &[UsageEvent],
        written: Written<'_>,
    ) -> Result<Vec<EventOutcome>, sqlx::Error> {
        let now = self.clock.now();
        let mut batch = Batch::default();
        let mut outcomes = Vec::with_capacity(events.len());
        for (place, event) in events.iter().enumerate() {
            let is_old = matches!(written, Written::LongAgo);
            let content = match self.meters.get(&event.meter) {
                // A backfill has checked its events, and their source is its own.
                Some(meter) if is_old => Ok(meter),
                _ => self.meters.check_content(event),
            };
            match content {
                Ok(meter) => {
                    let in_time = |now| self.times.check(event.at, now);
                    // By when it was written, however late it is counted; or by now, where the clocks differ.
                    let untimely = in_time(now)
                        .err()
                        .filter(|_| written.at(place).is_none_or(|then| in_time(then).is_err()))
                        .filter(|_| !is_old);
                    batch.add(event, meter, &self.calendar, untimely.as_ref());
                    outcomes.push(untimely.map(EventOutcome::from));
                }
                Err(error) => {
                    let outcome = EventOutcome::from(error);
                    batch.note_bad(event.tenant, &outcome);
                    outcomes.push(Some(outcome));
                }
            }
        }
        let places = batch.places();
        let mut told = batch.send(tx, now).await?.into_iter();
        let of_place = outcomes.into_iter().zip(places).zip(events);
        let outcomes = of_place.map(|((known, is_sent), event)| {
            if !is_sent {
                return known.ok_or_else(|| silent("an outcome"));
            }
            match told.next() {
                Some(0) => Ok(EventOutcome::Counted),
                Some(1) => Ok(EventOutcome::AlreadyCounted),
                Some(2) => Ok(EventOutcome::Conflict),
                Some(3) => known.ok_or_else(|| silent("why an event is not in time")),
                Some(4) => Ok(of_another(event)),
                _ => Err(silent("what became of an event")),
            }
        });
        outcomes.collect()
    }
}

/// Begins a transaction of no tenant, which waits for nobody for long.
pub(crate) async fn begin(pool: &Connections) -> Result<session::Open, crate::Error> {
    let limits = Timeouts {
        statement: Some(Duration::from_secs(30)),
        lock: Some(Duration::from_secs(10)),
        idle_in_transaction: Some(Duration::from_secs(30)),
    };
    session::begin(pool, session::nobodys_batch("BEGIN", &limits)).await
}

/// Since when events are known, by which they are in time.
#[derive(Clone, Copy)]
enum Written<'w> {
    /// They have just come.
    Now,
    /// A transaction has written each at its moment.
    At(&'w [Timestamp]),
    /// They are of a backfill, and in time however old they are.
    LongAgo,
}

impl Written<'_> {
    fn of(self, from: usize) -> Self {
        match self {
            Self::Now => Self::Now,
            Self::LongAgo => Self::LongAgo,
            Self::At(moments) => Self::At(moments.get(from..).unwrap_or_default()),
        }
    }

    fn at(self, place: usize) -> Option<Timestamp> {
        match self {
            Self::Now | Self::LongAgo => None,
            Self::At(moments) => moments.get(place).copied(),
        }
    }
}

/// Why the database can't take an event, which it will not take later either.
enum RefusedBy {
    /// A sum would be too large.
    Sum,
    /// Something else of its content.
    Content,
}

impl RefusedBy {
    fn outcome(&self, event: &UsageEvent) -> EventOutcome {
        let (meter, most) = (&event.meter, UsageEvent::MAX_TOTAL);
        EventOutcome::Refused(match self {
            Self::Sum => EventError::new(
                EventErrorKind::Overflow,
                format!(
                    "with this event `{meter}` would add up to more than {most}; count in a larger unit"
                ),
            ),
            Self::Content => EventError::new(
                EventErrorKind::NotStored,
                format!("the database can't store this event of `{meter}`; its log says why"),
            ),
        })
    }
}

/// Whether it is the content of an event that the database refuses. A row on its way into a partition that is just made
/// (`check_violation` without a constraint) is not.
fn refused_by(error: &sqlx::Error) -> Option<RefusedBy> {
    let error = error.as_database_error()?;
    let code = error.code()?;
    match error.constraint() {
        Some("usage_sum") => Some(RefusedBy::Sum),
        None if &*code == CHECK_VIOLATION => None,
        // What is wrong with a value, or with what is to be written.
        _ => (["21", "22", "23"].iter())
            .any(|class| code.starts_with(class))
            .then_some(RefusedBy::Content),
    }
}

/// Whether it may succeed at once if it begins again: a deadlock, or a partition that is just made.
fn has_lost(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("40") || &*code == CHECK_VIOLATION)
}

fn of_another(event: &UsageEvent) -> EventOutcome {
    EventOutcome::Refused(EventError::new(
        EventErrorKind::OfAnotherTenant,
        format!(
            "the event of `{}` names a project or an API key of another tenant; take both of the context of the request",
            event.meter
        ),
    ))
}

fn silent(what: &str) -> sqlx::Error {
    sqlx::Error::Protocol(format!("the schema `tenancy` did not tell {what}"))
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> UsageError {
    UsageError::unavailable(Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
}

#[async_trait]
impl UsageSink for PgUsage {
    async fn record(&self, events: &[UsageEvent]) -> Result<Vec<EventOutcome>, UsageError> {
        let mut outcomes = Vec::with_capacity(events.len());
        for part in events.chunks(MOST) {
            outcomes.extend(self.inner.record_alone(part).await?);
        }
        Ok(outcomes)
    }

    async fn correct(
        &self,
        corrections: &[UsageCorrection],
    ) -> Result<Vec<CorrectionOutcome>, UsageError> {
        let mut outcomes = Vec::with_capacity(corrections.len());
        for correction in corrections {
            outcomes.push(self.inner.correct(correction).await?);
        }
        Ok(outcomes)
    }

    async fn rollups(&self, query: &RollupQuery) -> Result<Vec<Rollup>, UsageError> {
        self.inner.rollups(query).await
    }

    async fn status(&self, tenant: TenantId) -> Result<UsageStatus, UsageError> {
        let mut tx = self.inner.begin().await?;
        let row = sqlx::query(
            "SELECT s.counted, s.already_counted, s.conflicts, s.unmatched, s.too_late, s.refused,
                 (extract(epoch FROM s.newest_event) * 1000000)::bigint AS newest_event,
                 (extract(epoch FROM s.rolled_up_until) * 1000000)::bigint AS rolled_up_until, l.pending,
                 (extract(epoch FROM l.pending_since) * 1000000)::bigint AS pending_since
             FROM tenancy.find_usage_lag($1) AS l LEFT JOIN tenancy.find_usage_status($1) AS s ON true",
        )
        .bind(tenant.as_uuid())
        .fetch_one(&mut *tx)
        .await
        .map_err(unavailable)?;
        tx.give_back();
        let mut status = UsageStatus::default();
        reading::status(&row, &mut status).map_err(unavailable)?;
        Ok(status)
    }
}

/// What a column has, of a row of ours.
pub(crate) fn column<'r, T>(row: &'r sqlx::postgres::PgRow, name: &str) -> Result<T, sqlx::Error>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(name)
}
