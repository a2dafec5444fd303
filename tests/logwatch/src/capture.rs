//! Every way to the log: events and spans of `tracing`, records of `log`.

use tracing::{
    Event, Level, Subscriber,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::{line::Line, watched::write};

/// Watches what passes through the subscriber that it is a part of; see [`layer`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Watch;

/// For tests that log to a subscriber of their own, which would otherwise take their lines away
/// from the one of the process: `subscriber.with(tenancy_logwatch::layer())`.
#[must_use]
pub const fn layer() -> Watch {
    Watch
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Watch {
    fn register_callsite(&self, _: &'static tracing::Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::of(event.metadata());
        event.record(&mut line);
        write(line);
    }

    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut line = Line::of(span.metadata());
        span.record(&mut line);
        write(line);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(metadata) = context.metadata(id) {
            let mut line = Line::of(metadata);
            values.record(&mut line);
            write(line);
        }
    }
}

/// Watches what is logged by way of `log`.
pub(crate) struct Records;

impl log::Log for Records {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        write(Line {
            level: match record.level() {
                log::Level::Error => Level::ERROR,
                log::Level::Warn => Level::WARN,
                log::Level::Info => Level::INFO,
                log::Level::Debug => Level::DEBUG,
                log::Level::Trace => Level::TRACE,
            },
            target: record.target().to_owned(),
            fields: vec![("message", record.args().to_string())],
        });
    }

    fn flush(&self) {}
}
