//! The service as people use it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

#[path = "../../../pages/scenarios/mod.rs"]
mod scenarios;

use scenarios::{World, specify};

specify!("CARGO_BIN_EXE_pages-axum");

#[tokio::test]
async fn a_session_ends_for_whoever_has_copied_its_cookie() -> anyhow::Result<()> {
    let world = World::start(env!("CARGO_BIN_EXE_pages-axum")).await?;
    let mut alice = world.owner("alice", "acme", "A plan").await?;
    let mut copy = alice.clone();
    copy.open("/o/acme/notes").await?.assert_page(200);
    alice.send("/logout", &[]).await?.assert_redirect("/");
    let page = copy.open("/o/acme/notes").await?;
    page.assert_redirect("/login?next=/o/acme/notes");
    world.close().await
}
