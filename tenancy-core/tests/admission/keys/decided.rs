//! What was decided about a request with a key is used again for the same question, and for no other.

use std::time::Duration;

use tenancy_core::{
    Admission, Admitted, Membership, Project, RouteNeeds, SystemRole, testing::FakeRequest,
    testing::StoreDirectly as _,
};

use super::{World, alices, issue, with, world};

async fn warm(w: &World, request: &FakeRequest) {
    for _ in 0..4 {
        w.admit(request).await.unwrap();
    }
}

#[tokio::test]
async fn another_host_project_or_kind_of_route_is_another_question() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    let project = Project::new(w.acme.id, "apollo".parse().unwrap(), "Apollo");
    w.directory.directory().put_project(&project).await.unwrap();
    let acme = || with(&key).header("host", "acme.notes.example");
    let in_project = || with(&key).header("x-project-id", project.id.to_string());
    let globex = with(&key).header("host", "globex.notes.example");
    let unknown = with(&key).header("x-project-id", w.acme.id.to_string());
    for _ in 0..3 {
        warm(&w, &with(&key)).await;
        warm(&w, &acme()).await;
        assert_eq!(w.refused(&globex).await.0, 404);
        assert_eq!(w.refused(&unknown).await, (404, "project-unknown"));
        let none = w.admit(&with(&key)).await.unwrap();
        assert_eq!(none.project_id(), None);
        let central = w
            .admit_as(&with(&key), RouteNeeds::central())
            .await
            .unwrap();
        assert!(matches!(central, Admitted::NoTenant(Some(_))));
        let one = w.admit(&in_project()).await.unwrap();
        assert_eq!(one.project_id(), Some(project.id));
    }
}

#[tokio::test]
async fn it_ends_when_anything_of_the_tenant_changes() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    warm(&w, &with(&key)).await;
    assert!(
        w.admit(&with(&key))
            .await
            .unwrap()
            .require("notes:write")
            .is_ok()
    );
    let viewer = Membership::new(w.acme.id, w.alice, SystemRole::Viewer.name());
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    admin.put_membership(&viewer).await.unwrap();
    for _ in 0..3 {
        let context = w.admit(&with(&key)).await.unwrap();
        assert!(context.require("notes:write").is_err());
    }
    // Elsewhere, and this process is told nothing but that it must ask.
    let elsewhere = w.directory.directory();
    elsewhere
        .remove_membership(w.acme.id, w.alice)
        .await
        .unwrap();
    w.tenancy.invalidate(w.acme.id);
    assert_eq!(w.refused(&with(&key)).await, (401, "key-revoked"));
}

#[tokio::test]
async fn it_ends_when_what_it_rests_on_is_too_old() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    warm(&w, &with(&key)).await;
    let read_at = w.clock_now();
    let context = w.admit(&with(&key)).await.unwrap();
    assert_eq!(context.principal().on_behalf_of, Some(w.alice));
    let asked = w.directory.questions();
    w.clock
        .advance(w.tenancy.max_cache_age() - Duration::from_micros(1));
    w.tenancy.catch_up().await.unwrap();
    let again = w.tenancy.admit(&with(&key), RouteNeeds::tenant());
    assert!(matches!(again, Admission::Ready(Ok(_))), "{again:?}");
    assert_eq!(w.directory.questions(), asked);
    w.clock.advance(Duration::from_micros(1));
    let again = w.tenancy.admit(&with(&key), RouteNeeds::tenant());
    assert!(matches!(again, Admission::Pending(_)), "since {read_at}");
}
