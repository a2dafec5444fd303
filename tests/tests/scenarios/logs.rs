//! What the library logs at level `error`, on whatever thread a server runs.
//!
//! One collector for the process, because actix-web's workers are threads of their own; that is why
//! this binary plays one set of scenarios at a time (see [`playing`]).

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::{Event, Level, Subscriber, field::Visit};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn lines() -> MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Collector;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl<S: Subscriber> Layer<S> for Collector {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() == Level::ERROR && metadata.target().starts_with("tenancy") {
            let mut line = Line(String::new());
            event.record(&mut line);
            lines().push(line.0);
        }
    }
}

/// Begins collecting; a place in what has been collected.
pub(crate) fn mark() -> usize {
    static COLLECTING: OnceLock<()> = OnceLock::new();
    COLLECTING.get_or_init(|| {
        let _ = tracing_subscriber::registry().with(Collector).try_init();
    });
    lines().len()
}

/// The errors that have been logged since.
pub(crate) fn errors_since(mark: usize) -> Vec<String> {
    lines().iter().skip(mark).cloned().collect()
}

/// Held while scenarios are played, so that a log line belongs to one of them.
pub(crate) async fn playing() -> tokio::sync::MutexGuard<'static, ()> {
    static PLAYING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    PLAYING.lock().await
}
