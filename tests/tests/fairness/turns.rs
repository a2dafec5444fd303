//! Turns go round by tenant.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use sqlx::Executor as _;
use tenancy_core::TenantContext;
use tenancy_sqlx::{TenantPool, TenantPoolOptions};
use tenancy_tests::notes::{Notes, on_every_server};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::wait::{until, until_waiting};

/// Callers who hold what they were given until they are let go, one by one.
struct Crowd {
    pool: TenantPool,
    served: Arc<Mutex<Vec<&'static str>>>,
    let_go: Arc<Semaphore>,
    callers: JoinSet<Result<(), tenancy_sqlx::Error>>,
}

impl Crowd {
    async fn of(notes: &Notes, options: TenantPoolOptions) -> anyhow::Result<Self> {
        Ok(Self {
            pool: notes.pool(options).await?,
            served: Arc::default(),
            let_go: Arc::new(Semaphore::new(0)),
            callers: JoinSet::new(),
        })
    }

    fn comes(&mut self, name: &'static str, context: TenantContext) {
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

    fn served(&self) -> Vec<&'static str> {
        let served = self.served.lock();
        served.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn until_served(&self, callers: usize) -> anyhow::Result<()> {
        until(&self.pool, |_| self.served().len() == callers).await
    }

    /// Lets one go, and says who is served for that.
    async fn next(&self) -> anyhow::Result<&'static str> {
        let before = self.served().len();
        self.let_go.add_permits(1);
        self.until_served(before + 1).await?;
        let served = self.served();
        served.get(before).copied().context("nobody was served")
    }

    /// Lets all go, who have then all been served.
    async fn ends(mut self) -> anyhow::Result<()> {
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

/// D28.
#[tokio::test]
async fn a_single_statement_waits_for_one_turn_of_a_hundred_callers() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut crowd = Crowd::of(notes, TenantPoolOptions::new().max_connections(5)).await?;
        for _ in 0..100 {
            crowd.comes("acme", notes.context(&notes.acme));
        }
        crowd.until_served(5).await?;
        until_waiting(&crowd.pool, 95).await?;
        let db = crowd.pool.tenant(&notes.context(&notes.globex))?;
        let single = tokio::spawn(async move {
            let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes");
            count.fetch_one(&db).await
        });
        until_waiting(&crowd.pool, 96).await?;

        let stats = crowd.pool.stats();
        let busiest: Vec<_> = stats.busiest.iter().map(|load| load.tenant).collect();
        assert_eq!(busiest, [notes.acme.id, notes.globex.id]);
        assert_eq!((stats.busiest[0].in_use, stats.busiest[0].waiting), (5, 95));
        assert_eq!((stats.busiest[1].in_use, stats.busiest[1].waiting), (0, 1));

        // Five connections come back, and four of them are a turn.
        for _ in 0..5 {
            crowd.let_go.add_permits(1);
        }
        assert_eq!(single.await??, 5);
        assert!(crowd.served().len() <= 5 + 4 + 1, "{:?}", crowd.served());
        crowd.ends().await
    })
    .await
}

#[tokio::test]
async fn turns_are_as_long_as_the_option_says() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new().max_connections(1).turn_length(2);
        let mut crowd = Crowd::of(notes, options).await?;
        crowd.comes("first", notes.context(&notes.globex));
        crowd.until_served(1).await?;
        let mut waiting = 0;
        for (name, tenant) in [("acme", &notes.acme), ("globex", &notes.globex)] {
            for _ in 0..5 {
                crowd.comes(name, notes.context(tenant));
                waiting += 1;
                until_waiting(&crowd.pool, waiting).await?;
            }
        }
        let mut order = Vec::new();
        for _ in 0..10 {
            order.push(crowd.next().await?);
        }
        let expected = ["acme", "acme", "globex", "globex"].repeat(2);
        assert_eq!(order[..8], expected);
        assert_eq!(order[8..], ["acme", "globex"]);
        crowd.ends().await
    })
    .await
}

#[tokio::test]
async fn a_readiness_check_does_not_queue_behind_tenants() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut crowd = Crowd::of(notes, TenantPoolOptions::new().max_connections(1)).await?;
        for _ in 0..20 {
            crowd.comes("acme", notes.context(&notes.acme));
        }
        crowd.until_served(1).await?;
        let pool = crowd.pool.clone();
        until_waiting(&pool, 19).await?;
        let checking = tokio::spawn(async move { pool.ready().await });
        until_waiting(&crowd.pool, 20).await?;

        crowd.let_go.add_permits(1);
        checking.await??;
        assert!(crowd.served().len() <= 2, "{:?}", crowd.served());
        crowd.ends().await
    })
    .await
}
