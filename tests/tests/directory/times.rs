//! How long a stranger waits for the same 404: where a tenant is another's, and where there is none. Asked
//! over real HTTP, in blocks in which both take turns.
//!
//! No single time decides. In each block, the share of pairs is counted in which the foreign name took
//! longer (the statistic of Mann and Whitney), and the medians are compared. The test fails if *every* block
//! says the same of the two and is clear about it. With 250 pairs in a block, chance moves the share by
//! 0.03; a machine that stalls meanwhile moves one block, or both names alike.
//!
//! On two busy cores, foreign names were slower in 0.53 to 0.78 of the pairs of a block, and by 6 % at the median,
//! where nobody had asked for them, and in 0.44 to 0.52 where the stranger had. With 300 µs of delay added
//! for foreign names, it was 0.61 to 0.79 and 38 %, and 0.78 to 0.91 and 135 %: the test failed, as it did while a
//! name that is nobody's took one round trip less.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::ensure;
use axum::{Router, routing::get};
use tenancy_core::quota::Rate;
use tenancy_tests::{
    Client, Framework, Random, Server, Serving, Version, long,
    notes::{self, Notes},
};

/// In how many of its pairs one of the two must be slower, for a block to be clear.
const CLEAR: f64 = 0.6;
/// And by how much, as a ratio of medians. The server reads a row where there is a tenant: that is less.
const LARGE: f64 = 1.15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_waits_as_long_for_a_foreign_tenant_as_for_none() -> anyhow::Result<()> {
    // In short only the answers are compared: too few times say nothing.
    let (blocks, pairs) = if long() { (6, 250) } else { (1, 5) };
    let server = Server::start(Version::Default).await?;
    for framework in Framework::ALL {
        let notes = Notes::start(&server).await?;
        foreign_tenants(&notes, 2 * blocks * pairs).await?;
        let serving = serve(&notes, framework).await?;
        let times = Times::taken(&notes, &serving, blocks, pairs).await?;
        serving.stop().await?;
        notes.database.close().await?;
        for (what, blocks) in &times.of {
            let differences: Vec<_> = blocks.iter().map(Block::difference).collect();
            println!("{framework:?}, {what}: foreign names are slower in {differences:?}");
            for (whose, times) in [
                ("foreign", all(blocks, |block| &block.foreign)),
                ("unknown", all(blocks, |block| &block.unknown)),
            ] {
                let at = |percent: usize| times.get(times.len() * percent / 100);
                println!(
                    "    {whose}: median {:?}, p90 {:?}, p99 {:?}",
                    at(50).copied().unwrap_or_default(),
                    at(90).copied().unwrap_or_default(),
                    at(99).copied().unwrap_or_default(),
                );
            }
            ensure!(
                !long() || !are_told_apart(&differences),
                "{framework:?}: {what} tell a foreign tenant from none: {differences:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn only_a_large_difference_in_every_block_counts() {
    let block = |random: &mut Random, delays: [u64; 2]| {
        let [foreign, unknown] = delays.map(|delay| {
            let time = |_| Duration::from_micros(1_000 + delay + random.below(400));
            (0..250).map(time).collect()
        });
        Block { foreign, unknown }.difference()
    };
    let mut random = Random::new(1);
    let mut of = |delays: [[u64; 2]; 6]| are_told_apart(&delays.map(|two| block(&mut random, two)));
    assert!(!of([[0, 0]; 6]));
    let mut all_but_one = [[400, 0]; 6];
    all_but_one[0] = [0, 0];
    assert!(!of(all_but_one), "one block says nothing of the kind");
    assert!(!of([
        [400, 0],
        [0, 400],
        [400, 0],
        [0, 400],
        [400, 0],
        [0, 400]
    ]));
    assert!(of([[300, 0]; 6]));
    assert!(of([[0, 300]; 6]));
}

/// How long answers about foreign and unknown names took, by turns.
#[derive(Default)]
struct Block {
    foreign: Vec<Duration>,
    unknown: Vec<Duration>,
}

impl Block {
    fn difference(&self) -> Difference {
        let mut halves = 0_u32;
        let mut pairs = 0_u32;
        for foreign in &self.foreign {
            for unknown in &self.unknown {
                halves += match foreign.cmp(unknown) {
                    std::cmp::Ordering::Less => 0,
                    std::cmp::Ordering::Equal => 1,
                    std::cmp::Ordering::Greater => 2,
                };
                pairs += 1;
            }
        }
        let median = |times: &[Duration]| {
            let mut times = times.to_vec();
            times.sort_unstable();
            times.get(times.len() / 2).copied().unwrap_or_default()
        };
        Difference {
            share: f64::from(halves) / f64::from(2 * pairs.max(1)),
            ratio: median(&self.foreign).as_secs_f64() / median(&self.unknown).as_secs_f64(),
        }
    }
}

/// How foreign and unknown names differ in a block.
#[derive(Clone, Copy)]
struct Difference {
    /// The share of pairs in which the foreign name took longer.
    share: f64,
    /// The median of foreign names over that of unknown ones.
    ratio: f64,
}

impl Difference {
    fn foreign_is_slower(&self) -> bool {
        self.share > CLEAR && self.ratio > LARGE
    }

    fn unknown_is_slower(&self) -> bool {
        self.share < 1.0 - CLEAR && self.ratio < 1.0 / LARGE
    }
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} (×{:.2})", self.share, self.ratio)
    }
}

/// Whether all blocks are clear, and say the same.
fn are_told_apart(blocks: &[Difference]) -> bool {
    blocks.iter().all(Difference::foreign_is_slower)
        || blocks.iter().all(Difference::unknown_is_slower)
}

/// The times of all blocks, the shortest first.
fn all(blocks: &[Block], of: impl Fn(&Block) -> &Vec<Duration>) -> Vec<Duration> {
    let mut times: Vec<_> = blocks.iter().flat_map(|block| of(block).clone()).collect();
    times.sort_unstable();
    times
}

/// Tenants whose only member is bob.
async fn foreign_tenants(notes: &Notes, count: usize) -> anyhow::Result<()> {
    let bob = notes.bob;
    notes
        .as_admin(&format!(
            "WITH made AS (
                 INSERT INTO tenancy.tenants (id, slug, name, status)
                 SELECT gen_random_uuid(), 'foreign-' || n, 'F', 'active' FROM generate_series(1, {count}) AS n
                 RETURNING id
             )
             INSERT INTO tenancy.memberships (tenant_id, user_id, role, status)
             SELECT id, '{bob}', 'owner', 'active' FROM made"
        ))
        .await
}

/// A service whose only path needs a tenant, of an engine that has heard of nobody yet.
async fn serve(notes: &Notes, framework: Framework) -> anyhow::Result<Serving> {
    // One caller asks for all of them.
    let all = Rate::new(1_000_000, Duration::from_secs(1), 1_000_000)?;
    let builder = notes::builder(notes.directory.clone())?;
    let tenancy = builder.unknown_names(all).build()?;
    match framework {
        Framework::Axum => {
            let app = Router::new().route("/", get(async || "reached"));
            Serving::axum(app.layer(tenancy_axum::TenancyLayer::new(&tenancy))).await
        }
        Framework::Actix => {
            use actix_web::{App, HttpServer, web};
            Serving::actix(move |listener| {
                let app = move || {
                    let app = App::new().route("/", web::get().to(async || "reached"));
                    app.wrap(tenancy_actix::TenancyMiddleware::new(&tenancy))
                };
                let server = HttpServer::new(app).workers(1).disable_signals();
                server.listen(listener).map(HttpServer::run)
            })
            .await
        }
    }
}

/// The blocks of each kind of question.
struct Times {
    of: [(&'static str, Vec<Block>); 3],
}

impl Times {
    async fn taken(
        notes: &Notes,
        serving: &Serving,
        blocks: usize,
        pairs: usize,
    ) -> anyhow::Result<Self> {
        let mut client = Client::connect(serving.address).await?;
        let (stranger, bob) = (notes::token(notes.alice)?, notes::token(notes.bob)?);
        let (mut new, mut again, mut in_use) = (Vec::new(), Vec::new(), Vec::new());
        let mut number = 0;
        for _ in 0..blocks {
            let mut of_block: [Block; 3] = Default::default();
            let [new_names, same_names, names_in_use] = &mut of_block;
            for _ in 0..pairs {
                number += 1;
                let pair = Pair::new(number);
                new_names.ask(&mut client, &stranger, &pair).await?;
                same_names.ask(&mut client, &stranger, &pair).await?;
                number += 1;
                let pair = Pair::new(number);
                let served = ask(&mut client, &bob, &pair.foreign).await?;
                ensure!(served.0 == 200, "a member is answered {}", served.0);
                ask(&mut client, &bob, &pair.unknown).await?;
                names_in_use.ask(&mut client, &stranger, &pair).await?;
            }
            let [first, second, third] = of_block;
            new.push(first);
            again.push(second);
            in_use.push(third);
        }
        Ok(Self {
            of: [
                ("names that nobody has asked for", new),
                ("names that the stranger has asked for", again),
                ("names that a member of the foreign tenant uses", in_use),
            ],
        })
    }
}

/// Two names that look alike, in the order in which they are asked for.
struct Pair {
    foreign: String,
    unknown: String,
    foreign_first: bool,
}

impl Pair {
    fn new(number: usize) -> Self {
        Self {
            foreign: format!("foreign-{number}"),
            unknown: format!("unknown-{number}"),
            foreign_first: number % 4 < 2,
        }
    }
}

impl Block {
    async fn ask(&mut self, client: &mut Client, token: &str, pair: &Pair) -> anyhow::Result<()> {
        let mut first = None;
        for foreign in [pair.foreign_first, !pair.foreign_first] {
            let name = if foreign {
                &pair.foreign
            } else {
                &pair.unknown
            };
            let (status, body, time) = ask(client, token, name).await?;
            ensure!(status == 404, "`{name}` is answered {status}");
            let other = first.get_or_insert_with(|| body.clone());
            ensure!(*other == body, "{other:?} and {body:?}");
            let times = if foreign {
                &mut self.foreign
            } else {
                &mut self.unknown
            };
            times.push(time);
        }
        Ok(())
    }
}

/// Status, body, and how long it took.
async fn ask(
    client: &mut Client,
    token: &str,
    name: &str,
) -> anyhow::Result<(u16, Vec<u8>, Duration)> {
    let request = format!(
        "GET / HTTP/1.1\r\nhost: {name}.notes.example\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let began = Instant::now();
    let answer = client.ask(request.as_bytes()).await?;
    let took = began.elapsed();
    Ok((answer.status, answer.body.to_vec(), took))
}
