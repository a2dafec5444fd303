//! The end of the service: streams are told, and waited for.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

/// How long streams and requests may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// Says that the service closes, and knows who has heard it and is still there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Closing(Arc<watch::Sender<bool>>);

impl Closing {
    /// Tells every stream to end.
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    /// For one stream, which counts as there until this is dropped.
    pub(crate) fn told(&self) -> Told {
        Told(self.0.subscribe())
    }

    /// Waits until no stream is there.
    pub(crate) async fn streams_ended(&self) {
        self.0.closed().await;
    }

    /// Waits until the service has been closing for too long.
    pub(crate) async fn overdue(&self) {
        let mut told = self.told();
        told.closing().await;
        drop(told);
        tokio::time::sleep(GRACE).await;
    }
}

/// What one stream hears of the closing.
#[derive(Debug)]
pub(crate) struct Told(watch::Receiver<bool>);

impl Told {
    /// Waits until the service closes. Safe to drop at any point.
    pub(crate) async fn closing(&mut self) {
        // An error means that the service is gone altogether.
        let _ = self.0.wait_for(|closing| *closing).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn streams_are_told_and_waited_for() {
        let closing = Closing::default();
        let mut stream = closing.told();
        assert!(stream.closing().now_or_never().is_none());
        closing.begin();
        stream.closing().await;
        closing.told().closing().await; // one that comes late is told as well
        assert!(closing.streams_ended().now_or_never().is_none());
        drop(stream);
        closing.streams_ended().await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_overdue_and_waiting_for_that_holds_nothing_up() {
        let closing = Closing::default();
        let mut overdue = Box::pin(closing.overdue());
        assert!((&mut overdue).now_or_never().is_none());
        closing.begin();
        assert!((&mut overdue).now_or_never().is_none());
        closing.streams_ended().await;
        overdue.await;
    }
}
