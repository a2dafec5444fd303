//! What streams hold: nothing.

use futures_util::future::try_join_all;

use crate::world::World;

#[tokio::test]
async fn idle_streams_hold_no_connection() -> anyhow::Result<()> {
    let w = World::start(1).await?;
    let alice = w.alice();
    let mut events = try_join_all((0..15).map(|_| alice.events())).await?;
    let mut sockets = try_join_all((0..15).map(|_| alice.socket())).await?;

    let requests = (0..20).map(async |number| {
        let bob = w.bob();
        assert_eq!(bob.write(&number.to_string()).await?, 201);
        bob.titles().await
    });
    try_join_all(requests).await?;
    // A connection that came back is tidied up after the answer, and then it rests.
    let at_rest = |states: &[String]| states.iter().all(|state| state.starts_with("idle on"));
    let connections = w.connections_until(at_rest).await?;
    assert_eq!(connections.len(), 1, "{connections:?}");

    assert_eq!(alice.write("for all").await?, 201);
    for stream in &mut events {
        assert_eq!(stream.note().await?, "for all");
    }
    for socket in &mut sockets {
        assert_eq!(socket.note().await?, "for all");
    }
    // Thirty sockets' messages pass through one connection as well.
    for socket in &mut sockets {
        socket.write("from each").await?;
    }
    for stream in &mut events {
        for _ in 0..15 {
            assert_eq!(stream.note().await?, "from each");
        }
    }
    drop((events, sockets));
    w.close().await
}
