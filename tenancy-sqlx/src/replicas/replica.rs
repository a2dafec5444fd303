//! One replica: whether it is read from, and how a transaction begins on it.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use tokio::time::timeout;

use super::position::{History, Lsn, REPLAYED, Standing};
use crate::{
    ErrorKind, SealKey, StartError, StartErrorKind,
    connections::{Connections, Lane, Settings, Whose},
    error::{is_full_server, is_out_of_reach},
    options::Timeouts,
    route::{Detour, Reset, Route, Through},
    seal, self_check,
    session::{self, Batch, Open},
};

/// How long a read waits for a replica before it goes to the primary.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a position is believed in that was not enough.
const BELIEVED: Duration = Duration::from_millis(20);

/// The time between two checks of a replica that did not pass the first.
const BETWEEN_CHECKS: Duration = Duration::from_secs(30);

/// How replicas are connected to: as the primary is.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    pub(crate) settings: Settings,
    pub(crate) reset: Reset,
    pub(crate) assumed_role: Option<String>,
    pub(crate) timeouts: Timeouts,
    pub(crate) seal_key: Option<SealKey>,
}

/// A server that is read from while it is a standby of the primary and answers.
pub(super) struct Replica {
    address: String,
    options: PgConnectOptions,
    manner: Manner,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Its login has been checked.
    pool: Option<Connections>,
    is_read_from: bool,
    /// What it has replayed, and when it said so.
    replayed: Option<(Lsn, Instant)>,
    /// Why it is not read from, as it was logged.
    reason: Option<String>,
    not_before: Option<Instant>,
}

/// How a replica is: see [`PoolStats::replicas`](crate::PoolStats::replicas).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaStats {
    /// Its host and port.
    pub address: String,
    /// Whether it is read from: it answers, and is a standby of the primary.
    pub usable: bool,
    /// Connections that are open or being opened.
    pub size: usize,
    /// Connections that nobody uses.
    pub idle: usize,
    /// By how many bytes of the log it was behind the primary when both were asked last, about once a
    /// second; `None` if it is not read from.
    pub lag: Option<u64>,
}

impl Replica {
    pub(super) fn new(options: PgConnectOptions, manner: Manner) -> Self {
        let mut options = options
            .disable_statement_logging()
            .options(manner.timeouts.parameters());
        if let Some(role) = &manner.assumed_role {
            options = options.options([("role", role.as_str())]);
        }
        Self {
            address: format!("{}:{}", options.get_host(), options.get_port()),
            options,
            manner,
            state: Mutex::default(),
        }
    }

    /// [Joins](Self::join), or waits until that is possible.
    ///
    /// # Errors
    /// For what has to be mended.
    pub(super) async fn join_or_wait(&self, history: History) -> Result<(), StartError> {
        match self.join(history).await {
            Err(error) if is_passing(&error) => {
                self.leave(error.to_string());
                Ok(())
            }
            joined => joined.map_err(|error| error.of_replica(&self.address)),
        }
    }

    /// Connects, checks login and schema, and reads from it from now on if it is a standby of the
    /// primary.
    ///
    /// # Errors
    /// If it can't be reached, and for what has to be mended. A server that was a standby and is none
    /// any more is no mistake of anybody's; it is not read from, and the log says so.
    async fn join(&self, history: History) -> Result<(), StartError> {
        let pool = match self.pool() {
            Some(pool) => pool,
            None => self.connect().await?,
        };
        let standing = self.ask(&pool).await.map_err(StartError::unreachable)?;
        if standing.history.system != history.system {
            return Err(StartError::new(
                StartErrorKind::WrongReplica,
                "it belongs to another database cluster than the primary; give `replica` the \
                 address of a physical standby of the same cluster"
                    .to_owned(),
            ));
        }
        let assumed = self.manner.assumed_role.as_deref();
        self_check::tenants(&pool, assumed).await?;
        seal::take_up(&pool, self.manner.seal_key.as_ref()).await?;
        self.state().pool = Some(pool);
        self.heard(standing, history, true);
        Ok(())
    }

    async fn connect(&self) -> Result<Connections, StartError> {
        let settings = self.manner.settings.clone();
        match Route::refuse_pooler(&self.options, settings.patience).await {
            Ok(()) => {}
            Err(Detour::Pooler) => {
                return Err(StartError::pooler(
                    "a pooler stands in front of it; give `replica` its own address",
                    None,
                ));
            }
            Err(Detour::Unreachable(error)) => {
                return Err(StartError::not_reached(&self.options, error));
            }
        }
        let route = Route {
            options: self.options.clone(),
            through: Through::Direct,
        };
        Connections::open(Whose::Replica, settings, &route, self.manner.reset).await
    }

    async fn ask(&self, pool: &Connections) -> Result<Standing, sqlx::Error> {
        let batch = session::limited_batch(&Timeouts::LOOK_UP);
        let (asking, row) = session::begin_asked(pool, Lane::HOUSE, REPLAYED, batch).await?;
        asking.give_back();
        Standing::of(&row)
    }

    /// Looks after it: joins it if it is not read from, and else asks how far it is.
    pub(super) async fn look_after(&self, history: History) {
        let (pool, is_read_from, not_before) = {
            let state = self.state();
            (state.pool.clone(), state.is_read_from, state.not_before)
        };
        if let (Some(pool), true) = (pool, is_read_from) {
            match self.ask(&pool).await {
                Ok(standing) => self.heard(standing, history, false),
                Err(error) => self.leave(error.to_string()),
            }
            return;
        }
        if not_before.is_some_and(|moment| Instant::now() < moment) {
            return;
        }
        if let Err(error) = self.join(history).await {
            if !is_passing(&error) {
                self.state().not_before = Some(Instant::now() + BETWEEN_CHECKS);
            }
            self.leave(error.to_string());
        }
    }

    /// Its connections, if it is read from and may have replayed this.
    pub(super) fn may_have(&self, needed: Lsn) -> Option<Connections> {
        let state = self.state();
        let behind = state
            .replayed
            .is_none_or(|(lsn, asked)| lsn < needed && asked.elapsed() < BELIEVED);
        let pool = state.pool.as_ref();
        pool.filter(|_| state.is_read_from && !behind).cloned()
    }

    /// Begins a transaction, and says how far it had replayed before that. `None` if it is not to be
    /// read from.
    pub(super) async fn begin(
        &self,
        pool: &Connections,
        lane: Lane,
        batch: Batch,
        history: impl Fn() -> History,
    ) -> Option<(Open, Lsn)> {
        let beginning = session::begin_asked(pool, lane, REPLAYED, batch);
        let limit = PATIENCE.min(pool.patience());
        let (open, row) = match timeout(limit, beginning).await {
            Ok(Ok(begun)) => begun,
            Ok(Err(error)) => {
                if error.kind() == ErrorKind::Unavailable {
                    self.leave(error.to_string());
                }
                return None;
            }
            Err(_) => {
                // One that is busy is as it should be.
                if !pool.is_busy_for(lane) {
                    self.leave(format!("it has not answered within {limit:?}"));
                }
                return None;
            }
        };
        let Ok(standing) = Standing::of(&row) else {
            return None;
        };
        self.heard(standing, history(), false);
        if self.state().is_read_from && standing.fault(history()).is_none() {
            return Some((open, standing.replayed));
        }
        open.give_back();
        None
    }

    /// Takes note of what it has said. Only one whose login was just checked is read from again.
    fn heard(&self, standing: Standing, history: History, was_checked: bool) {
        if let Some(fault) = standing.fault(history) {
            return self.leave(fault.to_owned());
        }
        let mut state = self.state();
        state.replayed = Some((standing.replayed, Instant::now()));
        if !was_checked || state.is_read_from {
            return;
        }
        state.is_read_from = true;
        state.reason = None;
        state.not_before = None;
        drop(state);
        tracing::info!(replica = self.address, "the replica is read from");
    }

    /// Stops reading from it, and says why, if that is news.
    fn leave(&self, reason: String) {
        let mut state = self.state();
        state.replayed = None;
        let is_news = state.is_read_from || state.reason.as_ref() != Some(&reason);
        state.is_read_from = false;
        if is_news {
            tracing::warn!(
                replica = self.address,
                reason,
                "the replica is not read from; its reads go to the primary"
            );
            state.reason = Some(reason);
        }
    }

    /// How far it had replayed when it was heard of last, if it is read from.
    pub(super) fn replayed(&self) -> Option<Lsn> {
        let state = self.state();
        let replayed = state.replayed.filter(|_| state.is_read_from);
        replayed.map(|(lsn, _)| lsn)
    }

    pub(super) fn stats(&self, latest: Lsn) -> ReplicaStats {
        let pool = self.pool();
        let replayed = self.replayed();
        ReplicaStats {
            address: self.address.clone(),
            usable: replayed.is_some(),
            size: pool.as_ref().map_or(0, Connections::size),
            idle: pool.as_ref().map_or(0, Connections::idle),
            lag: replayed.map(|lsn| latest.0.saturating_sub(lsn.0)),
        }
    }

    pub(super) async fn close(&self) {
        self.state().is_read_from = false;
        if let Some(pool) = self.pool() {
            pool.close().await;
        }
    }

    fn pool(&self) -> Option<Connections> {
        self.state().pool.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// Why it is no replica of a primary with this history.
    fn fault(&self, history: History) -> Option<&'static str> {
        if self.history.system != history.system {
            Some("it belongs to another database cluster than the primary")
        } else if !self.is_standby {
            Some("it is no standby: it was promoted, or is the primary itself")
        } else if self.history != history {
            Some(
                "it follows another timeline than the primary's, or has not yet told of the switch",
            )
        } else {
            None
        }
    }
}

/// Whether it may be mended by nobody but time.
fn is_passing(error: &StartError) -> bool {
    error.kind() == StartErrorKind::Unreachable
        && error.driver_error().is_some_and(|source| {
            matches!(source, sqlx::Error::PoolTimedOut)
                || is_out_of_reach(source)
                || is_full_server(source)
        })
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
