//! A statement that runs without a transaction of the primary, and what becomes of it where that fails.

use std::ops::{Deref, DerefMut};

use sqlx::{Connection as _, PgConnection};

use crate::{
    Error,
    error::{is_stale_plan, is_timed_out},
    session::{Autocommit, Open},
};

/// A connection for one statement.
pub(crate) enum Alone {
    /// In a transaction on a replica.
    Replica(Open),
    /// In a session that names the tenant.
    Autocommit(Autocommit),
}

/// Where a statement is tried next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// On a replica, if one may be read; else in autocommit.
    Replica,
    /// In autocommit, if it is plain and those run so.
    Autocommit,
    /// The same, in a session that is asked first: the server has ended the process of one that was not.
    AutocommitAsked,
    /// In a transaction.
    Transaction,
}

impl Attempt {
    /// What follows a failure before the first row.
    ///
    /// A replica may be dead, in the middle of replaying what the statement reads, or not have the
    /// table yet. Only where it took its time is that the answer: nobody waits for it twice.
    ///
    /// # Errors
    /// The statement's own, where trying again is of no use or not safe.
    pub(crate) async fn after(self, alone: Alone, error: sqlx::Error) -> Result<Self, sqlx::Error> {
        match alone {
            // Dropped, it is tidied up as one whose transaction has failed, which forgets its statements.
            Alone::Replica(_) if !is_timed_out(&error) => Ok(Self::Autocommit),
            Alone::Autocommit(mut session) if is_stale_plan(&error) => {
                // It is prepared anew.
                session.clear_cached_statements().await?;
                Ok(Self::Transaction)
            }
            Alone::Autocommit(session)
                if self != Self::AutocommitAsked && session.may_run_again(&error) =>
            {
                Ok(Self::AutocommitAsked)
            }
            _ => Err(error),
        }
    }
}

impl Alone {
    /// Gives back a connection whose statement has succeeded, and whose answer has been read.
    ///
    /// # Errors
    /// As [`Autocommit::settle`].
    pub(crate) async fn settle(self) -> Result<(), Error> {
        match self {
            Self::Replica(open) => {
                open.give_back();
                Ok(())
            }
            Self::Autocommit(session) => session.settle().await,
        }
    }
}

impl Deref for Alone {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Replica(open) => open,
            Self::Autocommit(session) => session,
        }
    }
}

impl DerefMut for Alone {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Replica(open) => open,
            Self::Autocommit(session) => session,
        }
    }
}
