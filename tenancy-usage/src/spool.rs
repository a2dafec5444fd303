//! The spool: events in files of this machine, from which they go to a sink.

mod buffer;
mod builder;
mod directory;
mod format;
mod segments;
mod sender;
mod status;
mod writer;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{oneshot, watch},
    task::AbortHandle,
};

pub use builder::UsageSpoolBuilder;
pub use status::SpoolStatus;

use self::{
    buffer::{Added, Buffer, Waiter},
    directory::Directory,
    segments::Segments,
    sender::Sender,
};
use crate::{EventError, EventErrorKind, UsageError, UsageEvent, UsageMeters, UsageSink};

/// Records events in files of this machine, and sends them from there to a sink: for what must survive a crash and may
/// not wait for a database.
///
/// A thread writes what was recorded as one group and has the disk keep it, at least every 5 ms. What a killed process has
/// left is sent at the next start, with the same ids and times, so that it counts once.
///
/// | what happens | what is lost |
/// |---|---|
/// | the process is killed after [`record`](Self::record) returned | what was recorded within the last group: 5 ms, and as long as the disk takes |
/// | the process is killed, or the machine stops, after [`record_durably`](Self::record_durably) returned | nothing |
/// | the sink is out of reach | nothing, as far as there is [room](UsageSpoolBuilder::max_bytes) |
/// | there is no room | that recording: it is an error, counted in [`dropped`](Self::dropped), and logged |
/// | the disk is full, read-only or gone | what is recorded is kept in memory, as far as there is room; `record_durably` says so |
/// | a file is damaged | the damaged records: counted, logged, and the file stays under another name |
/// | the sink refuses an event for good | nothing: it is in `refused.jsonl` with the reason, counted and logged |
///
/// One process owns a directory. The files can be read by its user alone.
///
/// | file | what it is |
/// |---|---|
/// | `lock` | held by the process that owns the directory |
/// | `00000000000000000001.usage` | events that wait to be sent, each with a checksum; removed when the sink has answered for all of them |
/// | `refused.jsonl` | events that the sink has refused, one a line. It can name one twice, if the process ended in between |
/// | `damaged-….usage` | a file in which records are damaged. The others were sent |
///
/// The last two are for people: nothing reads or removes them, and they take [room](UsageSpoolBuilder::max_bytes).
///
/// A file of another release's format stays as it is, is counted as damaged, and is sent by the release that knows it.
///
/// # Late events
/// An event that has waited for longer than the sink takes [late events](crate::EventTimes::late_window), 34 days unless
/// you say otherwise, is refused, and so it is in `refused.jsonl`. Bring it in with a [backfill](crate::UsageBackfill).
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use tenancy_core::{Clock as _, SystemClock, TenantId};
/// use tenancy_usage::{MemoryUsage, UsageEvent, UsageMeter, UsageMeters, UsageSpool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("usage");
/// let meters = UsageMeters::new([UsageMeter::count("exports")])?;
/// let sink = Arc::new(MemoryUsage::new(meters.clone()));
/// let spool = UsageSpool::builder(sink, meters, directory).build()?;
///
/// let event = UsageEvent::new(TenantId::new(), "exports", "api", "export-1", SystemClock.now());
/// spool.record_durably(event).await?;
///
/// // When the service ends:
/// spool.close(Duration::from_secs(10)).await?;
/// assert_eq!(spool.status().counted, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// An event says whose it is, and the spool does not check that: make it [in a context](UsageEvent::in_context). The files
/// have ids of tenants and users in them. Keep the directory where no other program writes.
#[derive(Clone)]
pub struct UsageSpool {
    inner: Arc<Inner>,
    owner: Arc<Owner>,
}

struct Inner {
    meters: UsageMeters,
    directory: Directory,
    segments: Segments,
    buffer: Buffer,
    sender: Sender,
    commit_each: Duration,
    segment_bytes: u64,
    max_bytes: u64,
    counts: Counts,
    /// Why the disk took nothing the last time, if it did not.
    disk_fault: Mutex<Option<String>>,
    /// Why the sink gave no answer the last time, if it did not.
    sink_fault: Mutex<Option<String>>,
    /// Whether the directory is another's to own.
    is_released: AtomicBool,
    /// Whether the thread that writes has ended.
    written: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Counts {
    dropped: AtomicU64,
    counted: AtomicU64,
    refused: AtomicU64,
    damaged: AtomicU64,
}

/// Ends the thread and the task with the last spool.
struct Owner {
    inner: Arc<Inner>,
    task: AbortHandle,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.task.abort();
        self.inner.buffer.close(Instant::now());
    }
}

impl UsageSpool {
    /// Records events of these meters in this directory, and sends them to this sink. The directory is made if it is not
    /// there.
    pub fn builder(
        sink: Arc<dyn UsageSink>,
        meters: UsageMeters,
        directory: impl Into<PathBuf>,
    ) -> UsageSpoolBuilder {
        UsageSpoolBuilder::new(sink, meters, directory.into())
    }

    /// Records an event, and waits for nothing. The disk has it within about 5 ms.
    ///
    /// # Errors
    /// An [`EventError`]: something is wrong with the event; or there is no room, or the spool has ended
    /// ([`NoRoom`](EventErrorKind::NoRoom)).
    pub fn record(&self, event: UsageEvent) -> Result<(), EventError> {
        self.add(&event, None)
    }

    /// Records an event, and waits until the disk has it.
    ///
    /// # Errors
    /// As [`record`](Self::record), and of the kind [`NotWritten`](EventErrorKind::NotWritten) if the disk did not take it.
    /// Then it is not known whether it will count: record it again with the same id.
    pub async fn record_durably(&self, event: UsageEvent) -> Result<(), EventError> {
        let (waiter, told) = oneshot::channel();
        self.add(&event, Some(waiter))?;
        told.await.unwrap_or_else(|_| Err(ended()))
    }

    fn add(&self, event: &UsageEvent, waiter: Option<Waiter>) -> Result<(), EventError> {
        let inner = &self.inner;
        inner.meters.check_content(event)?;
        let record = format::record(event)?;
        let free = inner.max_bytes.saturating_sub(inner.segments.bytes());
        let refused = match inner.buffer.add(&record, waiter, free) {
            Added::Yes => return Ok(()),
            Added::NoRoom => EventError::new(
                EventErrorKind::NoRoom,
                "the spool of usage has no room: see in its status why the sink or the disk does not answer, and look through \
                 `refused.jsonl` and the damaged files in its directory; or give it more with `max_bytes` or `buffer_bytes`",
            ),
            Added::Ended => ended(),
        };
        if inner.counts.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(%refused, "usage is dropped");
        }
        Err(refused)
    }

    /// How many events were lost: because there was no room for them, or the disk took none until the spool had to end.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.inner.counts.dropped.load(Ordering::Relaxed)
    }

    /// What became of the events, what waits, and what is wrong.
    #[must_use]
    pub fn status(&self) -> SpoolStatus {
        let inner = &self.inner;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SpoolStatus {
            counted: load(&inner.counts.counted),
            refused: load(&inner.counts.refused),
            dropped: load(&inner.counts.dropped),
            damaged: load(&inner.counts.damaged),
            buffered_bytes: inner.buffer.bytes(),
            disk_bytes: inner.segments.bytes(),
            disk_fault: lock(&inner.disk_fault).clone(),
            sink_fault: lock(&inner.sink_fault).clone(),
        }
    }

    /// Writes what was recorded until now, sends it, and waits until the sink has answered.
    ///
    /// # Errors
    /// What the disk or the sink says. Nothing is lost then: it is tried again.
    pub async fn flush(&self) -> Result<(), UsageError> {
        if self.inner.is_released.load(Ordering::Acquire) {
            return Ok(());
        }
        let (waiter, told) = oneshot::channel();
        if self.inner.buffer.watch(waiter) {
            let written = told.await.unwrap_or_else(|_| Err(ended()));
            written.map_err(UsageError::unavailable)?;
        }
        sender::send_all(&self.inner).await
    }

    /// Writes and sends what there is, again and again until the sink has taken all of it or the time is over. Call it when
    /// the last request has ended: what is recorded afterwards is an error, and counted as dropped.
    ///
    /// What the disk has and the sink has not taken is sent at the next start.
    ///
    /// # Errors
    /// What the disk or the sink said last, if not all was taken. What the disk has not taken either is in
    /// [`dropped`](Self::dropped).
    pub async fn close(&self, limit: Duration) -> Result<(), UsageError> {
        let inner = &self.inner;
        if inner.is_released.load(Ordering::Acquire) {
            return Ok(());
        }
        let end = Instant::now() + limit;
        self.owner.task.abort();
        inner.buffer.close(end);
        let mut written = inner.written.subscribe();
        let waited = tokio::time::timeout(limit, written.wait_for(|ended| *ended)).await;
        waited.map_err(UsageError::unavailable)?.ok();
        sender::drain(inner, end).await?;
        if let Some(fault) = lock(&inner.disk_fault).clone() {
            return Err(UsageError::unavailable(fault));
        }
        inner.is_released.store(true, Ordering::Release);
        inner.directory.release();
        Ok(())
    }
}

impl fmt::Debug for UsageSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageSpool")
            .field("meters", &self.inner.meters)
            .field("directory", &self.inner.directory.path())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

fn ended() -> EventError {
    EventError::new(
        EventErrorKind::NoRoom,
        "the spool of usage has ended; close it after the last request",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
