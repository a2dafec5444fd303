//! Reads on replicas, where they show a tenant all that it has written.
//!
//! After each commit of a tenant, the primary says how far its log is, in the round trip of the
//! commit. A replica says how far it has replayed in the round trip that begins a transaction there,
//! ahead of BEGIN: a transaction sees at least that. Where it has not replayed what the tenant has
//! written last, or it is not known how far that is, the primary is read.

mod marks;
mod position;
mod replica;
mod rounds;
mod write_mark;
mod writing;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use sqlx::postgres::PgConnectOptions;
use tenancy_core::TenantId;

use crate::{
    StartError, StartErrorKind,
    connections::{Connections, Lane},
    session::{Batch, Open},
};
use marks::Marks;
use position::Lsn;
pub(crate) use replica::Manner;
use replica::Replica;
pub use replica::ReplicaStats;
pub use write_mark::{BadWriteMark, WriteMark};
pub(crate) use writing::Writing;

/// Where a replica is, as it was given.
#[derive(Clone)]
pub(crate) enum Address {
    Url(String),
    Options(Box<PgConnectOptions>),
}

impl Address {
    /// # Errors
    /// A URL that can't be read.
    pub(crate) fn options(self) -> Result<PgConnectOptions, StartError> {
        match self {
            Self::Url(url) => url.parse().map_err(StartError::bad_url),
            Self::Options(options) => Ok(*options),
        }
    }
}

/// The replicas of a pool, and what its tenants have written.
#[derive(Debug)]
pub(crate) struct Replicas {
    primary: Connections,
    all: Vec<Replica>,
    /// Whose turn it is.
    next: AtomicUsize,
    marks: Mutex<Marks>,
}

impl Replicas {
    /// Connects to those that can be reached; the others join later.
    ///
    /// # Errors
    /// A [`StartError`] if the primary can't say where its log is, or if something is wrong with a
    /// replica that time does not mend.
    pub(crate) async fn start(
        primary: &Connections,
        replicas: Vec<PgConnectOptions>,
        manner: &Manner,
    ) -> Result<Arc<Self>, StartError> {
        let running = rounds::running(primary).await.map_err(|error| {
            let mend = "; where it is about permissions, GRANT EXECUTE ON FUNCTION \
                pg_control_system(), pg_control_checkpoint(), pg_current_wal_insert_lsn(), \
                pg_walfile_name(pg_lsn) TO the service's login";
            StartError::new(
                StartErrorKind::WrongReplica,
                format!("the primary does not say where its log is: {error}{mend}"),
            )
        })?;
        let Some(running) = running else {
            return Err(StartError::new(
                StartErrorKind::WrongReplica,
                "the primary is a standby itself; connect to the server that takes writes, or leave \
                 out `replica`"
                    .to_owned(),
            ));
        };
        let history = running.position.history;
        let all: Vec<_> = replicas
            .into_iter()
            .map(|options| Replica::new(options, manner.clone()))
            .collect();
        let joining = all.iter().map(|replica| replica.join_or_wait(history));
        for joined in join_all(joining).await {
            joined?;
        }
        let replicas = Arc::new(Self {
            primary: primary.clone(),
            all,
            next: AtomicUsize::new(0),
            marks: Mutex::new(Marks::new(running.position)),
        });
        rounds::start(&replicas);
        Ok(replicas)
    }

    /// Begins a transaction on a replica that has replayed what the tenant has written; `None` where
    /// the primary is to be read. One replica is tried, so that a reader is not kept by several.
    pub(crate) async fn begin(&self, lane: Lane, tenant: TenantId, batch: Batch) -> Option<Open> {
        let needed = self.marks().needed(tenant)?;
        let (replica, pool) = self.pick(needed)?;
        let history = || self.marks().history();
        let begun = replica.begin(&pool, lane, batch, history);
        let (open, replayed) = begun.await?;
        // A commit may have been acknowledged meanwhile.
        let needed = self.marks().needed(tenant);
        if needed.is_some_and(|needed| replayed >= needed) {
            return Some(open);
        }
        open.give_back();
        None
    }

    fn pick(&self, needed: Lsn) -> Option<(&Replica, Connections)> {
        let from = self.next.fetch_add(1, Ordering::Relaxed) % self.all.len().max(1);
        let in_turn = self.all.iter().cycle().skip(from).take(self.all.len());
        in_turn
            .filter_map(|replica| Some((replica, replica.may_have(needed)?)))
            .next()
    }

    /// Notes that a tenant may write, until that is known to be committed or settled.
    pub(crate) fn writing(self: &Arc<Self>, tenant: TenantId) -> Writing {
        Writing::new(Arc::clone(self), tenant)
    }

    pub(crate) fn last_write(&self, tenant: TenantId) -> WriteMark {
        WriteMark(self.marks().last(tenant))
    }

    pub(crate) fn note_write(&self, tenant: TenantId, mark: WriteMark) {
        self.marks().told(tenant, mark.0);
    }

    pub(crate) fn stats(&self) -> Vec<ReplicaStats> {
        let latest = self.marks().latest();
        self.all
            .iter()
            .map(|replica| replica.stats(latest))
            .collect()
    }

    pub(crate) async fn close(&self) {
        join_all(self.all.iter().map(Replica::close)).await;
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
