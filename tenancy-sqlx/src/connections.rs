//! A pool whose connections live in the runtime that made the pool.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
};

use sqlx::{
    PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::runtime::{Handle, is_rt_shutdown_err};

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
}

impl Connections {
    /// A pool with one connection.
    pub(crate) async fn open(
        settings: PgPoolOptions,
        options: PgConnectOptions,
    ) -> Result<Self, sqlx::Error> {
        let pool = settings.connect_with(options).await?;
        let home = Handle::current();
        Ok(Self { pool, home })
    }

    /// A pool that opens its first connection when it is asked for one.
    ///
    /// Called inside a runtime, as sqlx demands of a pool in any case.
    pub(crate) fn open_lazily(settings: PgPoolOptions, options: PgConnectOptions) -> Self {
        Self {
            pool: settings.connect_lazy_with(options),
            home: Handle::current(),
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

    fn at_home<F: Future>(&self, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _inside = self.home.enter();
        future.poll(cx)
    }
}
