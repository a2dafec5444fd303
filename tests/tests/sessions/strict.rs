//! Strict mode: a tenant that has changed since its context was made does not get a transaction.

use std::time::Duration;

use tenancy_core::{TenantDirectory as _, TenantStatus, testing::StoreDirectly as _};
use tenancy_sqlx::{ErrorKind, TenantPoolOptions, TxOptions};
use tenancy_tests::{
    DelayProxy,
    notes::{at_rest, on_every_server},
};

#[tokio::test]
async fn a_suspended_tenant_does_not_begin_and_its_connection_is_kept() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let options = TenantPoolOptions::new().max_connections(1).strict(true);
        let pool = notes.pool_through(&proxy, options).await?;
        let context = notes.context(&notes.acme);
        pool.begin(&context).await?.commit().await?;

        notes
            .directory
            .set_status(notes.acme.id, TenantStatus::Suspended)
            .await?;
        at_rest(&pool, 1).await?;
        let (accepted, before) = (proxy.accepted(), proxy.round_trips());
        let refused = pool.begin(&context).await.map(drop).unwrap_err();

        assert_eq!(refused.kind(), ErrorKind::TenantChanged);
        assert_eq!(refused.refusal().kind().status(), 503);
        // BEGIN, which says it, and the ROLLBACK that makes the connection fit for the next.
        assert_eq!(proxy.round_trips() - before, 2);
        pool.begin(&notes.context(&notes.globex))
            .await?
            .commit()
            .await?;
        assert_eq!(proxy.accepted(), accepted);

        let lenient = TxOptions::new().strict(false);
        pool.begin_with(&context, lenient).await?.commit().await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_context_of_today_begins_again() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let strict = || TxOptions::new().strict(true);
        notes
            .directory
            .set_settings(notes.acme.id, &Default::default())
            .await?;
        let old = pool.begin_with(&notes.context(&notes.acme), strict()).await;
        assert_eq!(old.map(drop).unwrap_err().kind(), ErrorKind::TenantChanged);

        let today = notes.directory.find_tenant(&notes.acme.id.into()).await?;
        let today = notes.context(&today.unwrap());
        pool.begin_with(&today, strict()).await?.commit().await?;
        Ok(())
    })
    .await
}
