//! Two processes over one database: what one changes, the other acts on within the stated bound.
//! The clock stands still and is moved by hand.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tenancy_core::{
    Clock, ManualClock, Membership, RefusalKind, SystemRole, Tenancy, TenantRecord, TenantStatus,
};
use tenancy_sqlx::{ErrorKind, PgDirectory, TenantPoolOptions};
use tenancy_tests::{
    DelayProxy, Server, Version,
    notes::{self, Notes},
};

use crate::admit;

const TICK: Duration = Duration::from_millis(1);

/// On every server, an engine and another one of another process, with one clock.
async fn two_processes(
    test: impl AsyncFn(&Notes, &Tenancy, &ManualClock) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for server in Server::all().await? {
        let clock = Arc::new(ManualClock::now_frozen());
        let shared: Arc<dyn Clock> = clock.clone();
        let notes = Notes::start_with(&server, shared.clone(), |builder| builder).await?;
        let directory = PgDirectory::connect_with(notes.app_options(), 2).await?;
        let other = notes::builder(directory)?.clock(shared).build()?;
        test(&notes, &other, &clock).await?;
        notes.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_suspension_holds_at_once_here_and_within_the_bound_elsewhere() -> anyhow::Result<()> {
    two_processes(async |notes, other, clock| {
        let (here, alice) = (&notes.tenancy, notes.alice);
        admit(here, alice, "acme").await?;
        // Twice: the first may have been asked before the feed was heard of.
        for _ in 0..2 {
            admit(other, alice, "acme").await?;
        }

        here.admin(tenancy_core::testing::service())
            .suspend(notes.acme.id)
            .await?;
        let refused = admit(here, alice, "acme").await.unwrap_err();
        assert_eq!(refused.kind(), RefusalKind::TenantSuspended);
        // No time has passed elsewhere: this is the staleness that is stated.
        admit(other, alice, "acme").await?;

        clock.advance(other.max_staleness() + TICK);
        let refused = admit(other, alice, "acme").await.unwrap_err();
        assert_eq!(refused.kind(), RefusalKind::TenantSuspended);
        admit(other, notes.bob, "globex").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn under_traffic_a_change_elsewhere_is_heard_of_after_one_interval() -> anyhow::Result<()> {
    two_processes(async |notes, other, clock| {
        for _ in 0..2 {
            admit(other, notes.alice, "acme").await?;
        }
        let admin = notes.tenancy.admin(tenancy_core::testing::service());
        admin.remove_membership(notes.acme.id, notes.alice).await?;

        clock.advance(Duration::from_secs(1) + TICK);
        assert!(Duration::from_secs(2) < other.max_staleness());
        // The request that finds a poll due does not wait for it.
        let deadline = Instant::now() + Duration::from_secs(10);
        while admit(other, notes.alice, "acme").await.is_ok() {
            assert!(Instant::now() < deadline, "the poll told nothing");
            tokio::time::sleep(TICK).await;
        }
        let refused = admit(other, notes.alice, "acme").await.unwrap_err();
        assert_eq!(refused.kind(), RefusalKind::TenantNotFound);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_new_tenant_is_found_at_once_by_the_process_that_made_it() -> anyhow::Result<()> {
    two_processes(async |notes, other, clock| {
        for engine in [&notes.tenancy, other] {
            let unknown = admit(engine, notes.alice, "initech").await.unwrap_err();
            assert_eq!(unknown.kind(), RefusalKind::TenantNotFound);
        }
        let initech =
            TenantRecord::new("initech".parse()?, "Initech").with_status(TenantStatus::Active);
        let admin = notes.tenancy.admin(tenancy_core::testing::service());
        admin.create_tenant(&initech).await?;
        let membership = Membership::new(initech.id, notes.alice, SystemRole::Owner.name());
        admin.put_membership(&membership).await?;

        let context = admit(&notes.tenancy, notes.alice, "initech").await?;
        assert_eq!(context.tenant_id(), initech.id);
        clock.advance(other.max_staleness() + TICK);
        let context = admit(other, notes.alice, "initech").await?;
        assert_eq!(context.tenant_id(), initech.id);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_strict_transaction_finds_a_change_before_the_feed_does() -> anyhow::Result<()> {
    two_processes(async |notes, other, _| {
        for _ in 0..2 {
            admit(other, notes.alice, "acme").await?;
        }
        let pool = TenantPoolOptions::new()
            .strict(true)
            .connect_with(notes.app_options(), other)
            .await?;
        let context = admit(other, notes.alice, "acme").await?;
        pool.begin(&context).await?.commit().await?;
        notes
            .tenancy
            .admin(tenancy_core::testing::service())
            .suspend(notes.acme.id)
            .await?;

        let cached = admit(other, notes.alice, "acme").await?;
        let error = pool.begin(&cached).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TenantChanged);
        // What was cached is dropped, so that the next request is decided anew.
        let refused = admit(other, notes.alice, "acme").await.unwrap_err();
        assert_eq!(refused.kind(), RefusalKind::TenantSuspended);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn while_the_database_is_away_what_is_cached_serves_within_the_bound() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let notes = Notes::start(&server).await?;
    let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
    let clock = Arc::new(ManualClock::now_frozen());
    let directory = PgDirectory::connect_with(proxy.reroute(notes.app_options()), 2).await?;
    let tenancy = notes::builder(directory)?.clock(clock.clone()).build()?;
    for _ in 0..2 {
        admit(&tenancy, notes.alice, "acme").await?;
    }

    proxy.refuse(true);
    proxy.cut();
    clock.advance(tenancy.max_staleness() - TICK);
    admit(&tenancy, notes.alice, "acme").await?;
    clock.advance(2 * TICK);
    let refused = admit(&tenancy, notes.alice, "acme").await.unwrap_err();
    assert_eq!(refused.kind(), RefusalKind::Unavailable);
    assert_eq!(refused.kind().status(), 503);
    // Whoever comes after that is told so, without the wait for a connection of 5 seconds.
    let began = Instant::now();
    for _ in 0..50 {
        let refused = admit(&tenancy, notes.alice, "acme").await.unwrap_err();
        assert_eq!(refused.kind(), RefusalKind::Unavailable);
        assert!(refused.retry_after().is_some());
    }
    assert!(began.elapsed() < Duration::from_secs(30));

    proxy.refuse(false);
    notes::comes_back(async || {
        clock.advance(Duration::from_secs(1) + TICK);
        admit(&tenancy, notes.alice, "acme").await
    })
    .await?;
    notes.database.close().await?;
    Ok(())
}
