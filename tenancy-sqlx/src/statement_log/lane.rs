//! The queue of a sink, and the thread that hands its records over.

use std::{
    collections::{HashMap, VecDeque},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tenancy_core::TenantId;
use tokio::sync::oneshot;

use super::{StatementRecord, StatementSink};

/// The part of a queue that one tenant's records fill at most: a quarter.
const SHARES: usize = 4;

/// How the records of one sink fare, since the log was made.
///
/// ```
/// use tenancy_sqlx::statement_log::StatementLog;
///
/// fn say(log: &StatementLog) {
///     for sink in log.stats().sinks {
///         println!("{}: {} taken, {} dropped, {} failed", sink.name, sink.taken, sink.dropped, sink.failed);
///     }
/// }
/// # let _ = say;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkStats {
    /// The name that the builder was given.
    pub name: String,
    /// Records that wait.
    pub waiting: usize,
    /// Records that the sink has taken.
    pub taken: u64,
    /// Records that were left out, because the queue, or their tenant's part of it, was full.
    pub dropped: u64,
    /// Records that the sink has failed to take.
    pub failed: u64,
}

/// The records that wait for one sink. Another sink has a queue of its own: how slow this one is, it does not notice.
#[derive(Debug)]
pub(super) struct Lane {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    /// How many wait at most, of those that are flagged and of the others each.
    most: usize,
    queue: Mutex<Queue>,
    has_more: Condvar,
    taken: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    /// They go first, and nothing else takes their room.
    flagged: VecDeque<Item>,
    others: VecDeque<Item>,
    /// How many wait of each tenant, flagged or not.
    waiting: HashMap<(bool, Option<TenantId>), usize>,
    is_closed: bool,
}

#[derive(Debug)]
enum Item {
    Record(Arc<StatementRecord>),
    /// Answered when everything before it was handed over.
    Mark(oneshot::Sender<()>),
}

impl Lane {
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(
        name: String,
        most: usize,
        sink: Box<dyn StatementSink>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name,
            most: most.max(1),
            queue: Mutex::default(),
            has_more: Condvar::new(),
            taken: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let handing = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("tenancy-statements".to_owned())
            .spawn(move || handing.hand_over(&*sink))?;
        Ok(Self { shared })
    }

    /// Adds a record, or counts it as dropped.
    pub(super) fn push(&self, record: &Arc<StatementRecord>) {
        let is_in = self.shared.queue().push(record, self.shared.most);
        if is_in {
            self.shared.has_more.notify_one();
            return;
        }
        let lost = self.shared.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        // Whoever floods a sink must not flood the log as well.
        if lost.is_power_of_two() {
            tracing::error!(
                sink = self.shared.name,
                lost,
                "records of statements were dropped: the sink does not keep up; sample fewer, or give it more room"
            );
        }
    }

    /// Returns when everything that was added before was handed to the sink.
    pub(super) async fn flush(&self) {
        let (flagged, others) = (oneshot::channel(), oneshot::channel());
        {
            let mut queue = self.shared.queue();
            queue.flagged.push_back(Item::Mark(flagged.0));
            queue.others.push_back(Item::Mark(others.0));
        }
        self.shared.has_more.notify_one();
        // The thread ends only after it has handed everything over.
        let _ = flagged.1.await;
        let _ = others.1.await;
    }

    pub(super) fn stats(&self) -> SinkStats {
        let waiting = self.shared.queue().waiting.values().sum();
        SinkStats {
            name: self.shared.name.clone(),
            waiting,
            taken: self.shared.taken.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.has_more.notify_one();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, sink: &dyn StatementSink) {
        while let Some(item) = self.next() {
            match item {
                Item::Record(record) => self.hand(sink, &record),
                Item::Mark(mark) => {
                    // Whoever asked may have stopped waiting.
                    let _ = mark.send(());
                }
            }
        }
    }

    fn hand(&self, sink: &dyn StatementSink, record: &StatementRecord) {
        let outcome = catch_unwind(AssertUnwindSafe(|| sink.record(record)));
        let error: Box<dyn std::error::Error + Send + Sync> = match outcome {
            Ok(Ok(())) => {
                self.taken.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Ok(Err(error)) => error,
            Err(_) => "the sink has panicked".into(),
        };
        let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
        if failed.is_power_of_two() {
            tracing::error!(
                sink = self.name,
                failed,
                %error,
                "the sink has failed to take records of statements"
            );
        }
    }

    /// Waits for the next one. `None` when the log is gone and nothing is left.
    fn next(&self) -> Option<Item> {
        let mut queue = self.queue();
        loop {
            if let Some(item) = queue.pop() {
                return Some(item);
            }
            if queue.is_closed {
                return None;
            }
            queue = self
                .has_more
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Queue {
    /// Says whether there was room.
    fn push(&mut self, record: &Arc<StatementRecord>, most: usize) -> bool {
        let is_flagged = record.is_flagged();
        let lane = if is_flagged {
            &mut self.flagged
        } else {
            &mut self.others
        };
        let waiting = self.waiting.entry((is_flagged, record.tenant)).or_default();
        if lane.len() >= most || *waiting >= most.div_ceil(SHARES) {
            if *waiting == 0 {
                self.waiting.remove(&(is_flagged, record.tenant));
            }
            return false;
        }
        *waiting += 1;
        lane.push_back(Item::Record(Arc::clone(record)));
        true
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self
            .flagged
            .pop_front()
            .or_else(|| self.others.pop_front())?;
        if let Item::Record(record) = &item {
            let of = (record.is_flagged(), record.tenant);
            if let Some(waiting) = self.waiting.get_mut(&of) {
                *waiting -= 1;
                if *waiting == 0 {
                    self.waiting.remove(&of);
                }
            }
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests;
