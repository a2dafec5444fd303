//! A caller with a valid credential can have few names looked up that lead nowhere.

use std::time::Duration;

use serde_json::json;
use tenancy_core::{jwt::JwtAuthenticator, quota::Rate, testing::FakeRequest};

use crate::support::{ISSUER, World, key};

/// Alice asks for a tenant by its name.
async fn refused(w: &World, name: &str) -> (u16, &'static str) {
    w.refused(&w.alice_at(&format!("{name}.notes.example")))
        .await
}

fn bob_at(w: &World, host: &str) -> FakeRequest {
    FakeRequest::new("/notes")
        .header("host", host)
        .bearer(&w.token(w.bob, json!({})))
}

#[tokio::test]
async fn a_flood_of_names_is_answered_without_the_directory() {
    let w = World::new().await;
    w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    for n in 0..64 {
        assert_eq!(
            refused(&w, &format!("made-up-{n}")).await,
            (404, "tenant-unknown")
        );
    }

    let before = w.directory.questions();
    for n in 0..1_000 {
        let told = refused(&w, &format!("another-{n}")).await;
        assert_eq!(told, (429, "unknown-names-spent"));
    }
    // A tenant that there is, and that is not hers, is no other answer.
    assert_eq!(refused(&w, "globex").await, (429, "unknown-names-spent"));
    assert_eq!(w.directory.questions(), before);

    // Nobody else pays for it, and her own tenant is served.
    w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    w.admit(&bob_at(&w, "globex.notes.example")).await.unwrap();
    let told = w.refused(&bob_at(&w, "another-1.notes.example")).await;
    assert_eq!(told, (404, "tenant-unknown"));

    let wait = w
        .admit(&w.alice_at("more.notes.example"))
        .await
        .unwrap_err();
    let wait = wait.retry_after().unwrap();
    w.clock.advance(wait);
    assert_eq!(refused(&w, "globex").await, (404, "not-a-member"));
    assert_eq!(refused(&w, "one-too-many").await.0, 429);
}

#[tokio::test]
async fn names_that_lead_somewhere_are_not_counted_and_the_application_says_how_many_do_not() {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .build()
        .unwrap();
    let two = Rate::new(2, Duration::from_secs(60), 2).unwrap();
    let w = World::with(|builder| builder.authenticator(tokens).unknown_names(two)).await;
    for _ in 0..10 {
        w.tenancy.invalidate(w.acme.id);
        w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    }
    assert_eq!(refused(&w, "globex").await.0, 404);
    assert_eq!(refused(&w, "nobody").await.0, 404);
    // What is remembered costs nothing, and is answered as before.
    assert_eq!(refused(&w, "nobody").await.0, 404);
    assert_eq!(refused(&w, "somebody").await.0, 429);
}
