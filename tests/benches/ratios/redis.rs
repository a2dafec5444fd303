//! Counters in Redis: beside the same script asked for by the driver alone, three scripts in sequence, a fixed window,
//! and GET; and what passes beyond a limit.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use redis::{
    AsyncConnectionConfig, Cmd,
    aio::{ConnectionLike as _, MultiplexedConnection},
    io::tcp::TcpSettings,
};
use tenancy_core::{
    Clock as _, KeyId, ProjectId, SystemClock, TenantId,
    quota::{
        Algorithm, Calendar, Ceiling, Counters, Holder, LeasedCounters, Operation, OperationId,
        Overage, Period, Rate, Take, Taken,
    },
};
use tenancy_redis::{RedisClient, RedisCounters};
use tenancy_tests::RedisServer;

use crate::ratio::{self, Bound};

/// How many tenants take turns.
const TENANTS: usize = 10_000;

/// How long anybody waits on a slow machine.
const LONG: Duration = Duration::from_secs(30);

/// INCRBY, and an expiry with the first.
const FIXED_WINDOW: &str = "local used = redis.call('INCRBY', KEYS[1], ARGV[1])
if used == tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return used";

pub(crate) async fn run() -> anyhow::Result<()> {
    let redis = match RedisServer::start().await {
        Ok(redis) => redis,
        Err(error) => {
            println!("SKIPPED: Redis: {error}");
            return Ok(());
        }
    };
    let world = World::new(&redis.url()).await?;
    for callers in [16, 128] {
        ratio::heading(&format!(
            "Counters in Redis, {callers} callers, {TENANTS} tenants: thousands of decisions a second"
        ));
        world.one_level(callers).await?;
        world.three_levels(callers).await?;
        world.overshoot(callers).await?;
        world.in_hand(callers).await?;
    }
    Ok(())
}

type Ids = (TenantId, ProjectId, KeyId);

/// A digest, keys and arguments.
type Asks = (&'static str, Vec<String>, Vec<Vec<u8>>);

/// One Redis, its tenants, and both ways to it.
struct World {
    counters: RedisCounters,
    leased: LeasedCounters,
    driver: MultiplexedConnection,
    tenants: Arc<Vec<Ids>>,
    prepared: Arc<Vec<Asks>>,
    turn: Arc<AtomicU64>,
    window: String,
}

impl World {
    async fn new(url: &str) -> anyhow::Result<Self> {
        let client = RedisClient::builder(url)
            .response_timeout(LONG)
            .answer_within(LONG)
            .build()?;
        let info = redis::IntoConnectionInfo::into_connection_info(url)?
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(LONG));
        let mut driver = redis::Client::open(info)?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let window = redis::Script::new(FIXED_WINDOW);
        window.load_async(&mut driver).await?;
        let counters = RedisCounters::new(&client);
        let ids = || (TenantId::new(), ProjectId::new(), KeyId::new());
        let tenants: Vec<Ids> = (0..TENANTS).map(|_| ids()).collect();
        let prepare = |ids: &Ids| {
            let [take, ..] = takes(*ids);
            let asked = counters.asks(Operation::once(), &take, SystemClock.now());
            asked.context("it can be asked")
        };
        let prepared = tenants.iter().map(prepare).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            leased: LeasedCounters::new(counters.clone()),
            counters,
            driver,
            tenants: Arc::new(tenants),
            prepared: Arc::new(prepared),
            turn: Arc::default(),
            window: window.get_hash().to_owned(),
        })
    }

    /// Our way beside the driver's with the same script, keys and numbers, beside a fixed window, and beside GET.
    async fn one_level(&self, callers: usize) -> anyhow::Result<()> {
        let ours = async || {
            self.throughput(callers, |world, place| world.take(place, 1))
                .await
        };
        let bare = async || {
            self.throughput(callers, |world, place| world.bare(place))
                .await
        };
        // The script has to be there before the driver asks for it by its digest.
        self.clone_of().take(0, 1).await?;
        let rounds = by_turns(ours, bare).await?;
        ratio::pair(
            "one level : bare EVALSHA of its script",
            &rounds,
            "k/s",
            Bound::AtLeast(0.9),
        );
        let window = async || {
            self.throughput(callers, |world, place| world.fixed_window(place))
                .await
        };
        let rounds = by_turns(ours, window).await?;
        ratio::pair(
            "one level : a fixed window by EVALSHA",
            &rounds,
            "k/s",
            Bound::None,
        );
        let get = async || {
            self.throughput(callers, |world, place| world.get(place))
                .await
        };
        let rounds = by_turns(ours, get).await?;
        ratio::pair("one level : GET", &rounds, "k/s", Bound::None);
        Ok(())
    }

    async fn three_levels(&self, callers: usize) -> anyhow::Result<()> {
        let together = async || {
            self.throughput(callers, |world, place| world.take(place, 3))
                .await
        };
        let in_sequence = async || {
            self.throughput(callers, |world, place| world.in_sequence(place))
                .await
        };
        let rounds = by_turns(together, in_sequence).await?;
        let name = "three levels in one script : three scripts";
        ratio::pair(name, &rounds, "k/s", Bound::AtLeast(1.0));
        Ok(())
    }

    /// How many pass of 5,120 that are offered to a limit of 1,000.
    async fn overshoot(&self, callers: usize) -> anyhow::Result<()> {
        let century = Duration::from_secs(100 * 365 * 86_400);
        let budget = Algorithm::Rate(Rate::new(1_000, century, 1_000)?);
        let holder = Holder::tenant(TenantId::new());
        let tasks = (0..callers).map(|_| {
            let counters = self.counters.clone();
            tokio::spawn(async move {
                let mut passed = 0_i32;
                for _ in 0..5_120 / callers {
                    let take = Take::new(holder, "budget", budget, 1);
                    passed += i32::from(passes(&counters, &[take]).await?);
                }
                anyhow::Ok(passed)
            })
        });
        let mut passed = 0;
        for task in tasks.collect::<Vec<_>>() {
            passed += task.await??;
        }
        let name = "passed beyond a limit of 1,000, of 5,120 offered";
        ratio::figure(name, f64::from(passed - 1_000), "", Bound::AtMost(0.0));
        Ok(())
    }

    /// Permits of a monthly limit of 64 busy tenants, leased 100 at a time at most, beside one script for each.
    async fn in_hand(&self, callers: usize) -> anyhow::Result<()> {
        let leased = async || {
            self.throughput(callers, |world, place| async move {
                let take = world.monthly(place)?;
                passes(&world.leased, &[take]).await.map(drop)
            })
            .await
        };
        let each = async || {
            self.throughput(callers, |world, place| async move {
                let take = world.monthly(place)?;
                passes(&world.counters, &[take]).await.map(drop)
            })
            .await
        };
        // The first batches are small.
        leased().await?;
        let rounds = by_turns(leased, each).await?;
        let name = "leased, 100 at most : one script for each";
        ratio::pair(name, &rounds, "k/s", Bound::AtLeast(20.0));
        Ok(())
    }

    /// Of one of 64 tenants.
    fn monthly(&self, place: usize) -> anyhow::Result<Take<'static>> {
        let (tenant, ..) = self.ids(place % 64);
        let month = Calendar::utc().window(Period::Month, SystemClock.now());
        let many = Ceiling::new(1_000_000_000, Overage::Denied)?;
        let month = Algorithm::Period(many, month);
        Ok(Take::new(
            Holder::tenant(tenant),
            "requests-monthly",
            month,
            1,
        ))
    }

    /// Which tenant's turn it is.
    fn next(&self) -> usize {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        // Fibonacci hashing: an order that no cache foresees.
        let place = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        usize::try_from(place).unwrap_or(0) % TENANTS
    }

    fn clone_of(&self) -> Self {
        Self {
            counters: self.counters.clone(),
            leased: self.leased.clone(),
            driver: self.driver.clone(),
            tenants: Arc::clone(&self.tenants),
            prepared: Arc::clone(&self.prepared),
            turn: Arc::clone(&self.turn),
            window: self.window.clone(),
        }
    }

    /// Thousands of decisions in a second, of so many callers who each wait for their answer.
    async fn throughput<F>(
        &self,
        callers: usize,
        decide: impl Fn(Self, usize) -> F + Copy + Send + 'static,
    ) -> anyhow::Result<f64>
    where
        F: Future<Output = anyhow::Result<()>> + Send,
    {
        let each = if ratio::hurries() {
            4
        } else {
            6_400 / callers + 20
        };
        let start = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let world = self.clone_of();
                tokio::spawn(async move {
                    for _ in 0..each {
                        decide(world.clone_of(), world.next()).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        let decisions = (callers * each) as f64;
        Ok(decisions / start.elapsed().as_secs_f64() / 1_000.0)
    }

    fn ids(&self, place: usize) -> Ids {
        self.tenants.get(place).copied().unwrap()
    }

    async fn take(self, place: usize, levels: usize) -> anyhow::Result<()> {
        let takes = takes(self.ids(place));
        let Some(takes) = takes.get(..levels) else {
            bail!("there are three levels");
        };
        passes(&self.counters, takes).await.map(drop)
    }

    async fn in_sequence(self, place: usize) -> anyhow::Result<()> {
        for take in takes(self.ids(place)) {
            passes(&self.counters, &[take]).await?;
        }
        Ok(())
    }

    /// All that is made for each call is the id of an operation.
    async fn bare(mut self, place: usize) -> anyhow::Result<()> {
        let (digest, keys, arguments) = self.prepared.get(place).context("it is prepared")?;
        let ([record, keys @ ..], [header, call, _, take @ ..]) = (&keys[..], &arguments[..])
        else {
            bail!("it has a record and a counter");
        };
        let id = OperationId::unique().as_u128();
        let id = format!("{id:032x}");
        let record = record
            .get(..record.len() - id.len())
            .context("it ends with the id")?;
        let mut command = redis::cmd("EVALSHA");
        command.arg(*digest).arg(keys.len() + 1);
        command.arg(format!("{record}{id}")).arg(keys);
        command.arg(header).arg(call).arg(&id).arg(take);
        self.ask(&command).await
    }

    async fn fixed_window(mut self, place: usize) -> anyhow::Result<()> {
        let (tenant, ..) = self.ids(place);
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.window).arg(1);
        command.arg(format!("w:{{{tenant}}}")).arg(1).arg(60_000);
        self.ask(&command).await
    }

    async fn get(mut self, place: usize) -> anyhow::Result<()> {
        let (tenant, ..) = self.ids(place);
        let mut command = redis::cmd("GET");
        command.arg(format!("w:{{{tenant}}}"));
        self.ask(&command).await
    }

    async fn ask(&mut self, command: &Cmd) -> anyhow::Result<()> {
        let answer = self.driver.req_packed_command(command).await?;
        answer.extract_error()?;
        Ok(())
    }
}

/// A rate of many, of a tenant, its project and its key.
fn takes((tenant, project, key): Ids) -> [Take<'static>; 3] {
    let minute = Duration::from_secs(60);
    let rate = Algorithm::Rate(Rate::new(6_000_000, minute, 1_000_000).unwrap());
    [
        Take::new(Holder::tenant(tenant), "requests-per-minute", rate, 1),
        Take::new(
            Holder::project(tenant, project),
            "requests-per-minute-by-project",
            rate,
            1,
        ),
        Take::new(
            Holder::key(tenant, key),
            "requests-per-minute-by-key",
            rate,
            1,
        ),
    ]
}

async fn passes(counters: &dyn Counters, takes: &[Take<'_>]) -> anyhow::Result<bool> {
    let taken = counters.take(Operation::once(), takes, SystemClock.now());
    Ok(matches!(taken.answer().await?, Taken::Granted(_)))
}

/// Lets two sides take turns until the budget is spent.
async fn by_turns(
    ours: impl AsyncFn() -> anyhow::Result<f64>,
    theirs: impl AsyncFn() -> anyhow::Result<f64>,
) -> anyhow::Result<Vec<(f64, f64)>> {
    let end = Instant::now() + ratio::budget();
    let mut rounds = Vec::new();
    while Instant::now() < end || rounds.len() < 3 {
        // Whoever goes first is changed from round to round.
        let round = match rounds.len() % 2 {
            0 => (ours().await?, theirs().await?),
            _ => {
                let theirs = theirs().await?;
                (ours().await?, theirs)
            }
        };
        rounds.push(round);
    }
    Ok(rounds)
}
