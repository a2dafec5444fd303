//! A wish to stop, which may come at any time and is looked at again and again.

use std::{pin::Pin, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{Either, select},
};

/// A future that is not polled any more once it has ended.
pub(super) struct Shutdown<'f> {
    future: Pin<Box<dyn Future<Output = ()> + Send + 'f>>,
    is_called: bool,
}

impl<'f> Shutdown<'f> {
    pub(super) fn new(future: impl Future<Output = ()> + Send + 'f) -> Self {
        Self {
            future: Box::pin(future),
            is_called: false,
        }
    }

    /// Whether to stop.
    pub(super) fn is_called(&mut self) -> bool {
        if !self.is_called {
            self.is_called = (&mut self.future).now_or_never().is_some();
        }
        self.is_called
    }

    /// Waits for so long, or until it is called. Returns whether to stop.
    pub(super) async fn within(&mut self, pause: Duration) -> bool {
        if !self.is_called {
            let sleep = std::pin::pin!(tokio::time::sleep(pause));
            self.is_called = matches!(select(&mut self.future, sleep).await, Either::Left(_));
        }
        self.is_called
    }
}
