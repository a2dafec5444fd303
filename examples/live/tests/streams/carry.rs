//! Whose notes a stream carries, and whose it takes.

use tenancy::{SystemRole, UserId};

use crate::world::World;

const DENIED: &str = "urn:tenancy:problem:permission-denied";

#[tokio::test]
async fn each_tenants_streams_carry_its_own_notes_and_no_others() -> anyhow::Result<()> {
    let w = World::start(4).await?;
    let (alice, bob) = (w.alice(), w.bob());
    let (mut acme_events, mut acme_socket) = (alice.events().await?, alice.socket().await?);
    let (mut globex_events, mut globex_socket) = (bob.events().await?, bob.socket().await?);

    for round in ["first", "second"] {
        let (globex, acme) = (format!("{round} of globex"), format!("{round} of acme"));
        assert_eq!(bob.write(&globex).await?, 201);
        // It was told: its own tenant's streams have it.
        assert_eq!(globex_events.note().await?, globex);
        assert_eq!(globex_socket.note().await?, globex);
        assert_eq!(alice.write(&acme).await?, 201);
        // And what the other tenant's streams have next is their own.
        assert_eq!(acme_events.note().await?, acme);
        assert_eq!(acme_socket.note().await?, acme);
    }
    assert_eq!(alice.titles().await?, ["first of acme", "second of acme"]);
    drop((acme_events, acme_socket, globex_events, globex_socket));
    w.close().await
}

#[tokio::test]
async fn a_message_to_a_socket_becomes_a_note_of_its_tenant() -> anyhow::Result<()> {
    let w = World::start(2).await?;
    let (mut socket, mut events) = (w.alice().socket().await?, w.alice().events().await?);
    let mut globex = w.bob().socket().await?;
    globex.write("from globex").await?;
    assert_eq!(globex.note().await?, "from globex");
    socket.write("by socket").await?;
    assert_eq!(socket.note().await?, "by socket");
    assert_eq!(events.note().await?, "by socket");
    assert_eq!(w.alice().titles().await?, ["by socket"]);
    socket.say("not a note").await?;
    assert_eq!(socket.refused().await?, "about:blank");
    drop((socket, events, globex));
    w.close().await
}

#[tokio::test]
async fn a_stranger_gets_no_stream() -> anyhow::Result<()> {
    let w = World::start(1).await?;
    let bob_at_acme = w.client(&w.acme, w.bob);
    assert_eq!(bob_at_acme.socket_refused().await?, 404);
    assert!(bob_at_acme.events().await.is_err());
    w.close().await
}

#[tokio::test]
async fn a_viewer_hears_and_may_not_write_until_it_may() -> anyhow::Result<()> {
    let w = World::start(2).await?;
    let carol = UserId::new();
    w.make(carol, SystemRole::Viewer, &w.acme).await?;
    let mut socket = w.client(&w.acme, carol).socket().await?;
    socket.write("by a viewer").await?;
    assert_eq!(socket.refused().await?, DENIED);
    assert_eq!(w.alice().write("by the owner").await?, 201);
    assert_eq!(socket.note().await?, "by the owner");

    // On the same socket, in both directions.
    w.make(carol, SystemRole::Member, &w.acme).await?;
    socket.write("by a member").await?;
    assert_eq!(socket.note().await?, "by a member");
    w.make(carol, SystemRole::Viewer, &w.acme).await?;
    socket.write("by a viewer again").await?;
    assert_eq!(socket.refused().await?, DENIED);
    assert_eq!(w.alice().titles().await?, ["by the owner", "by a member"]);
    drop(socket);
    w.close().await
}
