//! Many tenants on pools of several sizes, whose callers give up and whose connections are killed by
//! chance: nobody is forgotten, nothing is lost, and nobody sees another's rows.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::ensure;
use sqlx::{Executor as _, types::Uuid};
use tenancy_core::TenantContext;
use tenancy_sqlx::{Error, SessionMode, Share, TenantPool, TenantPoolOptions};
use tenancy_tests::{
    Random,
    notes::{Notes, on_every_server},
};
use tokio::{task::JoinSet, time::timeout};

use crate::wait::until;

const SIZES: [u32; 4] = [1, 2, 5, 20];
const TENANTS: i32 = 6;
const TASKS: u64 = 24;

/// How the pools' connections are known to the server.
const NAME: &str = "fairness-stress";

/// What has happened.
#[derive(Debug, Default)]
struct Story {
    completed: u64,
    given_up: u64,
    cut_off: u64,
    killed: u64,
    /// Bodies of notes whose commit was reported, with their tenant.
    acknowledged: Vec<(Uuid, String)>,
    /// Each fault in words; must stay empty.
    faults: Vec<String>,
}

type Shared = Arc<Mutex<Story>>;

fn tell(story: &Shared, what: impl FnOnce(&mut Story)) {
    what(&mut story.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Tenants of several plans, with three notes each.
async fn tenants(notes: &Notes) -> anyhow::Result<Vec<TenantContext>> {
    let plans = [None, Some("heavy"), Some("narrow")];
    let crowd = notes.crowd(TENANTS).await?.into_iter();
    let contexts = crowd.zip(plans.into_iter().cycle()).map(|(one, plan)| {
        let mut tenant = notes.acme.clone();
        tenant.id = one.tenant;
        tenant.plan = plan.map(str::to_owned);
        notes.context(&tenant)
    });
    Ok(contexts.collect())
}

async fn pool_of(notes: &Notes, size: u32, random: &mut Random) -> anyhow::Result<TenantPool> {
    let ahead = u32::try_from(random.below(3))?;
    let options = TenantPoolOptions::new()
        .max_connections(size)
        .open_ahead(ahead)
        .turn_length(2)
        .plan_share("heavy", Share::new().weight(3))
        .plan_share("narrow", Share::new().max_connections(1))
        .sessions(SessionMode::Switched)
        // Whoever waits for so long was forgotten.
        .acquire_timeout(Duration::from_secs(20));
    let app = notes.app_options().application_name(NAME);
    Ok(options.connect_with(app, &notes.tenancy).await?)
}

/// One thing that a request does; the label is unique.
async fn work(
    pool: &TenantPool,
    context: &TenantContext,
    choice: u64,
    label: &str,
    story: &Shared,
) -> Result<(), Error> {
    let own = context.tenant_id().as_uuid();
    let db = pool.tenant(context)?;
    let insert = sqlx::query("INSERT INTO notes (body) VALUES ($1)").bind(label);
    match choice {
        0..3 => {
            let all = "SELECT tenant_id FROM notes WHERE body LIKE 'tenant-%'";
            let seen: Vec<Uuid> = sqlx::query_scalar(all).fetch_all(&db.reader()).await?;
            if seen != [own; 3] {
                tell(story, |story| {
                    story.faults.push(format!("{own} saw {seen:?}"))
                });
            }
            return Ok(());
        }
        3 => {
            insert.execute(&db).await?;
        }
        _ => {
            let mut tx = db.begin().await?;
            insert.execute(&mut *tx).await?;
            tx.execute("SELECT pg_sleep(0.002)").await?;
            tx.commit().await?;
        }
    }
    tell(story, |story| {
        story.acknowledged.push((own, label.to_owned()))
    });
    Ok(())
}

async fn asks(
    pool: TenantPool,
    contexts: Arc<[TenantContext]>,
    mut random: Random,
    task: String,
    end: Instant,
    story: Shared,
) {
    let mut number = 0_u64;
    while Instant::now() < end {
        number += 1;
        let Some(context) = random.one_of(&contexts) else {
            return;
        };
        let label = format!("{task}-{number}");
        let working = work(&pool, context, random.below(5), &label, &story);
        let patience = match random.below(3) {
            0 => Duration::from_micros(random.below(8_000)),
            _ => Duration::from_secs(60),
        };
        let outcome = timeout(patience, working).await;
        tell(&story, |story| match outcome {
            Err(_) => story.given_up += 1,
            Ok(Ok(())) => story.completed += 1,
            Ok(Err(error)) if is_of_a_kill(&error) => story.cut_off += 1,
            Ok(Err(error)) => story.faults.push(format!("{:?}: {error}", error.kind())),
        });
    }
}

/// Whether a connection was lost while it was used.
fn is_of_a_kill(error: &Error) -> bool {
    match error.driver_error() {
        Some(sqlx::Error::Io(_)) => true,
        Some(sqlx::Error::Database(said)) => said.code().is_some_and(|code| code == "57P01"),
        _ => false,
    }
}

/// Ends processes of the server that serve the pool, until it is time.
async fn kills(
    mut admin: sqlx::PgConnection,
    mut random: Random,
    end: Instant,
    story: Shared,
) -> sqlx::Result<()> {
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5 + random.below(30))).await;
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM
            (SELECT pid FROM pg_stat_activity WHERE application_name = $1
             AND datname = current_database() ORDER BY pid OFFSET $2 LIMIT 1) AS one";
        let offset = i64::try_from(random.below(20)).unwrap_or(0) % i64::from(TENANTS);
        let kill = sqlx::query_scalar::<_, i64>(kill).bind(NAME).bind(offset);
        let killed = kill.fetch_one(&mut admin).await?;
        tell(&story, |story| story.killed += killed.unsigned_abs());
    }
    Ok(())
}

/// Each connection that the pool may have can be had, and shows nobody but its tenant.
async fn is_whole(pool: &TenantPool, size: u32, contexts: &[TenantContext]) -> anyhow::Result<()> {
    until(pool, |stats| stats.waiting == 0 && stats.in_use == 0).await?;
    until(pool, |stats| stats.idle == stats.size).await?;
    let stats = pool.stats();
    ensure!(stats.busiest.is_empty(), "{stats:?}");
    let mut lent = Vec::new();
    let everybody = contexts.iter().filter(|one| {
        let plan = one.record().plan.as_deref();
        plan != Some("narrow")
    });
    for context in everybody.cycle().take(usize::try_from(size)?) {
        let mut tx = pool.begin(context).await?;
        let own = context.tenant_id().as_uuid();
        let seen: Vec<Uuid> = sqlx::query_scalar("SELECT DISTINCT tenant_id FROM notes")
            .fetch_all(&mut *tx)
            .await?;
        ensure!(seen == [own], "{own} saw {seen:?}");
        lent.push(tx);
    }
    ensure!(pool.stats().in_use == lent.len(), "{:?}", pool.stats());
    Ok(())
}

/// What was reported is there, and only once.
async fn is_there(notes: &Notes, acknowledged: &[(Uuid, String)]) -> anyhow::Result<()> {
    let written = "SELECT tenant_id, body FROM notes WHERE body LIKE 'stress-%'";
    let mut admin = notes.database.admin().await?;
    let mut stored: Vec<(Uuid, String)> = sqlx::query_as(written).fetch_all(&mut admin).await?;
    stored.sort();
    for write in acknowledged {
        ensure!(
            stored.binary_search(write).is_ok(),
            "{write:?} was reported and is lost"
        );
    }
    let all = stored.len();
    stored.dedup();
    ensure!(stored.len() == all, "a write happened twice");
    Ok(())
}

/// D28, D30.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_gives_up_and_whatever_is_killed_nothing_is_lost() -> anyhow::Result<()> {
    let whole = Duration::from_secs(if tenancy_tests::long() { 300 } else { 4 });
    let seed = tenancy_tests::seed()?;
    let servers = u32::try_from(tenancy_tests::Server::all().await?.len())?;

    on_every_server(async |notes| {
        let contexts: Arc<[TenantContext]> = tenants(notes).await?.into();
        let story = Shared::default();
        for size in SIZES {
            let mut random = Random::new(seed ^ u64::from(size));
            let pool = pool_of(notes, size, &mut random).await?;
            let end = Instant::now() + whole / servers / 4;
            let admin = notes.database.admin().await?;
            let killer = Random::new(random.below(u64::MAX));
            let killing = tokio::spawn(kills(admin, killer, end, Arc::clone(&story)));
            let mut tasks = JoinSet::new();
            for task in 0..TASKS {
                let own = Random::new(random.below(u64::MAX));
                let (pool, contexts) = (pool.clone(), Arc::clone(&contexts));
                let label = format!("stress-{size}-{task}");
                tasks.spawn(asks(pool, contexts, own, label, end, Arc::clone(&story)));
            }
            while let Some(ended) = tasks.join_next().await {
                ended?;
            }
            killing.await??;
            is_whole(&pool, size, &contexts).await?;
            pool.close().await;
        }

        let story = std::mem::take(&mut *story.lock().unwrap_or_else(PoisonError::into_inner));
        println!(
            "{} completed, {} given up, {} cut off, {} killed, {} writes",
            story.completed,
            story.given_up,
            story.cut_off,
            story.killed,
            story.acknowledged.len()
        );
        assert!(story.faults.is_empty(), "seed {seed}: {:#?}", story.faults);
        // Otherwise nothing was tested.
        assert!(story.completed > 100 && story.given_up > 20 && story.killed > 5);
        assert!(story.acknowledged.len() > 20);
        is_there(notes, &story.acknowledged).await
    })
    .await
}
