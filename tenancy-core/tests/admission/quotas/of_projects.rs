//! Limits that count for each project by itself: what they had before they were counted, and where they stand.

use tenancy_core::{
    Cost, PlanBook, Project, ProjectId, StoreErrorKind,
    quota::{Limit, Meter, OperationId, Quotas, Scope},
    testing::{FakeRequest, StoreDirectly as _, service},
};

use super::{ask, used, world};
use crate::support::World;

/// Five boards for the tenant, and three in each project.
async fn boards() -> (World, [Project; 2]) {
    let book = PlanBook::new()
        .plan("free", ["*"])
        .limits(
            "free",
            [
                Limit::held("boards", 5),
                Limit::held("boards", 3).scope(Scope::Project),
            ],
        )
        .for_tenants_without_plan("free");
    let w = world(book, Quotas::new().meter(Meter::held("boards"))).await;
    let projects = ["one", "two"].map(|slug| Project::new(w.acme.id, slug.parse().unwrap(), slug));
    for project in &projects {
        w.directory.put_project(project).await.unwrap();
    }
    (w, projects)
}

fn within(w: &World, project: &Project) -> FakeRequest {
    w.alice_at("acme.notes.example")
        .header("x-project-id", project.id.to_string())
}

#[tokio::test]
async fn what_a_project_had_counts_for_that_project_alone_and_once() {
    let (w, [one, two]) = boards().await;
    let admin = w.tenancy.admin(service());
    let (acme, id) = (w.acme.id, OperationId::of(["import", "2027-01-15"]));
    let there_are = Cost::new("boards", 3);
    for _ in 0..2 {
        let done = admin.import_held_in(acme, one.id, &there_are, id).await;
        done.unwrap();
    }
    let in_one = w.admit(&within(&w, &one)).await.unwrap();
    let in_two = w.admit(&within(&w, &two)).await.unwrap();
    for (context, in_project) in [(&in_one, 3), (&in_two, 0)] {
        assert_eq!(
            used(&w, context, "boards-held-by-project").await,
            in_project
        );
        assert_eq!(
            used(&w, context, "boards-held").await,
            0,
            "imported by itself"
        );
    }
    let full = ask(&w, &in_one, &[("boards", 1)]).await.unwrap_err();
    assert_eq!(full.kind().status(), 402);
    ask(&w, &in_two, &[("boards", 1)]).await.unwrap();
    // The same id in another project, and for the tenant, is another one.
    let one_more = Cost::new("boards", 1);
    let done = admin.import_held_in(acme, two.id, &one_more, id).await;
    done.unwrap();
    admin.import_held(acme, &there_are, id).await.unwrap();
    assert_eq!(used(&w, &in_two, "boards-held-by-project").await, 2);
    assert_eq!(used(&w, &in_two, "boards-held").await, 4);
    let entry = w.audit.entries().into_iter().rev().find(|one| {
        &*one.action == "held.import" && one.targets.iter().any(|to| &*to.kind == "project")
    });
    assert_eq!(entry.unwrap().tenant, Some(acme));

    for (project, meter, kind) in [
        (ProjectId::new(), "boards", StoreErrorKind::NotFound),
        (one.id, "beer", StoreErrorKind::Invalid),
    ] {
        let done = admin
            .import_held_in(acme, project, &Cost::new(meter, 1), id)
            .await;
        assert_eq!(done.unwrap_err().kind(), kind, "{meter}");
    }
    let theirs = Project::new(w.globex.id, "theirs".parse().unwrap(), "Theirs");
    w.directory.put_project(&theirs).await.unwrap();
    let astray = admin.import_held_in(acme, theirs.id, &one_more, id).await;
    assert_eq!(astray.unwrap_err().kind(), StoreErrorKind::NotFound);
}

#[tokio::test]
async fn operators_see_where_a_project_stands() {
    let (w, [one, two]) = boards().await;
    let in_one = w.admit(&within(&w, &one)).await.unwrap();
    ask(&w, &in_one, &[("boards", 2)]).await.unwrap();
    let admin = w.tenancy.admin(service());
    for (project, used, left) in [(&one, 2, 1), (&two, 0, 3)] {
        let limits = admin.usage_in(w.acme.id, project.id).await.unwrap();
        let [limit] = &limits[..] else {
            panic!("{limits:?}")
        };
        assert_eq!(&*limit.name, "boards-held-by-project");
        assert_eq!(
            (limit.standing.used, limit.standing.remaining),
            (used, left)
        );
    }
    let nowhere = admin.usage_in(w.acme.id, ProjectId::new()).await;
    assert_eq!(nowhere.unwrap_err().kind(), StoreErrorKind::NotFound);
    let astray = admin.usage_in(w.globex.id, one.id).await;
    assert_eq!(astray.unwrap_err().kind(), StoreErrorKind::NotFound);
}
