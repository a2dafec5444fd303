//! What an issuer of one tenant can't do to another, and what refused callers are told.

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
