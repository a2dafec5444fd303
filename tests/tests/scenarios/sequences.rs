//! What takes more than one request: suspension, interleaved tenants, a database that goes away,
//! a server that is asked to stop, what it has queued then, and issuers whose keys change.

mod busy;
mod issuers;
mod key_server;
mod stopping;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{DelayProxy, Framework, Server, Serving, Version, notes::comes_back};

use crate::{
    logs, play,
    scenario::{ROWS, Scenario, Shape, get, send},
    wire::{self, Answer},
    world::World,
};

const ACME: &str = "acme.notes.example";
const GLOBEX: &str = "globex.notes.example";

async fn answer(world: &World, service: &Serving, scenario: &Scenario) -> anyhow::Result<Answer> {
    let answer = wire::send(service.address, &play::outgoing(world, scenario)?).await?;
    answer.context("the connection was closed without an answer")
}

fn problem(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    body["type"].as_str().unwrap_or_default().to_owned()
}

/// Plays a sequence over both frameworks, on the service that `start` starts.
async fn over_both(
    start: impl AsyncFn(&World, Framework) -> anyhow::Result<Serving>,
    sequence: impl AsyncFn(&mut World, &Serving) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let _playing = logs::playing().await;
    let server = Server::start(Version::Default).await?;
    for framework in Framework::ALL {
        let mut world = World::start(&server).await?;
        world.reset().await?;
        let service = start(&world, framework).await?;
        sequence(&mut world, &service)
            .await
            .with_context(|| format!("{framework:?}"))?;
        service.stop().await?;
        world.close().await?;
    }
    Ok(())
}

/// The areas, as they are for scenarios.
async fn areas(world: &World, framework: Framework) -> anyhow::Result<Serving> {
    world.serve(framework, Shape::Areas).await
}

/// The areas, over a pool of one connection.
async fn areas_on_one(world: &World, framework: Framework) -> anyhow::Result<Serving> {
    let one = TenantPoolOptions::new().max_connections(1);
    let pool = world.notes.pool(one).await?;
    world.serve_with(framework, Shape::Areas, pool).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_tenant_is_refused_on_its_next_request() -> anyhow::Result<()> {
    over_both(areas, async |world, service| {
        let acme = get("/app/notes").at(ACME).by("alice");
        for _ in 0..3 {
            ensure!(answer(world, service, &acme).await?.body == "3");
        }
        world
            .engines
            .tenancy
            .admin(tenancy_core::testing::service())
            .suspend(world.notes.acme.id)
            .await?;
        let refused = answer(world, service, &acme).await?;
        ensure!(refused.status == 403, "{refused:?}");
        ensure!(problem(&refused) == "urn:tenancy:problem:tenant-suspended");
        let other = answer(world, service, &get("/app/notes").at(GLOBEX).by("bob")).await?;
        ensure!(other.body == "5", "{other:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_and_foreign_tenants_get_the_same_bytes() -> anyhow::Result<()> {
    let ask = async |world: &mut World, service: &Serving| {
        let at = |host| get("/app/notes").at(host).by("vera");
        ensure!(answer(world, service, &at(ACME)).await?.body == "3");
        let comparable = async |host| {
            let mut answer = answer(world, service, &at(host)).await?;
            answer.fields.retain(|(name, _)| name != "date");
            anyhow::Ok(answer)
        };
        let unknown = comparable("nowhere.notes.example").await?;
        ensure!(unknown.status == 404, "{unknown:?}");
        for foreign in [GLOBEX, "asleep.notes.example", "new.notes.example"] {
            let foreign = comparable(foreign).await?;
            ensure!(foreign == unknown, "{foreign:?} and {unknown:?}");
        }
        Ok(())
    };
    over_both(areas, ask).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaved_tenants_on_a_pool_of_one_never_see_each_other() -> anyhow::Result<()> {
    over_both(areas_on_one, async |world, service| {
        let world = &*world;
        let ask = async |number: usize| {
            let (host, user, own) = match number % 2 {
                0 => (ACME, "alice", "3"),
                _ => (GLOBEX, "bob", "5"),
            };
            let answer = answer(world, service, &get("/app/notes").at(host).by(user)).await?;
            ensure!(answer.body == own, "{answer:?} and not {own}");
            anyhow::Ok(())
        };
        for outcome in join_all((0..100).map(ask)).await {
            outcome?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_transaction_leaves_the_only_connection_to_the_next_tenant()
-> anyhow::Result<()> {
    over_both(areas_on_one, async |world, service| {
        for _ in 0..3 {
            let panicking = get("/app/panicking").at(ACME).by("alice");
            let closed = wire::send(service.address, &play::outgoing(world, &panicking)?).await?;
            ensure!(closed.is_none(), "{closed:?}");
            let next = answer(world, service, &get("/app/notes").at(GLOBEX).by("bob")).await?;
            ensure!(next.body == "5", "{next:?}");
        }
        ensure!(world.rows().await? == ROWS);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_is_a_503_and_comes_back_by_itself() -> anyhow::Result<()> {
    let _playing = logs::playing().await;
    let server = Server::start(Version::Default).await?;
    for framework in Framework::ALL {
        let mut world = World::start(&server).await?;
        world.reset().await?;
        let proxy = DelayProxy::for_options(&world.notes.app_options(), Duration::ZERO)?;
        let options = TenantPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(Duration::from_millis(1500));
        let pool = world.notes.pool_through(&proxy, options).await?;
        let service = world.serve_with(framework, Shape::Areas, pool).await?;
        let list = get("/app/notes").at(ACME).by("alice");
        let ready = get("/ready");
        ensure!(answer(&world, &service, &list).await?.body == "3");
        let good = answer(&world, &service, &ready).await?;
        ensure!(
            good.status == 200 && good.body == r#"{"status":"ready"}"#,
            "{good:?}"
        );
        ensure!(
            good.field("content-type") == Some("application/json"),
            "{good:?}"
        );
        ensure!(good.field("cache-control") == Some("no-store"), "{good:?}");

        proxy.refuse(true);
        proxy.cut();
        for scenario in [&list, &ready] {
            let down = answer(&world, &service, scenario).await?;
            ensure!(
                down.status == 503 && down.field("retry-after") == Some("1"),
                "{down:?}"
            );
            ensure!(problem(&down) == "urn:tenancy:problem:unavailable");
            ensure!(!down.body.contains("127.0.0.1"), "{down:?}");
        }

        proxy.refuse(false);
        comes_back(async || {
            let back = answer(&world, &service, &list).await?;
            ensure!(back.body == "3", "{framework:?}: {back:?}");
            Ok(())
        })
        .await?;
        ensure!(answer(&world, &service, &ready).await?.status == 200);
        service.stop().await?;
        world.close().await?;
    }
    Ok(())
}

/// Every request that the server has accepted is answered, though it is asked to stop meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_shutdown_answers_every_request_it_accepted() -> anyhow::Result<()> {
    let _playing = logs::playing().await;
    let server = Server::start(Version::Default).await?;
    for framework in Framework::ALL {
        let mut world = World::start(&server).await?;
        world.reset().await?;
        // Slow enough that most requests are still under way when the server is asked to stop.
        let delay = Duration::from_millis(50);
        let proxy = DelayProxy::for_options(&world.notes.app_options(), delay)?;
        let options = TenantPoolOptions::new().max_connections(8);
        let pool = world.notes.pool_through(&proxy, options).await?;
        // The transaction of its check is not one of a request.
        while pool.stats().idle < pool.stats().size {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let service = world.serve_with(framework, Shape::Areas, pool).await?;
        let add = send("POST", "/app/notes")
            .at(ACME)
            .by("alice")
            .json(json!("accepted"));
        let add = play::outgoing(&world, &add)?;
        let mut senders = Vec::new();
        for _ in 0..40 {
            senders.push(wire::Sender::send(service.address, &add).await?);
        }
        // A server accepts in the order of arrival: when the last is being served, so are all.
        world.wait_for_begun(1).await?;
        let stopping = service.stop();
        let answers = join_all(senders.into_iter().map(wire::Sender::answer));
        let (stopped, answers) = tokio::join!(stopping, answers);
        stopped.with_context(|| format!("{framework:?}"))?;
        let mut answered = 0;
        for answer in answers {
            if let Some(answer) = answer? {
                ensure!(answer.status == 200, "{framework:?}: {answer:?}");
                answered += 1;
            }
        }
        let written = world.rows().await?.0 - ROWS.0;
        ensure!(
            written == answered && answered > 0,
            "{framework:?}: {written} notes written, {answered} requests answered"
        );
        world.close().await?;
    }
    Ok(())
}
