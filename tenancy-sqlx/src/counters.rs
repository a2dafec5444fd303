//! `PgCounters`: counters that survive a restart, for all processes on one database.

mod cells;
mod confirm;
mod lease;
mod parts;
mod settling;
mod store;
mod taking;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenancy_core::{
    Timestamp,
    quota::{
        Counters, CountersError, Counting, MemoryCounters, Operation, OperationId, OwnedTake,
        Settle, Settled, Standings, Take, Taken,
    },
};
use tokio::runtime::Handle;

use crate::{
    RegistryPool,
    connections::{Connections, Settings},
};
use cells::Cells;
use parts::Parts;
use store::Store;

/// Counters in the schema `tenancy`: what is used in a period and what is held survives a restart, and all processes
/// on the database count together.
///
/// | what | where it is counted | several processes together |
/// |---|---|---|
/// | periods | a process leases some units ahead, and answers from memory | never more than the limit |
/// | what is held | each reservation is one message to the database | never more than the limit |
/// | rates, and what runs at once | in the memory of each process, or in [others](PgCountersBuilder::others) | up to the limit in each process, or as the others promise |
///
/// A process leases what its callers ask for. Beyond that, it leases 1,000 units at most, and a 64th of what is left at
/// most: few at first, and more where they are used up quickly. A process that is killed loses what it has in hand of each
/// period: those units count as used until the period ends. What nobody uses for 10 seconds is returned, and
/// [`close`](Self::close) returns all of it.
///
/// Where the database does not answer within 2 seconds, or is known to be out of reach, a request gets
/// [`CountersError::Unavailable`], which an engine answers with 503. What a process has in hand is used up meanwhile.
///
/// Thresholds ([`Limit::warn_at`](tenancy_core::quota::Limit::warn_at)) are also events in the outbox, of the kind
/// `quota.threshold-reached`, in the transaction in which they are reached.
///
/// ```no_run
/// use tenancy_core::quota::{Limit, Meter, Period, Quotas};
/// use tenancy_sqlx::{PgCounters, RegistryPool};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = RegistryPool::connect("postgres://tenancy_registry@localhost/notes").await?;
/// let counters = PgCounters::new(&registry);
/// let quotas = Quotas::new()
///     .meter(Meter::consumed("exports"))
///     .limit(Limit::per_period("exports", 10_000, Period::Month))
///     .counters(counters.clone());
/// // … and when the service ends:
/// counters.close().await;
/// # let _ = quotas;
/// # Ok(())
/// # }
/// ```
///
/// # Runtime
/// Make it in the runtime that outlives the server: see [`TenantPool`](crate::TenantPool#runtime).
///
/// # Security
/// It counts through the registry login, because a caller who injects SQL runs it as the login of the service, and
/// would give itself more. That login reads no counter and changes none; it confirms what was reserved for its
/// transaction's tenant: [`TenantTx::keep`](crate::TenantTx::keep).
#[derive(Clone)]
pub struct PgCounters {
    inner: Arc<Inner>,
}

/// How [`PgCounters`] count.
///
/// ```no_run
/// use std::time::Duration;
///
/// use tenancy_sqlx::{PgCounters, RegistryPool};
///
/// # async fn example(registry: &RegistryPool) {
/// let counters = PgCounters::builder(registry)
///     .lease_at_most(100)
///     .return_after(Duration::from_secs(2))
///     .build();
/// # drop(counters);
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct PgCountersBuilder {
    pool: Connections,
    connections: u32,
    patience: Duration,
    lease_at_most: u64,
    return_after: Duration,
    remembered: Duration,
    capacity: usize,
    others: Option<Arc<dyn Counters>>,
}

impl PgCountersBuilder {
    /// How many connections they have, beside those of the registry pool. Default: 4.
    pub const fn max_connections(mut self, most: u32) -> Self {
        self.connections = if most == 0 { 1 } else { most };
        self
    }

    /// How long a request waits for the database before it is refused with 503. Default: 2 seconds.
    pub const fn answer_within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How many units of a period a process leases ahead at most, beyond what its callers ask for. With 0, each request
    /// asks the database. Default: 1,000, and a 64th of what is left at most.
    pub const fn lease_at_most(mut self, units: u64) -> Self {
        self.lease_at_most = units;
        self
    }

    /// After how long what is leased and not used is returned. Default: 10 seconds. It takes up to twice this time.
    pub const fn return_after(mut self, time: Duration) -> Self {
        self.return_after = time;
        self
    }

    /// How long an operation is remembered that a client may repeat, its settlement, and what was given back. Default:
    /// 24 hours.
    pub const fn remember_operations_for(mut self, span: Duration) -> Self {
        self.remembered = span;
        self
    }

    /// How many limits of holders this process counts at once, those of periods and those in memory each. Default:
    /// 1,048,576. What is beyond is refused with 503.
    pub const fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Where rates are counted, and what runs at once: in counters that all processes have, such as those in Redis.
    /// Default: in the memory of each process.
    ///
    /// What has to survive stays in the database: when the others come back empty, periods and what is held are as
    /// before. An operation still takes of all its limits, or of none: what was taken in one store is given back
    /// where the other refuses, does not answer within [this time](Self::answer_within), or where nobody waits any
    /// more. If a store can't be told that, it stays taken until it ends by itself.
    ///
    /// ```no_run
    /// use tenancy_core::quota::Counters;
    /// use tenancy_sqlx::{PgCounters, RegistryPool};
    ///
    /// fn counters(registry: &RegistryPool, of_all_processes: impl Counters) -> PgCounters {
    ///     PgCounters::builder(registry).others(of_all_processes).build()
    /// }
    /// # let _ = |registry: &RegistryPool| counters(registry, tenancy_core::quota::MemoryCounters::new());
    /// ```
    pub fn others(mut self, counters: impl Counters) -> Self {
        self.others = Some(Arc::new(counters));
        self
    }

    /// Must be called inside a tokio runtime.
    #[must_use]
    pub fn build(self) -> PgCounters {
        // A clock ends somewhere.
        let patience = self.patience.min(Duration::from_secs(24 * 3_600));
        let mut settings = Settings::new(self.connections);
        settings.patience = patience.max(Duration::from_millis(1));
        let are_at_hand = self.others.is_none();
        let others = self.others.unwrap_or_else(|| {
            let memory = MemoryCounters::with_capacity(self.capacity);
            Arc::new(memory.remembering_operations_for(self.remembered))
        });
        PgCounters {
            inner: Arc::new(Inner {
                store: Store::new(self.pool.beside(settings), self.remembered, patience),
                others,
                are_at_hand,
                cells: Mutex::new(Cells::new(self.capacity)),
                runtime: Handle::current(),
                lease_at_most: self.lease_at_most,
                return_after: self.return_after.max(Duration::from_millis(1)),
                patience,
            }),
        }
    }
}

struct Inner {
    store: Store,
    /// Rates, and what runs at once.
    others: Arc<dyn Counters>,
    /// Whether those are in memory, so that they answer at once.
    are_at_hand: bool,
    /// What this process has in hand of periods.
    cells: Mutex<Cells>,
    runtime: Handle,
    lease_at_most: u64,
    return_after: Duration,
    patience: Duration,
}

impl Inner {
    fn cells(&self) -> MutexGuard<'_, Cells> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PgCounters {
    /// Counters in the database of the registry login, with connections of their own: 4 at most. Must be called inside a
    /// tokio runtime.
    #[must_use]
    pub fn new(registry: &RegistryPool) -> Self {
        Self::builder(registry).build()
    }

    /// The same, with options.
    pub fn builder(registry: &RegistryPool) -> PgCountersBuilder {
        PgCountersBuilder {
            pool: registry.raw().clone(),
            connections: 4,
            patience: Duration::from_secs(2),
            lease_at_most: 1_000,
            return_after: Duration::from_secs(10),
            remembered: Duration::from_secs(24 * 3_600),
            capacity: 1 << 20,
            others: None,
        }
    }

    /// Returns what this process has in hand, and closes its connections. Call it when the last request has ended; what
    /// is asked afterwards is refused.
    ///
    /// Without it, what is in hand counts as used until its period ends, as it does where a process is killed.
    pub async fn close(&self) {
        self.inner.return_everything().await;
        self.inner.store.close().await;
    }

    /// Removes rows that change no answer any more: past periods, operations that are forgotten, reservations that have
    /// ended, holdings of nothing. At most 1,000 of each. Returns how many.
    ///
    /// Whoever counts does this once a minute; nobody has to call it.
    ///
    /// # Errors
    /// [`CountersError::Unavailable`].
    pub async fn clean(&self) -> Result<u64, CountersError> {
        self.inner.store.clean().await
    }
}

impl Counters for PgCounters {
    fn take(&self, operation: Operation, takes: &[Take<'_>], now: Timestamp) -> Counting<Taken> {
        let parts = match Parts::of(takes) {
            Ok(parts) => parts,
            Err(error) => return Counting::Ready(Err(error)),
        };
        if parts.are_all_local() {
            return self.inner.others.take(operation, takes, now);
        }
        if !operation.is_repeatable()
            && !parts.has_held()
            && (self.inner.are_at_hand || !parts.has_local())
            && let Some(answer) = self.inner.take_in_hand(operation, takes, &parts, now)
        {
            return Counting::Ready(answer);
        }
        let takes = OwnedTake::all_of(takes);
        let inner = Arc::clone(&self.inner);
        Counting::Pending(Box::pin(inner.take_asking(operation, takes, parts, now)))
    }

    fn settle(
        &self,
        operation: Operation,
        settles: &[Settle<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        self.inner.settle(operation, settles, now)
    }

    fn renew(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        self.inner.renew(operation, takes, now)
    }

    fn give_back(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        self.inner.give_back(operation, takes, now)
    }

    fn prepare_give_back(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<()> {
        let takes = OwnedTake::all_of(takes);
        let inner = Arc::clone(&self.inner);
        Counting::Pending(Box::pin(async move {
            inner.store.offer(operation, &takes, now).await
        }))
    }

    fn standings(&self, takes: &[Take<'_>], now: Timestamp) -> Counting<Standings> {
        let parts = match Parts::of(takes) {
            Ok(parts) => parts,
            Err(error) => return Counting::Ready(Err(error)),
        };
        if parts.are_all_local() {
            return self.inner.others.standings(takes, now);
        }
        let takes = OwnedTake::all_of(takes);
        let inner = Arc::clone(&self.inner);
        Counting::Pending(Box::pin(async move {
            let each: Vec<_> = (0..takes.len()).collect();
            inner.look(&takes, &each, now).await.map(|standings| {
                let standings = standings.into_iter();
                standings.collect()
            })
        }))
    }
}

impl fmt::Debug for PgCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgCounters")
            .field("in_hand", &self.inner.cells().len())
            .field("others", &self.inner.others)
            .finish_non_exhaustive()
    }
}
