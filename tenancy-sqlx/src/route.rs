//! What stands between a pool and the server: nothing, or a pooler such as PgBouncer.
//!
//! A pooler lends a server's session to one client after the other. In transaction mode, the next
//! transaction of a connection may run in another session, and a session's next transaction may be
//! another tenant's. So what frees a session belongs to the transaction then: it goes ahead of its
//! BEGIN, in the same message.

mod probe;
mod reset;

use std::{fmt, time::Duration};

use sqlx::postgres::PgConnectOptions;

pub(crate) use probe::shows_pooler;

use crate::StartError;

/// How a server is reached.
#[derive(Clone)]
pub(crate) struct Route {
    /// The options with which it can be reached this way.
    pub(crate) options: PgConnectOptions,
    pub(crate) through: Through,
}

/// What is in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Through {
    /// Nothing, or what passes on all that it is told, such as a proxy for TCP.
    Direct,
    /// A pooler.
    Pooler {
        /// Whether a statement that was prepared in one session is there in the next.
        keeps_statements: bool,
    },
}

impl Through {
    pub(crate) fn is_pooler(self) -> bool {
        self != Self::Direct
    }

    /// Whether a connection's cache of prepared statements is good for one transaction only.
    pub(crate) fn forgets_statements(self) -> bool {
        self == Self::Pooler {
            keeps_statements: false,
        }
    }
}

impl Route {
    /// Finds out what stands between, with a connection or two that are closed again.
    ///
    /// # Errors
    /// A [`StartError`] if the server is out of reach, or a pooler is in the way that can't be
    /// worked with.
    pub(crate) async fn find(
        options: PgConnectOptions,
        limit: Duration,
    ) -> Result<Self, StartError> {
        let route = probe::route(options, limit).await?;
        match route.through {
            Through::Direct => tracing::debug!("the database is reached directly"),
            Through::Pooler {
                keeps_statements: true,
            } => tracing::info!(
                "the database is reached through a pooler that keeps prepared statements; \
                 sessions are reset with each BEGIN"
            ),
            Through::Pooler {
                keeps_statements: false,
            } => tracing::info!(
                "the database is reached through a pooler that does not keep prepared statements; \
                 sessions are reset, and statements prepared anew, with each BEGIN"
            ),
        }
        Ok(route)
    }

    /// Makes sure that no pooler stands between, for what needs a session of its own.
    ///
    /// # Errors
    /// [`Detour`], as which a pooler shows.
    pub(crate) async fn refuse_pooler(
        options: &PgConnectOptions,
        limit: Duration,
    ) -> Result<(), Detour> {
        probe::refuse_pooler(options, limit).await
    }

    /// What goes ahead of each BEGIN, in the same message.
    pub(crate) fn before_begin(&self, reset: Reset) -> String {
        reset::before_begin(self.through, reset, self.options.get_application_name())
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("through", &self.through)
            .finish_non_exhaustive()
    }
}

/// When a session is freed of what its former user left in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    /// Never.
    Never,
    /// Behind a pooler, where the former user may be anybody.
    BehindPooler,
    /// Always: a tenant used it.
    Always,
}

/// Why a server is not reached directly.
#[derive(Debug)]
pub(crate) enum Detour {
    /// A pooler stands between.
    Pooler,
    /// It is not reached at all.
    Unreachable(sqlx::Error),
}
