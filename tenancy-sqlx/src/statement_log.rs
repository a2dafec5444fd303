//! The statement log: who ran what shape of a statement, for which tenant, and how it went.
//!
//! A [`StatementLog`] is an option of a [`TenantPool`](crate::TenantPool). It tells of
//!
//! * a sample of all statements, [one in so many](StatementLogBuilder::sample_one_in);
//! * all that are [slow](StatementLogBuilder::slower_than), and keeps for each tenant
//!   [which cost most](StatementLog::slowest);
//! * all that the database refused because of a row of another tenant;
//! * all that touch protected tables outside of a tenant's context: by [`danger::across_tenants`](crate::danger), and
//!   through a pool of the application's own that is [watched](StatementLog::watch).
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use tenancy_core::Tenancy;
//! use tenancy_sqlx::{
//!     TenantPool, TenantPoolOptions,
//!     danger::SystemPool,
//!     statement_log::{StatementLog, TracingStatements},
//! };
//!
//! # async fn example(tenancy: &Tenancy) -> Result<(), Box<dyn std::error::Error>> {
//! let log = StatementLog::builder()
//!     .sample_one_in(1_000)
//!     .slower_than(Duration::from_millis(250))
//!     .sink("log", TracingStatements)
//!     .build()?;
//! let pool = TenantPoolOptions::new()
//!     .statement_log(&log)
//!     .connect("postgres://tenancy_app@localhost/notes", tenancy)
//!     .await?;
//! let system = SystemPool::connect("postgres://tenancy_system@localhost/notes").await?;
//! let system = system.with_statement_log(&log).await?;
//! # drop((pool, system));
//! # Ok(())
//! # }
//! ```
//!
//! # What it costs
//! A pool without a log asks once for each statement whether it has one. With a log, a statement that is not told of
//! costs a few readings of the clock and a counter. One that is told of has its text read, once for each text, and is
//! put in the queue of each [sink](StatementSink). No statement waits for a sink, and none fails because of one.
//!
//! # What is not in it
//! What does not pass the types of this crate: psql, migrations, a `PgPool` that is not watched. For those there is
//! PostgreSQL's own log (`log_statement`, or the extension pgaudit), by the roles of the database. Nor statements that
//! run inside of functions and triggers, and nor the library's own, such as `BEGIN` and `COMMIT`.
//!
//! A [`TenantTx`](crate::TenantTx) derefs to a [`TxConnection`](crate::TxConnection), which the log sees, and that one to
//! sqlx's `PgConnection`, which it does not. A function that takes a `&mut PgConnection` is past the log. The log says so:
//! [`StatementOutcome::Unseen`] with the place in the source, and the count
//! [`past`](StatementLogStats::past). Such functions take a `&mut TxConnection` instead.
//!
//! Protected tables are found by their names in the text. A function that reads one hides it; a column of the same name
//! is taken for it.

mod builder;
mod lane;
mod memory;
mod protected;
mod record;
mod sampling;
mod shape;
mod shapes;
mod sink;
mod slowest;
#[cfg(test)]
mod testing;
mod tracing_sink;
mod trail;
mod watch;
mod watched_pool;

use std::{
    fmt,
    panic::Location,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use sqlx::{PgConnection, PgPool};
use tenancy_core::{Clock, TenantId};

pub use builder::StatementLogBuilder;
pub use lane::SinkStats;
pub use memory::MemoryStatements;
pub use record::{StatementOutcome, StatementRecord};
pub use sink::StatementSink;
pub use slowest::SlowStatement;
pub use tracing_sink::TracingStatements;
pub use trail::AuditedStatements;
pub use watched_pool::WatchedPool;

use crate::Error;
use lane::Lane;
use protected::Protected;
use sampling::Sampling;
use shapes::Shapes;
use slowest::Slowest;
pub(crate) use watch::{Attribution, Watched, watched_many, watched_one};
use watch::{Ended, Who};

/// Tells of statements: see [the module](self). Cheap to clone; clones are one log.
#[derive(Clone)]
pub struct StatementLog {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    sampling: Sampling,
    slow: Duration,
    protected: RwLock<Arc<Protected>>,
    shapes: Shapes,
    slowest: Slowest,
    lanes: Vec<Lane>,
    recorded: AtomicU64,
    past: AtomicU64,
}

/// How a [`StatementLog`] fares, since it was made.
///
/// ```
/// use tenancy_sqlx::statement_log::StatementLog;
///
/// fn is_complete(log: &StatementLog) -> bool {
///     let stats = log.stats();
///     stats.past == 0 && stats.sinks.iter().all(|sink| sink.dropped + sink.failed == 0)
/// }
/// # let _ = is_complete;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatementLogStats {
    /// Statements that have ended, told of or not.
    pub seen: u64,
    /// Statements that were told of.
    pub recorded: u64,
    /// How often a transaction's connection was borrowed as sqlx's own,
    /// [past the log](self#what-is-not-in-it).
    pub past: u64,
    /// The sinks, in the order in which the builder was given them.
    pub sinks: Vec<SinkStats>,
}

impl StatementLog {
    /// Begins with a log that tells of what is slow or flagged, to no sink.
    pub fn builder() -> StatementLogBuilder {
        StatementLogBuilder::new()
    }

    /// The shapes of a tenant's slow statements, the one first that took most altogether.
    ///
    /// Bounded for each tenant, as [the builder](StatementLogBuilder::slowest) says, and of this process alone.
    ///
    /// ```
    /// # use tenancy_core::TenantId;
    /// # use tenancy_sqlx::statement_log::StatementLog;
    /// fn say(log: &StatementLog, tenant: TenantId) {
    ///     for slow in log.slowest(tenant) {
    ///         println!("{} times, {:?} altogether: {}", slow.count, slow.total, slow.shape);
    ///     }
    /// }
    /// # let _ = say;
    /// ```
    #[must_use]
    pub fn slowest(&self, tenant: TenantId) -> Vec<SlowStatement> {
        self.inner.slowest.of(Some(tenant))
    }

    /// The same of statements outside of a tenant's context.
    #[must_use]
    pub fn slowest_outside(&self) -> Vec<SlowStatement> {
        self.inner.slowest.of(None)
    }

    /// The tenants that had slow statements, and what these took; the one first for which it was most.
    #[must_use]
    pub fn slowest_tenants(&self) -> Vec<(TenantId, Duration)> {
        self.inner.slowest.tenants()
    }

    /// How many statements there were, how many were told of, and how the sinks keep up.
    #[must_use]
    pub fn stats(&self) -> StatementLogStats {
        StatementLogStats {
            seen: self.inner.sampling.seen(),
            recorded: self.inner.recorded.load(Ordering::Relaxed),
            past: self.inner.past.load(Ordering::Relaxed),
            sinks: self.inner.lanes.iter().map(Lane::stats).collect(),
        }
    }

    /// Returns when every sink has been handed all that was told of before.
    ///
    /// For the end of a service, after its last request: what waits when the process ends is lost. Give it a time
    /// limit, because a sink may wait for ever.
    pub async fn flush(&self) {
        join_all(self.inner.lanes.iter().map(Lane::flush)).await;
    }

    /// A pool of the application's own, whose statements are told of as ones outside of a tenant's context.
    ///
    /// For tables that belong to no tenant. A statement that touches a protected one is flagged: with the login of the
    /// service it finds no rows there, and somebody has taken the wrong pool.
    ///
    /// # Errors
    /// What the database says when it is asked for the protected tables.
    pub async fn watch(&self, pool: PgPool) -> Result<WatchedPool, Error> {
        let mut connection = pool.acquire().await?;
        self.learn(&mut connection).await?;
        drop(connection);
        Ok(WatchedPool::new(pool, self.clone()))
    }

    /// Asks a database which tables are protected.
    pub(crate) async fn learn(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let read = Protected::read(connection).await?;
        let mut protected = self
            .inner
            .protected
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let known = read.after(&protected);
        *protected = Arc::new(known);
        Ok(())
    }

    fn protected(&self) -> Arc<Protected> {
        let protected = self.inner.protected.read();
        Arc::clone(&protected.unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes note of a statement that has ended.
    fn note(&self, who: &Who, ended: Ended<'_>) {
        let inner = &*self.inner;
        let sampled = inner.sampling.picks();
        let slow = ended.duration >= inner.slow;
        let is_refused = ended.outcome == StatementOutcome::Refused;
        let is_nobodys = who.tenant().is_none();
        if !(sampled || slow || is_refused || is_nobodys) {
            return;
        }
        let protected = self.protected();
        let shape = inner.shapes.of(ended.sql, &protected);
        let outside =
            is_nobodys && (!shape.tables.is_empty() || !shape.is_clear || !protected.is_known());
        let text = if ended.was_read() {
            &shape.text
        } else {
            &shape.verb
        };
        if slow {
            inner.slowest.note(who.tenant(), text, ended.duration);
        }
        if !(sampled || slow || is_refused || outside) {
            return;
        }
        let record = StatementRecord {
            rows: ended.rows,
            duration: ended.duration,
            outcome: ended.outcome,
            sql_state: ended.sql_state,
            sampled,
            slow,
            outside,
            protected_tables: if is_nobodys {
                Arc::clone(&shape.tables)
            } else {
                Arc::new([])
            },
            ..who.record(inner.clock.now(), Arc::clone(text))
        };
        self.tell(record);
    }

    /// Takes note of a connection that was borrowed as sqlx's own.
    fn note_past(&self, who: &Who, place: &'static Location<'static>) {
        let inner = &*self.inner;
        let before = inner.past.fetch_add(1, Ordering::Relaxed);
        if before == 0 {
            tracing::warn!(
                %place,
                "statements may run past the statement log: take a `&mut TxConnection` instead of a \
                 `&mut PgConnection` there"
            );
        }
        let outside = who.tenant().is_none();
        let sampled = inner.sampling.picks();
        if !(sampled || outside) {
            return;
        }
        let mut record = who.record(inner.clock.now(), Arc::from("…"));
        record.outcome = StatementOutcome::Unseen;
        record.sampled = sampled;
        record.outside = outside;
        record.place = Some(place);
        self.tell(record);
    }

    fn tell(&self, record: StatementRecord) {
        self.inner.recorded.fetch_add(1, Ordering::Relaxed);
        let record = Arc::new(record);
        for lane in &self.inner.lanes {
            lane.push(&record);
        }
    }
}

impl fmt::Debug for StatementLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatementLog")
            .field("slow", &self.inner.slow)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
