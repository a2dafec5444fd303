//! Addresses are limited before anybody looks at a credential: whoever floods meets the limit, and nobody else does.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use tenancy_core::quota::{Limit, Quotas};

use crate::world::{MINUTE, PAGES, Setup, World, on_both, problem, quotas, status, with};

/// Five at once of each address, and one more each second.
fn five() -> Quotas {
    quotas().per_address(Limit::rate("requests", 60, MINUTE).burst(5))
}

const DIRECT: Setup = with(five);

const BEHIND_PROXY: Setup = Setup {
    behind_proxy: true,
    ..DIRECT
};

fn from(asking: RequestBuilder, address: &str) -> RequestBuilder {
    asking.header("x-forwarded-for", address)
}

fn guess(world: &World) -> RequestBuilder {
    world
        .ask("acme", Method::GET, "/notes")
        .bearer_auth("no.valid.token")
}

/// Which statuses so many requests get, each with its number.
async fn statuses(count: usize, ask: impl Fn(usize) -> RequestBuilder) -> anyhow::Result<Vec<u16>> {
    let mut statuses = Vec::new();
    for number in 0..count {
        statuses.push(status(ask(number)).await?);
    }
    Ok(statuses)
}

#[tokio::test]
async fn of_two_clients_behind_a_proxy_the_one_that_floods_is_limited() -> anyhow::Result<()> {
    for remote in [false, true] {
        let setup = Setup {
            remote,
            ..BEHIND_PROXY
        };
        on_both(setup, async |world| {
            let flood = |_| from(guess(world), "192.0.2.1");
            assert_eq!(statuses(6, flood).await?, [401, 401, 401, 401, 401, 429]);
            let looked_at = world.looked_at();
            let refused = flood(0).send().await?;
            assert_eq!(refused.status(), 429);
            assert_eq!(refused.headers()["retry-after"], "1");
            assert_eq!(world.looked_at(), looked_at, "somebody looked at its token");
            let told = problem(refused).await?;
            let of_draft = "https://iana.org/assignments/http-problem-types#quota-exceeded";
            assert_eq!(told["type"], of_draft);
            let violated = serde_json::json!(["requests-per-minute-by-address"]);
            assert_eq!(told["violated-policies"], violated);
            assert!(told.get("plan").is_none(), "{told}");
            let entries = world.audit.entries();
            let entry = entries
                .iter()
                .find(|entry| entry.action == "request.charge");
            let entry = entry.expect("the refusal is in the trail");
            assert_eq!(entry.reason.as_deref(), Some("too-many-from-address"));
            assert!(entry.actor.is_none() && entry.tenant.is_none());
            assert_eq!(entry.ip, Some("192.0.2.1".parse()?));
            // A good token does not help, and another address has its own.
            assert_eq!(status(from(world.get("/notes"), "192.0.2.1")).await?, 429);
            let other = |_| from(world.get("/notes"), "192.0.2.2");
            assert_eq!(statuses(5, other).await?, [200; 5]);
            // What is refused takes nothing: one comes back each second.
            world.clock.advance(Duration::from_secs(1));
            assert_eq!(statuses(2, flood).await?, [401, 429]);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_is_no_proxy_gains_nothing_by_naming_other_addresses() -> anyhow::Result<()> {
    on_both(DIRECT, async |world| {
        let rotating = |number| from(guess(world), &format!("192.0.2.{number}"));
        assert_eq!(statuses(6, rotating).await?, [401, 401, 401, 401, 401, 429]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_rotates_within_its_ipv6_network_gains_nothing() -> anyhow::Result<()> {
    on_both(BEHIND_PROXY, async |world| {
        let rotating = |number| from(guess(world), &format!("2001:db8:1:1::{number:x}"));
        assert_eq!(statuses(6, rotating).await?, [401, 401, 401, 401, 401, 429]);
        let neighbour = from(world.get("/notes"), "2001:db8:1:2::1");
        assert_eq!(status(neighbour).await?, 200);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn preflights_and_unknown_paths_cost_nothing() -> anyhow::Result<()> {
    for remote in [false, true] {
        let setup = Setup { remote, ..DIRECT };
        on_both(setup, async |world| {
            let preflight = |_| {
                world
                    .ask("acme", Method::OPTIONS, "/export")
                    .header("origin", PAGES)
                    .header("access-control-request-method", "POST")
            };
            assert_eq!(statuses(8, preflight).await?, [200; 8]);
            assert_eq!(statuses(8, |_| world.get("/nowhere")).await?, [404; 8]);
            assert_eq!(statuses(5, |_| world.get("/notes")).await?, [200; 5]);
            assert_eq!(status(world.get("/nowhere")).await?, 429);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_a_handler_does_not_find_costs_and_so_does_a_guess_at_an_unknown_path()
-> anyhow::Result<()> {
    on_both(DIRECT, async |world| {
        assert_eq!(statuses(3, |_| world.get("/missing")).await?, [404; 3]);
        let guess = |_| {
            world
                .ask("acme", Method::GET, "/nowhere")
                .bearer_auth("no.valid.token")
        };
        assert_eq!(statuses(3, guess).await?, [401, 401, 429]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tenant_that_is_not_the_callers_costs_although_the_answer_is_404() -> anyhow::Result<()> {
    on_both(DIRECT, async |world| {
        let strange = |number| {
            world
                .ask(&format!("nobody-{number}"), Method::GET, "/nowhere")
                .bearer_auth(&world.alice)
        };
        assert_eq!(statuses(6, strange).await?, [404, 404, 404, 404, 404, 429]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_request_costs_its_address_once_however_many_layers_it_passes() -> anyhow::Result<()> {
    on_both(DIRECT, async |world| {
        let export = |_| world.post("/export");
        assert_eq!(statuses(5, export).await?, [200; 5]);
        let central = |_| world.ask("acme", Method::POST, "/sign-in");
        assert_eq!(status(central(0)).await?, 429);
        world.clock.advance(MINUTE);
        assert_eq!(statuses(6, central).await?, [200, 200, 200, 200, 200, 429]);
        Ok(())
    })
    .await
}
