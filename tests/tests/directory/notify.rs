//! Hearing of changes at once, and finding them all the same when nothing is heard. The clock stands
//! still, so that no poll is due unless it is moved.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tenancy_core::{Clock, ManualClock, Membership, RefusalKind, SystemRole, Tenancy};
use tenancy_sqlx::{ChangeListener, PgDirectory};
use tenancy_tests::{
    DelayProxy, Server, Version,
    notes::{self, Notes},
};

use crate::admit;

/// The engine of another process, with everything it needs to admit `alice` from memory.
async fn another_process(notes: &Notes, clock: Arc<dyn Clock>) -> anyhow::Result<Tenancy> {
    let directory = PgDirectory::connect_with(notes.app_options(), 2).await?;
    let other = notes::builder(directory)?.clock(clock).build()?;
    for _ in 0..2 {
        admit(&other, notes.alice, "acme").await?;
    }
    Ok(other)
}

/// Waits until `alice` is refused; the clock stands still meanwhile.
async fn until_refused(engine: &Tenancy, notes: &Notes) -> anyhow::Result<RefusalKind> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match admit(engine, notes.alice, "acme").await {
            Err(refusal) => return Ok(refusal.kind()),
            Ok(_) => anyhow::ensure!(Instant::now() < deadline, "nothing is heard"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_change_of_another_process_is_heard_at_once() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let clock = Arc::new(ManualClock::now_frozen());
        let notes = Notes::start_with(&server, clock.clone(), |builder| builder).await?;
        let deaf = another_process(&notes, clock.clone()).await?;
        let other = another_process(&notes, clock.clone()).await?;
        let _listening = ChangeListener::connect_with(notes.app_options(), &other).await?;

        notes
            .tenancy
            .admin(tenancy_core::testing::service())
            .suspend(notes.acme.id)
            .await?;
        assert_eq!(
            until_refused(&other, &notes).await?,
            RefusalKind::TenantSuspended
        );
        // And it was the notification: who does not listen goes on, within the stated bound.
        admit(&deaf, notes.alice, "acme").await?;
        notes.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn each_kind_of_change_is_heard() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let clock = Arc::new(ManualClock::now_frozen());
    let notes = Notes::start_with(&server, clock.clone(), |builder| builder).await?;
    let other = another_process(&notes, clock.clone()).await?;
    let _listening = ChangeListener::connect_with(notes.app_options(), &other).await?;
    let admin = notes.tenancy.admin(tenancy_core::testing::service());

    admin.remove_membership(notes.acme.id, notes.alice).await?;
    assert_eq!(
        until_refused(&other, &notes).await?,
        RefusalKind::TenantNotFound
    );
    let back = Membership::new(notes.acme.id, notes.alice, SystemRole::Viewer.name());
    admin.put_membership(&back).await?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while admit(&other, notes.alice, "acme").await.is_err() {
        assert!(Instant::now() < deadline, "nothing is heard");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    notes.database.close().await?;
    Ok(())
}

#[tokio::test]
async fn a_process_that_misses_the_notification_finds_the_change_within_the_bound()
-> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let clock = Arc::new(ManualClock::now_frozen());
    let notes = Notes::start_with(&server, clock.clone(), |builder| builder).await?;
    let other = another_process(&notes, clock.clone()).await?;
    let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
    let app = proxy.reroute(notes.app_options());
    let _listening = ChangeListener::connect_with(app, &other).await?;

    proxy.refuse(true);
    proxy.cut();
    notes
        .tenancy
        .admin(tenancy_core::testing::service())
        .suspend(notes.acme.id)
        .await?;
    admit(&other, notes.alice, "acme").await?;
    clock.advance(other.max_staleness() + Duration::from_millis(1));
    let refused = admit(&other, notes.alice, "acme").await.unwrap_err();
    assert_eq!(refused.kind(), RefusalKind::TenantSuspended);
    notes.database.close().await?;
    Ok(())
}

#[tokio::test]
async fn what_changed_while_nobody_listened_is_asked_for_afterwards() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let clock = Arc::new(ManualClock::now_frozen());
    let notes = Notes::start_with(&server, clock.clone(), |builder| builder).await?;
    let other = another_process(&notes, clock.clone()).await?;
    let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
    let app = proxy.reroute(notes.app_options());
    let _listening = ChangeListener::connect_with(app, &other).await?;

    proxy.refuse(true);
    proxy.cut();
    notes
        .tenancy
        .admin(tenancy_core::testing::service())
        .suspend(notes.acme.id)
        .await?;
    admit(&other, notes.alice, "acme").await?;
    proxy.refuse(false);
    assert_eq!(
        until_refused(&other, &notes).await?,
        RefusalKind::TenantSuspended
    );
    notes.database.close().await?;
    Ok(())
}
