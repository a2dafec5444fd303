//! Turns go round by tenant.

use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::on_every_server;

use crate::{crowd::Crowd, wait::until_waiting};

/// D28.
#[tokio::test]
async fn a_single_statement_waits_for_one_turn_of_a_hundred_callers() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new().max_connections(5);
        let mut crowd = Crowd::of(notes, options.max_connections_per_tenant(5)).await?;
        for _ in 0..100 {
            crowd.comes("acme", notes.context(&notes.acme));
        }
        crowd.until_served(5).await?;
        until_waiting(&crowd.pool, 95).await?;
        let db = crowd.pool.tenant(&notes.context(&notes.globex))?;
        let single = tokio::spawn(async move {
            let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes");
            count.fetch_one(&db).await
        });
        until_waiting(&crowd.pool, 96).await?;

        let stats = crowd.pool.stats();
        let busiest: Vec<_> = stats.busiest.iter().map(|load| load.tenant).collect();
        assert_eq!(busiest, [notes.acme.id, notes.globex.id]);
        assert_eq!((stats.busiest[0].in_use, stats.busiest[0].waiting), (5, 95));
        assert_eq!((stats.busiest[1].in_use, stats.busiest[1].waiting), (0, 1));

        // Five connections come back, and four of them are a turn.
        for _ in 0..5 {
            crowd.lets_one_go();
        }
        assert_eq!(single.await??, 5);
        assert!(crowd.served().len() <= 5 + 4 + 1, "{:?}", crowd.served());
        crowd.ends().await
    })
    .await
}

#[tokio::test]
async fn turns_are_as_long_as_the_option_says() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new().max_connections(1).turn_length(2);
        let mut crowd = Crowd::of(notes, options).await?;
        crowd.comes("first", notes.context(&notes.globex));
        crowd.until_served(1).await?;
        let mut waiting = 0;
        for (name, tenant) in [("acme", &notes.acme), ("globex", &notes.globex)] {
            for _ in 0..5 {
                crowd.comes(name, notes.context(tenant));
                waiting += 1;
                until_waiting(&crowd.pool, waiting).await?;
            }
        }
        let mut order = Vec::new();
        for _ in 0..10 {
            order.push(crowd.next().await?);
        }
        // Who came with nothing goes ahead of the first turn.
        assert_eq!(order[..1], ["acme"]);
        let expected = ["globex", "globex", "acme", "globex", "globex"];
        assert_eq!(order[1..6], expected);
        assert_eq!(order[6..], ["acme", "acme", "globex", "acme"]);
        crowd.ends().await
    })
    .await
}

#[tokio::test]
async fn a_readiness_check_does_not_queue_behind_tenants() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut crowd = Crowd::of(notes, TenantPoolOptions::new().max_connections(1)).await?;
        for _ in 0..20 {
            crowd.comes("acme", notes.context(&notes.acme));
        }
        crowd.until_served(1).await?;
        let pool = crowd.pool.clone();
        until_waiting(&pool, 19).await?;
        let checking = tokio::spawn(async move { pool.ready().await });
        until_waiting(&crowd.pool, 20).await?;

        crowd.lets_one_go();
        checking.await??;
        assert!(crowd.served().len() <= 2, "{:?}", crowd.served());
        crowd.ends().await
    })
    .await
}
