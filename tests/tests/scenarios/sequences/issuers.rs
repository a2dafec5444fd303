//! What an issuer of one tenant can't do to another, and what refused callers are told.

use std::time::Duration;

use anyhow::ensure;
use serde_json::Value;

use super::{ACME, GLOBEX, answer, over_both};
use crate::{
    cases,
    issuers::UNREGISTERED,
    scenario::{Credential, Scenario, Shape, get, send},
    wire::Answer,
    world::World,
};

const ANOTHERS: &str = "/app/notes/{globex:1}";

fn at(host: &'static str, target: &str, credential: Credential) -> Scenario {
    send("GET", target).at(host).with(credential)
}

fn without_date(mut answer: Answer) -> Answer {
    answer.fields.retain(|(name, _)| name != "date");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_own_issuer_does_not_speak_for_another_tenant() -> anyhow::Result<()> {
    let start = async |world: &World, framework| world.serve(framework, Shape::Tokens).await;
    over_both(start, async |world, service| {
        // The note is there, and so is the membership: by the service's own issuers both show.
        for credential in [Credential::Token("bob's"), Credential::Of("dana")] {
            let there = answer(world, service, &at(GLOBEX, ANOTHERS, credential)).await?;
            ensure!(there.body.contains("globex's note 1"), "{there:?}");
        }
        let danas = Credential::Token("dana's");
        let own = answer(world, service, &at(ACME, "/app/notes", danas)).await?;
        ensure!(own.body == "3", "{own:?}");

        let nowhere = at("nowhere.notes.example", "/app/notes", danas);
        let unknown = without_date(answer(world, service, &nowhere).await?);
        ensure!(unknown.status == 404, "{unknown:?}");
        let named = |scenario: Scenario| scenario.field("x-organization-id", "globex");
        for foreign in [
            at(GLOBEX, "/app/notes", danas),
            at(GLOBEX, ANOTHERS, danas),
            named(at("localhost", "/app/notes", danas)),
            named(at(ACME, "/app/notes", danas)),
            at("localhost", "/t/globex/notes", danas),
        ] {
            let refused = without_date(answer(world, service, &foreign).await?);
            ensure!(refused == unknown, "{foreign:?}: {refused:?}");
        }
        // Its own tenant's door leads to its own tenant's notes alone.
        let through = answer(world, service, &at(ACME, ANOTHERS, danas)).await?;
        ensure!(through.body == "null", "{through:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_another_process_registers_is_found_and_dies_when_it_is_removed()
-> anyhow::Result<()> {
    let start = async |world: &World, framework| world.serve(framework, Shape::Tokens).await;
    over_both(start, async |world, service| {
        let ginas = Credential::Token("gina's");
        let says = async |world: &World, host| {
            let answer = answer(world, service, &at(host, "/app/notes", ginas)).await?;
            anyhow::Ok((answer.status, answer.body))
        };
        // As a member of both tenants, by the service's own issuer.
        for (host, notes) in [(ACME, "3"), (GLOBEX, "5")] {
            let own = at(host, "/app/notes", Credential::Of("gina"));
            ensure!(answer(world, service, &own).await?.body == notes);
        }
        ensure!(
            says(world, GLOBEX).await?.0 == 401,
            "nobody has registered it"
        );
        world
            .elsewhere("INSERT INTO sign_ons VALUES ('{issuer}', '{globex}')")
            .await?;
        world.clock.advance(Duration::from_secs(10));
        for _ in 0..2 {
            ensure!(says(world, GLOBEX).await? == (200, "5".to_owned()));
        }
        ensure!(says(world, ACME).await?.0 == 404, "it is globex's alone");

        world
            .elsewhere("ALTER TABLE sign_ons RENAME TO away")
            .await?;
        ensure!(says(world, GLOBEX).await?.0 == 200, "it is held");
        world.clock.advance(Duration::from_secs(30));
        let (status, body) = says(world, GLOBEX).await?;
        ensure!(status == 503, "it may have been removed: {body}");
        ensure!(!body.contains("sign_ons"), "{body}");
        world
            .elsewhere("ALTER TABLE away RENAME TO sign_ons")
            .await?;
        ensure!(says(world, GLOBEX).await?.0 == 200, "it is there again");

        world.elsewhere("DELETE FROM sign_ons").await?;
        world.clock.advance(Duration::from_secs(30));
        ensure!(says(world, GLOBEX).await?.0 == 401, "it is removed");
        // Nobody else was affected.
        let other = at(ACME, "/app/notes", Credential::Token("dana's"));
        ensure!(answer(world, service, &other).await?.body == "3");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_token_gets_the_same_bytes_and_sends_the_service_nowhere() -> anyhow::Result<()> {
    let start = async |world: &World, framework| world.serve(framework, Shape::Tokens).await;
    over_both(start, async |world, service| {
        let nobodys = get("/app/notes")
            .at(ACME)
            .with(Credential::Text("Bearer x.y.z"));
        let nobodys = without_date(answer(world, service, &nobodys).await?);
        ensure!(nobodys.status == 401, "{nobodys:?}");
        let refused = cases::all().into_iter().filter(|scenario| {
            scenario.service == Shape::Tokens && scenario.wanted.status == [401]
        });
        let mut played = 0;
        for scenario in refused {
            let answer = without_date(answer(world, service, &scenario).await?);
            ensure!(answer == nobodys, "{}: {answer:?}", scenario.name);
            played += 1;
        }
        ensure!(played > 20, "{played} scenarios");
        let body: Value = serde_json::from_str(&nobodys.body)?;
        ensure!(body["type"] == "urn:tenancy:problem:unauthenticated");
        // Neither an issuer whom nobody trusts nor `jku` leads the service to a stranger.
        ensure!(world.key_server.asked(UNREGISTERED) == 0);
        Ok(())
    })
    .await
}
