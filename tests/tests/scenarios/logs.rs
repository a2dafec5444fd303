//! What the library logs at level `error`, on whatever thread a server runs.
//!
//! One log for the process, because actix-web's workers are threads of their own; that is why this
//! binary plays one set of scenarios at a time (see [`playing`]).

use tenancy_tests::logwatch;
use tracing::Level;

/// A place in what has been logged.
pub(crate) fn mark() -> usize {
    logwatch::mark()
}

/// The errors that have been logged since.
pub(crate) fn errors_since(mark: usize) -> Vec<String> {
    let lines = logwatch::ours_since(mark).into_iter();
    let errors = lines.filter(|line| line.level == Level::ERROR);
    errors.map(|line| line.to_string()).collect()
}

/// Held while scenarios are played, so that a log line belongs to one of them.
pub(crate) async fn playing() -> tokio::sync::MutexGuard<'static, ()> {
    static PLAYING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    PLAYING.lock().await
}
