//! What was logged, as text.

use std::{
    error::Error,
    fmt::{Debug, Write as _},
};

use tracing::{
    Level, Metadata,
    field::{Field, Visit},
};

/// An event, a span's fields, or a record of the `log` facade.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Line {
    /// How urgent it is.
    pub level: Level,
    /// Who logs.
    pub target: String,
    /// The fields, `name=value`, with a space after each.
    pub text: String,
}

impl Line {
    pub(crate) fn of(metadata: &Metadata<'_>) -> Self {
        Self {
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            text: String::new(),
        }
    }

    fn push(&mut self, name: &str, value: impl Debug) {
        // Writing to a string fails only if a `Debug` of somebody's does.
        let _ = write!(self.text, "{name}={value:?} ");
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.push(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut error = Some(value);
        while let Some(cause) = error {
            self.push(field.name(), format_args!("{cause}"));
            error = cause.source();
        }
    }
}
