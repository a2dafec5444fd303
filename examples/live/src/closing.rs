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
