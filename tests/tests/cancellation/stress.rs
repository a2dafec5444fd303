//! Many tasks on a small pool, cancelled at random moments.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use sqlx::{Executor as _, types::Uuid};
use tenancy_core::TenantContext;
use tenancy_sqlx::{Error, ErrorKind, TenantPool, TenantPoolOptions};
use tenancy_tests::{DelayProxy, Random, notes::on_every_server};

use crate::dropped_after;

const TASKS: u64 = 8;

#[derive(Debug, Default)]
struct Tally {
    completed: AtomicU64,
    cancelled: AtomicU64,
    /// Each fault in words; must stay empty.
    faults: Mutex<Vec<String>>,
    /// Bodies of notes whose commit was reported, with their tenant.
    acknowledged: Mutex<Vec<(Uuid, String)>>,
}

impl Tally {
    fn fault(&self, what: String) {
        self.faults
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .push(what);
    }
}

/// One thing a request does; the label is unique.
async fn work(
    pool: &TenantPool,
    context: &TenantContext,
    choice: u64,
    label: &str,
    tally: &Tally,
) -> Result<(), Error> {
    let own = context.tenant_id().as_uuid();
    let db = pool.tenant(context)?;
    match choice {
        0 | 1 => {
            let all = "SELECT tenant_id FROM notes WHERE body LIKE 'note %'";
            let seen: Vec<Uuid> = sqlx::query_scalar(all).fetch_all(&db.reader()).await?;
            if seen.is_empty() || seen.iter().any(|tenant| *tenant != own) {
                tally.fault(format!("{own} saw {seen:?}"));
            }
        }
        2 => {
            sqlx::query("INSERT INTO notes (body) VALUES ($1)")
                .bind(label)
                .execute(&db)
                .await?;
            acknowledge(tally, own, label);
        }
        3 => {
            let mut tx = db.begin().await?;
            sqlx::query("INSERT INTO notes (body) VALUES ($1)")
                .bind(label)
                .execute(&mut *tx)
                .await?;
            let savepoint = tx.savepoint().await?;
            savepoint.release().await?;
            tx.commit().await?;
            acknowledge(tally, own, label);
        }
        _ => {
            // Without a tenant, on a connection of the pool: a statement that ends the transaction.
            let mut tx = db.begin().await?;
            tx.execute("COMMIT").await?;
            let rows = tx.fetch_all("SELECT FROM notes").await?.len();
            if rows != 0 {
                tally.fault(format!("without a tenant there were {rows} rows"));
            }
        }
    }
    Ok(())
}

fn acknowledge(tally: &Tally, tenant: Uuid, label: &str) {
    tally
        .acknowledged
        .lock()
        .unwrap_or_else(|poison| poison.into_inner())
        .push((tenant, label.to_owned()));
}

async fn one_task(
    pool: TenantPool,
    contexts: [TenantContext; 2],
    mut random: Random,
    task: u64,
    until: Instant,
    tally: Arc<Tally>,
) {
    let mut turn = 0_u64;
    while Instant::now() < until {
        turn += 1;
        let [acme, globex] = &contexts;
        let context = if random.below(2) == 0 { acme } else { globex };
        let label = format!("{task}-{turn}");
        let choice = random.below(5);
        let working = work(&pool, context, choice, &label, &tally);
        let outcome = if random.below(2) == 0 {
            let limit = Duration::from_micros(200 + random.below(5_800));
            tokio::time::timeout(limit, working).await.ok()
        } else {
            dropped_after(usize::try_from(random.below(12)).unwrap_or(0), working).await
        };
        match outcome {
            None => tally.cancelled.fetch_add(1, Ordering::Relaxed),
            Some(Ok(())) => tally.completed.fetch_add(1, Ordering::Relaxed),
            Some(Err(error)) => {
                // Waiting too long for a connection is the one thing that may go wrong here.
                if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Busy) {
                    tally.fault(error.to_string());
                }
                0
            }
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_requests_leave_nothing_behind() -> anyhow::Result<()> {
    let seconds = if tenancy_tests::long() { 120 } else { 10 };
    let seed = tenancy_tests::seed()?;
    let servers = u32::try_from(tenancy_tests::Server::all().await?.len())?;

    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::from_micros(250))?;
        let options = TenantPoolOptions::new().max_connections(4);
        let pool = notes.pool_through(&proxy, options).await?;
        let tally = Arc::new(Tally::default());
        let until = Instant::now() + Duration::from_secs(seconds) / servers;

        let contexts = [notes.context(&notes.acme), notes.context(&notes.globex)];
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let random = Random::new(seed ^ (task << 32));
                let (pool, tally) = (pool.clone(), Arc::clone(&tally));
                tokio::spawn(one_task(pool, contexts.clone(), random, task, until, tally))
            })
            .collect();
        for task in tasks {
            task.await?;
        }

        let faults = tally.faults.lock().unwrap().clone();
        assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
        let acknowledged = tally.acknowledged.lock().unwrap().clone();
        let mut admin = notes.database.admin().await?;
        let mut stored: Vec<(Uuid, String)> =
            sqlx::query_as("SELECT tenant_id, body FROM notes WHERE body NOT LIKE 'note %'")
                .fetch_all(&mut admin)
                .await?;
        stored.sort();
        for write in &acknowledged {
            ensure!(
                stored.binary_search(write).is_ok(),
                "seed {seed}: {write:?} was reported and is lost"
            );
        }
        let written = stored.len();
        stored.dedup();
        assert_eq!(stored.len(), written, "seed {seed}: a write happened twice");

        let (completed, cancelled) = (
            tally.completed.load(Ordering::Relaxed),
            tally.cancelled.load(Ordering::Relaxed),
        );
        println!(
            "{completed} completed, {cancelled} cancelled, {} writes",
            acknowledged.len()
        );
        // Otherwise nothing was tested.
        assert!(completed > 100 && cancelled > 100 && acknowledged.len() > 20);
        Ok(())
    })
    .await
}
