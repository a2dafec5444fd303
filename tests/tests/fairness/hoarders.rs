//! A tenant whose transactions do nothing.

use sqlx::Executor as _;
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::on_every_server;
use tokio::task::JoinSet;

use crate::wait::until_waiting;

#[tokio::test]
async fn a_tenant_that_holds_all_it_can_leaves_one_to_the_others() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for size in [4, 5] {
            let pool = notes
                .pool(TenantPoolOptions::new().max_connections(size))
                .await?;
            let mut hoards = JoinSet::new();
            for _ in 0..20 {
                let (pool, acme) = (pool.clone(), notes.context(&notes.acme));
                hoards.spawn(async move {
                    let tx = pool.begin(&acme).await;
                    std::future::pending::<()>().await;
                    drop(tx);
                });
            }
            let held = usize::try_from(size)? - 1;
            until_waiting(&pool, 20 - held).await?;

            let globex = notes.context(&notes.globex);
            for _ in 0..10 {
                let mut tx = pool.begin(&globex).await?;
                assert_eq!(tx.fetch_all("SELECT FROM notes").await?.len(), 5);
                tx.commit().await?;
            }
            let stats = pool.stats();
            assert_eq!(stats.busiest[0].tenant, notes.acme.id);
            assert_eq!(stats.busiest[0].in_use, held);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tenant_has_the_whole_pool_where_the_option_says_so() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new().max_connections(3);
        let pool = notes.pool(options.max_connections_per_tenant(3)).await?;
        let acme = notes.context(&notes.acme);
        let mut lent = Vec::new();
        for _ in 0..3 {
            lent.push(pool.begin(&acme).await?);
        }
        assert_eq!(pool.stats().in_use, 3);
        Ok(())
    })
    .await
}
