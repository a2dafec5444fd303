//! The feed: asking the directory, under traffic, what has changed.
//!
//! There is no background task to start or to forget: a request that finds a poll due spawns one
//! and goes on; a request that finds the news too old waits for one.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use tokio::sync::Mutex;

use super::Tenancy;
use crate::{DirectoryError, FeedCursor, FeedPage, Generation, TenantId, Timestamp};

/// How long a poll may take, in real time.
const POLL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the first may take, which tells every epoch.
const FIRST_POLL_TIMEOUT: Duration = Duration::from_secs(10);

/// How far apart two threads' readings of the clock may be.
const CLOCK_JITTER: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Feed {
    interval: Duration,
    max_staleness: Duration,
    /// Everything before this moment (microseconds) is known; long ago before the first answer.
    heard_until: AtomicI64,
    /// How often what was heard has been held for too old.
    distrusted: AtomicI64,
    /// When the next poll is due (microseconds).
    due_at: AtomicI64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: Option<Seen>,
    /// What the last page told, so that news told again does not drop caches again.
    told: HashMap<TenantId, Generation>,
    failed_at: Option<Timestamp>,
}

/// How far the last poll has come, and with whom.
#[derive(Debug)]
struct Seen {
    cursor: FeedCursor,
    origin: String,
}

/// What a poll was told.
struct News {
    page: FeedPage,
    /// Whether this is the first page of a directory, and not the next after the last.
    anew: bool,
    /// Whether the page has every epoch there is.
    whole: bool,
}

impl Feed {
    pub(super) fn new(interval: Duration, max_staleness: Duration) -> Self {
        Self {
            interval,
            max_staleness,
            heard_until: AtomicI64::new(i64::MIN),
            distrusted: AtomicI64::new(1),
            due_at: AtomicI64::new(i64::MIN),
            state: Mutex::default(),
        }
    }

    pub(super) fn max_staleness(&self) -> Duration {
        self.max_staleness
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// The moment until which everything is known. To be read before the stamps it vouches for.
    pub(super) fn heard_until(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.heard_until.load(Ordering::Acquire))
    }

    /// Holds everything that was heard for too old, so that the next request asks.
    pub(super) fn distrust(&self) {
        // Each time another moment, so that a poll under way notices: its page may be older.
        let time = self.distrusted.fetch_add(1, Ordering::Relaxed);
        let long_ago = i64::MIN.saturating_add(time);
        self.heard_until.store(long_ago, Ordering::Release);
    }

    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        !self.is_recent(self.heard_until(), now)
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

impl Tenancy {
    /// Spawns a poll if one is due. Costs one load of an atomic otherwise.
    pub(super) fn poll_if_due(&self, now: Timestamp) {
        let feed = &self.inner().feed;
        if !feed.is_due(now) || !feed.claim(now) {
            return;
        }
        // Outside a runtime nothing can be spawned; the next stale request then polls itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let engine = self.clone();
            runtime.spawn(async move {
                // One that is under way will do.
                let Ok(mut state) = engine.inner().feed.state.try_lock() else {
                    return;
                };
                let polled = engine.poll(&mut state).await;
                drop(state);
                let done = match polled {
                    Ok(()) => engine.reread_epochs_if_due().await,
                    failed => failed,
                };
                if let Err(error) = done {
                    tracing::warn!(%error, "could not ask what has changed");
                }
            });
        }
    }

    /// Waits for news not older than the staleness bound.
    ///
    /// Callers that come together share one poll; after a failed one, the next is tried when the
    /// interval, and at least the time that a poll may take, has passed. Until then the failure is
    /// shared too, so that nobody queues behind a directory that hangs.
    pub(super) async fn poll_if_stale(&self, now: Timestamp) -> Result<(), DirectoryError> {
        let feed = &self.inner().feed;
        let mut state = feed.state.lock().await;
        if !feed.is_stale(now) {
            return Ok(());
        }
        let now = self.inner().clock.now();
        let shared = feed.interval.max(POLL_TIMEOUT);
        if state
            .failed_at
            .is_some_and(|failed| now >= failed && now.since(failed) < shared)
        {
            return Err(DirectoryError::new("it did not answer a moment ago"));
        }
        self.poll(&mut state).await
    }

    /// Polls at once.
    pub(super) async fn poll_now(&self) -> Result<(), DirectoryError> {
        let mut state = self.inner().feed.state.lock().await;
        self.poll(&mut state).await
    }

    async fn poll(&self, state: &mut State) -> Result<(), DirectoryError> {
        let inner = self.inner();
        let heard = inner.feed.heard_until.load(Ordering::Acquire);
        let began = inner.clock.now();
        let whole = inner.epochs.are_overdue(began);
        let limit = match state.seen {
            Some(_) if !whole => POLL_TIMEOUT,
            _ => FIRST_POLL_TIMEOUT,
        };
        let asked = in_time(limit, self.news(state.seen.as_ref(), whole)).await;
        let news = match asked {
            Ok(news) => news,
            Err(error) => {
                state.failed_at = Some(inner.clock.now());
                return Err(error);
            }
        };
        if news.anew {
            // What was loaded before the first answer may have changed unnoticed; and a directory
            // that was restored, or has another in its place, counts anew.
            state.told.clear();
            inner.stamps.drop_all();
        }
        if news.whole {
            inner.epochs.replenish(news.page.epochs, began);
        } else {
            inner.epochs.raise(news.page.epochs);
        }
        let told: HashMap<_, _> = news.page.changed.into_iter().collect();
        for (tenant, generation) in &told {
            if state.told.get(tenant) != Some(generation) {
                inner.stamps.drop_tenant(*tenant);
            }
        }
        state.told = told;
        state.seen = Some(Seen {
            cursor: news.page.cursor,
            origin: news.page.origin,
        });
        state.failed_at = None;
        // Stored after the drops: whoever sees the new moment also sees the new stamps. Not stored if
        // the news was held for too old meanwhile: then the next request asks.
        let (order, micros) = (Ordering::AcqRel, began.as_unix_micros());
        let heard_until = &inner.feed.heard_until;
        let _ = heard_until.compare_exchange(heard, micros, order, Ordering::Relaxed);
        Ok(())
    }

    /// What is new since a poll before; of a directory that counts anew, everything. With every epoch
    /// there is if they are wanted `whole`.
    async fn news(&self, seen: Option<&Seen>, whole: bool) -> Result<News, DirectoryError> {
        let directory = &self.inner().directory;
        let everything = async || directory.changes_since(None).await;
        let anew = |page| News {
            page,
            anew: true,
            whole: true,
        };
        let Some(seen) = seen else {
            return Ok(anew(everything().await?));
        };
        let mut page = directory.changes_since(Some(seen.cursor)).await?;
        if page.cursor.0 < seen.cursor.0 || page.origin != seen.origin {
            tracing::warn!(
                before = seen.origin,
                now = page.origin,
                "the directory counts anew; everything that is cached is read again"
            );
            return Ok(anew(everything().await?));
        }
        if whole {
            page.epochs = everything().await?.epochs;
        }
        Ok(News {
            page,
            anew: false,
            whole,
        })
    }

    /// Reads every epoch again if it is time for it, and nobody does so already: whoever polls later
    /// then need not wait for it.
    async fn reread_epochs_if_due(&self) -> Result<(), DirectoryError> {
        let inner = self.inner();
        let began = inner.clock.now();
        if !inner.epochs.are_due(began) {
            return Ok(());
        }
        let Ok(_reading) = inner.epochs.reading.try_lock() else {
            return Ok(());
        };
        let page = in_time(FIRST_POLL_TIMEOUT, inner.directory.changes_since(None)).await?;
        inner.epochs.replenish(page.epochs, began);
        Ok(())
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
