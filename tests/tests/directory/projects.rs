//! Roles in projects that change while requests run, in several processes.

use std::time::Duration;

use sqlx::Executor as _;
use tenancy_core::{
    Membership, Project, ProjectAccess, ProjectMembership, RouteNeeds, SystemRole, UserId,
    testing::{FakeRequest, service},
};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::{builder, on_every_server, token};
use tokio::time::timeout;

use crate::admit_request;

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
