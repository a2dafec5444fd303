//! Many requests of an attacker among those of other tenants, at the same time and in any order: whatever the
//! attacker's SQL does to its own session, the others see their rows, all of them, and no others.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use sqlx::{AssertSqlSafe, Executor as _, types::Uuid};
use tenancy_core::TenantContext;
use tenancy_sqlx::{Error, SessionMode, TenantPool, TenantPoolOptions, schema::SealWay};
use tenancy_tests::{
    Random,
    notes::{Notes, on_every_server_sealed},
};
use tokio::task::JoinSet;

use crate::injection::{ATTEMPTS, MODES, filled};

const TASKS: u64 = 6;
const CONNECTIONS: u32 = 3;

/// What an attack may leave in a session for whoever comes next.
const LEFT_BEHIND: &[&str] = &[
    "CREATE TEMP TABLE notes AS SELECT '$T'::uuid AS tenant_id, 'forged' AS body",
    "CREATE TEMP VIEW notes AS SELECT '$T'::uuid AS tenant_id, 'forged' AS body",
    "CREATE FUNCTION pg_temp.count(text) RETURNS int LANGUAGE sql AS 'SELECT 0'",
    "COMMIT; DECLARE c CURSOR WITH HOLD FOR SELECT * FROM notes; SELECT pg_advisory_lock(1); BEGIN",
    "COMMIT; SET search_path = pg_temp; SET statement_timeout = 1; BEGIN",
    "COMMIT; SET default_transaction_isolation = serializable; SET SESSION CHARACTERISTICS AS \
     TRANSACTION READ ONLY; BEGIN",
    "LISTEN forged",
    "SAVEPOINT s; SELECT 1 / 0",
    "COMMIT; BEGIN; COMMIT; START TRANSACTION; SAVEPOINT a; SAVEPOINT b",
];

/// A plain statement that calls a function of the application's.
const CALLS: [&str; 3] = [
    "SELECT sneak('$T', true)",
    "SELECT sneak('$T', false)",
    "SELECT count(*) FROM notes WHERE sneak('$T', false) IS NOT NULL",
];

#[derive(Debug, Default)]
struct Story {
    /// Of requests of any kind.
    left: AtomicI64,
    read: AtomicU64,
    succeeded: AtomicU64,
    refused: AtomicU64,
    cancelled: AtomicU64,
    /// Attacks after which the attacker saw another's rows, in its own transaction.
    crossed: AtomicU64,
    faults: Mutex<Vec<String>>,
}

impl Story {
    fn fault(&self, what: String) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < 20 {
            faults.push(what);
        }
    }
}

/// Somebody whose rows are known.
#[derive(Debug, Clone)]
struct Victim {
    context: TenantContext,
    notes: usize,
}

struct World {
    pool: TenantPool,
    attacker: TenantContext,
    victims: Vec<Victim>,
    attacks: Vec<String>,
    /// Plain statements that change the session they run in.
    calls: Vec<String>,
    is_sealed: bool,
    story: Story,
}

/// Everybody but the attacker.
async fn victims(notes: &Notes) -> anyhow::Result<Vec<Victim>> {
    let mut victims = vec![Victim {
        context: notes.context(&notes.globex),
        notes: 5,
    }];
    for one in notes.crowd(2).await? {
        let mut tenant = notes.acme.clone();
        tenant.id = one.tenant;
        victims.push(Victim {
            context: notes.context(&tenant),
            notes: one.notes.len(),
        });
    }
    Ok(victims)
}

impl World {
    async fn new(
        notes: &Notes,
        victims: &[Victim],
        mode: SessionMode,
        requests: i64,
    ) -> anyhow::Result<Self> {
        let options = TenantPoolOptions::new()
            .max_connections(CONNECTIONS)
            .sessions(mode)
            .autocommit_writes(mode != SessionMode::Transaction)
            // Most statements as in a release build.
            .check_session_every(64)
            .acquire_timeout(Duration::from_secs(60));
        let fill = |texts: &[&str]| texts.iter().map(|text| filled(text, notes)).collect();
        let is_sealed = notes.seal.is_some();
        // Documented: in a pinned session without a seal, a function may change the tenant of what follows.
        let may_call = is_sealed || mode != SessionMode::Pinned;
        let mut attacks: Vec<String> = fill(ATTEMPTS);
        attacks.extend::<Vec<String>>(fill(LEFT_BEHIND));
        Ok(Self {
            pool: notes.pool(options).await?,
            attacker: notes.context(&notes.acme),
            victims: victims.to_vec(),
            attacks,
            calls: if may_call { fill(&CALLS) } else { Vec::new() },
            is_sealed,
            story: Story {
                left: AtomicI64::new(requests),
                ..Story::default()
            },
        })
    }

    async fn requests(self: Arc<Self>, mut random: Random) {
        while self.story.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            let request = self.request(Random::new(random.below(u64::MAX)));
            if random.below(6) == 0 {
                let limit = Duration::from_micros(random.below(3_000));
                if tokio::time::timeout(limit, request).await.is_err() {
                    self.story.cancelled.fetch_add(1, Ordering::Relaxed);
                }
            } else {
                request.await;
            }
        }
    }

    async fn request(&self, mut random: Random) {
        if random.below(2) == 0 {
            let Some(victim) = random.one_of(&self.victims).cloned() else {
                return;
            };
            if let Err(error) = self.reads(&victim, random.below(4)).await {
                self.story.fault(format!("a victim's read: {error:?}"));
            }
            self.story.read.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let outcome = match random.below(4) {
            0 if !self.calls.is_empty() => self.calls_function(&mut random).await,
            0 | 1 => self.attacks_alone(&mut random).await,
            _ => self.attacks_in_transaction(&mut random).await,
        };
        let number = match outcome {
            Ok(()) => &self.story.succeeded,
            Err(_) => &self.story.refused,
        };
        number.fetch_add(1, Ordering::Relaxed);
    }

    /// What a handler of another tenant does.
    async fn reads(&self, victim: &Victim, how: u64) -> Result<(), Error> {
        const OWNERS: &str = "SELECT tenant_id FROM notes";
        let db = self.pool.tenant(&victim.context)?;
        let seen: Vec<Uuid> = match how {
            0 | 1 => sqlx::query_scalar(OWNERS).fetch_all(&db.reader()).await?,
            2 => sqlx::query_scalar(OWNERS).fetch_all(&db).await?,
            _ => {
                let mut tx = db.begin().await?;
                let seen = sqlx::query_scalar(OWNERS).fetch_all(&mut *tx).await?;
                tx.commit().await?;
                seen
            }
        };
        let own = victim.context.tenant_id().as_uuid();
        if seen != vec![own; victim.notes] {
            self.story.fault(format!("{own} saw {seen:?}"));
        }
        Ok(())
    }

    async fn calls_function(&self, random: &mut Random) -> Result<(), Error> {
        let db = self.pool.tenant(&self.attacker)?;
        let Some(call) = random.one_of(&self.calls).cloned() else {
            return Ok(());
        };
        let call = sqlx::query(AssertSqlSafe(call));
        match random.below(2) {
            0 => call.fetch_all(&db.reader()).await?,
            _ => call.fetch_all(&db).await?,
        };
        Ok(())
    }

    async fn attacks_alone(&self, random: &mut Random) -> Result<(), Error> {
        let db = self.pool.tenant(&self.attacker)?;
        let Some(attack) = random.one_of(&self.attacks).cloned() else {
            return Ok(());
        };
        let attack = sqlx::raw_sql(AssertSqlSafe(attack));
        match random.below(2) {
            0 => attack.execute(&db.reader()).await?,
            _ => attack.execute(&db).await?,
        };
        Ok(())
    }

    async fn attacks_in_transaction(&self, random: &mut Random) -> Result<(), Error> {
        let mut tx = self.pool.begin(&self.attacker).await?;
        // Without a seal, a second one may do what the first has made possible.
        let attacks = if self.is_sealed {
            1 + random.below(3)
        } else {
            1
        };
        for _ in 0..attacks {
            let Some(attack) = random.one_of(&self.attacks).cloned() else {
                break;
            };
            tx.execute(sqlx::raw_sql(AssertSqlSafe(attack))).await?;
        }
        let owners = "SELECT DISTINCT tenant_id FROM public.notes";
        let seen: Vec<Uuid> = sqlx::query_scalar(owners).fetch_all(&mut *tx).await?;
        let own = self.attacker.tenant_id().as_uuid();
        if seen.iter().any(|tenant| *tenant != own) {
            self.story.crossed.fetch_add(1, Ordering::Relaxed);
        }
        match random.below(3) {
            0 => tx.commit().await,
            1 => tx.rollback().await,
            _ => Ok(()),
        }
    }
}

async fn world_stands(
    notes: &Notes,
    victims: &[Victim],
    mode: SessionMode,
    requests: i64,
    random: &mut Random,
) -> anyhow::Result<()> {
    let world = Arc::new(World::new(notes, victims, mode, requests).await?);
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let own = Random::new(random.below(u64::MAX));
        tasks.spawn(Arc::clone(&world).requests(own));
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }

    let story = &world.story;
    let number = |of: &AtomicU64| of.load(Ordering::Relaxed);
    let (read, crossed) = (number(&story.read), number(&story.crossed));
    let (succeeded, refused) = (number(&story.succeeded), number(&story.refused));
    println!(
        "{mode:?}, sealed by {:?}: {requests} requests, {read} reads of others, {succeeded} attacks \
         succeeded and {refused} were refused, {} given up, {crossed} crossed",
        notes.seal,
        number(&story.cancelled),
    );
    let faults = std::mem::take(&mut *story.faults.lock().unwrap_or_else(PoisonError::into_inner));
    ensure!(faults.is_empty(), "{mode:?}: {faults:#?}");
    // Otherwise nothing was tested.
    ensure!(read > 50 && succeeded > 20 && refused > 20);
    ensure!((crossed == 0) == world.is_sealed, "{crossed} crossed");
    world.pool.close().await;

    for (tenant, own) in [(&notes.acme, 3), (&notes.globex, 5)] {
        ensure!(notes.count("notes", tenant).await? == own, "{mode:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attacker_among_others_reaches_nobody() -> anyhow::Result<()> {
    let seed = tenancy_tests::seed()?;
    let all: i64 = if tenancy_tests::long() {
        1_000_000
    } else {
        12_000
    };
    let seals = [None, Some(SealWay::Parameter), Some(SealWay::Row)];
    let servers = i64::try_from(tenancy_tests::Server::all().await?.len())?;
    let each = all / servers / i64::try_from(seals.len() * MODES.len())?;
    for seal in seals {
        on_every_server_sealed(seal, async |notes| {
            notes
                .as_admin(
                    "SET ROLE tenancy_owner; CREATE FUNCTION sneak(other text, local boolean)
                     RETURNS text LANGUAGE plpgsql AS $$ BEGIN
                         RETURN set_config('tenancy.tenant_id', other, local); END $$",
                )
                .await?;
            let mut random = Random::new(seed);
            let victims = victims(notes).await?;
            for mode in MODES {
                world_stands(notes, &victims, mode, each, &mut random).await?;
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}
