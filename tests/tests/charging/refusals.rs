//! Who is refused: by the charger, after which the handler does not run; and before it, which costs nothing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, on_both};

async fn problem(answer: reqwest::Response) -> anyhow::Result<Value> {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    Ok(serde_json::from_str(&answer.text().await?)?)
}

#[tokio::test]
async fn a_spent_quota_says_what_is_spent_and_where_there_is_more() -> anyhow::Result<()> {
    on_both(async |world| {
        let answer = world
            .get("/export")
            .header("x-till", "spent")
            .send()
            .await?;
        assert_eq!(answer.status(), 402);
        let problem = problem(answer).await?;
        let said = json!({
            "type": "urn:tenancy:problem:quota-exhausted",
            "title": "Quota exhausted",
            "status": 402,
            "detail": "What the tenant's plan includes is used up.",
            "meter": "exports",
            "limit": 3,
            "used": 3,
            "plan": "pro",
            "upgrade_url": "https://notes.example/plans",
        });
        assert_eq!(problem, said);
        // Charged and refused; neither the handler nor a settlement follows.
        assert_eq!(world.till.entries(1).await?, [World::taken("exports", 1)]);
        let entries = world.audit.entries();
        let [entry] = entries.as_slice() else {
            panic!("{entries:?}");
        };
        assert_eq!(entry.action, "request.charge");
        assert_eq!(entry.reason.as_deref(), Some("exports-of-the-month"));
        assert!(entry.actor.is_some() && entry.tenant.is_some() && entry.ip.is_some());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn too_many_requests_say_when_to_come_again() -> anyhow::Result<()> {
    on_both(async |world| {
        for method in [Method::GET, Method::HEAD] {
            let asking = world.ask(method.clone(), "/whole", &world.alice);
            let answer = asking.header("x-till", "slow-down").send().await?;
            assert_eq!(answer.status(), 429);
            assert_eq!(answer.headers()["retry-after"], "7");
            assert_eq!(answer.headers()["ratelimit"], "\"till\";r=0;t=7");
            if method == Method::GET {
                let problem = problem(answer).await?;
                assert_eq!(problem["type"], "urn:tenancy:problem:rate-limited");
            }
            assert_eq!(world.till.entries(1).await?, [World::taken("requests", 1)]);
        }
        world.till.gate.add_permits(1);
        let asking = world.get("/whole").header("x-till", "wait-and-refuse");
        assert_eq!(asking.send().await?.status(), 429);
        assert_eq!(world.till.entries(1).await?, [World::taken("requests", 1)]);
        assert_eq!(world.audit.entries().len(), 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn whoever_is_refused_before_is_not_charged() -> anyhow::Result<()> {
    on_both(async |world| {
        for (tenant, token, status, kind) in [
            ("acme", "", 401, "unauthenticated"),
            ("acme", "no.valid.token", 401, "unauthenticated"),
            ("acme", &*world.bob, 404, "tenant-not-found"),
            ("nobody", &*world.alice, 404, "tenant-not-found"),
            ("acme", &*world.vera, 403, "permission-denied"),
            ("globex", &*world.bob, 403, "feature-not-in-plan"),
        ] {
            let asking = world.ask_at(tenant, Method::GET, "/export", token);
            let answer = asking.send().await?;
            assert_eq!(answer.status(), status, "{kind}");
            let problem = problem(answer).await?;
            assert_eq!(problem["type"], format!("urn:tenancy:problem:{kind}"));
            if kind == "feature-not-in-plan" {
                assert_eq!(
                    (&problem["feature"], &problem["plan"]),
                    (&json!("export"), &json!("free"))
                );
            }
        }
        // Only this one.
        world.get("/export").send().await?.text().await?;
        let told = world.till.entries(3).await?;
        assert_eq!(told.len(), 3);
        assert_eq!(told.first(), Some(&World::taken("exports", 1)));
        Ok(())
    })
    .await
}
