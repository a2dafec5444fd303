//! A connection on its way back, which is tidied up or closed behind the caller's back.

use std::sync::Arc;

use sqlx::Connection as _;
use tokio::{runtime::Handle, time::timeout};

use super::{
    queue::Lane,
    stock::{Live, Stock},
    upkeep::Wear,
};
use crate::error::Told;

/// A connection that nobody uses. Its right comes back too where the task that has it is dropped.
pub(super) struct Returning {
    stock: Arc<Stock>,
    /// To which it was lent.
    lane: Option<Lane>,
    live: Option<Live>,
    is_tidy: bool,
}

impl Returning {
    pub(super) fn of(stock: &Arc<Stock>, lane: Lane, live: Live) -> Self {
        let mut returning = Self::of_nobody(stock, live);
        returning.lane = Some(lane);
        returning
    }

    pub(super) fn of_nobody(stock: &Arc<Stock>, live: Live) -> Self {
        Self {
            stock: Arc::clone(stock),
            lane: None,
            live: Some(live),
            is_tidy: false,
        }
    }

    /// Runs in a task, in the runtime of whoever gives it back.
    pub(super) fn start(self, closes: bool) {
        let here = Handle::try_current().ok();
        if let Some(runtime) = here.or_else(|| self.stock.runtime()) {
            runtime.spawn(self.run(closes));
        }
    }

    pub(super) async fn run(mut self, closes: bool) {
        let settings = &self.stock.settings;
        let Some(live) = &mut self.live else {
            return;
        };
        let is_too_old = self.stock.is_too_old(live);
        if closes || is_too_old || self.stock.queue().is_closed() {
            if let Some(live) = self.live.take() {
                // With a farewell, if the other side listens.
                let _ = timeout(settings.patience, live.connection.close()).await;
            }
            return;
        }
        let sealed = live.opened_seal.as_ref().and(self.stock.seal());
        let sealed = sealed.map(|seal| seal.keeping());
        let upkeep = &self.stock.upkeep;
        match upkeep.tidy(&mut live.connection, sealed).await {
            Ok(()) => {
                live.names = None;
                live.wear = Wear::None;
                if upkeep.resets_session()
                    && let Some(opened) = &mut live.opened_seal
                {
                    opened.freed();
                }
                self.is_tidy = true;
            }
            Err(error) => {
                tracing::warn!(error = %Told(&error), "a connection could not be tidied up and is closed");
            }
        }
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        match (self.live.take(), self.lane) {
            (Some(live), lane) if self.is_tidy => self.stock.put_back(lane, live),
            (live, lane) => {
                drop(live);
                self.stock.lost(lane);
            }
        }
    }
}
