//! A connection that is lent, and counted for as long.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, atomic::Ordering},
};

use sqlx::PgConnection;

use super::{
    queue::Lane,
    returning::Returning,
    stock::{Live, Stock},
};
use crate::{seal::Opened, session::Scope};

/// A connection that is lent. Dropped, it goes back, and is tidied up if it was touched.
pub(crate) struct Lent {
    stock: Arc<Stock>,
    lane: Lane,
    /// Taken out by `drop`, and by nothing else.
    live: Option<Live>,
    was_touched: bool,
    /// Whether nothing is left of its use but the name in its session.
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

    /// Whether the session names the tenant of its last user.
    pub(crate) fn names_a_tenant(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.names.is_some())
    }

    /// Whether this process of the server is the one that has always answered. The first one is noted.
    pub(crate) fn is_served_by(&mut self, process: i32) -> bool {
        let live = self.live.as_mut();
        live.is_some_and(|live| *live.process.get_or_insert(process) == process)
    }

    /// Opens the session, where sessions are sealed and this one was not opened yet.
    pub(crate) async fn open_session(&mut self) -> Result<(), sqlx::Error> {
        let stock = Arc::clone(&self.stock);
        if let Some(seal) = stock.seal()
            && self
                .live
                .as_ref()
                .is_some_and(|live| live.opened_seal.is_none())
        {
            let opened = Opened::open(self, seal).await?;
            if let Some(live) = &mut self.live {
                live.opened_seal = Some(opened);
            }
        }
        Ok(())
    }

    /// What goes ahead of a use, in the same message, to name somebody or nobody in a session that is
    /// sealed; `None` where it is not. Frees it first, if that is wanted.
    ///
    /// # Security
    /// Good for one message, whether it is sent or not.
    pub(crate) fn ahead(&mut self, names: Option<Scope>, frees: bool) -> Option<String> {
        let seal = self.stock.seal()?;
        let opened = self.live.as_mut()?.opened_seal.as_mut()?;
        Some(opened.ahead(seal, names, frees))
    }

    /// Notes that the session names a tenant, and that nothing else is left to be tidied up.
    pub(crate) fn settle(&mut self, scope: Scope) {
        if let Some(live) = &mut self.live {
            live.names = Some(scope);
            self.is_settled = true;
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
            self.stock.put_back(self.lane, live);
        } else {
            Returning::of(&self.stock, self.lane, live).start(self.closes);
        }
    }
}
