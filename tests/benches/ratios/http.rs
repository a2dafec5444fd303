//! Throughput of an axum service with and without the layer, over real HTTP on loopback.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::State, routing::get};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tenancy_axum::{Error, TenancyLayer, TenantDb};
use tenancy_sqlx::{TenantPool, TenantPoolOptions};
use tenancy_tests::{
    Server, Version,
    notes::{self, Notes},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    ratio::{self, Bound},
    world::{World, token},
};

const CONNECTIONS: usize = 16;

pub(crate) async fn run() -> anyhow::Result<()> {
    ratio::heading("axum over HTTP, requests per second: with the layer : without");
    hello_world().await?;
    one_query().await
}

async fn hello_world() -> anyhow::Result<()> {
    let many = if ratio::hurries() { 100 } else { 100_000 };
    for tenants in [10, many] {
        let world = World::new(tenants).await;
        world.warm_requests().await;
        let requests: Vec<_> = world
            .tenants
            .iter()
            .map(|(slug, owner)| request(&format!("{slug}.notes.example"), &token(*owner)))
            .collect();
        let bare = Router::new().route("/", get(async || "Hello"));
        let covered = bare.clone().layer(TenancyLayer::new(&world.tenancy));
        let rounds = by_turns(serve(covered).await?, serve(bare).await?, &requests).await;
        ratio::pair(
            &format!("hello world, {tenants} tenants"),
            &rounds,
            "r/s",
            Bound::AtLeast(0.92),
        );
    }
    Ok(())
}

/// The same handler on the same pool of connections: what differs is the layer.
async fn one_query() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let world = Notes::start(&server).await?;
    world.seed(&world.acme, 50).await?;
    let requests = [request("acme.notes.example", &token(world.alice))];

    let bare_pool = PgPoolOptions::new()
        .max_connections(8)
        .test_before_acquire(false)
        .connect_with(
            world
                .database
                .options_as("tenancy_system", Some(notes::PASSWORD)),
        )
        .await?;
    let bare = Router::new()
        .route("/", get(count_all))
        .with_state(bare_pool.clone());
    let covered = Router::new()
        .route("/", get(count_all))
        .layer(TenancyLayer::new(&world.tenancy))
        .with_state(bare_pool);
    let rounds = by_turns(serve(covered).await?, serve(bare.clone()).await?, &requests).await;
    ratio::pair(
        "one query, the layer alone",
        &rounds,
        "r/s",
        Bound::AtLeast(0.98),
    );

    let pool = world
        .pool(TenantPoolOptions::new().max_connections(8))
        .await?;
    let isolated = Router::new()
        .route("/", get(count_own))
        .layer(TenancyLayer::new(&world.tenancy))
        .with_state(pool);
    let rounds = by_turns(serve(isolated).await?, serve(bare).await?, &requests).await;
    ratio::pair(
        "one query, layer and tenant read",
        &rounds,
        "r/s",
        Bound::None,
    );
    world.database.close().await?;
    Ok(())
}

async fn count_all(State(pool): State<PgPool>) -> Result<String, Error> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
        .fetch_one(&pool)
        .await?;
    Ok(count.to_string())
}

async fn count_own(State(_): State<TenantPool>, db: TenantDb) -> Result<String, Error> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
        .fetch_one(&db.reader())
        .await?;
    Ok(count.to_string())
}

async fn serve(app: Router) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

fn request(host: &str, token: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// Requests per second of both sides, in rounds of 100 ms that take turns.
async fn by_turns(ours: SocketAddr, theirs: SocketAddr, requests: &[Vec<u8>]) -> Vec<(f64, f64)> {
    let requests = Arc::new(requests.to_vec());
    let end = Instant::now() + ratio::budget();
    let mut rounds = Vec::new();
    while Instant::now() < end || rounds.len() < 3 {
        let (first, second) = if rounds.len() % 2 == 0 {
            (ours, theirs)
        } else {
            (theirs, ours)
        };
        let (a, b) = (load(first, &requests).await, load(second, &requests).await);
        rounds.push(if rounds.len() % 2 == 0 {
            (a, b)
        } else {
            (b, a)
        });
    }
    rounds
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
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut buffer = [0; 1024];
                let mut at = number * 6_007;
                while !stop.load(Ordering::Relaxed) {
                    at = (at + 7_919) % requests.len();
                    stream.write_all(requests.get(at).unwrap()).await.unwrap();
                    let read = stream.read(&mut buffer).await.unwrap();
                    let answer = buffer.get(..read).unwrap();
                    assert!(
                        answer.starts_with(b"HTTP/1.1 200 OK"),
                        "{:?}",
                        answer.escape_ascii()
                    );
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
