//! However a request ends, its charge is settled, and once.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use tenancy_core::Ending;

use crate::{
    till::Entry,
    world::{World, on_both},
};

/// A request whose client goes before there is an answer, or that is given up by a time limit.
async fn leaves(request: RequestBuilder) {
    let request = request.header("x-limit", "1000");
    let asked = request.timeout(Duration::from_secs(2)).send().await;
    assert!(asked.is_err() || asked.is_ok_and(|answer| answer.status() == 408));
}

fn taken() -> Entry {
    World::taken("requests", 1)
}

#[tokio::test]
async fn an_answer_without_a_body_is_a_whole_one() -> anyhow::Result<()> {
    on_both(async |world| {
        let answer = world
            .ask(Method::HEAD, "/whole", &world.alice)
            .send()
            .await?;
        assert_eq!(answer.status(), 200);
        let told = world.till.entries(3).await?;
        let whole = Ending::Answered {
            status: 200,
            bytes: 0,
        };
        assert_eq!(told, [taken(), Entry::Reached, Entry::Settled(whole)]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_handler_that_fails_has_answered() -> anyhow::Result<()> {
    on_both(async |world| {
        let answer = world.get("/fails").send().await?;
        assert_eq!(answer.status(), 409);
        assert!(answer.headers().contains_key("ratelimit"));
        answer.text().await?;
        let whole = Ending::Answered {
            status: 409,
            bytes: 12,
        };
        assert_eq!(
            world.till.entries(2).await?,
            [taken(), Entry::Settled(whole)]
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stream_of_a_known_length_is_whole_when_that_was_sent() -> anyhow::Result<()> {
    on_both(async |world| {
        let answer = world.get("/sized").send().await?;
        assert_eq!(answer.headers()["content-length"], "12");
        answer.text().await?;
        let whole = Ending::Answered {
            status: 200,
            bytes: 12,
        };
        let told = world.till.entries(2).await?;
        assert_eq!(told, [taken(), Entry::Settled(whole)]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_panic_settles() -> anyhow::Result<()> {
    on_both(async |world| {
        assert!(world.get("/panics").send().await.is_err());
        let panicked = Entry::Settled(Ending::Panicked);
        assert_eq!(world.till.entries(2).await?, [taken(), panicked]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_client_that_goes_settles() -> anyhow::Result<()> {
    on_both(async |world| {
        leaves(world.get("/hangs")).await;
        let cancelled = Entry::Settled(Ending::Cancelled);
        assert_eq!(world.till.entries(2).await?, [taken(), cancelled]);

        let mut answer = world.get("/streams").send().await?;
        assert!(answer.chunk().await?.is_some());
        assert_eq!(world.till.entries(1).await?, [taken()]);
        drop(answer);
        let told = world.till.entries(1).await?;
        let [Entry::Settled(Ending::CutOff { status: 200, bytes })] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert!(*bytes >= 12 && bytes.is_multiple_of(12), "{bytes}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_client_that_goes_while_its_charge_waits_reaches_nothing() -> anyhow::Result<()> {
    on_both(async |world| {
        leaves(world.get("/whole").header("x-till", "wait")).await;
        assert_eq!(world.till.entries(2).await?, [taken(), Entry::GivenUp]);
        Ok(())
    })
    .await
}
