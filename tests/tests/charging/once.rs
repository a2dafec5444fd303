//! A request is charged once, however many layers it passes, and each request is.

use reqwest::Method;
use tenancy_core::Ending;

use crate::{
    service::TEXT,
    till::Entry,
    world::{World, on_both},
};

const WHOLE: Entry = Entry::Settled(Ending::Answered {
    status: 200,
    bytes: 12,
});

#[tokio::test]
async fn each_request_is_charged_and_settled_after_its_answer() -> anyhow::Result<()> {
    on_both(async |world| {
        // The second one is decided by caches alone, and charged all the same.
        for _ in 0..3 {
            let answer = world.get("/whole").send().await?;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["ratelimit"], "\"till\";r=5;t=30");
            assert_eq!(answer.text().await?, TEXT);
            let told = world.till.entries(3).await?;
            assert_eq!(told, [World::taken("requests", 1), Entry::Reached, WHOLE]);
        }
        world.get("/both").send().await?.text().await?;
        let told = world.till.entries(4).await?;
        let both = [World::taken("requests", 1), World::taken("exports", 2)];
        assert_eq!(told[..2], both);
        assert_eq!(told[2..], [Entry::Reached, WHOLE]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn layers_within_layers_charge_once() -> anyhow::Result<()> {
    on_both(async |world| {
        for path in ["/covered/once", "/covered/free"] {
            world.get(path).send().await?.text().await?;
            let told = world.till.entries(3).await?;
            assert_eq!(
                told,
                [World::taken("requests", 1), Entry::Reached, WHOLE],
                "{path}"
            );
        }
        // The highest of the two, and each part is settled.
        world.get("/covered/dear").send().await?.text().await?;
        let told = world.till.entries(5).await?;
        let taken = [World::taken("requests", 1), World::taken("requests", 9)];
        assert_eq!(told[..2], taken);
        assert_eq!(told[2..], [Entry::Reached, WHOLE, WHOLE]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_route_without_a_tenant_charges_who_calls() -> anyhow::Result<()> {
    on_both(async |world| {
        for (token, who) in [("", "127.0.0.1"), (&*world.alice, "user")] {
            let answer = world.ask(Method::GET, "/sign-up", token).send().await?;
            assert_eq!(answer.text().await?, TEXT);
            let taken = Entry::Taken(who.to_owned(), "requests".to_owned(), 1);
            assert_eq!(world.till.entries(3).await?, [taken, Entry::Reached, WHOLE]);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tenant_is_charged_although_its_caller_was() -> anyhow::Result<()> {
    on_both(async |world| {
        let answer = world.get("/central/tenant").send().await?;
        assert_eq!(answer.text().await?, TEXT);
        let caller = Entry::Taken("user".to_owned(), "requests".to_owned(), 1);
        let told = world.till.entries(5).await?;
        let expected = [
            caller,
            World::taken("requests", 1),
            Entry::Reached,
            WHOLE,
            WHOLE,
        ];
        assert_eq!(told, expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_charge_may_wait_for_a_store() -> anyhow::Result<()> {
    on_both(async |world| {
        let asking = world.get("/whole").header("x-till", "wait").send();
        let asking = tokio::spawn(asking);
        assert_eq!(world.till.entries(1).await?, [World::taken("requests", 1)]);
        world.till.gate.add_permits(1);
        let answer = asking.await??;
        assert_eq!(answer.headers()["ratelimit"], "\"till\";r=5;t=30");
        assert_eq!(answer.text().await?, TEXT);
        assert_eq!(world.till.entries(2).await?, [Entry::Reached, WHOLE]);
        Ok(())
    })
    .await
}
