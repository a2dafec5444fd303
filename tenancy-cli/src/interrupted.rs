//! Ctrl-C, and a request to end.

use std::future::Future;

use crate::failure::Failure;

/// Runs something until it is done or interrupted.
///
/// # Errors
/// Its own, or that it was interrupted.
pub(crate) async fn until_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        done = work => done,
        () = interrupted() => Err(Failure::told("interrupted; what was done before stays done")),
    }
}

/// Waits for Ctrl-C, or for a request to end. Where signals can't be heard of, they end the process themselves.
pub(crate) async fn interrupted() {
    let by_keyboard = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                () = by_keyboard => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    by_keyboard.await;
}
