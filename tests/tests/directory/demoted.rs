//! A role that is taken away while a request runs, on another connection and in another process.

use std::{sync::Arc, time::Duration};

use sqlx::Executor as _;
use tenancy_core::{
    ManualClock, Membership, MemoryAuditSink, Outcome, Project, ProjectDirectory as _,
    StoreErrorKind, SystemRole, UserId,
    testing::{StoreDirectly as _, service},
};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::{self, Notes, on_every_server};

use super::admit;

async fn notes_of(notes: &Notes, body: &str) -> anyhow::Result<i64> {
    let mut admin = notes.database.admin().await?;
    let count = sqlx::query_scalar("SELECT count(*) FROM notes WHERE body = $1");
    Ok(count.bind(body).fetch_one(&mut admin).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_runs_ends_and_the_next_one_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        // Two processes. The clock of the one stands still: it hears of nothing before it is moved.
        let clock = Arc::new(ManualClock::now_frozen());
        let audit = Arc::new(MemoryAuditSink::new(100));
        let running = notes::builder(notes.directory.clone())?
            .clock(clock.clone())
            .shared_audit(audit.clone())
            .build()?;
        let options = notes.with_key(TenantPoolOptions::new())?;
        let pool = options.connect_with(notes.app_options(), &running).await?;
        let (acme, carol) = (notes.acme.id, UserId::new());
        let member = Membership::new(acme, carol, SystemRole::Member.name());
        notes.directory.put_membership(&member).await?;

        let context = admit(&running, carol, "acme").await?;
        context.require("notes:write")?;
        let authority = context.authority("notes:write")?;
        // So that this process remembers the membership by which it decides about changes.
        running.admin(authority.clone()).list_roles(acme).await?;
        let write = "INSERT INTO notes (body) VALUES ('by carol')";
        let mut tx = pool.begin(&context).await?;
        tx.execute(write).await?;

        let elsewhere = notes.tenancy.admin(service());
        elsewhere
            .change_role(acme, carol, SystemRole::Viewer.name())
            .await?;

        // What has begun ends as it began: the transaction, and the context that the request has.
        tx.execute(write).await?;
        tx.commit().await?;
        assert_eq!(notes_of(notes, "by carol").await?, 2);
        assert!(context.require("notes:write").is_ok());

        // What is changed through the library is looked at again, where nobody has heard of it yet too.
        let stale = admit(&running, carol, "acme").await?;
        assert_eq!(
            stale.role(),
            Some(&SystemRole::Member.name()),
            "not heard of"
        );
        let admin = running.admin(authority);
        let project = Project::new(acme, "late".parse()?, "Late");
        let refused = admin.put_project(&project).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Forbidden, "{refused}");
        assert!(
            refused.to_string().contains("another role by now"),
            "{refused}"
        );
        assert_eq!(notes.directory.find_project(acme, project.id).await?, None);
        let entries = audit.entries();
        let entry = entries.iter().find(|entry| entry.action == "project.put");
        assert_eq!(entry.map(|entry| entry.outcome), Some(Outcome::Refused));

        // The next request: at once where the role was taken away, and within the bound elsewhere.
        let here = admit(&notes.tenancy, carol, "acme").await?;
        assert!(here.require("notes:write").is_err());
        clock.advance(running.max_staleness() + Duration::from_millis(1));
        let next = admit(&running, carol, "acme").await?;
        assert_eq!(next.role(), Some(&SystemRole::Viewer.name()));
        assert!(next.require("notes:write").is_err());
        assert!(next.authority("notes:write").is_err());
        Ok(())
    })
    .await
}
