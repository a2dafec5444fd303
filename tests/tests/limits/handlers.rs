//! What handlers know: what their request was charged, what is used and left, and how to take more.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tenancy_core::quota::Quotas;

use crate::world::{Setup, on_both, problem, quotas, status, with};

async fn told(asking: RequestBuilder) -> anyhow::Result<Value> {
    let answer = asking.send().await?;
    assert_eq!(answer.status(), 200);
    Ok(serde_json::from_str(&answer.text().await?)?)
}

#[tokio::test]
async fn a_handler_knows_what_its_request_was_charged_and_what_is_left() -> anyhow::Result<()> {
    for remote in [false, true] {
        let setup = Setup {
            remote,
            ..with(quotas)
        };
        on_both(setup, async |world| {
            let charged = told(world.post("/export")).await?;
            assert_eq!(charged, json!([["exports-daily", 1, 4]]));
            // The outer layer takes 1, and the inner one the rest of 2.
            let charged = told(world.post("/twice")).await?;
            let of_both = json!([["exports-daily", 1, 3], ["exports-daily", 1, 2]]);
            assert_eq!(charged, of_both);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

fn by_the_clients_id() -> Quotas {
    quotas().idempotency_key_header("idempotency-key")
}

#[tokio::test]
async fn a_request_with_an_id_pays_for_each_of_its_layers_and_its_repetition_for_none()
-> anyhow::Result<()> {
    on_both(with(by_the_clients_id), async |world| {
        let twice = |id: &str| world.post("/twice").header("idempotency-key", id);
        let first = told(twice("a")).await?;
        assert_eq!(
            first,
            json!([["exports-daily", 1, 4], ["exports-daily", 1, 3]])
        );
        let repeated = told(twice("a")).await?;
        assert_eq!(
            repeated,
            json!([["exports-daily", 0, 3], ["exports-daily", 0, 3]])
        );
        assert_eq!(world.used("exports-daily").await?, 2);
        told(twice("b")).await?;
        assert_eq!(world.used("exports-daily").await?, 4);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_handler_asks_what_is_left_and_takes_of_it() -> anyhow::Result<()> {
    on_both(with(quotas), async |world| {
        told(world.post("/export")).await?;
        assert_eq!(told(world.post("/projects")).await?, json!(1));
        let usage = told(world.get("/usage")).await?;
        assert_eq!(
            usage,
            json!([["exports-daily", 1, 4], ["projects-held", 1, 1]])
        );
        assert_eq!(told(world.post("/projects")).await?, json!(0));
        let refused = world.post("/projects").send().await?;
        assert_eq!(refused.status(), 402);
        let said = problem(refused).await?;
        assert_eq!(said["type"], "urn:tenancy:problem:quota-exhausted");
        assert_eq!(said["violated-policies"], json!(["projects-held"]));
        assert_eq!((&said["used"], &said["remaining"]), (&json!(2), &json!(0)));
        // Another tenant's plan has no limit of projects.
        let other = world
            .ask("globex", Method::POST, "/projects")
            .bearer_auth(&world.bob);
        assert_eq!(told(other).await?, Value::Null);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_meter_that_nobody_declared_is_an_error_and_no_panic() -> anyhow::Result<()> {
    on_both(with(quotas), async |world| {
        let failed = world.get("/undeclared").send().await?;
        assert_eq!(failed.status(), 500);
        let said = problem(failed).await?;
        assert_eq!(said["type"], "urn:tenancy:problem:internal");
        Ok(())
    })
    .await
}

/// In actix-web the middleware of a resource runs first, and in axum what was applied with `layer` does.
#[tokio::test]
async fn a_method_that_a_resource_does_not_have_costs_nothing() -> anyhow::Result<()> {
    on_both(with(by_the_clients_id), async |world| {
        for path in ["/export", "/layered", "/twice"] {
            for method in [Method::GET, Method::PUT, Method::DELETE] {
                let request = world.ask("acme", method, path).bearer_auth(&world.alice);
                assert_eq!(status(request).await?, 405, "{path}");
                let request = world.get(path).header("idempotency-key", "a");
                assert_eq!(status(request).await?, 405, "{path}");
            }
            assert_eq!(world.used("exports-daily").await?, 0, "{path}");
        }
        let charged = told(world.post("/layered").header("idempotency-key", "a")).await?;
        assert_eq!(charged, json!([["exports-daily", 1, 4]]));
        Ok(())
    })
    .await
}
