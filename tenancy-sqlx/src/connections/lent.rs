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

/// A connection that is lent. Dropped, it goes back, and is tidied up if it was touched.
pub(crate) struct Lent {
    stock: Arc<Stock>,
    lane: Lane,
    /// Taken out by `drop`, and by nothing else.
    live: Option<Live>,
    was_touched: bool,
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
            closes: false,
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
        if self.was_touched || self.closes {
            Returning::of(&self.stock, self.lane, live).start(self.closes);
        } else {
            self.stock.put_back(self.lane, live);
        }
    }
}
