//! `RedisCounters`: limits that all processes count together.

mod answer;
mod asking;
mod home;
mod keys;
mod request;
mod scale;
mod scripts;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tenancy_core::{
    Timestamp,
    quota::{Counters, Counting, Operation, OperationId, Settle, Settled, Standings, Take, Taken},
};

use crate::RedisClient;
use asking::Inner;
use request::Change;

/// Counters in Redis: all processes that share it count together, with one round trip for each decision, of however many
/// limits.
///
/// | what | how it is counted | when Redis loses its data |
/// |---|---|---|
/// | rates | as [`Bucket`](tenancy_core::quota::Bucket) does, exact (see below) | each bucket is full: one burst more |
/// | periods | as [`Count`](tenancy_core::quota::Count) does; the caller's calendar says which period it is | what was used of the period is forgotten |
/// | what runs at once | as [`Leases`](tenancy_core::quota::Leases) do, each with an end of its own | what runs is forgotten, and as much may begin |
/// | what is held | as [`Holdings`](tenancy_core::quota::Holdings) do, for a year after the last use | what is kept is forgotten |
/// | operations that clients repeat | for 24 hours, or as [told](RedisCountersBuilder::remember_operations_for) | a repetition takes again |
///
/// What must survive a Redis that comes back empty belongs in PostgreSQL: `PgCounters` of `tenancy-sqlx`. Redis with
/// `maxmemory` needs the policy `noeviction`. With another one it forgets counters as it likes.
///
/// # Time
/// Rates, leases and reservations go by the clock of Redis, so that clocks of processes need not agree;
/// [`clock_of_callers`](RedisCountersBuilder::clock_of_callers) changes that. Which period it is, and how long it goes on, is
/// said by the caller's clock, because its calendar has computed the period from it.
///
/// # When Redis does not answer
/// A caller gets [`CountersError::Unavailable`](tenancy_core::quota::CountersError::Unavailable) after 150 ms at most, or at
/// once where Redis is known not to answer. A question without an answer is asked again within that time, and counts once:
/// Redis remembers each operation for a few seconds. A caller without an answer may have been charged, once.
///
/// # Numbers
/// Lua counts in doubles, which are exact up to 2^53: a clock in microseconds until the year 2255. A rate is counted in parts
/// of a unit, as many as make its leak of a microsecond a whole number; nothing is rounded while a burst is at most 2^52 of
/// them. 1,000 in 30 days are 2.6 × 10^12 of them. Rates that need more leak slower than they should by one part in 10^14 at
/// most, and never let more pass. What turned out to be more than its estimate is counted up to 2^53 parts, which is two
/// bursts at least.
///
/// # Keys
/// All keys have an expiry, which is set together with their value. Keys of a tenant begin with `tn:{<tenant>}:q:` and
/// `tn:{<tenant>}:o:`, of what belongs to no tenant with `tn:{-<number>}:`. A counter that holds something else, or that is damaged,
/// starts anew with the next decision; the log says so.
///
/// ```no_run
/// use std::time::Duration;
///
/// use tenancy_core::quota::{Limit, Meter, Quotas};
/// use tenancy_redis::{RedisClient, RedisCounters};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = RedisClient::new("redis://127.0.0.1:6379")?;
/// let quotas = Quotas::new()
///     .meter(Meter::consumed("requests"))
///     .limit(Limit::rate("requests", 600, Duration::from_secs(60)))
///     .counters(RedisCounters::new(&client));
/// # let _ = quotas;
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// Whoever may write to this Redis may give itself more. Let the service's own login alone write to `tn:*`.
#[derive(Clone)]
pub struct RedisCounters {
    inner: Arc<Inner>,
}

/// How [`RedisCounters`] count.
///
/// ```no_run
/// use std::time::Duration;
///
/// use tenancy_redis::{RedisClient, RedisCounters};
///
/// # fn example(client: &RedisClient) {
/// let counters = RedisCounters::builder(client)
///     .answer_within(Duration::from_millis(80))
///     .remember_operations_for(Duration::from_secs(3_600))
///     .build();
/// # drop(counters);
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct RedisCountersBuilder {
    client: RedisClient,
    patience: Option<Duration>,
    remembered: Duration,
    by_callers: bool,
    is_divided: bool,
}

impl RedisCountersBuilder {
    /// How long a request waits for Redis before it has no answer. Default: as the client does, 150 ms.
    pub const fn answer_within(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// How long an operation is remembered that a client may repeat, its settlement, and what was given back. Default:
    /// 24 hours.
    pub const fn remember_operations_for(mut self, span: Duration) -> Self {
        self.remembered = span;
        self
    }

    /// Counts by the clocks of the callers, and not by the clock of Redis: for tests with a clock of their own, and for a
    /// Redis that lets no script ask for the time. Keys are kept for a minute longer then.
    ///
    /// Clocks of processes that differ by a second at most do no harm. A process whose clock is further ahead ends leases
    /// of others early; one whose clock is behind makes them last longer.
    pub const fn clock_of_callers(mut self) -> Self {
        self.by_callers = true;
        self
    }

    /// Counts home by home, as where homes are on several servers. For tests of this crate.
    #[doc(hidden)]
    pub const fn as_if_divided(mut self) -> Self {
        self.is_divided = true;
        self
    }

    /// Makes the counters. Connects to nothing yet.
    #[must_use]
    pub fn build(self) -> RedisCounters {
        let patience = self.patience.unwrap_or(self.client.patience());
        let link = match self.patience {
            Some(patience) => self
                .client
                .beside_for(patience.max(Duration::from_millis(1))),
            None => self.client.beside(),
        };
        RedisCounters {
            inner: Arc::new(Inner {
                is_divided: self.is_divided || link.is_divided(),
                link,
                remembered: self.remembered,
                // A question may be asked again, and lie in a buffer before it is heard.
                resend: patience.saturating_mul(2).saturating_add(RESEND),
                slack: match self.by_callers {
                    true => Duration::from_secs(60),
                    false => Duration::from_secs(1),
                },
                by_callers: self.by_callers,
                is_closed: AtomicBool::new(false),
            }),
        }
    }
}

/// How long each operation is remembered at least, beyond what its caller waits for.
const RESEND: Duration = Duration::from_secs(3);

impl RedisCounters {
    /// Counters in this Redis, with a connection of their own, which waits behind nobody else's questions.
    #[must_use]
    pub fn new(client: &RedisClient) -> Self {
        Self::builder(client).build()
    }

    /// The same, with options.
    pub fn builder(client: &RedisClient) -> RedisCountersBuilder {
        RedisCountersBuilder {
            client: client.clone(),
            patience: None,
            remembered: Duration::from_secs(24 * 3_600),
            by_callers: false,
            is_divided: false,
        }
    }

    /// Whether Redis is known not to answer: nobody waits for it then.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.inner.link.is_down()
    }

    /// What a take of one limit asks Redis: the digest of a script, its keys, and its arguments. For benchmarks.
    #[doc(hidden)]
    #[must_use]
    pub fn asks(
        &self,
        operation: Operation,
        take: &Take<'_>,
        now: Timestamp,
    ) -> Option<asking::Asks> {
        self.inner.what_is_asked(operation, take, now)
    }

    /// Counts no more: what is asked afterwards is refused. Nothing is lost by not calling it.
    pub fn close(&self) {
        self.inner.is_closed.store(true, Ordering::Relaxed);
    }
}

/// Asks, once it is known what to ask.
macro_rules! asking {
    ($self:ident, $calls:expr, |$inner:ident, $asked:ident| $answer:expr) => {
        match $calls {
            Ok($asked) => {
                let $inner = Arc::clone(&$self.inner);
                Counting::Pending(Box::pin(async move { $answer.await }))
            }
            Err(error) => Counting::Ready(Err(error)),
        }
    };
}

impl Counters for RedisCounters {
    fn take(&self, operation: Operation, takes: &[Take<'_>], now: Timestamp) -> Counting<Taken> {
        let count = takes.len();
        let calls = self.inner.to_take(operation, takes, now);
        asking!(self, calls, |inner, calls| inner.take(calls, count, now))
    }

    fn settle(
        &self,
        operation: Operation,
        settles: &[Settle<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        let each = settles
            .iter()
            .map(|one| (one.take, Change::Settle(one.actual)))
            .collect();
        let gives_all_back = settles.iter().all(|settle| settle.actual == 0);
        let (id, is_repeatable) = (operation.id(), operation.is_repeatable());
        let calls = self
            .inner
            .to_change(id, &each, now, is_repeatable, gives_all_back);
        asking!(self, calls, |inner, calls| inner
            .change(&scripts::SETTLE, calls))
    }

    fn renew(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        let each = takes.iter().map(|take| (*take, Change::Look)).collect();
        let calls = self.inner.to_change(operation, &each, now, false, false);
        asking!(self, calls, |inner, calls| inner
            .change(&scripts::RENEW, calls))
    }

    fn give_back(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        let each = takes.iter().map(|take| (*take, Change::GiveBack)).collect();
        let calls = self.inner.to_change(operation, &each, now, true, false);
        asking!(self, calls, |inner, calls| inner
            .change(&scripts::GIVE_BACK, calls))
    }

    fn standings(&self, takes: &[Take<'_>], now: Timestamp) -> Counting<Standings> {
        let count = takes.len();
        let calls = self.inner.to_look(takes, now);
        asking!(self, calls, |inner, calls| inner.look(calls, count, now))
    }
}

impl fmt::Debug for RedisCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCounters")
            .field("is_down", &self.is_down())
            .finish_non_exhaustive()
    }
}
