//! Throughput of a service with and without the library, over real HTTP on loopback: axum's server
//! and actix-web's, each beside itself.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::postgres::PgPoolOptions;
use tenancy_core::{SystemClock, UserId};
use tenancy_sqlx::{SessionMode, TenantPoolOptions};
use tenancy_tests::{
    Client, Framework, Server, Serving, Version,
    notes::{self, Notes},
};

use crate::{
    ratio::{self, Bound},
    services,
    world::World,
};

const CONNECTIONS: usize = 16;

pub(crate) async fn run() -> anyhow::Result<()> {
    ratio::heading("Over HTTP, requests per second: with the library : without");
    hello_world().await?;
    one_query().await
}

async fn hello_world() -> anyhow::Result<()> {
    let many = if ratio::hurries() { 100 } else { 100_000 };
    for tenants in [10, many] {
        let world = World::new(tenants, Arc::new(SystemClock)).await;
        world.warm_requests().await;
        let named = world.tenants.iter().zip(&world.tokens);
        let requests =
            named.map(|((slug, _), token)| head(&format!("{slug}.notes.example"), token));
        let requests = Arc::new(requests.collect::<Vec<_>>());
        for framework in Framework::ALL {
            let covered = services::hello(framework, Some(&world.tenancy)).await?;
            let bare = services::hello(framework, None).await?;
            compare(
                &format!("{framework:?}, hello world, {tenants} tenants"),
                [covered, bare],
                &requests,
                Bound::AtLeast(0.92),
            )
            .await?;
        }
    }
    Ok(())
}

async fn one_query() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let world = Notes::start(&server).await?;
    let tenants = world.crowd(10).await?;
    let requests: anyhow::Result<Vec<_>> = tenants
        .iter()
        .map(|one| request(&format!("{}.notes.example", one.slug), one.owner))
        .collect();
    let requests = Arc::new(requests?);
    let system = world
        .database
        .options_as("tenancy_system", Some(notes::PASSWORD));
    // A pool for each service: a connection lives in the worker of actix-web that opened it, and is
    // slower to use from others.
    let bare_pool = async || {
        let options = PgPoolOptions::new().max_connections(8);
        let options = options.test_before_acquire(false);
        options.connect_with(system.clone()).await
    };
    for framework in Framework::ALL {
        // The same handler on a pool of the same kind: what differs is the layer.
        let pools = [bare_pool().await?, bare_pool().await?];
        let covered = services::count_all(framework, &pools[0], Some(&world.tenancy)).await?;
        let bare = services::count_all(framework, &pools[1], None).await?;
        compare(
            &format!("{framework:?}, one query, the layer alone"),
            [covered, bare],
            &requests,
            Bound::AtLeast(0.98),
        )
        .await?;
        for pool in pools {
            pool.close().await;
        }

        for (mode, bound) in [
            (SessionMode::Transaction, Bound::None),
            (SessionMode::Switched, Bound::AtLeast(0.5)),
            (SessionMode::Pinned, Bound::AtLeast(0.8)),
        ] {
            let pool = bare_pool().await?;
            let eight = TenantPoolOptions::new().max_connections(8);
            let tenant_pool = world.pool(eight.sessions(mode)).await?;
            let covered = services::count_own(framework, &tenant_pool).await?;
            let bare = services::count_all(framework, &pool, None).await?;
            compare(
                &format!("{framework:?}, one query, 10 tenants, {mode:?}"),
                [covered, bare],
                &requests,
                bound,
            )
            .await?;
            tenant_pool.close().await;
            pool.close().await;
        }
    }
    world.database.close().await?;
    Ok(())
}

fn request(host: &str, user: UserId) -> anyhow::Result<Vec<u8>> {
    Ok(head(host, &notes::token(user)?))
}

fn head(host: &str, token: &str) -> Vec<u8> {
    let head = format!("GET / HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n");
    head.into_bytes()
}

/// Prints the requests per second of both sides, measured in rounds of 100 ms that take turns.
async fn compare(
    name: &str,
    [ours, theirs]: [Serving; 2],
    requests: &Arc<Vec<Vec<u8>>>,
    bound: Bound,
) -> anyhow::Result<()> {
    let end = Instant::now() + ratio::budget();
    let mut rounds = Vec::new();
    while Instant::now() < end || rounds.len() < 3 {
        let (first, second) = match rounds.len() % 2 {
            0 => (&ours, &theirs),
            _ => (&theirs, &ours),
        };
        let first = load(first.address, requests).await;
        let second = load(second.address, requests).await;
        rounds.push(match rounds.len() % 2 {
            0 => (first, second),
            _ => (second, first),
        });
    }
    ratio::pair(name, &rounds, "r/s", bound);
    ours.stop().await?;
    theirs.stop().await
}

/// Requests per second over a number of connections that each wait for their answers.
async fn load(address: SocketAddr, requests: &Arc<Vec<Vec<u8>>>) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let requests = Arc::clone(requests);
            tokio::spawn(async move {
                let mut client = Client::connect(address).await.unwrap();
                let mut at = number * 6_007;
                while !stop.load(Ordering::Relaxed) {
                    at = (at + 7_919) % requests.len();
                    let answer = client.ask(requests.get(at).unwrap()).await.unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.body.escape_ascii());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    answered.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}
