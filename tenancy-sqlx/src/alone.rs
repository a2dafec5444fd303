//! A reader's statement that runs elsewhere than in a transaction of the primary, and what becomes of it
//! where that fails.

use std::ops::{Deref, DerefMut};

use sqlx::{Connection as _, PgConnection};

use crate::{
    Error,
    error::{is_stale_plan, is_timed_out},
    session::{Open, Switched},
};

/// A connection for one statement of a reader's.
pub(crate) enum Alone {
    /// Whose session names the tenant.
    Switched(Switched),
    /// In a transaction on a replica.
    Replica(Open),
}

/// Which errors have a statement run again, in a transaction of the primary. Before its first row only.
#[derive(Clone, Copy)]
pub(crate) enum RunsAgain {
    /// A prepared statement that no longer fits. It is prepared anew.
    AfterStalePlan,
    /// Whatever a replica says: it may be dead, in the middle of replaying what the statement reads,
    /// or not have the table yet. Not where it took its time, so that nobody waits for that twice.
    AfterAnyButTimeout,
}

impl RunsAgain {
    pub(crate) fn after(self, error: &sqlx::Error) -> bool {
        match self {
            Self::AfterStalePlan => is_stale_plan(error),
            Self::AfterAnyButTimeout => !is_timed_out(error),
        }
    }
}

impl Alone {
    pub(crate) const fn runs_again(&self) -> RunsAgain {
        match self {
            Self::Switched(_) => RunsAgain::AfterStalePlan,
            Self::Replica(_) => RunsAgain::AfterAnyButTimeout,
        }
    }

    /// Gives back a connection whose statement has succeeded, and whose answer has been read.
    pub(crate) fn settle(self) {
        match self {
            Self::Switched(switched) => switched.settle(),
            Self::Replica(open) => open.give_back(),
        }
    }

    /// Gives back a connection whose statement runs again elsewhere.
    pub(crate) async fn give_up(self) -> Result<(), Error> {
        match self {
            Self::Switched(mut switched) => Ok(switched.clear_cached_statements().await?),
            // Tidied up as one whose transaction has failed, which forgets its statements.
            Self::Replica(_) => Ok(()),
        }
    }
}

impl Deref for Alone {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Switched(switched) => switched,
            Self::Replica(open) => open,
        }
    }
}

impl DerefMut for Alone {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Switched(switched) => switched,
            Self::Replica(open) => open,
        }
    }
}
