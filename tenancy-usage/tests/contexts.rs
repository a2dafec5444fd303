//! What an event takes of a context.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use tenancy_core::{
    MemoryDirectory, ProjectId, Tenancy, TenantRecord, Timestamp, UserId, testing::ContextBuilder,
};
use tenancy_usage::UsageEvent;

fn engine() -> Tenancy {
    let engine = Tenancy::builder(MemoryDirectory::new());
    engine.established_principals().build().unwrap()
}

#[test]
fn tenant_project_and_user_are_those_of_the_context() {
    let acme = TenantRecord::new("acme".parse().unwrap(), "Acme");
    let (user, project) = (UserId::new(), ProjectId::new());
    let context = ContextBuilder::new(&engine(), acme.clone())
        .user(user)
        .project(project)
        .build();
    let event = UsageEvent::in_context(&context, "exports", "api", "1", Timestamp::EPOCH);
    assert_eq!(
        (event.tenant, event.user, event.project),
        (acme.id, Some(user), Some(project))
    );
    assert_eq!((event.key, event.job), (None, None));
}
