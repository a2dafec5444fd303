//! D21. A restore under a service that goes on: into a younger server in the place of one that was
//! lost, whose transaction ids are lower, and into the same database. Both times the rows are those
//! of the last dump.

use std::{path::Path, time::Duration};

use sqlx::{ConnectOptions as _, Connection as _};
use tenancy_core::{Membership, SystemRole, UserId, testing::StoreDirectly as _};
use tenancy_sqlx::schema::Installer;
use tenancy_tests::{
    DelayProxy,
    notes::{MIGRATIONS, Notes},
};

use crate::{Service, aged, ask, bare, programs, run};

const NEXT: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
const FROM_THE_FUTURE: &str = "SELECT count(*) FROM tenancy.generations
    WHERE changed_xid >= pg_snapshot_xmax(pg_current_snapshot())";

/// A database that is dumped to `file`, and a member who joins Acme after the dump and is lost with it.
async fn dumped(file: &Path) -> anyhow::Result<Option<(Notes, UserId)>> {
    let Some(notes) = aged("").await? else {
        return Ok(None);
    };
    programs::dump(&notes.database.admin_options(), file).await?;
    let carol = UserId::new();
    let membership = Membership::new(notes.acme.id, carol, SystemRole::Viewer.name());
    notes.directory.put_membership(&membership).await?;
    Ok(Some((notes, carol)))
}

#[tokio::test]
async fn a_service_goes_on_over_a_younger_server_and_forgets_what_was_lost() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("notes.dump");
    let Some((notes, carol)) = dumped(&file).await? else {
        return Ok(());
    };
    let original = notes.database.admin_options();

    for server in bare().await? {
        let proxy = DelayProxy::for_options(&original, Duration::ZERO)?;
        let service = Service::over(proxy.reroute(original.clone())).await?;
        for user in [carol, notes.alice] {
            service.will_answer(user, "acme", (200, "")).await?;
        }

        let admin = server.admin_options();
        let target = admin.clone().database(notes.database.name());
        programs::copy_roles(&original, &admin).await?;
        run(
            &admin,
            &format!("CREATE DATABASE {}", notes.database.name()),
        )
        .await?;
        programs::restore(&target, &file, &[]).await?;
        proxy.redirect((target.get_host(), target.get_port()))?;
        proxy.cut();

        let mut restored = target.clone().connect().await?;
        let mut lost = original.clone().connect().await?;
        let (next, lost_next): (i64, i64) =
            (ask(&mut restored, NEXT).await?, ask(&mut lost, NEXT).await?);
        assert!(next < lost_next, "{next} is no younger than {lost_next}");
        assert!(ask::<i64>(&mut restored, FROM_THE_FUTURE).await? > 0);
        lost.close().await?;

        // Before anybody has run the installer. No time has passed for the service.
        service
            .will_answer(carol, "acme", (404, "not-a-member"))
            .await?;
        service.will_answer(notes.alice, "acme", (200, "")).await?;
        let suspend = "UPDATE tenancy.tenants SET status = 'suspended' WHERE slug = 'acme'";
        run(&target, suspend).await?;
        let suspended = (403, "tenant-suspended");
        service.will_answer(notes.alice, "acme", suspended).await?;

        Installer::new().run_on(&mut restored, &MIGRATIONS).await?;
        assert_eq!(ask::<i64>(&mut restored, FROM_THE_FUTURE).await?, 0);
        service.will_answer(notes.bob, "globex", (200, "")).await?;
        run(&target, "UPDATE tenancy.tenants SET status = 'active'").await?;
        service.will_answer(notes.alice, "acme", (200, "")).await?;
        let both = (notes.alice, notes.bob);
        service.keeps_apart(target, both).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_service_goes_on_over_its_database_restored_in_place() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("notes.dump");
    let Some((notes, carol)) = dumped(&file).await? else {
        return Ok(());
    };
    let original = notes.database.admin_options();
    let service = Service::over(original.clone()).await?;
    for user in [carol, notes.alice] {
        service.will_answer(user, "acme", (200, "")).await?;
    }

    // PostgreSQL does not drop what a partition has inherited, and `--clean` asks it to.
    let partitioned = "DROP TABLE tenancy.audit_records, tenancy.audit_particulars,
        tenancy.usage_events, tenancy.usage_rollups, tenancy.usage_values CASCADE";
    run(&original, partitioned).await?;
    let in_place = ["--clean", "--if-exists"];
    programs::restore(&original, &file, &in_place).await?;
    service
        .will_answer(carol, "acme", (404, "not-a-member"))
        .await?;
    service.will_answer(notes.alice, "acme", (200, "")).await?;
    let mut admin = original.clone().connect().await?;
    let rebase = "SELECT tenancy.rebase_feed()";
    assert!(ask::<bool>(&mut admin, rebase).await?);
    assert!(!ask::<bool>(&mut admin, rebase).await?);
    service
        .keeps_apart(original, (notes.alice, notes.bob))
        .await
}
