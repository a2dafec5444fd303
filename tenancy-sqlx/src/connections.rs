//! A pool whose connections live in the runtime that made the pool.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use sqlx::{PgPool, Postgres, pool::PoolConnection, postgres::PgPoolOptions};
use tokio::runtime::{Handle, is_rt_shutdown_err};

use crate::route::{Reset, Route, Through};

/// An sqlx pool, and the runtime it was made in.
///
/// A socket works as long as the runtime in which it was opened, and sqlx opens a connection in
/// whichever runtime happens to ask for one. A server with a runtime per worker, such as
/// actix-web's, would then lose connections that other workers use when one worker ends before
/// them: requests that were accepted would fail while the server shuts down. So connections are
/// opened in the runtime that made the pool, which in a service is the one that outlives the
/// workers. Where that one has ended all the same, they are opened as sqlx does.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pool: PgPool,
    home: Handle,
    through: Through,
    before_begin: Arc<str>,
}

impl Connections {
    /// A pool with one connection, whose sessions are freed of what transactions can't undo.
    pub(crate) async fn open(
        settings: PgPoolOptions,
        route: &Route,
        reset: Reset,
    ) -> Result<Self, sqlx::Error> {
        let settings = route.tidy(settings, reset);
        let pool = settings.connect_with(route.options.clone()).await?;
        Ok(Self::over(pool, route, reset))
    }

    /// A pool that opens its first connection when it is asked for one. Only a pooler's sessions are
    /// reset.
    ///
    /// Called inside a runtime, as sqlx demands of a pool in any case.
    pub(crate) fn open_lazily(settings: PgPoolOptions, route: &Route) -> Self {
        let settings = route.tidy(settings, Reset::BehindPooler);
        let pool = settings.connect_lazy_with(route.options.clone());
        Self::over(pool, route, Reset::BehindPooler)
    }

    fn over(pool: PgPool, route: &Route, reset: Reset) -> Self {
        Self {
            pool,
            home: Handle::current(),
            through: route.through,
            before_begin: route.before_begin(reset).into(),
        }
    }

    /// Takes a connection, opened at home if it is new.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let mut acquiring = pin!(self.pool.acquire());
        let acquired = std::future::poll_fn(|cx| self.at_home(acquiring.as_mut(), cx)).await;
        match acquired {
            Err(sqlx::Error::Io(error)) if is_rt_shutdown_err(&error) => self.pool.acquire().await,
            acquired => acquired,
        }
    }

    /// The pool, for what needs no new connection.
    pub(crate) const fn as_sqlx(&self) -> &PgPool {
        &self.pool
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
