//! M8. A database that stops: the first request may wait for it, those after it are refused at once, and
//! all are served again as soon as it is back.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tenancy_core::{Refusal, RefusalKind, Tenancy};
use tenancy_sqlx::PgDirectory;
use tenancy_tests::{
    DelayProxy,
    notes::{self, Notes, comes_back, on_every_server},
};

use crate::admit;

/// How long a request may take that waits for nothing.
const AT_ONCE: Duration = Duration::from_millis(400);

/// For how long requests come while the database is away: long enough for several to find out.
const AWAY: Duration = Duration::from_secs(3);

/// An engine for which all that it has heard is too old after a moment.
async fn warm(notes: &Notes) -> anyhow::Result<(Tenancy, DelayProxy)> {
    let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
    let directory = PgDirectory::connect_with(proxy.reroute(notes.app_options()), 2).await?;
    let tenancy = notes::builder(directory)?
        .poll_interval(Duration::from_millis(50))
        .max_staleness(Duration::from_millis(100))
        .build()?;
    for _ in 0..3 {
        admit(&tenancy, notes.alice, "acme").await?;
    }
    Ok((tenancy, proxy))
}

fn is_unavailable<T>(answer: Result<T, Refusal>) -> bool {
    answer.is_err_and(|refused| {
        refused.kind() == RefusalKind::Unavailable
            && refused.problem().retry_after_seconds().is_some()
    })
}

/// The service goes through an outage that begins and ends like this.
async fn goes_through(
    notes: &Notes,
    begin: impl Fn(&DelayProxy),
    end: impl Fn(&DelayProxy),
) -> anyhow::Result<()> {
    let (tenancy, proxy) = warm(notes).await?;
    begin(&proxy);
    while admit(&tenancy, notes.alice, "acme").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // One request at a time finds out whether the database is back, and may wait; nobody else does.
    let ends = Instant::now() + AWAY;
    let mut waiting = FuturesUnordered::new();
    while Instant::now() < ends {
        for _ in 0..10 {
            waiting.push(admit(&tenancy, notes.alice, "acme"));
        }
        while let Ok(Some(answer)) = tokio::time::timeout(AT_ONCE, waiting.next()).await {
            anyhow::ensure!(is_unavailable(answer), "something else than 503");
        }
        anyhow::ensure!(waiting.len() <= 1, "{} are waiting", waiting.len());
    }
    // Who finds out has given up, as a client would: nobody polls it from here on.
    drop(waiting);
    end(&proxy);
    comes_back(async || admit(&tenancy, notes.alice, "acme").await).await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_down_is_waited_for_once() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let begin = |proxy: &DelayProxy| {
            proxy.refuse(true);
            proxy.cut();
        };
        goes_through(notes, begin, |proxy| proxy.refuse(false)).await
    })
    .await
}

#[tokio::test]
async fn a_network_that_says_nothing_is_waited_for_once() -> anyhow::Result<()> {
    on_every_server(async |notes| goes_through(notes, DelayProxy::pause, DelayProxy::resume).await)
        .await
}
