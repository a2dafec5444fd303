//! Connections that are open, and what moves them between callers.

use std::{
    fmt, iter,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{PgConnection, postgres::PgConnectOptions};
use tenancy_core::TenantId;
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot, watch},
};

use super::{
    Mark,
    anchor::Anchor,
    lent::Lent,
    opening::Opening,
    queue::{Grant, Lane, Queue, Ticket},
    returning::Returning,
    settings::{Settings, count},
    tally::Tally,
    upkeep::{Upkeep, Wear},
};
use crate::{
    seal::{Opened, Seal},
    session::Named,
};

/// How long an idle session keeps what plain statements may have left in it, such as an advisory lock.
pub(super) const WORN_FOR_MOST: Duration = Duration::from_secs(1);

/// A connection, and its age.
pub(super) struct Live {
    pub(super) connection: PgConnection,
    pub(super) opened: Instant,
    pub(super) idle_since: Instant,
    /// What the session names, once the server has said so.
    pub(super) names: Option<Named>,
    pub(super) wear: Wear,
    /// Where sessions are sealed, once this one was opened.
    pub(super) opened_seal: Option<Opened>,
    /// What its session was started with, where no pooler is known to stand between.
    pub(super) mark: Option<Mark>,
    anchor: Anchor,
}

impl Live {
    pub(super) fn new(connection: PgConnection, mark: Option<Mark>, anchor: Anchor) -> Self {
        let now = Instant::now();
        Self {
            connection,
            anchor,
            opened: now,
            idle_since: now,
            names: None,
            wear: Wear::None,
            opened_seal: None,
            mark,
        }
    }

    /// Whom the session names.
    fn tenant(&self) -> Option<TenantId> {
        self.names.map(|named| named.scope.tenant)
    }
}

fn is_over(since: Instant, limit: Option<Duration>) -> bool {
    limit.is_some_and(|limit| since.elapsed() > limit)
}

/// What a waiter is told.
pub(super) enum Turn {
    Lent(Lent),
    /// A connection was to be opened, and the server or the network said no.
    Failed(sqlx::Error),
    /// Who opened for the waiters has ended with its runtime: ask again.
    Again,
}

type Waiter = oneshot::Sender<Turn>;

/// The connections of a pool.
pub(super) struct Stock {
    queue: Mutex<Queue<Live, Waiter>>,
    pub(super) options: PgConnectOptions,
    pub(super) settings: Settings,
    pub(super) upkeep: Upkeep,
    seal: OnceLock<Arc<Seal>>,
    home: Handle,
    home_has_ended: AtomicBool,
    /// Whether the server has said that it has no connection to spare.
    server_is_full: AtomicBool,
    /// Why no connection could be opened when that was last tried.
    not_opened_for: Mutex<Option<String>>,
    lent: AtomicUsize,
    pub(super) tally: Tally,
    closing: watch::Sender<bool>,
    one_is_gone: Notify,
}

impl Stock {
    pub(super) fn new(
        options: PgConnectOptions,
        settings: Settings,
        upkeep: Upkeep,
        home: Handle,
    ) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue::new(count(settings.most), Live::tenant)),
            options,
            settings,
            upkeep,
            seal: OnceLock::new(),
            home,
            home_has_ended: AtomicBool::new(false),
            server_is_full: AtomicBool::new(false),
            not_opened_for: Mutex::default(),
            lent: AtomicUsize::new(0),
            tally: Tally::default(),
            closing: watch::Sender::new(false),
            one_is_gone: Notify::new(),
        })
    }

    /// How its sessions name tenants, if they are sealed.
    pub(super) fn seal(&self) -> Option<&Arc<Seal>> {
        self.seal.get()
    }

    /// Has sessions sealed from now on.
    pub(super) fn set_seal(&self, seal: Arc<Seal>) {
        let _ = self.seal.set(seal);
    }

    /// Takes a connection, or waits for one for as long as the future lives.
    ///
    /// One whose session names what is wanted, or nobody, is taken first.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        lane: Lane,
        wanted: Option<Named>,
    ) -> Result<Lent, sqlx::Error> {
        loop {
            let since = Instant::now();
            let (mut waiting, grants) = {
                let mut queue = self.queue();
                if queue.is_closed() {
                    return Err(sqlx::Error::PoolClosed);
                }
                if let Some(live) = queue.take(lane, |live| live.names == wanted) {
                    drop(queue);
                    if live.anchor.holds() {
                        if live.names.is_some() && live.names != wanted {
                            self.open_for_another_name();
                        }
                        self.open_ahead();
                        return Ok(Lent::new(Arc::clone(self), lane, live));
                    }
                    drop(live);
                    self.lost(Some(lane));
                    continue;
                }
                let (sender, turn) = oneshot::channel();
                let waiting = Waiting {
                    stock: self,
                    ticket: Some(queue.wait(lane, sender, since)),
                    turn,
                };
                (
                    waiting,
                    iter::from_fn(|| queue.settle()).collect::<Vec<_>>(),
                )
            };
            for grant in grants {
                self.hand_out(Some(grant));
            }
            self.open_ahead();
            let turn = (&mut waiting.turn).await;
            waiting.ticket = None;
            match turn {
                Ok(Turn::Lent(lent)) => {
                    self.tally.waited(since.elapsed());
                    return Ok(lent);
                }
                Ok(Turn::Failed(error)) => return Err(error),
                Ok(Turn::Again) => tokio::task::yield_now().await,
                Err(_) => return Err(sqlx::Error::PoolClosed),
            }
        }
    }

    /// Takes back a connection that is as good as new.
    pub(super) fn put_back(self: &Arc<Self>, lane: Option<Lane>, mut live: Live) {
        let now = Instant::now();
        live.idle_since = now;
        let mut queue = self.queue();
        if queue.is_closed() || !live.anchor.holds() {
            drop(queue);
            drop(live);
            return self.lost(lane);
        }
        let grant = queue.back(lane, live, now);
        drop(queue);
        self.hand_out(grant);
    }

    /// Notes that a connection is closed, which was lent to a lane or to nobody.
    pub(super) fn lost(self: &Arc<Self>, lane: Option<Lane>) {
        let grant = self.queue().gone(lane, Instant::now());
        self.hand_out(grant);
        self.open_more();
        self.one_is_gone.notify_waiters();
    }

    /// Takes in a connection that was opened with a right.
    pub(super) fn opened(self: &Arc<Self>, live: Live) {
        let mut queue = self.queue();
        if queue.is_closed() {
            drop(queue);
            return self.not_opened(None);
        }
        let grant = queue.opened(live);
        drop(queue);
        self.hand_out(grant);
    }

    /// Takes back a right that was of no use, and tells one waiter why, if there is a reason.
    pub(super) fn not_opened(self: &Arc<Self>, reason: Option<sqlx::Error>) {
        let refused = {
            let mut queue = self.queue();
            queue.not_opened();
            reason.and_then(|reason| Some((queue.refuse()?, reason)))
        };
        if let Some((waiter, reason)) = refused {
            let _ = waiter.send(Turn::Failed(reason));
        }
        self.open_more();
        self.one_is_gone.notify_waiters();
    }

    /// Takes back the right of a task that ended with its runtime. From now on, callers open in
    /// their own.
    pub(super) fn runtime_has_ended(self: &Arc<Self>) {
        self.home_has_ended.store(true, Ordering::Relaxed);
        let waiters: Vec<Waiter> = {
            let mut queue = self.queue();
            queue.not_opened();
            iter::from_fn(|| queue.refuse()).collect()
        };
        for waiter in waiters {
            let _ = waiter.send(Turn::Again);
        }
        self.one_is_gone.notify_waiters();
    }

    /// Opens connections for those who wait.
    fn open_more(self: &Arc<Self>) {
        self.open_beyond(0);
    }

    /// Opens connections for those who wait, and ahead of those who may come: only when somebody has
    /// come, so that a database that is out of reach is not tried without end.
    fn open_ahead(self: &Arc<Self>) {
        let is_full = self.server_is_full.load(Ordering::Relaxed);
        self.open_beyond(if is_full {
            0
        } else {
            count(self.settings.ahead)
        });
    }

    /// Opens one more where each idle connection names somebody else, so that several are named at a time.
    fn open_for_another_name(self: &Arc<Self>) {
        let is_full = self.server_is_full.load(Ordering::Relaxed);
        if !is_full && self.queue().take_right_below(count(self.settings.most)) {
            Opening::start(self);
        }
    }

    fn open_beyond(self: &Arc<Self>, ahead: usize) {
        while self.queue().take_right(ahead) {
            Opening::start(self);
        }
    }

    /// Opens connections up to the least that is to be open.
    pub(super) fn open_least(self: &Arc<Self>) {
        let least = count(self.settings.least);
        for _ in 0..least {
            if !self.queue().take_right_below(least) {
                return;
            }
            Opening::start(self);
        }
    }

    pub(super) fn is_too_old(&self, live: &Live) -> bool {
        is_over(live.opened, self.settings.max_lifetime)
    }

    /// Closes connections that are too old, or were idle for too long.
    pub(super) fn close_due(self: &Arc<Self>) {
        let settings = &self.settings;
        let due = self.queue().expire(|live| {
            self.is_too_old(live) || is_over(live.idle_since, settings.idle_timeout)
        });
        for live in due {
            Returning::of_nobody(self, live).start(true);
        }
    }

    /// Frees sessions of what plain statements may have left in them, where nobody has used them lately.
    pub(super) fn tidy_due(self: &Arc<Self>) {
        let due = self
            .queue()
            .expire(|live| live.wear != Wear::None && live.idle_since.elapsed() >= WORN_FOR_MOST);
        for live in due {
            Returning::of_nobody(self, live).start(false);
        }
    }

    /// Lends nothing any more, waits for all connections to come back, and closes them.
    pub(super) async fn close(self: &Arc<Self>) {
        let (idle, waiters) = self.queue().close();
        self.closing.send_replace(true);
        drop(waiters);
        let idle = idle.into_iter();
        let idle: Vec<_> = idle.map(|live| Returning::of_nobody(self, live)).collect();
        for returning in idle {
            returning.run(true).await;
        }
        loop {
            let gone = self.one_is_gone.notified();
            if self.queue().open() == 0 {
                return;
            }
            gone.await;
        }
    }

    /// Tells when the pool is closed or dropped.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Where connections are opened: at home, and where that has ended, where the caller is.
    pub(super) fn runtime(&self) -> Option<Handle> {
        if self.home_has_ended.load(Ordering::Relaxed) {
            return Handle::try_current().ok();
        }
        Some(self.home.clone())
    }

    pub(super) const fn home(&self) -> &Handle {
        &self.home
    }

    /// Notes whether the server has said that it has no connection to spare.
    pub(super) fn server_is_full(&self, is_full: bool) {
        self.server_is_full.store(is_full, Ordering::Relaxed);
    }

    /// Notes why no connection could be opened, or that one could.
    pub(super) fn note_attempt(&self, failed: Option<String>) {
        *self.not_opened_for() = failed;
    }

    /// Why no connection could be opened when that was last tried.
    pub(super) fn why_not_opened(&self) -> String {
        self.not_opened_for()
            .clone()
            .unwrap_or_else(|| "nothing was heard of it in time".to_owned())
    }

    fn not_opened_for(&self) -> MutexGuard<'_, Option<String>> {
        self.not_opened_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The options of one connection. A pooler might not know the mark's setting.
    pub(super) fn marked(&self) -> (PgConnectOptions, Option<Mark>) {
        if self.upkeep.through().is_pooler() {
            return (self.options.clone(), None);
        }
        let mark = Mark::new();
        (mark.on(self.options.clone()), Some(mark))
    }

    /// The number of connections that callers have.
    pub(super) const fn lent(&self) -> &AtomicUsize {
        &self.lent
    }

    /// Whether there is a reason to wait, other than that the database is out of reach.
    pub(super) fn is_busy_for(&self, lane: Lane) -> bool {
        self.lent.load(Ordering::Relaxed) >= count(self.settings.most)
            || self.server_is_full.load(Ordering::Relaxed)
            || self.queue().is_at_its_most(lane)
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue<Live, Waiter>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_out(self: &Arc<Self>, grant: Option<Grant<Live, Waiter>>) {
        if let Some(grant) = grant {
            let lent = Lent::new(Arc::clone(self), grant.lane, grant.connection);
            // If nobody waits there any more, it comes back at once.
            let _ = grant.waiter.send(Turn::Lent(lent));
        }
    }
}

impl fmt::Debug for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stock")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A place in the queue, which is left when this is dropped.
struct Waiting<'s> {
    stock: &'s Arc<Stock>,
    ticket: Option<Ticket>,
    turn: oneshot::Receiver<Turn>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            drop(self.stock.queue().give_up(ticket));
        }
    }
}
