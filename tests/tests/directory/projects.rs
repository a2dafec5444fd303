//! Roles in projects that change while requests run, in several processes.

use std::time::Duration;

use sqlx::Executor as _;
use tenancy_core::{
    Membership, Project, ProjectAccess, ProjectDirectory as _, ProjectMembership, RouteNeeds,
    StoreErrorKind, SystemRole, UserId,
    testing::{FakeRequest, service},
};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::{builder, on_every_server, token};
use tokio::time::timeout;

use crate::{
    admit_request,
    held::{open, waited_for},
};

const HOUR: Duration = Duration::from_secs(3_600);

/// Only so that a test that fails does not hang.
const FAIL_SAFE: Duration = Duration::from_secs(60);

/// The next request is refused: at once where the role was taken, and elsewhere as soon as the feed is heard. What runs goes
/// on with what it was admitted with, and a stream ends.
#[tokio::test]
async fn a_role_that_is_taken_while_a_request_runs_ends_with_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, carol) = (notes.acme.id, UserId::new());
        let here = builder(notes.directory.clone())?.build()?;
        let directory = notes.directory(notes.app_options(), 1).await?;
        let there = builder(directory.clone())?
            .poll_interval(HOUR)
            .max_staleness(HOUR * 3)
            .build()?;
        let admin = here.admin(service());
        let closed =
            Project::new(acme, "closed".parse()?, "Of few").with_access(ProjectAccess::RoleOnly);
        admin.put_project(&closed).await?;
        let viewer = Membership::new(acme, carol, SystemRole::Viewer.name());
        admin.put_membership(&viewer).await?;
        let writes = ProjectMembership::new(acme, closed.id, carol, SystemRole::Member.name());
        admin.put_project_membership(&writes).await?;

        let request = FakeRequest::new("/notes")
            .header("host", "acme.notes.example")
            .header("x-project-id", closed.id.to_string())
            .bearer(&token(carol)?);
        let asks = async |engine| admit_request(engine, &request, RouteNeeds::tenant()).await;
        there.catch_up().await?;
        let running = asks(&there).await?;
        running.require("notes:write")?;
        asks(&here).await?;
        let mut watch = running.watch();
        let options = notes.with_key(TenantPoolOptions::new())?;
        let pool = options.connect_with(notes.app_options(), &there).await?;
        let mut tx = pool.begin(&running).await?;
        tx.execute("INSERT INTO notes (body) VALUES ('begun')")
            .await?;

        admin
            .remove_project_membership(acme, closed.id, carol)
            .await?;
        let refused = asks(&here).await.unwrap_err();
        assert_eq!(refused.kind().status(), 404);
        there.catch_up().await?;
        let refused = asks(&there).await.unwrap_err();
        assert_eq!(refused.kind().status(), 404);
        let ended = timeout(FAIL_SAFE, watch.changed()).await?;
        assert_eq!(ended.unwrap_err().kind().status(), 404);

        // The transaction of the request that was admitted before is not cut off.
        tx.execute("INSERT INTO notes (body) VALUES ('ended')")
            .await?;
        tx.commit().await?;
        let kept: i64 =
            sqlx::query_scalar("SELECT count(*) FROM notes WHERE body IN ('begun', 'ended')")
                .fetch_one(&pool.tenant(&running)?)
                .await?;
        assert_eq!(kept, 2);
        pool.close().await;
        directory.close().await;
        Ok(())
    })
    .await
}

/// A membership ends in a transaction that is open, and somebody gives its user a role in a project: that waits, and is
/// refused. A role that an earlier release has left behind goes when the user comes back.
#[tokio::test]
async fn no_role_waits_for_whoever_comes_back() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, carol) = (notes.acme.id, UserId::new());
        let admin = builder(notes.directory.clone())?.build()?.admin(service());
        let project = Project::new(acme, "roadmap".parse()?, "Roadmap");
        admin.put_project(&project).await?;
        let viewer = Membership::new(acme, carol, SystemRole::Viewer.name());
        admin.put_membership(&viewer).await?;
        let writes = ProjectMembership::new(acme, project.id, carol, SystemRole::Member.name());

        let goes = format!(
            "DELETE FROM tenancy.memberships WHERE tenant_id = '{acme}' AND user_id = '{carol}'"
        );
        let (mut by_hand, pid) = open(notes, goes).await?;
        let gone = async {
            waited_for(notes, pid).await?;
            by_hand.execute("COMMIT").await?;
            anyhow::Ok(())
        };
        let (gone, given) = tokio::join!(gone, admin.put_project_membership(&writes));
        gone?;
        let refused = given.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::NotFound, "{refused}");

        let find = async || {
            let found = notes.directory.find_project_role(acme, project.id, carol);
            found.await
        };
        assert_eq!(find().await?, None);
        let left_behind = format!(
            "INSERT INTO tenancy.project_memberships (tenant_id, project_id, user_id, role)
             VALUES ('{acme}', '{}', '{carol}', 'member')",
            project.id
        );
        notes.as_admin(&left_behind).await?;
        assert_eq!(find().await?, Some(SystemRole::Member.name()));
        admin.put_membership(&viewer).await?;
        assert_eq!(find().await?, None);
        Ok(())
    })
    .await
}

/// An admin takes a viewer's role in a project away, or gives another one. Meanwhile somebody makes an owner of the viewer
/// there: that role is not the admin's to take, and stays.
#[tokio::test]
async fn a_role_in_a_project_that_has_changed_meanwhile_stays() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, carol, manager) = (notes.acme.id, UserId::new(), UserId::new());
        let engine = builder(notes.directory.clone())?.build()?;
        let by_service = engine.admin(service());
        let project = Project::new(acme, "roadmap".parse()?, "Roadmap");
        by_service.put_project(&project).await?;
        for (user, role) in [(carol, SystemRole::Viewer), (manager, SystemRole::Admin)] {
            let member = Membership::new(acme, user, role.name());
            by_service.put_membership(&member).await?;
        }
        let within =
            |role: SystemRole| ProjectMembership::new(acme, project.id, carol, role.name());
        let request = FakeRequest::new("/notes")
            .header("host", "acme.notes.example")
            .bearer(&token(manager)?);
        let context = admit_request(&engine, &request, RouteNeeds::tenant()).await?;
        let by_manager = engine.admin(context.authority("notes:write")?);
        for removes in [true, false] {
            by_service
                .put_project_membership(&within(SystemRole::Viewer))
                .await?;
            let rises = format!(
                "UPDATE tenancy.project_memberships SET role = 'owner'
                 WHERE tenant_id = '{acme}' AND user_id = '{carol}'"
            );
            let (mut by_hand, pid) = open(notes, rises).await?;
            let risen = async {
                waited_for(notes, pid).await?;
                by_hand.execute("COMMIT").await?;
                anyhow::Ok(())
            };
            let replaces = async {
                if removes {
                    by_manager
                        .remove_project_membership(acme, project.id, carol)
                        .await
                } else {
                    by_manager
                        .put_project_membership(&within(SystemRole::Member))
                        .await
                }
            };
            let (risen, replaced) = tokio::join!(risen, replaces);
            risen?;
            let refused = replaced.unwrap_err();
            assert_eq!(refused.kind(), StoreErrorKind::Conflict, "{refused}");
            let found = notes.directory.find_project_role(acme, project.id, carol);
            assert_eq!(found.await?, Some(SystemRole::Owner.name()));
        }
        Ok(())
    })
    .await
}
