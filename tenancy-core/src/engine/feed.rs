//! The feed: asking the directory, under traffic, what has changed.
//!
//! There is no background task to start or to forget: a request that finds a poll due spawns one
//! and goes on; a request that finds the news too old waits for one.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Mutex, time::Instant};

use super::{Inner, Tenancy};
use crate::{DirectoryError, FeedCursor, FeedPage, Generation, TenantId, Timestamp};

/// How long a page may take, and how long pages are asked for in a row, in real time.
const POLL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a page may take where there is no cursor yet.
const FIRST_POLL_TIMEOUT: Duration = Duration::from_secs(10);

/// How far apart two threads' readings of the clock may be.
const CLOCK_JITTER: Duration = Duration::from_millis(100);

/// Counters among which tenants marked stale are spread.
const STRIPES: usize = 1024;

#[derive(Debug)]
pub(super) struct Feed {
    interval: Duration,
    max_staleness: Duration,
    /// Everything before this moment (microseconds) is known; long ago before the first answer.
    fresh_as_of: AtomicI64,
    /// When the next poll is due (microseconds).
    due_at: AtomicI64,
    /// The number of the last poll that has begun, and of the last that has told everything.
    begun: AtomicU64,
    last_completed: AtomicU64,
    /// The number of the poll that must have told everything before a tenant's news is believed again.
    wanted: Box<[AtomicU64]>,
    /// Whether the last poll failed: then nobody waits for the next.
    failing: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: Option<Seen>,
    /// The poll that has begun and not come to its last page yet.
    run: Option<Run>,
    /// What the poll before this one told, so that news told again does not drop caches again.
    last_run: HashMap<TenantId, Generation>,
}

/// How far the last page has come, and with whom.
#[derive(Debug, Clone)]
struct Seen {
    cursor: FeedCursor,
    origin: String,
}

/// A poll: the pages from one cursor to the head.
#[derive(Debug)]
struct Run {
    number: u64,
    began: Timestamp,
    /// Whether it began without a cursor, and so tells every token revocation.
    anew: bool,
    changed: HashMap<TenantId, Generation>,
}

/// How far a poll has come.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Head,
    /// There is more to be told, and it has taken long enough for once.
    More,
}

impl Feed {
    pub(super) fn new(interval: Duration, max_staleness: Duration) -> Self {
        Self {
            interval,
            max_staleness,
            fresh_as_of: AtomicI64::new(i64::MIN),
            due_at: AtomicI64::new(i64::MIN),
            begun: AtomicU64::new(0),
            last_completed: AtomicU64::new(0),
            wanted: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            failing: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    pub(super) fn max_staleness(&self) -> Duration {
        self.max_staleness
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// The moment until which everything is known. To be read before the versions it vouches for.
    pub(super) fn fresh_as_of(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.fresh_as_of.load(Ordering::Acquire))
    }

    /// Holds what was heard of this tenant for too old, so that the next request in it asks. Tenants that
    /// share its counter wait for the same poll.
    pub(super) fn mark_stale(&self, tenant: TenantId) {
        // A poll under way may have read before; the one after it has not.
        let next = self.begun.load(Ordering::SeqCst).saturating_add(1);
        if let Some(wanted) = self.wanted_for(tenant) {
            wanted.fetch_max(next, Ordering::SeqCst);
        }
    }

    /// The same of every tenant.
    pub(super) fn mark_all_stale(&self) {
        let next = self.begun.load(Ordering::SeqCst).saturating_add(1);
        for wanted in &self.wanted {
            wanted.fetch_max(next, Ordering::SeqCst);
        }
    }

    /// Whether the next request in this tenant has to ask.
    pub(super) fn is_marked_stale(&self, tenant: TenantId) -> bool {
        let wanted = self.wanted_for(tenant);
        let wanted = wanted.map_or(0, |wanted| wanted.load(Ordering::SeqCst));
        self.last_completed.load(Ordering::SeqCst) < wanted
    }

    fn wanted_for(&self, tenant: TenantId) -> Option<&AtomicU64> {
        let number = tenant.as_uuid().as_u128() % STRIPES as u128;
        self.wanted.get(usize::try_from(number).unwrap_or(0))
    }

    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        !self.is_recent(self.fresh_as_of(), now)
    }

    /// Whether what held at a moment may still be believed.
    pub(super) fn is_recent(&self, moment: Timestamp, now: Timestamp) -> bool {
        // A clock that was set back says nothing about how old the news is.
        moment <= now + CLOCK_JITTER && now.since(moment) <= self.max_staleness
    }

    /// Whether a poll is due; at once if the clock was set back.
    fn is_due(&self, now: Timestamp) -> bool {
        let due_at = self.due_at.load(Ordering::Relaxed);
        now.as_unix_micros() >= due_at || due_at > (now + self.interval).as_unix_micros()
    }

    /// Claims a poll that is due; only one caller gets it.
    fn claim(&self, now: Timestamp) -> bool {
        let due_at = self.due_at.load(Ordering::Relaxed);
        self.is_due(now)
            && self
                .due_at
                .compare_exchange(
                    due_at,
                    (now + self.interval).as_unix_micros(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }
}

/// Asks an engine's directory what has changed.
pub(super) struct Poller<'a>(&'a Tenancy);

impl<'a> Poller<'a> {
    pub(super) const fn of(engine: &'a Tenancy) -> Self {
        Self(engine)
    }

    fn inner(&self) -> &'a Inner {
        self.0.inner()
    }

    /// Spawns a poll if one is due. Costs one load of an atomic otherwise.
    pub(super) fn poll_if_due(&self, now: Timestamp) {
        let feed = &self.inner().feed;
        if !feed.is_due(now) || !feed.claim(now) {
            return;
        }
        // Outside a runtime nothing can be spawned; the next stale request then polls itself.
        if let Ok(runtime) = Handle::try_current() {
            let engine = self.0.clone();
            runtime.spawn(async move {
                if let Err(error) = Poller::of(&engine).poll_to_the_head().await {
                    tracing::warn!(%error, "could not ask what has changed");
                }
            });
        }
    }

    /// Polls until everything is told, and lets others go ahead in between.
    async fn poll_to_the_head(&self) -> Result<(), DirectoryError> {
        loop {
            // One that is under way will do.
            let Ok(mut state) = self.inner().feed.state.try_lock() else {
                return Ok(());
            };
            let progress = self.poll(&mut state).await?;
            drop(state);
            if progress == Progress::Head {
                self.reread_token_revocations_if_due().await?;
                self.inner()
                    .token_revocations
                    .forget_if_due(self.inner())
                    .await;
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits for news not older than the staleness bound, and for news of this tenant that is no longer
    /// marked stale.
    ///
    /// Callers that come together share one poll. After a failed one, nobody waits for the next, which
    /// is spawned when it is due: a directory that hangs holds nobody up whom it can't answer.
    pub(super) async fn poll_if_stale(
        &self,
        tenant: Option<TenantId>,
    ) -> Result<(), DirectoryError> {
        let inner = self.inner();
        let feed = &inner.feed;
        if feed.failing.load(Ordering::Acquire) && Handle::try_current().is_ok() {
            self.poll_if_due(inner.clock.now());
            return Err(DirectoryError::new("it did not answer a moment ago"));
        }
        let came = Instant::now();
        let mut state = feed.state.lock().await;
        // Read now that it is this caller's turn: somebody else may have heard the news meanwhile.
        let now = inner.clock.now();
        let is_wanted = || feed.is_stale(now) || tenant.is_some_and(|t| feed.is_marked_stale(t));
        if !is_wanted() {
            return Ok(());
        }
        if feed.failing.load(Ordering::Acquire) && came.elapsed() > CLOCK_JITTER {
            return Err(DirectoryError::new("it did not answer a moment ago"));
        }
        // Others have asked for page after page while this caller waited.
        if came.elapsed() > POLL_TIMEOUT {
            return Err(DirectoryError::new("it is still telling what has changed"));
        }
        match self.poll(&mut state).await? {
            Progress::Head => Ok(()),
            Progress::More => Err(DirectoryError::new("it is still telling what has changed")),
        }
    }

    /// Polls at once.
    pub(super) async fn poll_now(&self) -> Result<(), DirectoryError> {
        let mut state = self.inner().feed.state.lock().await;
        while self.poll(&mut state).await? == Progress::More {}
        Ok(())
    }

    /// Asks for page after page, up to the head or for as long as a poll may take. What was told counts,
    /// however far it comes: the next poll goes on from there.
    async fn poll(&self, state: &mut State) -> Result<Progress, DirectoryError> {
        let feed = &self.inner().feed;
        let polled = self.pages(state).await;
        feed.failing.store(polled.is_err(), Ordering::Release);
        polled
    }

    async fn pages(&self, state: &mut State) -> Result<Progress, DirectoryError> {
        let inner = self.inner();
        let started = Instant::now();
        while self.next_page(state).await? {
            if started.elapsed() > POLL_TIMEOUT {
                return Ok(Progress::More);
            }
        }
        if let Some(run) = state.run.as_ref().filter(|run| run.anew) {
            inner.token_revocations.were_read(run.began);
        }
        if inner.token_revocations.are_overdue(inner.clock.now()) {
            self.read_token_revocations().await?;
        }
        let Some(run) = state.run.take() else {
            return Ok(Progress::Head);
        };
        state.last_run = run.changed;
        // Stored after the drops: whoever sees the new moment also sees the new versions.
        let heard = run.began.as_unix_micros();
        inner.feed.fresh_as_of.store(heard, Ordering::Release);
        inner
            .feed
            .last_completed
            .store(run.number, Ordering::SeqCst);
        Ok(Progress::Head)
    }

    /// Asks for one page, and takes it in. Says whether there is another.
    async fn next_page(&self, state: &mut State) -> Result<bool, DirectoryError> {
        let inner = self.inner();
        if state.run.is_none() {
            state.run = Some(self.begin(state.seen.is_none()));
        }
        let limit = match state.seen {
            Some(_) => POLL_TIMEOUT,
            None => FIRST_POLL_TIMEOUT,
        };
        let seen = state.seen.clone();
        let cursor = seen.as_ref().map(|seen| seen.cursor.clone());
        let mut page = in_time(limit, inner.directory.changes_since(cursor)).await?;
        let is_first = seen.is_none();
        if let Some(seen) = seen
            && (page.cursor.number < seen.cursor.number || page.origin != seen.origin)
        {
            tracing::warn!(
                before = seen.origin,
                now = page.origin,
                "the directory counts anew; everything that is cached is read again"
            );
            state.seen = None;
            state.run = Some(self.begin(true));
            page = in_time(FIRST_POLL_TIMEOUT, inner.directory.changes_since(None)).await?;
            self.take_in(state, page, true)
        } else {
            self.take_in(state, page, is_first)
        }
    }

    fn begin(&self, anew: bool) -> Run {
        let inner = self.inner();
        // The number before the moment, and both before anything is read.
        let number = inner.feed.begun.fetch_add(1, Ordering::SeqCst) + 1;
        Run {
            number,
            began: inner.clock.now(),
            anew,
            changed: HashMap::new(),
        }
    }

    fn take_in(
        &self,
        state: &mut State,
        page: FeedPage,
        is_first: bool,
    ) -> Result<bool, DirectoryError> {
        let inner = self.inner();
        if is_first {
            // What was loaded before the first answer may have changed unnoticed; and a directory
            // that was restored, or has another in its place, counts anew.
            state.last_run.clear();
            inner.versions.drop_all();
        }
        let stands = state
            .seen
            .as_ref()
            .is_some_and(|seen| seen.cursor == page.cursor);
        inner
            .token_revocations
            .raise(page.token_revocations, inner.clock.now());
        if let Some(run) = &mut state.run {
            for (tenant, generation) in page.changed {
                let before = run.changed.insert(tenant, generation);
                let before = before.or_else(|| state.last_run.get(&tenant).copied());
                if before != Some(generation) {
                    inner.versions.drop_tenant(tenant);
                }
            }
        }
        state.seen = Some(Seen {
            cursor: page.cursor,
            origin: page.origin,
        });
        if page.more && stands {
            state.run = None;
            return Err(DirectoryError::new("its pages come to no end"));
        }
        Ok(page.more)
    }

    /// Reads every token revocation again if it is time for it, and nobody does so already: whoever polls later
    /// then need not wait for it.
    async fn reread_token_revocations_if_due(&self) -> Result<(), DirectoryError> {
        let inner = self.inner();
        if !inner.token_revocations.are_due(inner.clock.now()) {
            return Ok(());
        }
        let Ok(_reading) = inner.token_revocations.reading.try_lock() else {
            return Ok(());
        };
        self.read_token_revocations().await
    }

    /// Reads every token revocation, page by page.
    async fn read_token_revocations(&self) -> Result<(), DirectoryError> {
        let inner = self.inner();
        let began = inner.clock.now();
        let mut cursor = None;
        loop {
            let page = inner.directory.changes_since(cursor.clone());
            let page = in_time(FIRST_POLL_TIMEOUT, page).await?;
            inner
                .token_revocations
                .raise(page.token_revocations, inner.clock.now());
            if !page.more {
                inner.token_revocations.were_read(began);
                return Ok(());
            }
            if cursor.as_ref() == Some(&page.cursor) {
                return Err(DirectoryError::new("its pages come to no end"));
            }
            cursor = Some(page.cursor);
        }
    }
}

async fn in_time<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, DirectoryError>>,
) -> Result<T, DirectoryError> {
    let timed_out = |_| DirectoryError::new("it did not answer in time");
    tokio::time::timeout(limit, asked)
        .await
        .map_err(timed_out)?
}
