//! What a hostile reading found.

use std::time::Duration;

use serde_json::json;
use tenancy_core::{Admitted, RouteNeeds, jwt::JwtAuthenticator, testing::FakeRequest};

use crate::support::{ISSUER, World, key};

fn status(answer: &Result<Admitted, tenancy_core::Refusal>) -> (u16, &'static str) {
    match answer {
        Ok(_) => (200, ""),
        Err(refusal) => (refusal.kind().status(), refusal.reason()),
    }
}

#[tokio::test]
async fn a_visitor_who_names_a_project_that_is_not_there_turns_no_other_visitor_away() {
    let w = World::new().await;
    let needs = RouteNeeds::tenant().or_anonymous();
    let page = FakeRequest::new("/").header("host", "acme.notes.example");
    for project in ["0192f0c1-2345-7abc-8def-0123456789ab", "no project at all"] {
        let before = w.admit_as(&page, needs).await;
        assert_eq!(status(&before), (200, ""));
        let hostile = page.clone().header("x-project-id", project);
        assert_eq!(status(&w.admit_as(&hostile, needs).await).0, 404);
        let after = w.admit_as(&page, needs).await;
        assert_eq!(status(&after), (200, ""), "after {project}");
    }
}

#[tokio::test]
async fn a_token_older_than_the_longest_lifetime_is_refused_also_where_its_decision_is_remembered()
{
    let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key());
    let tokens = tokens.build().unwrap();
    let w = World::with(|b| {
        b.authenticator(tokens)
            .longest_token_lifetime(Duration::from_secs(1800))
    })
    .await;
    let request = w.alice_at("acme.notes.example");
    w.clock.advance(Duration::from_secs(1799));
    for _ in 0..4 {
        w.admit(&request).await.unwrap();
    }
    w.clock.advance(Duration::from_secs(2));
    // Another text of the same claims is not remembered.
    let fresh = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .header("x-organization-id", "acme")
        .bearer(&w.token(
            w.alice,
            json!({ "iat": w.clock_now().as_unix_seconds() - 1801 }),
        ));
    assert_eq!(w.refused(&fresh).await, (401, "token-too-old"));
    assert_eq!(w.refused(&request).await, (401, "token-too-old"));
}

/// What a caller with a token bound to acme is answered for another tenant, and how many questions it
/// takes, where acme is in no cache.
async fn bound(name: &str) -> Vec<(u16, usize)> {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .tenant_claim("tenant");
    let tokens = tokens.build().unwrap();
    let w = World::with(|b| b.authenticator(tokens)).await;
    w.tenancy.catch_up().await.unwrap();
    let token = w.token(w.alice, json!({ "tenant": "acme" }));
    let mut told = Vec::new();
    for _ in 0..2 {
        let before = w.directory.questions();
        let request = FakeRequest::new("/notes")
            .header("host", format!("{name}.notes.example"))
            .bearer(&token);
        let (status, _) = w.refused(&request).await;
        told.push((status, w.directory.questions() - before));
    }
    // Its own tenant is known now, or not.
    let own = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&token);
    let before = w.directory.questions();
    let _ = w.admit(&own).await;
    told.push((200, w.directory.questions() - before));
    told
}

#[tokio::test]
async fn a_bound_token_costs_the_same_for_a_tenant_of_others_and_for_nobodys() {
    assert_eq!(bound("globex").await, bound("nobody").await);
}
