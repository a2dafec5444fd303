//! `LeasedCounters`: permits are debited in batches, and used from memory.

mod asking;
mod hand;
mod hands;
mod returning;

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    Algorithm, Counters, CountersError, Counting, Operation, OperationId, OwnedTake, Settle,
    Settled, Standings, Take, Taken,
};
use crate::Timestamp;
use asking::begun;
use hand::{Leftover, less};
use hands::Hands;

/// Counters over other counters, of which they debit permits ahead: an operation that takes of
/// [rates](super::Limit::rate) and [periods](super::Limit::per_period) is then answered from memory, and one message
/// to the store serves many. For stores behind a network, such as Redis.
///
/// The limit holds however many processes lease: a permit is debited in the store before it is used. Permits of a
/// rate leak in the hand as they leak in the store, so that nobody has them twice.
///
/// | | goes by lease |
/// |---|---|
/// | rates and periods, alone or together | yes |
/// | what is [estimated](Take::estimated), or [repeatable](Operation::repeatable) by a client, or reserved in a handler | no |
/// | what runs at once, and what is held, with all that the same operation takes | no |
///
/// # How many
/// A hand is what a process has of operations that take the same amounts of the same limits of the same holders. Its
/// first batch is for those who wait. Each further one has twice as many permits as the one before while they are
/// used up, and otherwise as many as were used: [`lease_at_most`](LeasedCountersBuilder::lease_at_most) at most, and
/// not more than a process may have of a limit, which is a 64th of what is left. So near the limit each operation
/// asks the store. If the store refuses a batch, a smaller one is asked for, down to one permit. Callers who come
/// meanwhile wait for the same answer.
///
/// What is not used for a second is returned ([`return_after`](LeasedCountersBuilder::return_after)), and
/// [`close`](Self::close) returns all of it. A second is as long as a caller may be refused although another process
/// has permits that nobody uses. For rates, a longer time would gain nothing: what leaks is lost for the hand, and is
/// there again in the store.
///
/// # A process that is killed
/// It loses what it has in hand: of each limit a 64th of what was left when it was leased, or one batch for the
/// callers who waited then; `lease_at_most` permits of a hand at most. Those count as used until they leak, or until
/// their period ends. Nothing else is lost, and nothing passes twice. The same is lost where a store takes a batch
/// and its answer does not arrive, and where it can't be told for 3 seconds that something is returned. What is in hand
/// of a rate is returned at once or not at all: it leaks.
///
/// # What is given back
/// What a request took that was refused further inside goes back to the hand. If its batch is settled by then, the
/// store gets back what was taken of periods; what was taken of rates leaks.
///
/// # What is told
/// [`standings`](Counters::standings), and the standing of each operation, are the store's numbers without what this
/// process has in hand. What other processes have in hand counts as used. A batch does not reach a
/// [threshold](super::Limit::warn_at) ahead of its callers, as far as this process knows of their use.
///
/// ```
/// use std::sync::Arc;
///
/// use tenancy_core::quota::{LeasedCounters, MemoryCounters, Meter, Quotas};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // Over counters in Redis, in a service of several processes.
/// let counters = LeasedCounters::new(MemoryCounters::new());
/// let quotas = Quotas::new().meter(Meter::consumed("requests")).counters(counters.clone());
/// // … and when the service ends:
/// counters.close().await;
/// # let _ = quotas;
/// # }
/// ```
#[derive(Clone)]
pub struct LeasedCounters(Arc<Inner>);

/// How [`LeasedCounters`] lease.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use tenancy_core::quota::{LeasedCounters, MemoryCounters};
///
/// let counters = LeasedCounters::builder(Arc::new(MemoryCounters::new()))
///     .lease_at_most(20)
///     .return_after(Duration::from_millis(500))
///     .build();
/// # drop(counters);
/// ```
#[derive(Debug)]
#[must_use]
pub struct LeasedCountersBuilder {
    counters: Arc<dyn Counters>,
    lease_at_most: u64,
    return_after: Duration,
    capacity: usize,
}

pub(super) struct Inner {
    counters: Arc<dyn Counters>,
    hands: Hands,
    lease_at_most: u64,
    return_after: Duration,
    is_closed: AtomicBool,
    is_tended: AtomicBool,
    /// What the store did not hear of.
    unreturned: Mutex<Vec<(Leftover, Timestamp)>>,
}

impl LeasedCountersBuilder {
    /// How many permits a batch has at most. Default: 100. With 1, each operation asks the store.
    pub const fn lease_at_most(mut self, permits: u64) -> Self {
        self.lease_at_most = permits;
        self
    }

    /// After how long what nobody has used is returned. Default: 1 second. It takes up to one and a half times this
    /// time.
    pub const fn return_after(mut self, time: Duration) -> Self {
        self.return_after = time;
        self
    }

    /// How many hands there are at once. Default: 65,536. What is beyond asks the store each time.
    pub const fn capacity(mut self, hands: usize) -> Self {
        self.capacity = hands;
        self
    }

    /// The counters.
    #[must_use]
    pub fn build(self) -> LeasedCounters {
        LeasedCounters(Arc::new(Inner {
            counters: self.counters,
            hands: Hands::with_capacity(self.capacity),
            lease_at_most: self.lease_at_most,
            return_after: self.return_after.max(Duration::from_millis(1)),
            is_closed: AtomicBool::new(false),
            is_tended: AtomicBool::new(false),
            unreturned: Mutex::default(),
        }))
    }
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// How much of a limit this process has in hand.
    fn in_hand(&self, take: &Take<'_>, now: Timestamp) -> u64 {
        let (hands, _) = self.hands.sharing(take, usize::MAX);
        hands.into_iter().fold(0_u64, |sum, (hand, place)| {
            let units = hand.units(&hand.lock(), now);
            sum.saturating_add(units.get(place).copied().unwrap_or(0))
        })
    }
}

/// Whether an operation goes by lease.
fn is_leased<'a>(operation: Operation, mut takes: impl Iterator<Item = &'a Take<'a>>) -> bool {
    !operation.is_repeatable()
        && takes.all(|take| {
            let is_consumed = matches!(take.algorithm, Algorithm::Rate(_) | Algorithm::Period(..));
            is_consumed && take.amount > 0 && !take.is_estimate
        })
}

/// Whether an operation takes of one limit twice, about which the store has its say.
fn has_one_twice(takes: &[Take<'_>]) -> bool {
    let mut places = takes.iter().enumerate();
    places.any(|(place, take)| {
        let mut before = takes.iter().take(place);
        before.any(|other| other.holder == take.holder && other.limit == take.limit)
    })
}

impl LeasedCounters {
    /// Leases of these counters.
    #[must_use]
    pub fn new(counters: impl Counters) -> Self {
        Self::builder(Arc::new(counters)).build()
    }

    /// The same, with options, and of counters that others have too.
    pub fn builder(counters: Arc<dyn Counters>) -> LeasedCountersBuilder {
        LeasedCountersBuilder {
            counters,
            lease_at_most: 100,
            return_after: Duration::from_secs(1),
            capacity: 1 << 16,
        }
    }

    /// Returns what nobody has used for [the time](LeasedCountersBuilder::return_after), by this clock. In a tokio
    /// runtime a task does this; elsewhere call it now and then.
    pub async fn return_unused(&self, now: Timestamp) {
        self.0.return_older(self.0.return_after, Some(now)).await;
        self.0.hands.forget_idle();
    }

    /// Returns everything that is in hand, and leases no more: each operation then asks the store. Call it when the
    /// last request has ended.
    ///
    /// Without it, what is in hand counts as used until it leaks or its period ends, as it does where a process is
    /// killed.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

impl Counters for LeasedCounters {
    fn take(&self, operation: Operation, takes: &[Take<'_>], now: Timestamp) -> Counting<Taken> {
        let inner = &self.0;
        if takes.is_empty() || inner.is_closed() || !is_leased(operation, takes.iter()) {
            return inner.pass(operation, takes, now);
        }
        let hand = inner.hands.get(takes).or_else(|| {
            let may_stand = takes.len() <= super::MAX_TAKES && !has_one_twice(takes);
            may_stand.then(|| inner.hands.get_or_make(takes)).flatten()
        });
        match hand {
            Some(hand) => inner.take_leased(operation, hand, now),
            None => inner.pass(operation, takes, now),
        }
    }

    fn settle(
        &self,
        operation: Operation,
        settles: &[Settle<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        let inner = &self.0;
        let gives_back = settles.iter().all(|settle| settle.actual == 0);
        let is_leased = is_leased(operation, settles.iter().map(|settle| &settle.take));
        if settles.is_empty() || !gives_back || !is_leased {
            return inner.counters.settle(operation, settles, now);
        }
        let takes: Vec<_> = settles.iter().map(|settle| settle.take).collect();
        if inner.hands.get(&takes).is_some_and(|hand| hand.put_back()) {
            return Counting::ready(Settled::Done);
        }
        // Its batch is settled: the store knows the batch, and not the operation. Of a rate nothing is given back any
        // more. Some of it has leaked, nobody knows how much, and permits in hand would then be more than the store
        // thinks.
        let mut takes = takes;
        takes.retain(|take| matches!(take.algorithm, Algorithm::Period(..)));
        match takes.is_empty() {
            true => Counting::ready(Settled::Done),
            false => inner.counters.give_back(operation.id(), &takes, now),
        }
    }

    fn renew(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        self.0.counters.renew(operation, takes, now)
    }

    fn give_back(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        self.0.counters.give_back(operation, takes, now)
    }

    fn prepare_give_back(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<()> {
        self.0.counters.prepare_give_back(operation, takes, now)
    }

    fn standings(&self, takes: &[Take<'_>], now: Timestamp) -> Counting<Standings> {
        let asked = self.0.counters.standings(takes, now);
        if self.0.hands.len() == 0 {
            return asked;
        }
        let (inner, takes) = (Arc::clone(&self.0), OwnedTake::all_of(takes));
        begun(async move {
            let told = asked.answer().await?;
            let each = takes.iter().zip(told.iter()).map(|(take, told)| {
                let take = take.take();
                less(&take, *told, inner.in_hand(&take, now), Duration::ZERO, now)
            });
            Ok::<Standings, CountersError>(each.collect())
        })
    }
}

impl fmt::Debug for LeasedCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedCounters")
            .field("hands", &self.0.hands.len())
            .field("counters", &self.0.counters)
            .finish_non_exhaustive()
    }
}
