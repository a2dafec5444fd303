//! The recorder: usage that a process adds up before it sends it to a sink.

mod flushing;
mod held;
mod series;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rust_decimal::Decimal;
use tenancy_core::{Clock, ConfigError, SystemClock, TenantContext};
use tokio::task::AbortHandle;

pub use series::UsageSeries;

use self::{
    flushing::Flusher,
    held::{Held, Slot},
    series::AllSeries,
};
use crate::{Aggregation, EventError, EventErrorKind, UsageError, UsageMeters, UsageSink};

/// Adds usage up in the process, and sends what it adds up to a sink four times in a second: for what happens with each
/// request, of which a sum is all that matters.
///
/// Recording waits for nobody and asks no store. What is added up is one event for each tenant, project, API key, user, job,
/// meter, set of dimensions and minute, with an id that the recorder chooses, so that it counts once however often it is
/// sent.
///
/// | what happens | what is lost |
/// |---|---|
/// | an answer of the sink gets lost | nothing: the same events are sent again |
/// | the sink is out of reach | nothing: what comes meanwhile is added up, as far as there is [room](UsageRecorderBuilder::capacity) |
/// | there is no room for another sum | that recording: it is an error, counted in [`dropped`](UsageRecorder::dropped), and logged |
/// | the process is killed | what it had not sent: a quarter of a second, or as long as the sink was out of reach |
/// | the process ends with [`close`](UsageRecorder::close) | nothing |
///
/// What must not be lost by a crash is recorded with a transaction's rows instead, or sent to the sink by itself.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use tenancy_core::TenantContext;
/// use tenancy_usage::{EventError, MemoryUsage, UsageMeter, UsageMeters, UsageRecorder, UsageSeries};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let meters = UsageMeters::new([UsageMeter::sum("llm-tokens").dimension("model")])?;
/// let sink = Arc::new(MemoryUsage::new(meters.clone()));
/// let recorder = UsageRecorder::builder(sink, meters).build();
/// let large = recorder.series("llm-tokens", [("model", "large")])?;
///
/// // In a handler:
/// fn answered(context: &TenantContext, large: &UsageSeries, tokens: u64) -> Result<(), EventError> {
///     large.record(context, tokens)
/// }
/// # let _ = answered;
/// // When the service ends:
/// recorder.close(Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// Whose usage it is the context says, and nothing else.
#[derive(Clone)]
pub struct UsageRecorder {
    inner: Arc<Inner>,
    task: Arc<Task>,
}

struct Inner {
    meters: UsageMeters,
    clock: Arc<dyn Clock>,
    series: AllSeries,
    held: Held,
    dropped: AtomicU64,
    uncounted: AtomicU64,
    flusher: Flusher,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let left = self.held.count();
        if left > 0 {
            tracing::error!(
                sums = left,
                "usage was recorded and never sent: close the recorder before the service ends, with more time if the sink is away"
            );
        }
    }
}

/// Ends the task with the last recorder.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a [`UsageRecorder`] works.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use tenancy_usage::{MemoryUsage, UsageMeter, UsageMeters, UsageRecorder};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tenancy_core::ConfigError> {
/// let meters = UsageMeters::new([UsageMeter::count("requests")])?;
/// let recorder = UsageRecorder::builder(Arc::new(MemoryUsage::new(meters.clone())), meters)
///     .flush_each(Duration::from_secs(1))
///     .capacity(10_000)
///     .build();
/// # drop(recorder);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct UsageRecorderBuilder {
    sink: Arc<dyn UsageSink>,
    meters: UsageMeters,
    clock: Arc<dyn Clock>,
    flush_each: Duration,
    capacity: usize,
}

impl UsageRecorderBuilder {
    /// How often it sends. What happens within this time is lost if the process is killed. Default: 250 ms; 1 ms at least.
    pub const fn flush_each(mut self, interval: Duration) -> Self {
        self.flush_each = interval;
        self
    }

    /// How many sums it keeps at most, each of about 300 bytes, and half as many series. Default: 65,536.
    pub const fn capacity(mut self, sums: usize) -> Self {
        self.capacity = sums;
        self
    }

    /// Where it reads the time. Default: the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Must be called inside a tokio runtime, whose task it spawns: in the one that outlives the server.
    #[must_use]
    pub fn build(self) -> UsageRecorder {
        let interval = self.flush_each.max(Duration::from_millis(1));
        let inner = Arc::new(Inner {
            meters: self.meters,
            clock: self.clock,
            series: AllSeries::new(self.capacity / 2),
            held: Held::new(self.capacity),
            dropped: AtomicU64::new(0),
            uncounted: AtomicU64::new(0),
            flusher: Flusher::new(self.sink),
        });
        let task = tokio::spawn(flushing::run(Arc::downgrade(&inner), interval));
        UsageRecorder {
            inner,
            task: Arc::new(Task(task.abort_handle())),
        }
    }
}

impl UsageRecorder {
    /// Adds up usage of these meters for this sink.
    pub fn builder(sink: Arc<dyn UsageSink>, meters: UsageMeters) -> UsageRecorderBuilder {
        UsageRecorderBuilder {
            sink,
            meters,
            clock: Arc::new(SystemClock),
            flush_each: Duration::from_millis(250),
            capacity: 1 << 16,
        }
    }

    /// A meter with values of its dimensions, to record with. Keep it: what it costs to look it up is saved then. A mistake
    /// in a name shows where this is called, which is best at the start.
    ///
    /// # Errors
    /// A [`ConfigError`] if the meter or a dimension is not declared, a value is empty or too long, or there are as many
    /// series as there is room for.
    pub fn series<'v>(
        &self,
        meter: &str,
        dimensions: impl IntoIterator<Item = (&'v str, &'v str)>,
    ) -> Result<UsageSeries, ConfigError> {
        let Some(meter) = self.inner.meters.get(meter) else {
            return Err(ConfigError::new(format!(
                "there is no usage meter `{meter}`; declare it with `UsageMeters::new`, or correct the name"
            )));
        };
        let position = self.inner.series.position(meter, dimensions)?;
        Ok(UsageSeries {
            recorder: Arc::downgrade(&self.inner),
            position,
            aggregation: meter.aggregation(),
        })
    }

    pub(crate) fn meters(&self) -> &UsageMeters {
        &self.inner.meters
    }

    /// How many recordings were lost because there was no room for another sum.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.inner.dropped.load(Ordering::Relaxed)
    }

    /// How many sums the sink did not count: because it does not know the meter, or they came too late. Each is logged.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        self.inner.uncounted.load(Ordering::Relaxed)
    }

    /// Sends what was added up until now, and waits until the sink has answered.
    ///
    /// # Errors
    /// What the sink says. Nothing is lost then: it is sent again.
    pub async fn flush(&self) -> Result<(), UsageError> {
        self.inner.flush().await
    }

    /// Sends what there is, again and again until the sink has taken all of it or the time is over. Call it when the last
    /// request has ended: what is recorded afterwards is an error, and counted as dropped.
    ///
    /// # Errors
    /// What the sink said last, if it has not taken all of it.
    pub async fn close(&self, limit: Duration) -> Result<(), UsageError> {
        self.task.0.abort();
        self.inner.held.close();
        flushing::drain(&self.inner, limit).await
    }
}

impl fmt::Debug for UsageRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageRecorder")
            .field("meters", &self.inner.meters)
            .field("dropped", &self.dropped())
            .field("uncounted", &self.uncounted())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn record(
        &self,
        context: &TenantContext,
        (position, aggregation): (u32, Aggregation),
        quantity: Decimal,
        value: Option<&str>,
    ) -> Result<(), EventError> {
        let now = self.clock.now();
        let slot = Slot::of(context, position, value, now);
        let is_sum = aggregation == Aggregation::Sum;
        if self.held.add(slot, quantity, now, is_sum) {
            return Ok(());
        }
        if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(
                "usage is dropped: the recorder has ended, or has no room for another sum"
            );
        }
        Err(EventError::new(
            EventErrorKind::NoRoom,
            "the recorder has ended, or has no room for another sum: give it a larger capacity, or see why its sink does \
             not answer",
        ))
    }
}
