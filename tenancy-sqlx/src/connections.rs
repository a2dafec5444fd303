//! A pool whose connections live in the runtime that made the pool, and that does not wait for a
//! database that is out of reach.

mod breaker;
mod upkeep;

use std::{
    io,
    ops::{Deref, DerefMut},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use sqlx::{
    Connection as _, PgConnection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    runtime::{Handle, is_rt_shutdown_err},
    time::{Instant, timeout_at},
};

use crate::{
    error::is_out_of_reach,
    route::{Reset, Route, Through},
};
use breaker::{Breaker, Pass};
pub(crate) use upkeep::RESET_SESSION;

/// An sqlx pool, and the runtime it was made in.
///
/// A socket works as long as the runtime in which it was opened, and sqlx opens a connection in
/// whichever runtime happens to ask for one. A server with a runtime per worker, such as
/// actix-web's, would then lose connections that other workers use when one worker ends before
/// them: requests that were accepted would fail while the server shuts down. So connections are
/// opened in the runtime that made the pool, which in a service is the one that outlives the
/// workers. Where that one has ended all the same, they are opened as sqlx does.
///
/// sqlx tries for the whole acquire timeout to open a connection. After the first caller for whom
/// that was in vain, the others are refused at once until the database answers.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pool: PgPool,
    home: Handle,
    breaker: Arc<Breaker>,
    lent: Arc<AtomicU32>,
    resets_session: bool,
    through: Through,
    before_begin: Arc<str>,
}

impl Connections {
    /// A pool with one connection, whose sessions are freed of what transactions can't undo, if that is
    /// wanted.
    pub(crate) async fn open(
        settings: PgPoolOptions,
        route: &Route,
        reset: Reset,
    ) -> Result<Self, sqlx::Error> {
        // Behind a pooler, it would reach another session than the one that was used.
        let resets_session = reset == Reset::Always && !route.through.is_pooler();
        let settings = upkeep::kept_up(settings, route.through, resets_session);
        Ok(Self {
            pool: settings.connect_with(route.options.clone()).await?,
            home: Handle::current(),
            breaker: Arc::new(Breaker::new()),
            lent: Arc::default(),
            resets_session,
            through: route.through,
            before_begin: route.before_begin(reset).into(),
        })
    }

    /// Another pool to the same database, which opens its first connection when it is asked for
    /// one. What one of the two learns of an outage, the other knows.
    pub(crate) fn beside(&self, settings: PgPoolOptions) -> Self {
        let settings = upkeep::kept_up(settings, self.through, self.resets_session);
        let options = PgConnectOptions::clone(&self.pool.connect_options());
        Self {
            pool: settings.connect_lazy_with(options),
            home: self.home.clone(),
            breaker: Arc::clone(&self.breaker),
            lent: Arc::default(),
            resets_session: self.resets_session,
            through: self.through,
            before_begin: Arc::clone(&self.before_begin),
        }
    }

    /// How long a caller waits at most.
    pub(crate) fn patience(&self) -> Duration {
        self.pool.options().get_acquire_timeout()
    }

    /// Takes a connection, opened at home if it is new.
    ///
    /// # Errors
    /// At once, where the database was found out of reach and has not answered since.
    pub(crate) async fn acquire(&self, deadline: Instant) -> Result<Lent, sqlx::Error> {
        let began = std::time::Instant::now();
        match self.breaker.ask() {
            Pass::Closed => {}
            Pass::Refused => return Err(out_of_reach()),
            Pass::Probe(_turn) => {
                self.probe(deadline).await?;
                self.breaker.answered();
            }
        }
        let acquired = match timeout_at(deadline, self.acquire_at_home()).await {
            Ok(acquired) => acquired,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        };
        match acquired {
            Ok(connection) => Ok(Lent::new(connection, &self.lent)),
            Err(error) => {
                let could_not_open = match &error {
                    // Where all are lent, nothing was opened: the pool is busy.
                    sqlx::Error::PoolTimedOut => {
                        self.lent.load(Ordering::Relaxed)
                            < self.pool.options().get_max_connections()
                    }
                    error => is_out_of_reach(error),
                };
                if could_not_open {
                    self.breaker.failed(began);
                }
                Err(error)
            }
        }
    }

    /// Notes that the database has answered.
    pub(crate) fn answered(&self) {
        self.breaker.answered();
    }

    /// Notes that the database was asked and said nothing until the caller's patience had ended.
    pub(crate) fn unanswered(&self, since: Instant) {
        self.breaker.failed(since.into_std());
    }

    /// Whether a connection that comes back is rid of what a session keeps.
    pub(crate) const fn resets_session(&self) -> bool {
        self.resets_session
    }

    /// The pool, for what needs no new connection.
    pub(crate) const fn as_sqlx(&self) -> &PgPool {
        &self.pool
    }

    /// Finds out whether the database is back, by one attempt: the pool itself would go on trying
    /// while nobody listens.
    async fn probe(&self, deadline: Instant) -> Result<(), sqlx::Error> {
        let options = self.pool.connect_options();
        match timeout_at(deadline, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => {
                let _ = timeout_at(deadline, connection.close()).await;
                Ok(())
            }
            Ok(Err(error)) if is_out_of_reach(&error) => Err(error),
            // It has something to say, which the pool will hear too.
            Ok(Err(_)) => Ok(()),
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    async fn acquire_at_home(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let mut acquiring = pin!(self.pool.acquire());
        let acquired = std::future::poll_fn(|cx| self.at_home(acquiring.as_mut(), cx)).await;
        match acquired {
            Err(sqlx::Error::Io(error)) if is_rt_shutdown_err(&error) => self.pool.acquire().await,
            acquired => acquired,
        }
    }

    /// What is between this pool and the server.
    pub(crate) const fn through(&self) -> Through {
        self.through
    }

    /// What goes ahead of each BEGIN, in the same message.
    pub(crate) fn before_begin(&self) -> &str {
        &self.before_begin
    }

    fn at_home<F: Future>(&self, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _inside = self.home.enter();
        future.poll(cx)
    }
}

fn out_of_reach() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(
        io::ErrorKind::NotConnected,
        "the database was out of reach a moment ago and has not been asked again yet",
    ))
}

/// A connection that is lent, and counted for as long.
pub(crate) struct Lent {
    connection: PoolConnection<Postgres>,
    count: Arc<AtomicU32>,
}

impl Lent {
    fn new(connection: PoolConnection<Postgres>, count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self {
            connection,
            count: Arc::clone(count),
        }
    }

    /// Closes the connection when it comes back, instead of lending it again.
    pub(crate) fn close_on_drop(&mut self) {
        self.connection.close_on_drop();
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
