//! The chain from an end user to a job, on real PostgreSQL and over real HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod world;

use serde_json::{Value, json};
use world::World;

#[tokio::test]
async fn an_agent_apps_run_is_attributed_and_done_in_its_tenant() -> anyhow::Result<()> {
    let mut w = World::start().await?;
    let (status, issued) = w.issue(&w.alice, "summaries", &["runs:start"]).await?;
    assert_eq!(status, 201);
    let (id, key) = (&issued["id"], issued["key"].as_str().unwrap());
    let asked = json!({ "task": "summarize", "end_user": "customer-17" });
    let (status, run) = w.with_key(key).post("/runs", &asked).await?;
    assert_eq!((status, &run["state"]), (202, &json!("queued")));

    assert!(w.jobs.next().await);
    let path = format!("/runs/{}", run["id"].as_str().unwrap());
    let (status, run) = w.person(&w.alice).get(&path).await?;
    assert_eq!(status, 200);
    let by = format!("key:{}", id.as_str().unwrap());
    assert_eq!(run["started_by"], json!(by));
    assert_eq!(run["on_behalf_of"], json!(w.alice.user.to_string()));
    assert_eq!(run["end_user"], json!("customer-17"));
    assert_eq!(run["state"], json!("done"));
    assert_eq!(run["result"], json!("done for acme"));
    // It is there, and it is nobody's at the other tenant.
    assert_eq!(w.person(&w.bob).get(&path).await?.0, 404);
    assert_eq!(w.person(&w.bob).get("/runs").await?.1, json!([]));
    w.close().await
}

#[tokio::test]
async fn a_key_does_what_its_scopes_and_its_creator_allow() -> anyhow::Result<()> {
    let w = World::start().await?;
    let (_, issued) = w.issue(&w.alice, "starter", &["runs:start"]).await?;
    let key = issued["key"].as_str().unwrap();
    let asked = json!({ "task": "t" });
    assert_eq!(w.with_key(key).get("/runs").await?.0, 403);
    assert_eq!(w.with_key(key).get("/keys").await?.0, 403);
    assert_eq!(w.with_key(key).post("/runs", &asked).await?.0, 202);
    // The owner's key for everything issues no key, and does not reach the other tenant.
    let (_, issued) = w.issue(&w.alice, "everything", &["*"]).await?;
    let key = issued["key"].as_str().unwrap();
    let wanted = json!({ "name": "offspring", "scopes": ["runs:read"] });
    assert_eq!(w.with_key(key).post("/keys", &wanted).await?.0, 403);
    let at_globex = w.with_key(key).at(w.bob.tenant);
    assert_eq!(w.person(&w.bob).get("/runs").await?.0, 200);
    assert_eq!(at_globex.get("/runs").await?.0, 404);
    // A viewer manages no keys; what the owner's key may do ends with what the owner may do.
    w.demote(&w.alice).await?;
    assert_eq!(w.issue(&w.alice, "late", &["runs:read"]).await?.0, 403);
    assert_eq!(w.with_key(key).post("/runs", &asked).await?.0, 403);
    assert_eq!(w.with_key(key).get("/runs").await?.0, 200);
    w.close().await
}

#[tokio::test]
async fn a_revoked_keys_waiting_job_is_not_done() -> anyhow::Result<()> {
    let mut w = World::start().await?;
    let (_, issued) = w.issue(&w.alice, "leaky", &["runs:start"]).await?;
    let (id, key) = (
        issued["id"].as_str().unwrap(),
        issued["key"].as_str().unwrap(),
    );
    let asked = json!({ "task": "exfiltrate" });
    let (status, run) = w.with_key(key).post("/runs", &asked).await?;
    assert_eq!(status, 202);
    assert_eq!(
        w.person(&w.alice).delete(&format!("/keys/{id}")).await?,
        204
    );
    assert_eq!(w.with_key(key).post("/runs", &asked).await?.0, 401);
    assert!(w.jobs.next().await);
    let path = format!("/runs/{}", run["id"].as_str().unwrap());
    let (_, run) = w.person(&w.alice).get(&path).await?;
    assert_eq!(
        (&run["state"], &run["result"]),
        (&json!("refused"), &Value::Null)
    );
    w.close().await
}

#[tokio::test]
async fn a_rotated_key_overlaps_with_its_successor_and_is_shown_once() -> anyhow::Result<()> {
    let w = World::start().await?;
    let (_, old) = w.issue(&w.alice, "app", &["runs:read"]).await?;
    let rotate = format!("/keys/{}/rotate", old["id"].as_str().unwrap());
    let (status, new) = w.person(&w.alice).post(&rotate, &json!({})).await?;
    assert_eq!(status, 200);
    for key in [&old["key"], &new["key"]] {
        assert_eq!(w.with_key(key.as_str().unwrap()).get("/runs").await?.0, 200);
    }
    assert_eq!(w.person(&w.alice).post(&rotate, &json!({})).await?.0, 422);
    let (_, keys) = w.person(&w.alice).get("/keys").await?;
    assert_eq!(keys.as_array().unwrap().len(), 2);
    assert!(!keys.to_string().contains(new["key"].as_str().unwrap()));
    let (status, why) = w.issue(&w.alice, "nonsense", &["runs"]).await?;
    assert_eq!(status, 422);
    assert!(
        why.to_string().contains("`runs` covers no permission"),
        "{why}"
    );
    w.close().await
}

#[tokio::test]
async fn nobody_is_shown_anothers_key_and_no_key_rotates_itself() -> anyhow::Result<()> {
    let w = World::start().await?;
    let carol = w.colleague(&w.alice).await?;
    let (_, issued) = w.issue(&w.alice, "everything", &["*"]).await?;
    let id = issued["id"].as_str().unwrap();
    let rotate = format!("/keys/{id}/rotate");
    // She sees it and may revoke it; its text would act as Alice.
    let (_, keys) = w.person(&carol).get("/keys").await?;
    assert_eq!(keys[0]["id"], json!(id));
    assert_eq!(w.person(&carol).post(&rotate, &json!({})).await?.0, 404);
    let key = issued["key"].as_str().unwrap();
    assert_eq!(w.with_key(key).get("/keys").await?.0, 200);
    assert_eq!(w.with_key(key).post(&rotate, &json!({})).await?.0, 403);
    assert_eq!(w.person(&w.bob).post(&rotate, &json!({})).await?.0, 404);
    assert_eq!(w.person(&w.alice).post(&rotate, &json!({})).await?.0, 200);
    let revoke = format!("/keys/{id}");
    assert_eq!(w.person(&carol).delete(&revoke).await?, 204);
    w.close().await
}
