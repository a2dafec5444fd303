//! A connection that is lent, and counted for as long.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sqlx::PgConnection;

use super::{
    Mark,
    queue::Lane,
    returning::Returning,
    stock::{Live, Stock},
    upkeep::Wear,
};
use crate::{
    seal::Opened,
    session::{Named, Scope},
};

/// How long a connection may have been idle to be used without asking it first. One that was idle for
/// longer may have died, or its server.
const TRUST: Duration = Duration::from_millis(500);

/// A connection that is lent. Dropped, it goes back, and is tidied up if it was touched.
pub(crate) struct Lent {
    stock: Arc<Stock>,
    lane: Lane,
    /// Taken out by `drop`, and by nothing else.
    live: Option<Live>,
    was_touched: bool,
    /// Whether nothing is left of its use but [`Wear`] and a name.
    is_settled: bool,
    closes: bool,
}

impl Lent {
    pub(super) fn new(stock: Arc<Stock>, lane: Lane, live: Live) -> Self {
        stock.lent().fetch_add(1, Ordering::Relaxed);
        Self {
            stock,
            lane,
            live: Some(live),
            was_touched: false,
            is_settled: false,
            closes: false,
        }
    }

    /// What plain statements may have left in the session.
    pub(crate) fn wear(&self) -> Wear {
        self.live.as_ref().map_or(Wear::None, |live| live.wear)
    }

    /// Whether the session is known to name this: it did when it came back, a moment ago.
    pub(crate) fn names(&self, wanted: Named) -> bool {
        let live = self.live.as_ref();
        live.is_some_and(|live| {
            let is_stale = live.opened_seal.as_ref().is_some_and(Opened::is_stale);
            live.names == Some(wanted) && live.idle_since.elapsed() < TRUST && !is_stale
        })
    }

    /// Whether nothing has been sent since it was lent.
    pub(crate) const fn is_untouched(&self) -> bool {
        !self.was_touched
    }

    /// What its session was started with.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.live.as_ref()?.mark
    }

    /// Opens the session, where sessions are sealed and this one was not opened yet.
    pub(crate) async fn open_session(&mut self) -> Result<(), sqlx::Error> {
        let is_open = |live: &Live| live.opened_seal.is_some();
        let Some(seal) = self.stock.seal() else {
            return Ok(());
        };
        if self.live.as_ref().is_some_and(is_open) {
            return Ok(());
        }
        let seal = Arc::clone(seal);
        let opened = Opened::open(self, &seal).await?;
        if let Some(live) = &mut self.live {
            live.opened_seal = Some(opened);
        }
        Ok(())
    }

    /// What goes ahead of a use, in the same message, to name somebody or nobody in a session that is
    /// sealed; `None` where it is not. Frees it first of what plain statements may have left.
    ///
    /// # Security
    /// Good for one message, whether it is sent or not.
    pub(crate) fn ahead(&mut self, names: Option<Scope>) -> Option<String> {
        let wear = self.wear();
        let seal = self.stock.seal()?;
        let opened = self.live.as_mut()?.opened_seal.as_mut()?;
        Some(opened.ahead(seal, names, wear))
    }

    /// Notes that only plain statements have run, so that it need not be tidied up when it comes back,
    /// and what the session names since.
    pub(crate) fn settle(&mut self, wear: Wear, names: Option<Named>) {
        if let Some(live) = &mut self.live {
            live.wear = live.wear.max(wear);
            live.names = names;
            self.is_settled = true;
        }
    }

    /// Notes that the session was freed of what plain statements have left.
    pub(crate) fn note_freed(&mut self) {
        if let Some(live) = &mut self.live {
            live.wear = Wear::None;
            live.names = None;
        }
    }

    /// Closes the connection when it comes back, instead of lending it again.
    pub(crate) fn close_on_drop(&mut self) {
        self.closes = true;
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match &self.live {
            Some(live) => &live.connection,
            None => unreachable!("a connection is lent until it is dropped"),
        }
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.was_touched = true;
        self.is_settled = false;
        match &mut self.live {
            Some(live) => &mut live.connection,
            None => unreachable!("a connection is lent until it is dropped"),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.stock.lent().fetch_sub(1, Ordering::Relaxed);
        let Some(live) = self.live.take() else {
            return;
        };
        let is_good = !self.was_touched || self.is_settled;
        if is_good && !self.closes && !self.stock.is_too_old(&live) {
            self.stock.put_back(Some(self.lane), live);
        } else {
            Returning::of(&self.stock, self.lane, live).start(self.closes);
        }
    }
}
