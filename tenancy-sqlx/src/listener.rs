//! Hearing of changes at once, through PostgreSQL's notifications.

use std::{fmt, time::Duration};

use sqlx::{
    ConnectOptions as _, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tenancy_core::Tenancy;
use tokio::task::JoinHandle;

use crate::{
    StartError,
    route::{Detour, Route},
};

/// The channel on which the schema's triggers tell that something has changed.
const CHANNEL: &str = "tenancy_changes";

/// The shortest time between two questions, however many notifications come.
const SPACING: Duration = Duration::from_millis(20);

/// The first pause after a connection that was lost; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Listens for changes that other processes make, so that an engine acts on them at once.
///
/// Without it, a change of another process is noticed by polling: under traffic within
/// [`poll_interval`](tenancy_core::TenancyBuilder::poll_interval), and never later than
/// [`max_staleness`](Tenancy::max_staleness). With it, within milliseconds. Polling goes on all the
/// same: a notification that gets lost – the connection breaks, the server restarts – hides nothing
/// for longer than it would without. After each connection that was lost, the feed is asked once.
///
/// One connection and one task, which end when this is dropped.
///
/// # PgBouncer
/// `LISTEN` belongs to a session, and so needs a direct connection: give this the server's own
/// address. Through a pooler in transaction mode, `LISTEN` succeeds and nothing is ever heard, so
/// that a pooler is refused. A service without a direct connection polls instead.
///
/// # Example
/// ```no_run
/// use tenancy_sqlx::ChangeListener;
///
/// # async fn start(tenancy: tenancy_core::Tenancy) -> Result<(), Box<dyn std::error::Error>> {
/// let direct = "postgres://tenancy_app@db.internal:5432/notes";
/// let _listening = ChangeListener::connect(direct, &tenancy).await?;
/// // … serve, and keep `_listening` for as long.
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is heard any more once this is dropped"]
pub struct ChangeListener {
    task: JoinHandle<()>,
}

impl ChangeListener {
    /// Listens with the login of the service.
    ///
    /// # Errors
    /// A [`StartError`] if the URL can't be read, the database does not answer, or a pooler stands
    /// between.
    pub async fn connect(url: &str, tenancy: &Tenancy) -> Result<Self, StartError> {
        Self::connect_with(url.parse().map_err(StartError::bad_url)?, tenancy).await
    }

    /// Listens with the login of the service. Spawns a task, so call it inside a runtime.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(
        options: PgConnectOptions,
        tenancy: &Tenancy,
    ) -> Result<Self, StartError> {
        let options = options.disable_statement_logging();
        let settings = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(5));
        Route::refuse_pooler(&options, settings.get_acquire_timeout())
            .await
            .map_err(|detour| match detour {
                Detour::Pooler => StartError::pooler(
                    "nothing is heard through the pooler in front of the database; give \
                     `ChangeListener` the database's own address",
                    None,
                ),
                Detour::Unreachable(error) => StartError::not_reached(&options, error),
            })?;
        let pool = settings.connect_lazy_with(options);
        let listener = listen(&pool).await.map_err(StartError::unreachable)?;
        let engine = tenancy.clone();
        let task = tokio::spawn(async move { keep_listening(&pool, listener, &engine).await });
        Ok(Self { task })
    }
}

impl Drop for ChangeListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for ChangeListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeListener")
            .field("listening", &!self.task.is_finished())
            .finish()
    }
}

async fn listen(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    // sqlx would reconnect by itself and not say so; what was told meanwhile would be lost.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

async fn keep_listening(pool: &PgPool, mut listener: PgListener, engine: &Tenancy) {
    let mut pause = PAUSE;
    loop {
        // What changed before the listener stood, or while there was none.
        ask(engine).await;
        while let Ok(Some(_)) = listener.try_recv().await {
            pause = PAUSE;
            // Whatever has come until now is answered by one question.
            tokio::time::sleep(SPACING).await;
            while listener.next_buffered().is_some() {}
            ask(engine).await;
        }
        drop(listener);
        listener = loop {
            tracing::warn!("changes are not told any more; they are found by polling meanwhile");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match listen(pool).await {
                Ok(listener) => break listener,
                Err(error) => tracing::debug!(%error, "could not listen for changes"),
            }
        };
        tracing::info!("changes are told again");
    }
}

async fn ask(engine: &Tenancy) {
    if let Err(error) = engine.catch_up().await {
        tracing::warn!(%error, "could not ask what has changed");
    }
}
