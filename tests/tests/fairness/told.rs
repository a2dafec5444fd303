//! What the log is told of callers who wait.

use std::time::Duration;

use futures_util::future::poll_immediate;
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{logwatch, notes::on_every_server};

use crate::wait::until;

#[tokio::test]
async fn who_waits_and_who_uses_connections_is_in_the_log() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mark = logwatch::mark();
        let options = TenantPoolOptions::new()
            .max_connections(1)
            // As often the pool looks after itself.
            .idle_timeout(Some(Duration::from_millis(50)));
        let pool = notes.pool(options).await?;
        let _lent = pool.begin(&notes.context(&notes.acme)).await?;
        let globex = notes.context(&notes.globex);
        let mut waits = Box::pin(pool.begin(&globex));
        assert!(poll_immediate(&mut waits).await.is_none());

        // Other tests of this process have other tenants.
        let told = |words: &str| {
            let lines = logwatch::ours_since(mark).into_iter();
            lines.map(|line| line.to_string()).any(|line| {
                let mut words = words.split(',');
                words.all(|word| line.contains(word))
            })
        };
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        let of_acme = format!("{acme},in_use=1,waiting=0");
        let of_globex = format!("{globex},in_use=0,waiting=1");
        until(&pool, |_| {
            told("connections were waited for,waiting=1") && told(&of_acme) && told(&of_globex)
        })
        .await
    })
    .await
}
