//! Where in a text something stands, for errors that say where to look.

use std::fmt;

use crate::ConfigError;

/// A place in a text; or none, of what was said in code.
#[derive(Debug, Clone, Copy, Default)]
pub struct Position(Option<(usize, usize)>);

impl Position {
    /// Of what stands in no text.
    pub const NONE: Self = Self(None);

    /// The place of a byte in a text. Lines and columns begin at 1, and a column is a character.
    #[cfg(feature = "toml")]
    pub(super) fn of(text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Self(Some((before.matches('\n').count() + 1, column)))
    }

    /// An error about what stands here.
    #[must_use]
    pub fn error(self, message: impl fmt::Display) -> ConfigError {
        ConfigError::new(format!("{self}{message}"))
    }
}

/// What an error begins with.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((line, column)) => write!(f, "line {line}, column {column}: "),
            None => Ok(()),
        }
    }
}

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Position,
}

impl<T> From<T> for Placed<T> {
    fn from(value: T) -> Self {
        Self {
            value,
            at: Position::NONE,
        }
    }
}
