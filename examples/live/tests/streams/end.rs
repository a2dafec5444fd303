//! When streams end, and what they say then.

use sqlx::Executor as _;
use tenancy::{SystemRole, UserId};
use tokio::time::timeout;

use crate::world::{SOON, World, engine};

const SUSPENDED: &str = "urn:tenancy:problem:tenant-suspended";
const NOT_FOUND: &str = "urn:tenancy:problem:tenant-not-found";
const UNAVAILABLE: &str = "urn:tenancy:problem:unavailable";

#[tokio::test]
async fn a_suspension_ends_every_stream_of_the_tenant_and_none_of_another() -> anyhow::Result<()> {
    let w = World::start(2).await?;
    let (alice, bob) = (w.alice(), w.bob());
    let (mut events, mut socket) = (alice.events().await?, alice.socket().await?);
    let (mut others_events, mut others_socket) = (bob.events().await?, bob.socket().await?);
    w.tenancy
        .admin(tenancy::testing::service())
        .suspend(w.acme.id)
        .await?;
    assert_eq!(socket.end().await?, (1008, SUSPENDED.into()));
    assert_eq!(events.end().await?, SUSPENDED);
    assert_eq!(alice.socket_refused().await?, 403);

    assert_eq!(bob.write("still here").await?, 201);
    assert_eq!(others_events.note().await?, "still here");
    others_socket.write("and here").await?;
    assert_eq!(others_socket.note().await?, "still here");
    assert_eq!(others_socket.note().await?, "and here");
    drop((others_events, others_socket));
    w.close().await
}

#[tokio::test]
async fn a_message_after_the_suspension_is_not_written() -> anyhow::Result<()> {
    let w = World::start(2).await?;
    let mut socket = w.alice().socket().await?;
    w.tenancy
        .admin(tenancy::testing::service())
        .suspend(w.acme.id)
        .await?;
    // Before or after the watch has looked: the message is decided about by itself.
    let _ = socket.write("too late").await;
    assert_eq!(socket.end().await?, (1008, SUSPENDED.into()));
    w.tenancy
        .admin(tenancy::testing::service())
        .activate(w.acme.id)
        .await?;
    assert!(w.alice().titles().await?.is_empty());
    w.close().await
}

#[tokio::test]
async fn a_membership_revoked_elsewhere_ends_this_users_streams() -> anyhow::Result<()> {
    let w = World::start(2).await?;
    let carol = UserId::new();
    w.make(carol, SystemRole::Member, &w.acme).await?;
    let client = w.client(&w.acme, carol);
    let (mut events, mut socket) = (client.events().await?, client.socket().await?);
    let mut alices = w.alice().socket().await?;

    let elsewhere = engine(&w.database).await?;
    let admin = elsewhere.admin(tenancy::testing::service());
    admin.remove_membership(w.acme.id, carol).await?;
    assert_eq!(socket.end().await?, (1008, NOT_FOUND.into()));
    assert_eq!(events.end().await?, NOT_FOUND);
    alices.write("still a member").await?;
    assert_eq!(alices.note().await?, "still a member");
    drop(alices);
    w.close().await
}

#[tokio::test]
async fn a_service_that_ends_answers_what_was_asked_and_ends_its_streams() -> anyhow::Result<()> {
    let w = World::start(2).await?;
    let alice = w.alice();
    let (mut events, mut socket) = (alice.events().await?, alice.socket().await?);

    // A request that is under way for as long as this lock is held.
    let mut admin = w.database.admin().await?;
    admin.execute("BEGIN; LOCK TABLE notes").await?;
    let asked = tokio::spawn(async move { alice.write("asked before").await });
    let waits = |states: &[String]| states.iter().any(|state| state == "active on Lock");
    w.connections_until(waits).await?;

    let (database, served) = w.stop();
    assert_eq!(socket.end().await?, (1013, UNAVAILABLE.into()));
    assert_eq!(events.end().await?, UNAVAILABLE);
    assert!(!served.is_finished(), "a request is still to be answered");
    admin.execute("COMMIT").await?;
    assert_eq!(timeout(SOON, asked).await???, 201);
    timeout(SOON, served).await??.map_err(anyhow::Error::msg)?;
    Ok(database.close().await?)
}
