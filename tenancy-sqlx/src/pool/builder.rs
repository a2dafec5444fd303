//! Connecting a pool: what is wrong shows here, not in a request.

use std::{fmt, time::Duration};

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use tenancy_core::Tenancy;

use super::{
    Inner, Sessions, TenantPool,
    sessions::Others,
    share::{Share, Shares},
};
use crate::{
    SealKey, StartError,
    connections::{Connections, Settings, Whose},
    options::{SessionMode, Timeouts},
    replicas::{Address, Manner, Replicas},
    route::{Reset, Route},
    seal, self_check,
    statement_log::StatementLog,
};

/// Options of a [`TenantPool`].
#[derive(Clone)]
#[must_use]
pub struct TenantPoolOptions {
    pool: Settings,
    shares: Shares,
    timeouts: Timeouts,
    strict: bool,
    check_at_commit: bool,
    reset_session: bool,
    sessions: Sessions,
    seal_key: Option<SealKey>,
    pub(crate) assumed_role: Option<String>,
    replicas: Vec<Address>,
    log: Option<StatementLog>,
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
            shares: Shares::new(),
            timeouts: Timeouts::default(),
            strict: false,
            check_at_commit: false,
            reset_session: true,
            sessions: Sessions::default(),
            seal_key: None,
            assumed_role: None,
            replicas: Vec::new(),
            log: None,
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

    /// How many connections are opened before anybody waits for them, each time that one is lent:
    /// a burst then finds so many idle. Default: 0.
    ///
    /// Never more than [`max_connections`](Self::max_connections) altogether, and none while the server
    /// says that it has none to spare. Those that nobody comes to use are closed after the
    /// [idle timeout](Self::idle_timeout).
    pub fn open_ahead(mut self, connections: u32) -> Self {
        self.pool.ahead = connections;
        self
    }

    /// The most connections that one tenant uses at a time, so that the others always find some.
    /// Default: all but one of a pool of four or more, and all of a smaller one.
    ///
    /// So whatever a tenant does with its transactions, and be it nothing, another tenant's statement
    /// is served. That costs a tenant that is alone one connection; give
    /// [`max_connections`](Self::max_connections) here too to let it use them all. Several tenants
    /// together may hold all connections, until
    /// [`idle_in_transaction_timeout`](Self::idle_in_transaction_timeout) ends what does nothing: the
    /// fewer each may hold, the more of them it takes.
    pub fn max_connections_per_tenant(mut self, most: u32) -> Self {
        self.shares.per_tenant = Some(most);
        self
    }

    /// How many callers of one tenant are served in a row while other tenants wait. Default: 4.
    ///
    /// A shorter turn has other tenants wait less.
    pub fn turn_length(mut self, callers: u32) -> Self {
        self.shares.turn_length = callers;
        self
    }

    /// What a tenant may have whose record names this [plan](tenancy_core::TenantRecord::plan). Tenants of
    /// other plans and of none have what [`Share::new`] says.
    ///
    /// A change of plan holds from the next connection on that is asked for with a context of the
    /// new plan.
    ///
    /// ```
    /// use tenancy_sqlx::{Share, TenantPoolOptions};
    ///
    /// let options = TenantPoolOptions::new()
    ///     .max_connections(20)
    ///     .plan_share("free", Share::new().max_connections(2))
    ///     .plan_share("enterprise", Share::new().weight(4).max_connections(15));
    /// ```
    pub fn plan_share(mut self, plan: impl Into<String>, share: Share) -> Self {
        self.shares.plans.push((plan.into(), share));
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

    /// How plain statements run. Default: [`SessionMode::Pinned`] where sessions are
    /// [sealed](Self::seal_key), else [`SessionMode::Switched`]; [`SessionMode::Transaction`] behind a
    /// pooler or with [`reset_session(false)`](Self::reset_session).
    pub fn sessions(mut self, mode: SessionMode) -> Self {
        self.sessions.mode = Some(mode);
        self
    }

    /// Whether plain statements of a [`TenantDb`](crate::TenantDb) run in autocommit too, and not
    /// only those of its [`reader`](crate::TenantDb::reader). Default: no.
    ///
    /// Saves a write the round trips of BEGIN and COMMIT. The server then commits a statement before
    /// its answer arrives: a call that is cancelled, a stream that is dropped, or a connection that
    /// breaks may leave a write that is committed, where a transaction would have been rolled back.
    ///
    /// Refused together with [`SessionMode::Transaction`], a [replica](Self::replica),
    /// [`reset_session(false)`](Self::reset_session) and
    /// [`check_tenant_at_commit(true)`](Self::check_tenant_at_commit).
    pub fn autocommit_writes(mut self, autocommit: bool) -> Self {
        self.sessions.autocommit_writes = autocommit;
        self
    }

    /// Functions of the application that use or change a session: that keep an advisory lock of
    /// the session, set a setting, or make a temporary table. Names without their schemas.
    ///
    /// A statement that names one runs in a transaction, and its connection is tidied up at once.
    /// After any other, what such a function has left is there until the connection is used again.
    ///
    /// ```
    /// use tenancy_sqlx::TenantPoolOptions;
    ///
    /// let options = TenantPoolOptions::new().session_functions(["lock_notebook"]);
    /// # let _ = options;
    /// ```
    pub fn session_functions<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        let names = names.into_iter().map(|name| name.into().into_boxed_str());
        self.sessions.functions.extend(names);
        self
    }

    /// Of how many statements in autocommit one is followed by a question which tenant its session
    /// names, and of how many transactions one answers it before it ends; 0 for none. Default: each in
    /// a debug build, one of 1,024 in a release build. The caller waits for one more round trip then.
    ///
    /// If it is another tenant, the call fails with
    /// [`ErrorKind::TenantLost`](crate::ErrorKind::TenantLost) and an error is logged. A transaction is
    /// rolled back; a statement in autocommit has taken effect, and its connection is closed. Row security
    /// has decided by then which rows were shown; this finds what changes the setting.
    ///
    /// [`check_tenant_at_commit`](Self::check_tenant_at_commit) asks in each transaction that writes.
    pub fn check_session_every(mut self, statements: u32) -> Self {
        self.pool.check_every = statements;
        self
    }

    /// Reads from a physical standby of the database too, at a `postgres://` URL with the login of the
    /// service. May be called several times; default: none.
    ///
    /// [Readers](crate::TenantDb::reader) and read-only transactions use it, and see all that their
    /// tenant has written through this pool: where the standby has not replayed that, and while it does
    /// not answer, the primary is read. What is read may miss what *another* tenant, process or pool has
    /// just written: [`last_write`](TenantPool::last_write) carries that over, and
    /// [`TxOptions::primary`](crate::TxOptions::primary) and
    /// [`TenantReader::primary`](crate::TenantReader::primary) do without replicas.
    ///
    /// A transaction sees what the standby had replayed when it began, at least. What the tenant writes
    /// meanwhile, it sees when it is begun anew.
    ///
    /// Each has connections of its own, as many as the pool. While there are replicas, the primary is
    /// asked about once a second how far it is, over a connection of the pool.
    pub fn replica(mut self, url: &str) -> Self {
        self.replicas.push(Address::Url(url.to_owned()));
        self
    }

    /// The same, with options.
    pub fn replica_with(mut self, options: PgConnectOptions) -> Self {
        self.replicas.push(Address::Options(Box::new(options)));
        self
    }

    /// The key by which tenants are named, in a database whose sessions are
    /// [sealed](crate::schema#sealed-sessions). Default: none.
    ///
    /// Naming a tenant goes with BEGIN, or in the batch ahead of a plain read, and adds no round trip to
    /// either. Each new connection costs one more, to open its session. Refused together with
    /// [`reset_session(false)`](Self::reset_session).
    pub fn seal_key(mut self, key: SealKey) -> Self {
        self.seal_key = Some(key);
        self
    }

    /// A [log](crate::statement_log) that sees the statements of this pool. Default: none.
    ///
    /// ```
    /// use tenancy_sqlx::{
    ///     TenantPoolOptions,
    ///     statement_log::{StatementLog, TracingStatements},
    /// };
    ///
    /// let log = StatementLog::builder().sample_one_in(1_000).sink("log", TracingStatements).build()?;
    /// let options = TenantPoolOptions::new().statement_log(&log);
    /// # drop(options);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn statement_log(mut self, log: &StatementLog) -> Self {
        self.log = Some(log.clone());
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
    ///
    /// The same for each [replica](Self::replica), and if it belongs to another database cluster. One
    /// that is out of reach, or no standby any more, is no error: the log says so, and it is read from
    /// when it is one.
    pub async fn connect_with(
        mut self,
        options: PgConnectOptions,
        tenancy: &Tenancy,
    ) -> Result<TenantPool, StartError> {
        self.pool.check()?;
        self.sessions.check(&Others {
            resets_session: self.reset_session,
            has_replicas: !self.replicas.is_empty(),
            checks_at_commit: self.check_at_commit,
            are_sealed: self.seal_key.is_some(),
        })?;
        let allowances = self.shares.compiled(self.pool.most)?;
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
        let limits = self.timeouts;
        self.sessions.settle(
            self.reset_session && !route.through.is_pooler(),
            self.seal_key.is_some(),
        );
        if !route.through.is_pooler() {
            // A session returns to what it was started with.
            route.options = route.options.options(self.timeouts.parameters());
            self.timeouts = Timeouts::NONE;
        }
        let settings = self.pool.clone();
        let pool = Connections::open(Whose::Tenants, self.pool, &route, reset).await?;
        let (watch, findings) = self_check::tenants(&pool, self.assumed_role.as_deref()).await?;
        seal::take_up(&pool, self.seal_key.as_ref()).await?;
        if let Some(log) = &self.log {
            self_check::learn(&pool, log).await?;
        }
        let replicas = if self.replicas.is_empty() {
            None
        } else {
            let addresses = self.replicas.into_iter().map(Address::options);
            let replicas = addresses.collect::<Result<_, _>>()?;
            let manner = Manner {
                settings,
                reset,
                assumed_role: self.assumed_role,
                timeouts: limits,
                seal_key: self.seal_key.clone(),
            };
            Some(Replicas::start(&pool, replicas, &manner).await?)
        };
        watch.passed(tenancy.clock().now());
        self_check::warn(&findings);
        Ok(TenantPool::new(Inner {
            pool,
            watch,
            engine: tenancy.clone(),
            allowances,
            timeouts: self.timeouts,
            strict: self.strict,
            check_at_commit: self.check_at_commit,
            sessions: self.sessions,
            replicas,
            log: self.log,
        }))
    }
}

impl fmt::Debug for TenantPoolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantPoolOptions")
            .field("pool", &self.pool)
            .field("shares", &self.shares)
            .field("timeouts", &self.timeouts)
            .field("strict", &self.strict)
            .field("check_at_commit", &self.check_at_commit)
            .field("reset_session", &self.reset_session)
            .field("sessions", &self.sessions)
            .field("replicas", &self.replicas.len())
            .field("seal_key", &self.seal_key)
            .field("statement_log", &self.log.is_some())
            .finish_non_exhaustive()
    }
}
