//! A plain statement in autocommit: in a session that names its tenant, without an explicit
//! transaction.

use std::ops::{Deref, DerefMut};

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Either, Executor as _, PgConnection, Row as _};
use tenancy_core::TenantContext;

use super::{Access, Named, Start, started, strict};
use crate::{
    Error,
    connections::{Connections, Lane, Lent, Mark, Wear},
    error::was_shut_down,
    options::Timeouts,
};

/// How a session comes to name its tenant.
#[derive(Clone, Copy)]
pub(crate) struct Naming<'c> {
    pub(crate) named: Named,
    pub(crate) timeouts: &'c Timeouts,
    /// In strict mode, the context that has to hold.
    pub(crate) strict: Option<&'c TenantContext>,
    /// Whether the session goes on naming it, for the next statement.
    pub(crate) pins: bool,
}

impl Naming<'_> {
    /// The batch that frees a session of what is left in it, and names the tenant.
    ///
    /// # Security
    /// As [`Scope::begin_batch`](super::Scope::begin_batch). The answer says whether a transaction was
    /// open, in which the name would not last and what came before would not end; and whether the session
    /// is the connection's own.
    fn batch(&self, lent: &mut Lent) -> String {
        let reset = lent.wear().reset();
        let ahead = lent.ahead(Some(self.named.scope));
        // In no transaction of its own: an open one is to be noticed.
        let mut sql = ahead
            .or_else(|| reset.map(|reset| format!("{reset}; ")))
            .unwrap_or_default();
        sql.reserve(448);
        self.named.scope.push_settings(&mut sql, false);
        self.timeouts.push(&mut sql, false);
        sql.push_str(match self.named.access {
            Access::Read => ", pg_catalog.set_config('default_transaction_read_only', 'on', false)",
            Access::Write => {
                ", pg_catalog.set_config('default_transaction_read_only', 'off', false)"
            }
        });
        sql.push_str(", pg_catalog.now() = pg_catalog.statement_timestamp() AS outside, ");
        sql.push_str(&lent.mark().map_or_else(|| "false".to_owned(), Mark::sql));
        sql.push_str(" AS own");
        if let Some(context) = self.strict {
            strict::push_checks(&mut sql, context);
        }
        sql
    }

    /// Makes a connection's session name the tenant, unless it is known to name it.
    pub(super) async fn name(&self, lent: &mut Lent) -> Result<(), sqlx::Error> {
        if self.pins && lent.names(self.named) {
            return Ok(());
        }
        let batch = self.batch(lent);
        let mut outside = None;
        {
            let mut answers = lent.fetch_many(AssertSqlSafe(batch));
            while let Some(answer) = answers.try_next().await? {
                if let Either::Right(row) = answer
                    && let Ok(said) = row.try_get::<bool, _>("outside")
                {
                    outside = Some((said, row.try_get::<bool, _>("own")?));
                }
            }
        }
        let Some((outside, is_own)) = outside else {
            return Err(sqlx::Error::Protocol("a session was not named".into()));
        };
        if !outside {
            return Err(sqlx::Error::Protocol(
                "a transaction was open where a session was named".into(),
            ));
        }
        if !is_own {
            return Err(sqlx::Error::Protocol(
                "another session answers than the one that was started; a pooler stands between, \
                 which was not there at the start: restart the service"
                    .into(),
            ));
        }
        lent.note_freed();
        Ok(())
    }
}

/// A connection whose session names a tenant. Dropped before [`settle`](Self::settle), it is tidied
/// up as one that was in a transaction.
pub(crate) struct Autocommit {
    lent: Lent,
    named: Named,
    pins: bool,
    /// Whether its session named the tenant already, so that nothing has been asked yet.
    was_pinned: bool,
    is_checked: bool,
}

impl Autocommit {
    /// Takes a connection, one that names the tenant if one is idle, and names the tenant in it.
    pub(crate) async fn take(
        pool: &Connections,
        lane: Lane,
        naming: Naming<'_>,
    ) -> Result<Self, Error> {
        let wanted = naming.pins.then_some(naming.named);
        let (lent, _) = started(pool, lane, wanted, &Start::Name(naming)).await?;
        let was_pinned = lent.is_untouched();
        Ok(Self {
            was_pinned,
            lent,
            named: naming.named,
            pins: naming.pins,
            is_checked: pool.count_statement(was_pinned),
        })
    }

    /// Whether a read has failed for no other reason than that its server process was ended, which may
    /// have been while the connection was idle.
    pub(crate) fn may_run_again(&self, error: &sqlx::Error) -> bool {
        self.was_pinned && self.named.access == Access::Read && was_shut_down(error)
    }

    /// Gives back a connection whose statement has succeeded, and whose answer has been read.
    ///
    /// # Errors
    /// [`ErrorKind::TenantLost`](crate::ErrorKind::TenantLost) if the session no longer names the tenant, where that is looked at.
    pub(crate) async fn settle(mut self) -> Result<(), Error> {
        if self.is_checked {
            self.check().await?;
        }
        let wear = match self.named.access {
            Access::Read if !self.pins => Wear::Read,
            // A function of an earlier read may have let this one write, into a temporary table too.
            Access::Read | Access::Write => Wear::Written,
        };
        self.lent.settle(wear, self.pins.then_some(self.named));
        Ok(())
    }

    /// Makes sure that the statement ran under its tenant.
    async fn check(&mut self) -> Result<(), Error> {
        let row = self
            .lent
            .fetch_one("SELECT tenancy.current_tenant(), tenancy.current_project()")
            .await?;
        let scope = self.named.scope;
        let (tenant, project) = (row.try_get(0)?, row.try_get(1)?);
        let own = (
            Some(scope.tenant.as_uuid()),
            scope.project.map(|project| project.as_uuid()),
        );
        if (tenant, project) == own {
            return Ok(());
        }
        tracing::error!(tenant = %scope.tenant, "a statement has left its session with another tenant");
        self.lent.close_on_drop();
        Err(Error::tenant_lost_in_autocommit())
    }
}

impl Deref for Autocommit {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.lent
    }
}

impl DerefMut for Autocommit {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.lent
    }
}
