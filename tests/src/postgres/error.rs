//! The one error type of the harness of servers.

use std::io;

/// Why a server, a template or a database could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such server here; the message ends with the command that mends it.
    #[error("{what} is not available; {mend}")]
    #[non_exhaustive]
    Unavailable {
        /// What was looked for.
        what: String,
        /// What to run or set.
        mend: String,
    },
    /// The operating system said no.
    #[error("{what}")]
    #[non_exhaustive]
    Io {
        /// What was being done.
        what: String,
        /// Its answer.
        source: io::Error,
    },
    /// The server said no.
    #[error("{what}")]
    #[non_exhaustive]
    Sql {
        /// What was being done.
        what: String,
        /// Its answer.
        source: sqlx::Error,
    },
    /// A PostgreSQL program ended in failure.
    #[error("{program} failed: {output}")]
    #[non_exhaustive]
    Command {
        /// The program.
        program: String,
        /// What it wrote.
        output: String,
    },
    /// The server process ended or never became ready.
    #[error("the server did not start; its log says:\n{log}")]
    #[non_exhaustive]
    Startup {
        /// The server's log.
        log: String,
    },
    /// The suite's own build function failed.
    #[error("template `{name}` could not be built")]
    #[non_exhaustive]
    Template {
        /// The template.
        name: &'static str,
        /// What the build function returned.
        source: anyhow::Error,
    },
}

impl Error {
    /// Whether the server is simply not there, which a suite may turn into a visible skip.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(super) fn sql(what: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Self {
        let what = what.into();
        move |source| Self::Sql { what, source }
    }
}
