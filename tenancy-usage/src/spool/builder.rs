//! How a spool works.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use tenancy_core::ConfigError;
use tokio::sync::watch;

use super::{
    Counts, Inner, Owner, UsageSpool,
    buffer::Buffer,
    directory::Directory,
    segments::Segments,
    sender::{self, Sender},
    writer,
};
use crate::{UsageMeters, UsageSink};

/// How a [`UsageSpool`] works.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use tenancy_usage::{MemoryUsage, UsageMeter, UsageMeters, UsageSpool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("usage");
/// let meters = UsageMeters::new([UsageMeter::count("exports")])?;
/// let sink = Arc::new(MemoryUsage::new(meters.clone()));
/// let spool = UsageSpool::builder(sink.clone(), meters.clone(), &directory)
///     .commit_each(Duration::from_millis(2))
///     .max_bytes(1 << 32)
///     .build()?;
///
/// let second = UsageSpool::builder(sink, meters, &directory).build();
/// assert!(second.is_err(), "one process owns a directory, by one spool");
/// # drop(spool);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct UsageSpoolBuilder {
    sink: Arc<dyn UsageSink>,
    meters: UsageMeters,
    directory: PathBuf,
    commit_each: Duration,
    send_each: Duration,
    segment_bytes: u64,
    max_bytes: u64,
    buffer_bytes: usize,
}

impl UsageSpoolBuilder {
    pub(super) fn new(sink: Arc<dyn UsageSink>, meters: UsageMeters, directory: PathBuf) -> Self {
        Self {
            sink,
            meters,
            directory,
            commit_each: Duration::from_millis(5),
            send_each: Duration::from_millis(250),
            segment_bytes: 8 << 20,
            max_bytes: 1 << 30,
            buffer_bytes: 8 << 20,
        }
    }

    /// How long what is recorded waits for more, before the disk gets it as one group. Where somebody waits for the disk it
    /// is written at once. Default: 5 ms.
    pub const fn commit_each(mut self, patience: Duration) -> Self {
        self.commit_each = patience;
        self
    }

    /// How often it sends to the sink. Default: 250 ms; 1 ms at least.
    pub const fn send_each(mut self, interval: Duration) -> Self {
        self.send_each = interval;
        self
    }

    /// How large a file gets before the next one begins. After a crash as much as this is sent again at most, beside what
    /// waits. Default: 8 MiB; 4 KiB at least.
    pub const fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// How many bytes the directory has at most: what waits for the sink, what was refused, and what is damaged. An event
    /// takes about 400 bytes. Default: 1 GiB; it is not less than the size of a file.
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many bytes wait for the disk at most. Default: 8 MiB.
    pub const fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// Takes the directory, and sends what a process before has left there. Must be called inside a tokio runtime, whose
    /// task it spawns: in the one that outlives the server.
    ///
    /// # Errors
    /// A [`ConfigError`]: the directory can't be made, read or written; another process owns it; or a size is too small.
    pub fn build(self) -> Result<UsageSpool, ConfigError> {
        if self.segment_bytes < 4_096 || self.max_bytes < self.segment_bytes {
            return Err(ConfigError::new(format!(
                "the usage spool has files of {} bytes and {} bytes of room; give `segment_bytes` 4096 or more, and `max_bytes` \
                 no less than that",
                self.segment_bytes, self.max_bytes
            )));
        }
        let directory = Directory::open(self.directory)?;
        let error = |what: &str, error: std::io::Error| {
            ConfigError::new(format!("the usage spool {what}: {error}"))
        };
        let contents = directory
            .contents()
            .map_err(|it| error("can't read its directory", it))?;
        if !contents.segments.is_empty() {
            let files = contents.segments.len();
            tracing::info!(files, "usage that a process before has left is sent");
        }
        let (written, _) = watch::channel(false);
        let inner = Arc::new(Inner {
            meters: self.meters,
            directory,
            segments: Segments::new(contents.segments, contents.next, contents.kept),
            buffer: Buffer::new(self.buffer_bytes),
            sender: Sender::new(self.sink),
            commit_each: self.commit_each,
            segment_bytes: self.segment_bytes,
            max_bytes: self.max_bytes,
            counts: Counts::default(),
            disk_fault: Mutex::default(),
            sink_fault: Mutex::default(),
            is_released: AtomicBool::new(false),
            written,
        });
        let writing = Arc::clone(&inner);
        std::thread::Builder::new()
            .name("tenancy-usage-spool".to_owned())
            .spawn(move || writer::run(&writing))
            .map_err(|it| error("has no thread", it))?;
        let interval = self.send_each.max(Duration::from_millis(1));
        let task = tokio::spawn(sender::run(Arc::downgrade(&inner), interval));
        let owner = Arc::new(Owner {
            inner: Arc::clone(&inner),
            task: task.abort_handle(),
        });
        Ok(UsageSpool { inner, owner })
    }
}
