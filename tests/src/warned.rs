//! What the database server warns of while something runs.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::instrument::WithSubscriber as _;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs something, and returns with it the warnings that the server sends meanwhile to connections that it
/// uses itself: not those of tasks that it spawns.
pub async fn warned<T>(something: impl Future<Output = T>) -> (T, Vec<String>) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("off,sqlx::postgres::notice=warn")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let output = something.with_subscriber(subscriber).await;
    let bytes = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&bytes);
    (output, text.lines().map(str::to_owned).collect())
}
