//! What is done to a connection that comes back, before it is lent again.

use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection, postgres::PgTransactionManager};
use sqlx_core::transaction::TransactionManager as _;

use crate::{error::is_failed_transaction, route::Through, seal::Keeping};

/// What a connection is freed of, where transactions can't: cursors held open, roles, settings,
/// channels, advisory locks and temporary tables of the session. Prepared statements stay
/// (`DISCARD ALL` would break sqlx's cache of them).
macro_rules! reset_session {
    () => {
        "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
         SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES"
    };
}

/// The same, for who sends it at another time.
pub(crate) const RESET_SESSION: &str = reset_session!();

/// What a session is freed of that could only read, each time anew: it can have made no temporary
/// table, and changed no sequence.
const RESET_AFTER_READS: &str =
    "CLOSE ALL; RESET ROLE; RESET ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all()";

/// What plain statements may have left in a session, by the functions they called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wear {
    /// Nothing has run in it since it was opened or tidied up.
    None,
    /// One has read, in a session that was told right before it to allow no more.
    Read,
    /// They may have written.
    Written,
}

impl Wear {
    /// The statements that free a session of it.
    pub(crate) const fn reset(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Read => Some(RESET_AFTER_READS),
            Self::Written => Some(RESET_SESSION),
        }
    }

    /// The same where sessions are sealed.
    pub(crate) const fn reset_sealed(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Read => Some(RESET_SEALED_AFTER_READS),
            Self::Written => Some(RESET_SEALED),
        }
    }
}

/// The same where sessions are sealed, within a transaction. A bare `RESET ALL` would close the session to
/// every further tenant.
macro_rules! reset_sealed {
    () => {
        "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; UNLISTEN *; DISCARD TEMP; \
         DISCARD SEQUENCES; SELECT pg_catalog.pg_advisory_unlock_all(), tenancy_seal.leave()"
    };
}

/// The same, for who sends it at another time.
const RESET_SEALED: &str = reset_sealed!();

/// The same after reads, as [`RESET_AFTER_READS`].
const RESET_SEALED_AFTER_READS: &str = "CLOSE ALL; RESET ROLE; UNLISTEN *; \
     SELECT pg_catalog.pg_advisory_unlock_all(), tenancy_seal.leave()";

/// A transaction in which a sealed session is named.
macro_rules! begin_sealed {
    (Setting) => {
        "BEGIN ISOLATION LEVEL READ COMMITTED"
    };
    // Which is a write, whatever the defaults of the session are.
    (Row) => {
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
    };
}

/// How the transaction begins in which a sealed session is named.
pub(crate) const fn begin_sealed(keeping: Keeping) -> &'static str {
    match keeping {
        Keeping::Parameter | Keeping::Setting => begin_sealed!(Setting),
        Keeping::Row => begin_sealed!(Row),
    }
}

/// Statements that end what is left of a transaction and, where that is wanted, of a session.
struct Endings {
    /// Outside of a transaction.
    outside: &'static str,
    /// In a transaction. The first statement of this one fails in a transaction that has failed,
    /// and the server then passes over the rest.
    healthy: &'static str,
    /// In a transaction that has failed.
    failed: &'static str,
}

const ROLLBACK: Endings = Endings {
    outside: "",
    healthy: "SELECT; ROLLBACK",
    failed: "ROLLBACK",
};

const ROLLBACK_AND_RESET: Endings = Endings {
    outside: reset_session!(),
    healthy: concat!("SELECT; ROLLBACK; ", reset_session!()),
    failed: concat!("ROLLBACK; ", reset_session!()),
};

macro_rules! rollback_and_leave {
    ($way:ident) => {
        Endings {
            outside: concat!(begin_sealed!($way), "; ", reset_sealed!(), "; COMMIT"),
            healthy: concat!(
                "SELECT; ROLLBACK; ",
                begin_sealed!($way),
                "; ",
                reset_sealed!(),
                "; COMMIT"
            ),
            failed: concat!(
                "ROLLBACK; ",
                begin_sealed!($way),
                "; ",
                reset_sealed!(),
                "; COMMIT"
            ),
        }
    };
}

const ROLLBACK_AND_LEAVE: Endings = rollback_and_leave!(Setting);
const ROLLBACK_AND_LEAVE_ROW: Endings = rollback_and_leave!(Row);

/// How a pool's connections are tidied up when they come back.
#[derive(Clone)]
pub(super) struct Upkeep {
    through: Through,
    resets_session: bool,
    limit: Duration,
}

impl Upkeep {
    pub(super) fn new(through: Through, resets_session: bool, limit: Duration) -> Self {
        Self {
            through,
            resets_session,
            limit,
        }
    }

    pub(super) const fn through(&self) -> Through {
        self.through
    }

    /// Whether a session is freed of what transactions can't undo.
    pub(super) const fn resets_session(&self) -> bool {
        self.resets_session
    }

    /// Makes a connection as good as new, whose session may be sealed; one for which that fails is to be
    /// closed.
    pub(super) async fn tidy(
        &self,
        connection: &mut PgConnection,
        sealed: Option<Keeping>,
    ) -> Result<(), sqlx::Error> {
        let endings = match sealed {
            _ if !self.resets_session => &ROLLBACK,
            None => &ROLLBACK_AND_RESET,
            Some(Keeping::Parameter | Keeping::Setting) => &ROLLBACK_AND_LEAVE,
            Some(Keeping::Row) => &ROLLBACK_AND_LEAVE_ROW,
        };
        let tidying = async {
            tidy(connection, endings).await?;
            if self.through.forgets_statements() {
                // The session of the next transaction has none of them.
                connection.clear_cached_statements().await?;
            }
            Ok(())
        };
        match tokio::time::timeout(self.limit, tidying).await {
            Ok(done) => done,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }
}

/// Ends the transaction that the connection may be in.
///
/// A transaction that has failed may have failed because a statement that sqlx keeps prepared no
/// longer fits its table. That statement would fail for every later borrower, so all are forgotten.
///
/// sqlx counts the transaction as open afterwards. That count goes down by statements only, and
/// [`session`](crate::session) knows it.
async fn tidy(connection: &mut PgConnection, endings: &Endings) -> Result<(), sqlx::Error> {
    let depth = PgTransactionManager::get_transaction_depth(connection);
    let mut stale = false;
    let mut end = endings.healthy;
    if depth > 1 {
        // A savepoint was left open, and what failed in it can't be told from outside.
        stale = true;
        while PgTransactionManager::get_transaction_depth(connection) > 0 {
            PgTransactionManager::start_rollback(connection);
        }
    }
    if depth != 1 {
        end = endings.outside;
    }
    let ended = match end {
        // What is still under way is sent, and its answer read.
        "" => connection.ping().await,
        end => connection.execute(end).await.map(drop),
    };
    match ended {
        Ok(()) => {}
        Err(error) if is_failed_transaction(&error) => {
            stale = true;
            connection.execute(endings.failed).await?;
        }
        Err(error) => return Err(error),
    }
    if stale {
        connection.clear_cached_statements().await?;
    }
    Ok(())
}
