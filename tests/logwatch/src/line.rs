//! What was logged, as text.

use std::{error::Error, fmt};

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
    /// Names and values, an error's sources under its name.
    pub fields: Vec<(&'static str, String)>,
}

impl Line {
    pub(crate) fn of(metadata: &Metadata<'_>) -> Self {
        Self {
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            fields: Vec::new(),
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.push((field.name(), format!("{value:?}")));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut error = Some(value);
        while let Some(cause) = error {
            self.fields.push((field.name(), cause.to_string()));
            error = cause.source();
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.level, self.target)?;
        let mut fields = self.fields.iter();
        fields.try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}
