//! Issuers that rotate their keys, do not answer, lie, die and come back.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tenancy_tests::Serving;

use super::{ACME, answer, over_both, problem};
use crate::{
    issuers::{self, LOGIN},
    key_server::Reply,
    logs, play,
    scenario::{Credential, Scenario, Shape, get},
    signer::SIGNERS,
    wire::{self, Answer},
    world::World,
};

macro_rules! ensure_said {
    ($world:ident, $service:ident, $token:expr, $wanted:expr, $($when:tt)+) => {
        let said = said($world, $service, $token).await?;
        ensure!(said == $wanted, "{}: {} gets {said}", format!($($when)+), $token);
    };
}

mod lies;

const DESCRIPTION: &str = "login/.well-known/openid-configuration";

/// The default from one fetch to the next.
const COOL_DOWN: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

const ADMITTED: &str = "3";
const UNAVAILABLE: &str = "503 unavailable";
const UNKNOWN_KEY: &str = "401 unauthenticated token-key-unknown";

async fn with_issuers(
    sequence: impl AsyncFn(&mut World, &Serving) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let start = async |world: &World, framework| world.serve(framework, Shape::Tokens).await;
    over_both(start, sequence).await
}

fn notes(credential: Credential) -> Scenario {
    get("/app/notes").at(ACME).with(credential)
}

/// How many notes a token shows, or the status, the problem and what the audit trail says of it.
async fn said(world: &World, service: &Serving, token: &'static str) -> anyhow::Result<String> {
    let (audited, logged) = (world.audit_len(), logs::mark());
    let notes = notes(Credential::Token(token));
    let answer = answer(world, service, &notes).await?;
    let errors = logs::errors_since(logged);
    ensure!(errors.is_empty(), "{errors:?}");
    outcome(&answer, &world.audited_since(audited))
}

fn outcome(answer: &Answer, audited: &[String]) -> anyhow::Result<String> {
    if answer.status == 200 {
        ensure!(audited.is_empty(), "{audited:?}");
        return Ok(answer.body.clone());
    }
    if answer.status == 503 {
        let wait: u64 = answer.field("retry-after").context("no time")?.parse()?;
        ensure!((1..=COOL_DOWN.as_secs()).contains(&wait), "{answer:?}");
    }
    for internal in ["127.0.0.1", "key", "issuer", "http"] {
        ensure!(!answer.body.contains(internal), "{answer:?}");
    }
    let kind = problem(answer).replace("urn:tenancy:problem:", "");
    let reasons = audited.iter().filter_map(|entry| entry.split(' ').nth(1));
    let mut outcome = format!("{} {kind}", answer.status);
    reasons.for_each(|reason| outcome = format!("{outcome} {reason}"));
    Ok(outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_is_found_after_the_cool_down_and_a_withdrawn_one_takes_its_tokens_along()
-> anyhow::Result<()> {
    with_issuers(async |world, service| {
        let keys = &*SIGNERS;
        for time in ["the first time", "the second time"] {
            ensure_said!(world, service, "alice's, RS256", ADMITTED, "{time}");
        }
        // Once, for its description and its keys.
        ensure!(world.key_server.asked(LOGIN) == 2);

        let both = [keys.rsa.jwk(), keys.next.jwk()];
        world.key_server.publishes(LOGIN, &both);
        let invented = "of one more invented kid";
        world.clock.advance(Duration::from_secs(1));
        ensure_said!(
            world,
            service,
            invented,
            UNAVAILABLE,
            "within the cool-down"
        );
        ensure!(world.key_server.asked(LOGIN) == 2);
        world.clock.advance(COOL_DOWN);
        ensure_said!(
            world,
            service,
            "of the next key",
            ADMITTED,
            "both published"
        );
        ensure_said!(world, service, "alice's, RS256", ADMITTED, "both published");
        ensure!(world.key_server.asked(LOGIN) == 4);

        world.key_server.publishes(LOGIN, &[keys.next.jwk()]);
        ensure_said!(
            world,
            service,
            "alice's, RS256",
            ADMITTED,
            "not heard of yet"
        );
        world.clock.advance(COOL_DOWN);
        // An id that is unknown has the keys fetched, and so brings the news.
        ensure_said!(
            world,
            service,
            "of an unknown kid",
            UNKNOWN_KEY,
            "withdrawn"
        );
        world.clock.advance(COOL_DOWN / 2);
        // It may have been published again since the keys were fetched.
        ensure_said!(world, service, "alice's, RS256", UNAVAILABLE, "withdrawn");
        world.clock.advance(COOL_DOWN / 2);
        ensure_said!(world, service, "alice's, RS256", UNKNOWN_KEY, "withdrawn");
        ensure_said!(world, service, "of the next key", ADMITTED, "withdrawn");

        // And without any such hint, keys are renewed when they have grown old.
        world.key_server.publishes(LOGIN, &[keys.rsa.jwk()]);
        world.clock.advance(20 * MINUTE);
        ensure_said!(world, service, "of the next key", UNKNOWN_KEY, "grown old");
        ensure_said!(
            world,
            service,
            "alice's, RS256",
            ADMITTED,
            "published again"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_stalls_holds_up_its_own_unknown_keys_alone() -> anyhow::Result<()> {
    with_issuers(async |world, service| {
        ensure_said!(world, service, "dana's", ADMITTED, "another issuer");
        world.key_server.replies(DESCRIPTION, Reply::Silence);
        let alices = notes(Credential::Token("alice's, RS256"));
        let stalled = play::outgoing(world, &alices)?;
        let stalled = wire::Sender::send(service.address, &stalled).await?;
        world.key_server.waits_for(LOGIN, 0).await?;
        // While that one waits, the others do not.
        ensure_said!(world, service, "dana's", ADMITTED, "another issuer");
        let configured = answer(world, service, &notes(Credential::Of("alice"))).await?;
        ensure!(configured.body == ADMITTED, "{configured:?}");
        let stalled = stalled.answer().await?.context("no answer")?;
        ensure!(outcome(&stalled, &[])? == UNAVAILABLE, "{stalled:?}");

        issuers::publish(&world.key_server);
        let alices = "alice's, RS256";
        ensure_said!(world, service, alices, UNAVAILABLE, "within the cool-down");
        ensure!(world.key_server.asked(LOGIN) == 1);
        world.clock.advance(COOL_DOWN);
        ensure_said!(world, service, alices, ADMITTED, "when it answers");

        // Keys that are there are used while nobody answers.
        let before = world.key_server.asked(LOGIN);
        world.key_server.replies(DESCRIPTION, Reply::Silence);
        world.clock.advance(11 * MINUTE);
        ensure_said!(world, service, alices, ADMITTED, "when a fetch is due");
        world.key_server.waits_for(LOGIN, before).await?;
        ensure_said!(world, service, alices, ADMITTED, "while the fetch hangs");
        ensure_said!(world, service, "alice's, ES256", ADMITTED, "never seen");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_dead_leaves_its_known_keys_for_a_day_and_comes_back()
-> anyhow::Result<()> {
    with_issuers(async |world, service| {
        ensure_said!(world, service, "alice's, RS256", ADMITTED, "alive");
        world.key_server.dies().await?;
        world.clock.advance(COOL_DOWN);
        // "Unknown" would be a guess: the issuer may have rotated its keys.
        for kid in ["of an unknown kid", "of the next key"] {
            ensure_said!(world, service, kid, UNAVAILABLE, "dead");
        }
        ensure_said!(world, service, "dana's", UNAVAILABLE, "never fetched");
        for age in [MINUTE, HOUR, 22 * HOUR] {
            world.clock.advance(age);
            ensure_said!(
                world,
                service,
                "alice's, RS256",
                ADMITTED,
                "dead for {age:?}"
            );
            ensure_said!(
                world,
                service,
                "alice's, ES256",
                ADMITTED,
                "dead for {age:?}"
            );
        }
        world.clock.advance(HOUR);
        ensure_said!(
            world,
            service,
            "alice's, RS256",
            UNAVAILABLE,
            "dead for a day"
        );
        let configured = answer(world, service, &notes(Credential::Of("alice"))).await?;
        ensure!(configured.body == ADMITTED, "{configured:?}");

        world.key_server.comes_back()?;
        world.clock.advance(COOL_DOWN);
        ensure_said!(world, service, "alice's, RS256", ADMITTED, "back");
        ensure_said!(world, service, "dana's", ADMITTED, "back");
        world.clock.advance(COOL_DOWN);
        ensure_said!(world, service, "of an unknown kid", UNKNOWN_KEY, "back");
        Ok(())
    })
    .await
}
