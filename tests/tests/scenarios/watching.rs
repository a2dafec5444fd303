//! That the log in which no secret may be is looked at: not nothing, and not for nothing.

use anyhow::ensure;
use tenancy_tests::logwatch;

use crate::{cases, logs, play};

/// Who has to be heard: the library, the database's client, and what both frameworks' servers are
/// made of. hyper is not among them: it logs only where it is built to.
const HEARD: &[&str] = &["tenancy_http", "sqlx", "h2", "actix_http", "actix_server"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_services_log_is_searched_for_what_was_issued() -> anyhow::Result<()> {
    let _playing = logs::playing().await;
    let before = logwatch::seen();
    let mut scenarios = cases::all();
    scenarios.retain(|scenario| scenario.request.http2 || !scenario.wanted.logged.is_empty());
    let played = scenarios.len();
    ensure!(played > 0);
    play::play(scenarios).await?;
    let seen = logwatch::seen();
    let lines = seen.lines - before.lines;
    ensure!(lines > played, "{lines} lines of {played} requests");
    let secrets = seen.secrets - before.secrets;
    ensure!(secrets > 0, "{secrets}");
    for heard in HEARD {
        ensure!(
            seen.crates.contains(*heard),
            "{heard} is not heard: {:?}",
            seen.crates
        );
    }
    Ok(())
}
