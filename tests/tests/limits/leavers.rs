//! Requests that are given up while a store is asked: what it has taken is given back.

use std::time::{Duration, Instant};

use crate::world::{Setup, on_both, quotas, status, with};

const REMOTE: Setup = Setup {
    remote: true,
    ..with(quotas)
};

#[tokio::test]
async fn what_a_store_takes_for_a_request_that_was_given_up_is_given_back() -> anyhow::Result<()> {
    on_both(REMOTE, async |world| {
        // Once it is decided from memory, a request asks the store before its time limit is looked at.
        assert_eq!(status(world.get("/notes")).await?, 200);
        world.open_gate(false);
        let hasty = world.post("/export").header("x-hasty", "yes");
        assert_eq!(status(hasty).await?, 408);
        // Nobody waits any more. The store has taken, and tells it now.
        assert_eq!(world.used("exports-daily").await?, 1);
        world.open_gate(true);
        let deadline = Instant::now() + Duration::from_secs(30);
        while world.used("exports-daily").await? != 0 {
            assert!(Instant::now() < deadline, "it stays charged");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Who waits, pays.
        assert_eq!(status(world.post("/export")).await?, 200);
        assert_eq!(world.used("exports-daily").await?, 1);
        Ok(())
    })
    .await
}
