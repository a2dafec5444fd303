//! Everything the library logs, at whatever level, on whatever thread a server runs.

use std::sync::{Mutex, Once, PoisonError};

use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

static LOGGED: Mutex<String> = Mutex::new(String::new());

struct Collector;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl<S: Subscriber> Layer<S> for Collector {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
        logged.push_str(&text.0);
        logged.push('\n');
    }
}

/// Begins collecting; every test of this binary adds to it.
pub(crate) fn collect() {
    static COLLECTING: Once = Once::new();
    COLLECTING.call_once(|| {
        tracing_subscriber::registry().with(Collector).init();
    });
}

/// What has been logged by now.
pub(crate) fn logged() -> String {
    LOGGED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}
