//! What handlers and jobs reserve, keep and give back.

use tenancy_core::{Cost, quota::OperationId};

use super::{MINUTE, alice, ask, book, costs, meters, put_plan, told, used, world};
use crate::{keys::with_keys, support::World};

#[tokio::test]
async fn what_is_reserved_counts_and_is_kept_or_given_back() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    let quotas = w.tenancy.quotas().unwrap();
    let one = costs(&[("projects", 1)]);
    let first = quotas.reserve(&context, &one).await.unwrap();
    let second = quotas.reserve(&context, &one).await.unwrap();
    let refused = quotas.reserve(&context, &one).await.unwrap_err();
    assert_eq!(told(refused).0, 402);
    first.commit().await.unwrap();
    drop(second);
    assert_eq!(used(&w, &context, "projects-held").await, 1);
    quotas
        .reserve(&context, &one)
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    assert_eq!(used(&w, &context, "projects-held").await, 1);
    // A project that is removed, and the message of it comes twice.
    let removed = OperationId::of(["a project's id"]);
    for _ in 0..2 {
        quotas
            .give_back(&context, &Cost::new("projects", 1), removed)
            .await
            .unwrap();
        assert_eq!(used(&w, &context, "projects-held").await, 0);
    }
}

#[tokio::test]
async fn all_is_reserved_or_nothing() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    let quotas = w.tenancy.quotas().unwrap();
    let running = quotas
        .reserve(&context, &costs(&[("jobs", 1)]))
        .await
        .unwrap();
    let all = costs(&[("projects", 1), ("exports", 1), ("jobs", 1)]);
    assert_eq!(
        told(quotas.reserve(&context, &all).await.unwrap_err()).0,
        429
    );
    for limit in ["projects-held", "exports-monthly"] {
        assert_eq!(used(&w, &context, limit).await, 0, "{limit}");
    }
    running.commit().await.unwrap();
    let reserved = quotas.reserve(&context, &all).await.unwrap();
    reserved.commit().await.unwrap();
    for (limit, left) in [
        ("projects-held", 1),
        ("exports-monthly", 1),
        ("jobs-at-once", 0),
    ] {
        assert_eq!(used(&w, &context, limit).await, left, "{limit}");
    }
}

#[tokio::test]
async fn an_estimate_is_settled_by_what_it_was() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    let quotas = w.tenancy.quotas().unwrap();
    let estimate = costs(&[("exports", 3)]);
    let reserved = quotas.reserve(&context, &estimate).await.unwrap();
    reserved.commit_as(1).await.unwrap();
    assert_eq!(used(&w, &context, "exports-monthly").await, 1);
    let reserved = quotas
        .reserve(&context, &costs(&[("exports", 2)]))
        .await
        .unwrap();
    reserved.commit_as(9).await.unwrap();
    assert_eq!(used(&w, &context, "exports-monthly").await, 10);
}

#[tokio::test]
async fn a_job_keeps_its_place_as_long_as_it_renews_it() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    let quotas = w.tenancy.quotas().unwrap();
    let one = costs(&[("jobs", 1)]);
    let job = quotas.reserve(&context, &one).await.unwrap();
    for _ in 0..10 {
        w.clock.advance(9 * MINUTE);
        assert!(job.renew().await.unwrap());
        assert!(quotas.reserve(&context, &one).await.is_err());
    }
    w.clock.advance(10 * MINUTE);
    assert!(!job.renew().await.unwrap(), "it was too late");
    assert!(quotas.reserve(&context, &one).await.is_ok());
}

/// growthbook#6509, dust#27364: what is held in one plan is held in the next.
#[tokio::test]
async fn a_downgrade_takes_nothing_away_and_stops_growth() {
    let w = world(book(), meters()).await;
    put_plan(&w, Some("pro")).await;
    let context = alice(&w).await;
    for _ in 0..5 {
        ask(&w, &context, &[("projects", 1)]).await.unwrap();
    }
    for plan in ["free", "basic"] {
        put_plan(&w, Some(plan)).await;
        let context = alice(&w).await;
        assert_eq!(used(&w, &context, "projects-held").await, 5);
        let (status, ..) = told(ask(&w, &context, &[("projects", 1)]).await.unwrap_err());
        assert_eq!(status, if plan == "free" { 402 } else { 403 });
    }
    put_plan(&w, Some("free")).await;
    let context = alice(&w).await;
    let quotas = w.tenancy.quotas().unwrap();
    for project in ["1", "2", "3", "4"] {
        let removed = OperationId::of([project]);
        quotas
            .give_back(&context, &Cost::new("projects", 1), removed)
            .await
            .unwrap();
    }
    ask(&w, &context, &[("projects", 1)]).await.unwrap();
    assert!(ask(&w, &context, &[("projects", 1)]).await.is_err());
}

#[tokio::test]
async fn a_meter_that_was_never_declared_is_an_error_of_the_service() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    let quotas = w.tenancy.quotas().unwrap();
    let refused = quotas.reserve(&context, &costs(&[("seats", 1)])).await;
    let (status, reason, ..) = told(refused.unwrap_err());
    assert_eq!((status, reason), (500, "meter-unknown"));
}

/// Projects of two tenants, and a seat of the same id.
#[tokio::test]
async fn what_is_given_back_is_one_tenants_and_one_meters() {
    let w = world(book(), meters()).await;
    let bobs = tenancy_core::testing::FakeRequest::new("/notes")
        .header("host", "globex.notes.example")
        .bearer(&w.token(w.bob, serde_json::json!({})));
    let both = [alice(&w).await, w.admit(&bobs).await.unwrap()];
    let quotas = w.tenancy.quotas().unwrap();
    let removed = OperationId::of(["1"]);
    for context in &both {
        ask(&w, context, &[("projects", 2)]).await.unwrap();
    }
    for context in &both {
        for _ in 0..2 {
            quotas
                .give_back(context, &Cost::new("projects", 1), removed)
                .await
                .unwrap();
            assert_eq!(used(&w, context, "projects-held").await, 1);
        }
    }
}

#[tokio::test]
async fn a_context_says_what_is_left_of_a_meter() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    let left = async |meter| context.quota(meter).left().await.unwrap();
    assert_eq!(
        (left("exports").await, left("projects").await),
        (Some(3), Some(2))
    );
    context
        .quota("exports")
        .reserve(1)
        .await
        .unwrap()
        .commit()
        .await
        .unwrap();
    assert_eq!(left("exports").await, Some(2));
    let usage = context.quota("exports").usage().await.unwrap();
    assert_eq!(usage.len(), 1);
    assert_eq!(context.usage().await.unwrap().len(), 4);
    let kept = context.quota("projects").reserve(2).await.unwrap();
    kept.commit().await.unwrap();
    assert_eq!(left("projects").await, Some(0));
    context
        .quota("projects")
        .give_back(1, OperationId::of(["project-7"]))
        .await
        .unwrap();
    assert_eq!(left("projects").await, Some(1));
    for (plan, expected) in [("pro", (Some(9), None)), ("basic", (Some(0), Some(0)))] {
        put_plan(&w, Some(plan)).await;
        let context = alice(&w).await;
        let exports = context.quota("exports").left().await.unwrap();
        let projects = context.quota("projects").left().await.unwrap();
        assert_eq!((exports, projects), expected, "{plan}");
    }
}

#[tokio::test]
async fn a_context_without_quotas_and_a_meter_of_nobody_are_errors_that_say_so() {
    let w = World::over(with_keys).await;
    let context = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    for refusal in [
        context.usage().await.unwrap_err(),
        context
            .quota("projects")
            .reserve(1)
            .await
            .map(drop)
            .unwrap_err(),
        context.quota("projects").left().await.unwrap_err(),
    ] {
        assert_eq!(
            (refusal.kind().status(), refusal.reason()),
            (500, "quotas-missing")
        );
    }
    let listed = w
        .tenancy
        .admin(tenancy_core::testing::service())
        .usage(w.acme.id)
        .await;
    assert_eq!(
        listed.unwrap_err().kind(),
        tenancy_core::StoreErrorKind::ReadOnly
    );
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    let refusal = context.quota("beer").usage().await.unwrap_err();
    assert_eq!(
        (refusal.kind().status(), refusal.reason()),
        (500, "meter-unknown")
    );
}
