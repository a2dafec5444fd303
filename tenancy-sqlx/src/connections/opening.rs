//! Opening a connection, by a task that owns the right to it.
//!
//! Whoever gives up waiting loses nothing for others: what was opened goes to whoever's turn it is.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use sqlx::{ConnectOptions as _, PgConnection};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use super::{
    Mark,
    anchor::Anchor,
    stock::{Live, Stock},
};
use crate::error::{Told, is_full_server, is_passing_at_connect};

/// The pause after the first attempt that failed; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// A right to a connection that is being opened.
pub(super) struct Opening {
    stock: Arc<Stock>,
    has_ended: bool,
}

impl Opening {
    /// Uses a right in a task of its own.
    pub(super) fn start(stock: &Arc<Stock>) {
        let opening = Self {
            stock: Arc::clone(stock),
            has_ended: false,
        };
        if let Some(runtime) = stock.runtime() {
            runtime.spawn(opening.run());
        }
    }

    async fn run(mut self) {
        let mut closing = self.stock.closing();
        let stock = Arc::clone(&self.stock);
        let outcome = {
            let closed = pin!(closing.wait_for(|closing| *closing));
            match select(pin!(open(&stock)), closed).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => Ok(None),
            }
        };
        self.has_ended = true;
        match outcome {
            Ok(Some((connection, mark))) => {
                let anchor = Anchor::in_runtime(&Handle::current());
                stock.opened(Live::new(connection, mark, anchor));
            }
            Ok(None) => stock.not_opened(None),
            Err(error) => stock.not_opened(Some(error)),
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if !self.has_ended {
            self.stock.runtime_has_ended();
        }
    }
}

/// Tries until there is a connection, a reason why there can't be one, or nobody who waits.
async fn open(stock: &Stock) -> Result<Option<(PgConnection, Option<Mark>)>, sqlx::Error> {
    let patience = stock.settings.patience;
    let mut pause = FIRST_PAUSE;
    loop {
        let (options, mark) = stock.marked();
        let opened = timeout(patience, options.connect()).await;
        let is_full = matches!(&opened, Ok(Err(error)) if is_full_server(error));
        stock.server_is_full(is_full);
        stock.note_attempt(match &opened {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(Told(error).to_string()),
            Err(_) => Some(format!("no connection was opened within {patience:?}")),
        });
        match opened {
            Ok(Ok(connection)) => return Ok(Some((connection, mark))),
            Ok(Err(error)) if !is_passing_at_connect(&error) => return Err(error),
            Ok(Err(_)) | Err(_) => {}
        }
        for _ in 0..2 {
            if !stock.queue().is_wanted() {
                return Ok(None);
            }
            sleep(pause / 2).await;
        }
        pause = (pause * 2).min(patience / 5);
    }
}
