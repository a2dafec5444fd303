//! What a tenant may have by its plan.

use futures_util::future::poll_immediate;
use tenancy_core::TenantContext;
use tenancy_sqlx::{Share, TenantPoolOptions};
use tenancy_tests::notes::{Notes, on_every_server};

use crate::{
    crowd::Crowd,
    wait::{until, until_waiting},
};

fn acme_on(plan: &str, notes: &Notes) -> TenantContext {
    let mut tenant = notes.acme.clone();
    tenant.plan = Some(plan.to_owned());
    notes.context(&tenant)
}

#[tokio::test]
async fn turns_are_as_long_as_the_plan_says() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new()
            .max_connections(1)
            .turn_length(1)
            .plan_share("pro", Share::new().weight(3));
        let mut crowd = Crowd::of(notes, options).await?;
        crowd.comes("first", notes.context(&notes.globex));
        crowd.until_served(1).await?;
        let tenants = [
            ("acme", acme_on("pro", notes)),
            ("globex", notes.context(&notes.globex)),
        ];
        let mut waiting = 0;
        for (name, context) in tenants {
            for _ in 0..6 {
                crowd.comes(name, context.clone());
                waiting += 1;
                until_waiting(&crowd.pool, waiting).await?;
            }
        }
        let mut order = Vec::new();
        for _ in 0..8 {
            order.push(crowd.next().await?);
        }
        // Who came with nothing goes ahead of the first turn.
        let turn = ["acme", "acme", "acme", "globex"];
        assert_eq!(order[..2], ["acme", "globex"]);
        assert_eq!(order[2..], turn.repeat(2)[1..7]);
        crowd.ends().await
    })
    .await
}

#[tokio::test]
async fn a_plan_has_its_own_limit_and_a_new_plan_the_new_one() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new()
            .max_connections(4)
            .max_connections_per_tenant(2)
            .plan_share("free", Share::new().max_connections(1))
            .plan_share("pro", Share::new().max_connections(4));
        let pool = notes.pool(options).await?;
        let (free, pro) = (acme_on("free", notes), acme_on("pro", notes));

        let one = pool.begin(&free).await?;
        let mut of_free = Box::pin(pool.begin(&free));
        assert!(poll_immediate(&mut of_free).await.is_none());
        // A plan without a share has the pool's limit.
        let globex = notes.context(&notes.globex);
        let others = [pool.begin(&globex).await?, pool.begin(&globex).await?];
        let mut third = Box::pin(pool.begin(&globex));
        assert!(poll_immediate(&mut third).await.is_none());
        drop(third);
        for other in others {
            other.commit().await?;
        }
        until(&pool, |stats| stats.in_use == 1).await?;
        assert!(poll_immediate(&mut of_free).await.is_none());

        // The first request that knows the new plan is served, and so is who waited under the old.
        let of_pro = pool.begin(&pro).await?;
        let of_free = of_free.await?;
        assert_eq!(pool.stats().busiest[0].in_use, 3);
        for tx in [one, of_free, of_pro] {
            tx.commit().await?;
        }
        Ok(())
    })
    .await
}
