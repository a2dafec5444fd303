//! How long a stranger waits for the same 404: where a tenant is another's, and where there is none. Asked
//! over real HTTP, in blocks in which both take turns.
//!
//! No single time decides. In each block, the share of pairs is counted in which the foreign name took
//! longer (the statistic of Mann and Whitney); it is about a half if the two can't be told apart. The test
//! fails if *every* block says the same and is clear about it. With 250 pairs in a block, chance moves
//! the share by 0.03; a machine that stalls meanwhile moves one block, or both names alike.
//!
//! With 100 µs of waiting added for foreign names, the shares of the blocks were, for names that nobody
//! had asked for:

use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::{Router, routing::get};
use tenancy_tests::{
    Client, Framework, Random, Server, Serving, Version, long,
    notes::{self, Notes},
};

/// How clear a block must be.
const CLEAR: f64 = 0.65;

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
            let shares: Vec<_> = blocks.iter().map(Block::share).collect();
            println!("{framework:?}, {what}: foreign names are slower in {shares:.2?}");
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
                !long() || !are_told_apart(&shares),
                "{framework:?}: {what} tell a foreign tenant from none: {shares:.2?}"
            );
        }
    }
    Ok(())
}

/// Shares that chance gives are not told apart; a delay of a tenth of the spread is, where it is in every
/// block.
#[test]
fn only_a_difference_in_every_block_counts() {
    let block = |random: &mut Random, delay: u64| {
        let mut times = |delay| {
            let time = |_| Duration::from_micros(1_000 + delay + random.below(200));
            (0..250).map(time).collect()
        };
        let (foreign, unknown) = (times(delay), times(0));
        Block { foreign, unknown }.share()
    };
    let mut random = Random::new(1);
    let mut of = |delays: [u64; 6]| delays.map(|delay| block(&mut random, delay));
    assert!(!are_told_apart(&of([0; 6])));
    assert!(!are_told_apart(&of([0, 200, 200, 200, 200, 200])));
    assert!(are_told_apart(&of([60; 6])));
    assert!(are_told_apart(&of([60; 6]).map(|share| 1.0 - share)));
}

/// How long answers about foreign and unknown names took, by turns.
#[derive(Default)]
struct Block {
    foreign: Vec<Duration>,
    unknown: Vec<Duration>,
}

impl Block {
    /// The share of pairs in which the foreign name took longer.
    fn share(&self) -> f64 {
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
        f64::from(halves) / f64::from(2 * pairs.max(1))
    }
}

/// Whether every block is clear, and all say the same.
fn are_told_apart(shares: &[f64]) -> bool {
    let all = |is_clear: &dyn Fn(f64) -> bool| shares.iter().all(|share| is_clear(*share));
    all(&|share| share > CLEAR) || all(&|share| share < 1.0 - CLEAR)
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
    let tenancy = notes::builder(notes.directory.clone())?.build()?;
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
