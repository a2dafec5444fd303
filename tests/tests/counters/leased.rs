//! Leases in hand over counters in PostgreSQL: a process that is killed loses its batches and nothing else.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use tenancy_core::{
    TenantId,
    quota::{Counters, Holder, LeasedCounters, Take},
};
use tenancy_sqlx::{PgCounters, RegistryPool};
use tenancy_tests::notes::{PASSWORD, on_every_server, seal_key, seal_of_the_run};

use crate::{LONG, counting, month, passes, used};

/// Where the process of its own finds the database, and whose use it counts.
const CHILD: &str = "TENANCY_LEASED_CHILD";
const WHOSE: &str = "TENANCY_LEASED_TENANT";

/// How much of a budget of 1,000 a process has in hand at most: a 64th of what is left.
const IN_HAND: u64 = 15;

/// Each batch is one message to the database.
fn leased(counters: &PgCounters) -> LeasedCounters {
    LeasedCounters::builder(Arc::new(counters.clone()))
        .return_after(LONG)
        .build()
}

/// No test by itself: the process that the next one kills.
#[tokio::test]
async fn the_process_that_is_killed() -> anyhow::Result<()> {
    let (Ok(url), Ok(whose)) = (std::env::var(CHILD), std::env::var(WHOSE)) else {
        return Ok(());
    };
    let registry = match seal_of_the_run()? {
        Some(_) => RegistryPool::connect_sealed(url.parse()?, &seal_key()?).await?,
        None => RegistryPool::connect(&url).await?,
    };
    let builder = PgCounters::builder(&registry).answer_within(LONG);
    let counters = leased(&builder.lease_at_most(0).build());
    let one = Take::new(Holder::tenant(whose.parse()?), "exports", month(1_000)?, 1);
    for _ in 0..100 {
        ensure!(passes(&counters, one).await?);
    }
    println!("\nused up");
    std::future::pending().await
}

#[tokio::test]
async fn a_process_that_is_killed_loses_its_batches_and_nothing_else() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenant = TenantId::new();
        let url = notes.database.url_as("tenancy_registry", Some(PASSWORD));
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "leased::the_process_that_is_killed",
                "--nocapture",
            ])
            .env(CHILD, url)
            .env(WHOSE, tenant.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().context("its output")?;
        let used_up = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.any(|line| line == "used up")
        });
        let used_up = used_up.await?;
        child.kill()?;
        child.wait()?;
        ensure!(used_up, "it ended before it had used anything");

        let store = counting(notes).await?.lease_at_most(0).build();
        let one = Take::new(Holder::tenant(tenant), "exports", month(1_000)?, 1);
        let told = used(&store, one).await?;
        ensure!((100..=100 + IN_HAND).contains(&told), "{told}");
        let counters = leased(&store);
        let mut passed = 0;
        while passes(&counters as &dyn Counters, one).await? {
            passed += 1;
        }
        // What the other one had in hand stays used, and that alone.
        ensure!(passed == 1_000 - told, "{passed} beside {told}");
        counters.close().await;
        store.close().await;
        Ok(())
    })
    .await
}
