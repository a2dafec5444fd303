//! A crowd at a pool, which is served one by one.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use sqlx::Executor as _;
use tenancy_core::TenantContext;
use tenancy_sqlx::{TenantPool, TenantPoolOptions};
use tenancy_tests::notes::Notes;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::wait::until;

/// Callers who hold what they were given until they are let go, one by one.
pub(crate) struct Crowd {
    pub(crate) pool: TenantPool,
    served: Arc<Mutex<Vec<&'static str>>>,
    let_go: Arc<Semaphore>,
    callers: JoinSet<Result<(), tenancy_sqlx::Error>>,
}

impl Crowd {
    pub(crate) async fn of(notes: &Notes, options: TenantPoolOptions) -> anyhow::Result<Self> {
        Ok(Self {
            pool: notes.pool(options).await?,
            served: Arc::default(),
            let_go: Arc::new(Semaphore::new(0)),
            callers: JoinSet::new(),
        })
    }

    pub(crate) fn comes(&mut self, name: &'static str, context: TenantContext) {
        let (pool, served) = (self.pool.clone(), Arc::clone(&self.served));
        let let_go = Arc::clone(&self.let_go);
        self.callers.spawn(async move {
            let mut tx = pool.begin(&context).await?;
            tx.execute("SELECT count(*) FROM notes").await?;
            note(&served, name);
            if let Ok(permit) = let_go.acquire().await {
                permit.forget();
            }
            tx.commit().await
        });
    }

    pub(crate) fn served(&self) -> Vec<&'static str> {
        let served = self.served.lock();
        served.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn until_served(&self, callers: usize) -> anyhow::Result<()> {
        until(&self.pool, |_| self.served().len() == callers).await
    }

    pub(crate) fn lets_one_go(&self) {
        self.let_go.add_permits(1);
    }

    /// Lets one go, and says who is served for that.
    pub(crate) async fn next(&self) -> anyhow::Result<&'static str> {
        let before = self.served().len();
        self.lets_one_go();
        self.until_served(before + 1).await?;
        let served = self.served();
        served.get(before).copied().context("nobody was served")
    }

    /// Lets all go, who have then all been served.
    pub(crate) async fn ends(mut self) -> anyhow::Result<()> {
        self.let_go.add_permits(1_000);
        while let Some(ended) = self.callers.join_next().await {
            ended??;
        }
        until(&self.pool, |stats| stats.in_use == 0).await?;
        let stats = self.pool.stats();
        assert_eq!((stats.waiting, stats.busiest.len()), (0, 0), "{stats:?}");
        Ok(())
    }
}

fn note(served: &Mutex<Vec<&'static str>>, name: &'static str) {
    let mut served = served.lock().unwrap_or_else(PoisonError::into_inner);
    served.push(name);
}
