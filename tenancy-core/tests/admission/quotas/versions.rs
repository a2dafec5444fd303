//! Plans that change while an engine runs: a book that is replaced, and stored versions.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use tenancy_core::{
    Cost, DirectoryError, MemoryDirectory, PlanBook, PlanDefinition, PlanDirectory, PlanVersion,
    RefusalKind, StoreErrorKind, Tenancy, async_trait,
    quota::{Limit, Meter, OperationId, Quotas},
    testing::service,
};

use super::{alice, told};
use crate::{keys::with_keys, support::World};

/// A store of plans that can be away.
#[derive(Clone)]
struct Shelf {
    directory: MemoryDirectory,
    is_away: Arc<AtomicBool>,
}

#[async_trait]
impl PlanDirectory for Shelf {
    async fn find_plan_version(
        &self,
        plan: &str,
        version: Option<u32>,
    ) -> Result<Option<PlanVersion>, DirectoryError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(DirectoryError::new("the connection was refused"));
        }
        self.directory.find_plan_version(plan, version).await
    }
}

async fn world() -> (World, Shelf) {
    let mut shelf = None;
    let w = World::over(|directory, builder| {
        let plans = Shelf {
            directory: directory.directory().clone(),
            is_away: Arc::default(),
        };
        shelf = Some(plans.clone());
        let quotas = Quotas::new().meter(Meter::held("projects"));
        let book = PlanBook::new()
            .plan("internal", ["*"])
            .limits("internal", [Limit::unlimited("projects")])
            .declare_features(["sso"]);
        let builder = with_keys(directory, builder).plans(book).quotas(quotas);
        builder.stored_plans(plans)
    })
    .await;
    (w, shelf.unwrap())
}

fn plan(name: &str, projects: u64) -> PlanDefinition {
    let says = json!({
        "permissions": ["notes:*"],
        "features": ["sso"],
        "limits": { "projects": { "held": projects } },
    });
    PlanDefinition::from_json(name, says).unwrap()
}

async fn add(w: &World, definition: &PlanDefinition) -> String {
    let admin = w.tenancy.admin(service());
    admin
        .add_plan_version(definition)
        .await
        .unwrap()
        .to_string()
}

async fn put(w: &World, plan: &str) {
    let admin = w.tenancy.admin(service());
    admin.set_plan(w.acme.id, Some(plan)).await.unwrap();
}

/// How many projects Acme holds, and how many its plan has room for.
async fn projects(w: &World) -> (u64, u64) {
    let quotas = w.tenancy.quotas().unwrap();
    let usage = quotas.usage(&alice(w).await).await.unwrap();
    let held = usage
        .iter()
        .find(|one| one.name == "projects-held")
        .unwrap();
    (held.standing.used, held.standing.limit)
}

async fn create_project(w: &World) -> Result<(), Value> {
    let context = alice(w).await;
    let quotas = w.tenancy.quotas().unwrap();
    match quotas.reserve(&context, &[Cost::new("projects", 1)]).await {
        Ok(reserved) => {
            reserved.commit().await.unwrap();
            Ok(())
        }
        Err(refused) => {
            let (status, _, _, body) = told(refused);
            assert_eq!(status, 402, "{body}");
            Err(body)
        }
    }
}

#[tokio::test]
async fn a_new_version_moves_nobody_and_each_tenant_is_put_on_it() {
    let (w, _) = world().await;
    assert_eq!(add(&w, &plan("pro", 3)).await, "pro@1");
    put(&w, "pro").await;
    assert_eq!(alice(&w).await.record().plan.as_deref(), Some("pro@1"));
    assert_eq!(alice(&w).await.plan().unwrap().name(), "pro@1");
    assert_eq!(projects(&w).await, (0, 3));

    assert_eq!(add(&w, &plan("pro", 50)).await, "pro@2");
    w.tenancy.invalidate(w.acme.id);
    assert_eq!(projects(&w).await, (0, 3), "nobody was asked");
    put(&w, "pro").await;
    assert_eq!(projects(&w).await, (0, 50));
    put(&w, "pro@1").await;
    assert_eq!(projects(&w).await, (0, 3), "back, by its number");
    put(&w, "internal").await;
    assert_eq!(
        alice(&w).await.plan().unwrap().name(),
        "internal",
        "the book's has no versions"
    );

    let admin = w.tenancy.admin(service());
    for unknown in ["prime", "pro@3", "pro@0", "pro@01", "pro@", "@1", ""] {
        let refused = admin.set_plan(w.acme.id, Some(unknown)).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::NotFound, "{unknown}");
    }
    let mut new = tenancy_core::TenantRecord::new("initech".parse().unwrap(), "Initech");
    new.plan = Some("pro".to_owned());
    admin.create_tenant(&new).await.unwrap();
    let filter = tenancy_core::TenantFilter::new().plan("pro@2");
    let on_it = admin.list_tenants(&filter, None, 10).await.unwrap();
    assert_eq!(on_it.iter().map(|it| it.id).collect::<Vec<_>>(), [new.id]);
}

#[tokio::test]
async fn a_downgrade_removes_nothing_and_admits_no_more() {
    let (w, _) = world().await;
    add(&w, &plan("pro", 3)).await;
    add(&w, &plan("free", 1)).await;
    put(&w, "pro").await;
    for _ in 0..3 {
        create_project(&w).await.unwrap();
    }
    put(&w, "free").await;
    assert_eq!(projects(&w).await, (3, 1));
    for _ in 0..2 {
        let body = create_project(&w).await.unwrap_err();
        assert_eq!(
            (&body["plan"], &body["used"], &body["limit"]),
            (&"free@1".into(), &3.into(), &1.into())
        );
    }
    let quotas = w.tenancy.quotas().unwrap();
    for (id, left) in [("a", 2), ("b", 1), ("c", 0)] {
        create_project(&w).await.unwrap_err();
        let removed = OperationId::of([id]);
        let context = alice(&w).await;
        quotas
            .give_back(&context, &Cost::new("projects", 1), removed)
            .await
            .unwrap();
        assert_eq!(projects(&w).await, (left, 1));
    }
    create_project(&w).await.unwrap();
}

#[tokio::test]
async fn a_plan_that_could_not_be_used_is_refused_before_it_is_stored() {
    let (w, _) = world().await;
    let admin = w.tenancy.admin(service());
    let held = json!({ "projects": { "held": 1 } });
    for (name, says, wrong) in [
        (
            "pro",
            json!({ "permissions": ["notes:red"], "limits": held }),
            "plan `pro` permits `notes:red`, which covers no permission that is declared; declare it or remove the grant",
        ),
        (
            "pro",
            json!({ "permissions": ["*"] }),
            "plan `pro` says nothing about the meter `projects`; add a limit with `PlanBook::limits`: `Limit::unlimited` or `Limit::not_included`, if nothing else",
        ),
        (
            "pro",
            json!({ "permissions": ["*"], "limits": { "projects": { "held": 1 }, "seats": { "held": 1 } } }),
            "plan `pro`: limit `seats-held`: there is no meter `seats`; declare it with `Quotas::meter`",
        ),
        (
            "pro",
            json!({ "permissions": ["*"], "limits": { "projects": { "at_once": 1 } } }),
            "plan `pro`: limit `projects-at-once`: the meter `projects` is one of what is held, and this limit is for what is concurrent; declare the meter with `Meter::concurrent`",
        ),
        (
            "internal",
            json!({ "permissions": ["*"], "limits": held }),
            "the book of this service has a plan `internal`; give the stored plan another name, or remove the plan from the book",
        ),
    ] {
        let definition = PlanDefinition::from_json(name, says).unwrap();
        let refused = admin.add_plan_version(&definition).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.to_string().as_str()),
            (StoreErrorKind::Invalid, wrong)
        );
    }
    // What is no plan is none of any service.
    for (name, says, wrong) in [
        (
            "pro",
            json!(null),
            "plan `pro` has to be a table of what it says; this is null",
        ),
        (
            "pro",
            json!({ "permission": [] }),
            "plan `pro` has no field `permission`; it has `permissions`, `features`, `retention`, `support`, `price`, `limits`",
        ),
        (
            "pro",
            json!({ "permissions": ["*"], "limits": { "projects": { "held": 1.5 } } }),
            "plan `pro`: the limit of `projects`: `held` has to be a whole number from 1 to 999999999999999; this is a number with a fraction",
        ),
        (
            "pro",
            json!({ "permissions": ["*"], "limits": { "projects": { "held": u64::MAX } } }),
            "plan `pro`: the limit of `projects`: `held` has to be a whole number from 1 to 999999999999999",
        ),
        (
            "pro@1",
            json!({ "permissions": ["*"] }),
            "`pro@1` can't be the name of a stored plan; give one of 1 to 64 bytes, without `@`, which separates the version",
        ),
        (
            " ",
            json!({ "permissions": ["*"] }),
            "` ` can't be the name of a stored plan; give one of 1 to 64 bytes, without `@`, which separates the version",
        ),
    ] {
        assert_eq!(
            PlanDefinition::from_json(name, says)
                .unwrap_err()
                .to_string(),
            wrong
        );
    }
    let long = json!({ "permissions": ["*"], "support": "x".repeat(PlanDefinition::MAX_LEN) });
    let refused = PlanDefinition::from_json("pro", long).unwrap_err();
    assert!(
        refused.to_string().contains("more than 65536 bytes"),
        "{refused}"
    );
    assert_eq!(admin.list_plan_versions(None, None, 10).await.unwrap(), []);
    // A caller's authority is good for its own tenant, and plans are of all.
    put(&w, "internal").await;
    let authority = alice(&w).await.authority("notes:write").unwrap();
    let as_alice = w.tenancy.admin(authority);
    let refused = as_alice
        .add_plan_version(&plan("pro", 1))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Forbidden);
    let refused = as_alice
        .list_plan_versions(None, None, 1)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Forbidden);
}

#[tokio::test]
async fn a_version_that_a_process_does_not_know_is_read_or_the_request_is_told_to_come_back() {
    let (w, shelf) = world().await;
    add(&w, &plan("pro", 3)).await;
    let request = w.alice_at("acme.notes.example");
    shelf.is_away.store(true, Ordering::SeqCst);
    // Past the engine, as another process does it.
    let there =
        tenancy_core::testing::StoreDirectly::set_plan(&w.directory, w.acme.id, Some("pro@1"));
    there.await.unwrap();
    w.tenancy.invalidate(w.acme.id);
    for _ in 0..2 {
        assert_eq!(w.refused(&request).await, (503, "directory-unavailable"));
    }
    shelf.is_away.store(false, Ordering::SeqCst);
    assert_eq!(projects(&w).await, (0, 3));
    // Once read, it is known: it never changes.
    shelf.is_away.store(true, Ordering::SeqCst);
    w.tenancy.invalidate(w.acme.id);
    assert_eq!(projects(&w).await, (0, 3));
    shelf.is_away.store(false, Ordering::SeqCst);

    // A version that does not exist permits nothing, and takes nobody's name away.
    for unknown in ["pro@2", "pro@99999999999", "prime"] {
        let there =
            tenancy_core::testing::StoreDirectly::set_plan(&w.directory, w.acme.id, Some(unknown));
        there.await.unwrap();
        w.tenancy.invalidate(w.acme.id);
        let context = alice(&w).await;
        assert!(context.plan().is_none(), "{unknown}");
        assert!(context.permissions().is_empty(), "{unknown}");
    }
}

#[tokio::test]
async fn a_version_that_needs_what_an_older_program_has_not_is_answered_503_there() {
    let (w, shelf) = world().await;
    let is_shelf_away = Arc::clone(&shelf.is_away);
    // It has no meter yet.
    let older = Tenancy::builder(w.directory.clone())
        .established_principals()
        .stored_plans(shelf)
        .build()
        .unwrap();
    add(&w, &plan("pro", 3)).await;
    put(&w, "pro").await;
    assert!(w.tenancy.enter(w.acme.id, "a test").await.is_ok());
    for is_away in [false, true] {
        // It is read once: neither a version nor a program changes.
        is_shelf_away.store(is_away, Ordering::SeqCst);
        let refused = older.enter(w.acme.id, "a test").await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.reason()),
            (RefusalKind::Unavailable, "plan-unusable")
        );
    }
    // The others are served.
    assert!(older.enter(w.globex.id, "a test").await.is_ok());
}

#[tokio::test]
async fn a_book_is_replaced_while_the_engine_runs_if_it_is_a_good_one() {
    let w = super::world(super::book(), super::meters()).await;
    put_free(&w).await;
    super::ask(&w, &alice(&w).await, &[("exports", 3)])
        .await
        .unwrap();
    let before = alice(&w).await;
    let small = PlanBook::new().plan("free", ["notes:read"]).limits(
        "free",
        [
            Limit::unlimited("requests"),
            Limit::per_period("exports", 4, tenancy_core::quota::Period::Month),
            Limit::unlimited("jobs"),
        ],
    );
    let refused = w.tenancy.replace_plans(small.clone()).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("plan `free` says nothing about the meter `projects`"),
        "{refused}"
    );
    assert_eq!(
        alice(&w).await.plan(),
        before.plan(),
        "the old book is in effect"
    );
    assert_eq!(w.tenancy.all_plans().len(), 3);

    let good = small.limits("free", [Limit::held("projects", 2)]);
    w.tenancy.replace_plans(good).unwrap();
    let context = alice(&w).await;
    assert!(context.require("notes:read").is_ok());
    assert!(
        context.require("notes:write").is_err(),
        "what was remembered of the old book has ended"
    );
    assert!(
        before.require("notes:write").is_ok(),
        "a request goes on as it was admitted"
    );
    assert_eq!(w.tenancy.all_plans().len(), 1);
    // Three of four are used.
    super::ask(&w, &context, &[("exports", 1)]).await.unwrap();
    let refused = super::ask(&w, &context, &[("exports", 1)])
        .await
        .unwrap_err();
    assert_eq!(told(refused).0, 402);
}

async fn put_free(w: &World) {
    super::put_plan(w, Some("free")).await;
}

#[tokio::test]
async fn a_feature_that_a_replaced_book_had_stays_declared_and_an_engine_without_plans_takes_none()
{
    let with_sso = PlanBook::new()
        .plan("free", ["*"])
        .features("free", ["sso"])
        .for_tenants_without_plan("free");
    let w = World::over(|directory, builder| with_keys(directory, builder).plans(with_sso)).await;
    assert!(alice(&w).await.require_feature("sso").is_ok());
    let without = PlanBook::new()
        .plan("free", ["*"])
        .for_tenants_without_plan("free");
    w.tenancy.replace_plans(without).unwrap();
    let refused = alice(&w).await.require_feature("sso").unwrap_err();
    assert_eq!(
        refused.kind(),
        RefusalKind::FeatureNotInPlan,
        "and not misconfigured"
    );
    let w = World::over(with_keys).await;
    let refused = w.tenancy.replace_plans(PlanBook::new()).unwrap_err();
    assert!(
        refused.to_string().contains("built without plans"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_context_that_is_held_is_decided_about_again_with_the_new_book() {
    let w = super::world(super::book(), super::meters()).await;
    put_free(&w).await;
    let context = alice(&w).await;
    let mut watch = context.watch();
    let same = w.tenancy.revalidate(&context).await.unwrap();
    assert_eq!(same.plan(), context.plan());
    w.tenancy
        .replace_plans(super::book().features("free", ["sso"]))
        .unwrap();
    let changed = watch.changed().await.unwrap();
    assert!(changed.has_feature("sso") && !context.has_feature("sso"));
}
