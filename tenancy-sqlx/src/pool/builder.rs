//! Connecting a pool: what is wrong shows here, not in a request.

use std::{fmt, time::Duration};

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use tenancy_core::Tenancy;

use super::{Inner, TenantPool};
use crate::{
    SealKey, StartError, StartErrorKind,
    connections::{Connections, Settings},
    options::{SessionMode, Timeouts},
    route::{Reset, Route},
    seal, self_check,
};

/// Options of a [`TenantPool`].
#[must_use]
pub struct TenantPoolOptions {
    pool: Settings,
    timeouts: Timeouts,
    strict: bool,
    check_at_commit: bool,
    reset_session: bool,
    sessions: SessionMode,
    seal_key: Option<SealKey>,
    pub(crate) assumed_role: Option<String>,
}

impl Default for TenantPoolOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl TenantPoolOptions {
    /// 10 connections, 5 s to get one, statements of at most 30 s, lock waits of at most 10 s.
    pub fn new() -> Self {
        Self {
            pool: Settings::new(10),
            timeouts: Timeouts::default(),
            strict: false,
            check_at_commit: false,
            reset_session: true,
            sessions: SessionMode::default(),
            seal_key: None,
            assumed_role: None,
        }
    }

    /// The most connections that are open at a time. Default: 10.
    pub fn max_connections(mut self, most: u32) -> Self {
        self.pool.most = most;
        self
    }

    /// How many connections are kept open. Default: 0.
    pub fn min_connections(mut self, least: u32) -> Self {
        self.pool.least = least;
        self
    }

    /// The most connections that one tenant uses at a time, so that the others always find some.
    /// Default: no limit but that of the pool.
    pub fn max_connections_per_tenant(mut self, most: u32) -> Self {
        self.pool.per_tenant = Some(most);
        self
    }

    /// How many callers of one tenant are served in a row while other tenants wait. Default: 4.
    ///
    /// A shorter turn has other tenants wait less.
    pub fn turn_length(mut self, callers: u32) -> Self {
        self.pool.quantum = callers;
        self
    }

    /// How long a connection is kept at most; `None` keeps it for ever. Default: 30 min.
    pub fn max_lifetime(mut self, limit: Option<Duration>) -> Self {
        self.pool.max_lifetime = limit;
        self
    }

    /// How long a connection is kept that nobody uses; `None` keeps it. Default: 10 min.
    pub fn idle_timeout(mut self, limit: Option<Duration>) -> Self {
        self.pool.idle_timeout = limit;
        self
    }

    /// How long taking a connection may last before a warning is logged. Default: 2 s.
    pub fn slow_acquire_threshold(mut self, limit: Duration) -> Self {
        self.pool.slow = limit;
        self
    }

    /// How long to wait for a connection before the request is answered 503. Default: 5 s.
    ///
    /// While the database is out of reach, callers after the first [do not wait](TenantPool#outages).
    pub fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.pool.patience = limit;
        self
    }

    /// The longest a statement may run; `None` leaves the server's limit. Default: 30 s.
    pub fn statement_timeout(mut self, limit: Option<Duration>) -> Self {
        self.timeouts.statement = limit;
        self
    }

    /// The longest a statement may wait for a lock; `None` leaves the server's limit. Default: 10 s.
    pub fn lock_timeout(mut self, limit: Option<Duration>) -> Self {
        self.timeouts.lock = limit;
        self
    }

    /// The longest a transaction may do nothing; `None` leaves the server's limit. Default: 60 s.
    pub fn idle_in_transaction_timeout(mut self, limit: Option<Duration>) -> Self {
        self.timeouts.idle_in_transaction = limit;
        self
    }

    /// Whether BEGIN fails if the tenant has changed since its context was made, in the same round
    /// trip. Default: no; a change then holds within [`Tenancy::max_staleness`].
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Whether each commit first makes sure that the transaction still carries its tenant, for one
    /// more round trip. Default: no.
    pub fn check_tenant_at_commit(mut self, check: bool) -> Self {
        self.check_at_commit = check;
        self
    }

    /// Whether a connection that comes back is freed of what a session keeps: temporary tables,
    /// cursors, settings, advisory locks. Default: yes.
    ///
    /// Costs a round trip after the caller has its answer. Behind a pooler it goes with BEGIN, and
    /// costs none.
    ///
    /// # Security
    /// Without it, a temporary table that one tenant's request made is there for the next tenant's;
    /// behind a pooler, for whoever else uses its sessions.
    pub fn reset_session(mut self, reset: bool) -> Self {
        self.reset_session = reset;
        self
    }

    /// How readers run their statements. Default: each in a transaction.
    pub fn sessions(mut self, mode: SessionMode) -> Self {
        self.sessions = mode;
        self
    }

    /// The key by which tenants are named, in a database whose sessions are
    /// [sealed](crate::schema#sealed-sessions). Default: none.
    ///
    /// Naming a tenant goes with BEGIN and costs no round trip.
    pub fn seal_key(mut self, key: SealKey) -> Self {
        self.seal_key = Some(key);
        self
    }

    /// Connects to a `postgres://` URL with the login of the service.
    ///
    /// # Errors
    /// As [`connect_with`](Self::connect_with), and [`StartError`] if the URL can't be read.
    pub async fn connect(self, url: &str, tenancy: &Tenancy) -> Result<TenantPool, StartError> {
        let options = url
            .parse::<PgConnectOptions>()
            .map_err(StartError::bad_url)?;
        self.connect_with(options, tenancy).await
    }

    /// Connects with the login of the service, and checks it and the database; warnings are logged.
    ///
    /// # Errors
    /// A [`StartError`] that says what to do, if the options contradict each other, the database is out of reach, the schema of this
    /// crate is not installed or too old, a pooler stands between that can't be worked with, or the
    /// login could get past row security: a superuser, a login with BYPASSRLS, one that owns tables
    /// or may become another role that can; or if a table, view or function leads past it. The message
    /// has every [finding](crate::schema::Finding) of level `error` with its mend.
    pub async fn connect_with(
        self,
        options: PgConnectOptions,
        tenancy: &Tenancy,
    ) -> Result<TenantPool, StartError> {
        self.pool.check()?;
        if self.sessions == SessionMode::Switched && !self.reset_session {
            return Err(StartError::new(
                StartErrorKind::BadOptions,
                "sessions that are switched have to be reset; leave out `reset_session(false)`, or \
                 `sessions(SessionMode::Switched)`"
                    .to_owned(),
            ));
        }
        if self.seal_key.is_some() && !self.reset_session {
            return Err(StartError::new(
                StartErrorKind::BadOptions,
                "sessions that are sealed have to be reset, or what one tenant's statements leave there \
                 runs as the next one; leave out `reset_session(false)`"
                    .to_owned(),
            ));
        }
        let options = options.disable_statement_logging();
        let mut route = Route::find(options, self.pool.patience).await?;
        if let Some(role) = &self.assumed_role {
            if route.through.is_pooler() {
                return Err(StartError::pooler(
                    "a role can't be assumed through a pooler, which does not pass it on; give \
                     `assume_app_role` the database's own address",
                    None,
                ));
            }
            route.options = route.options.options([("role", role.as_str())]);
        }
        let reset = if self.reset_session {
            Reset::Always
        } else {
            Reset::Never
        };
        let switches =
            self.sessions == SessionMode::Switched && !self.strict && !route.through.is_pooler();
        let pool = Connections::open(self.pool, &route, reset)
            .await
            .map_err(StartError::unreachable)?;
        let (watch, findings) = self_check::tenants(&pool, self.assumed_role.as_deref()).await?;
        seal::take_up(&pool, self.seal_key.as_ref()).await?;
        watch.passed(tenancy.clock().now());
        self_check::warn(&findings);
        Ok(TenantPool::new(Inner {
            pool,
            watch,
            engine: tenancy.clone(),
            timeouts: self.timeouts,
            strict: self.strict,
            check_at_commit: self.check_at_commit,
            switches,
        }))
    }
}

impl fmt::Debug for TenantPoolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantPoolOptions")
            .field("pool", &self.pool)
            .field("timeouts", &self.timeouts)
            .field("strict", &self.strict)
            .field("check_at_commit", &self.check_at_commit)
            .field("reset_session", &self.reset_session)
            .field("sessions", &self.sessions)
            .field("seal_key", &self.seal_key)
            .finish_non_exhaustive()
    }
}
