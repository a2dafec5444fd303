//! What a statement log tells of, and to whom.

use std::{
    fmt, io,
    sync::{Arc, RwLock, atomic::AtomicU64},
    time::Duration,
};

use tenancy_core::{Clock, SystemClock};

use super::{
    Inner, StatementLog, StatementSink, lane::Lane, protected::Protected, sampling::Sampling,
    shapes::Shapes, slowest::Slowest,
};

/// Makes a [`StatementLog`].
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_sqlx::statement_log::{StatementLog, TracingStatements};
///
/// let log = StatementLog::builder()
///     .sample_one_in(1_000)
///     .slower_than(Duration::from_millis(250))
///     .sink("log", TracingStatements)
///     .build()?;
/// assert_eq!(log.stats().seen, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub struct StatementLogBuilder {
    clock: Arc<dyn Clock>,
    sample_one_in: u32,
    slow: Duration,
    tenants: usize,
    shapes: usize,
    queue: usize,
    sinks: Vec<(String, Box<dyn StatementSink>)>,
}

impl StatementLogBuilder {
    pub(super) fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            sample_one_in: 0,
            slow: Duration::from_millis(500),
            tenants: 1_000,
            shapes: 20,
            queue: 4_096,
            sinks: Vec::new(),
        }
    }

    /// Tells of one statement in so many, of all tenants together; 1 for each, 0 for none. Default: 0.
    ///
    /// By number and not by time: of each block of so many exactly one, at a place that is drawn anew for each.
    pub fn sample_one_in(mut self, statements: u32) -> Self {
        self.sample_one_in = statements;
        self
    }

    /// Tells of each statement that takes so long or longer. Default: 500 ms. `Duration::MAX` for none.
    pub fn slower_than(mut self, limit: Duration) -> Self {
        self.slow = limit;
        self
    }

    /// For how many tenants [the slowest](StatementLog::slowest) are kept, and how many shapes of each. Default: 1,000
    /// and 20.
    ///
    /// A shape has 1,000 bytes at most, so that this bounds the memory. A tenant pushes out shapes of its own only;
    /// beyond so many tenants, the one is forgotten that had no slow statement for the longest.
    pub fn slowest(mut self, tenants: usize, shapes: usize) -> Self {
        self.tenants = tenants;
        self.shapes = shapes;
        self
    }

    /// Adds a sink, with a name for the log and the [stats](StatementLog::stats).
    ///
    /// Each has a thread and a queue of its own: one that is slow or fails takes nothing from another.
    pub fn sink(mut self, name: impl Into<String>, sink: impl StatementSink) -> Self {
        self.sinks.push((name.into(), Box::new(sink)));
        self
    }

    /// How many records wait for a sink at most. Default: 4,096.
    ///
    /// [Flagged](super::StatementRecord::is_flagged) ones have a queue of the same size to themselves, and go first.
    /// The records of one tenant fill a quarter of a queue at most.
    pub fn queue(mut self, records: usize) -> Self {
        self.queue = records;
        self
    }

    /// The clock that says when a statement ended. Default: the machine's. Durations do not depend on it.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the threads of the sinks. They end when the log and all pools that have it are gone.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn build(self) -> io::Result<StatementLog> {
        let lanes = self
            .sinks
            .into_iter()
            .map(|(name, sink)| Lane::start(name, self.queue, sink));
        Ok(StatementLog {
            inner: Arc::new(Inner {
                clock: self.clock,
                sampling: Sampling::new(self.sample_one_in),
                slow: self.slow,
                protected: RwLock::new(Arc::new(Protected::default())),
                shapes: Shapes::new(),
                slowest: Slowest::new(self.tenants, self.shapes),
                lanes: lanes.collect::<io::Result<_>>()?,
                recorded: AtomicU64::new(0),
                past: AtomicU64::new(0),
            }),
        })
    }
}

impl fmt::Debug for StatementLogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sinks: Vec<_> = self.sinks.iter().map(|(name, _)| name).collect();
        f.debug_struct("StatementLogBuilder")
            .field("sample_one_in", &self.sample_one_in)
            .field("slow", &self.slow)
            .field("tenants", &self.tenants)
            .field("shapes", &self.shapes)
            .field("queue", &self.queue)
            .field("sinks", &sinks)
            .finish_non_exhaustive()
    }
}
