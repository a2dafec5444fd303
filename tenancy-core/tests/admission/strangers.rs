//! M4. A tenant of others and one that does not exist: the same look-ups, the same staleness, the
//! same answers, also while the directory is down and while other tenants change.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tenancy_core::{
    Actor, AllowedTenants, Authenticator, Credential, LookupError, Membership, Principal,
    RouteNeeds, ServiceId, SystemRole, TenantKey, Timestamp, UserId, Verdict, async_trait,
    testing::{FakeRequest, StoreDirectly as _},
};

use crate::support::World;

/// Bob's tenant, and nobody's: asked for by Alice.
const NAMES: [&str; 2] = ["globex", "nobody"];

/// What Alice is answered who asks for a tenant, and how many questions it took.
async fn asked(w: &World, request: &FakeRequest) -> (u16, usize) {
    let before = w.directory.questions();
    let status = match w.admit_as(request, RouteNeeds::tenant()).await {
        Ok(_) => 200,
        Err(refusal) => refusal.kind().status(),
    };
    (status, w.directory.questions() - before)
}

/// The ways in which one tenant can be named.
fn ways(w: &World, name: &str) -> [FakeRequest; 3] {
    let header = w.alice_at("www.notes.example");
    [
        w.alice_at(&format!("{name}.notes.example")),
        header.header("x-organization-id", name),
        w.alice_at("www.notes.example")
            .header("x-organization-id", name)
            .header("x-project-id", "0192f0c1-2345-7abc-8def-0123456789ab"),
    ]
}

/// What happens between two rounds of questions.
type Step = dyn for<'a> Fn(&'a World) -> BoxFuture<'a, ()>;

/// What happens in between, step by step; what was answered in each, to each way of asking.
async fn answers(name: &str, warm: bool, steps: &[&Step]) -> Vec<(u16, usize)> {
    let w = World::new().await;
    w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    if warm {
        // Its own member has it in every cache.
        let bob = FakeRequest::new("/notes")
            .header("host", "globex.notes.example")
            .bearer(&w.token(w.bob, serde_json::json!({})));
        for _ in 0..3 {
            w.admit(&bob).await.unwrap();
        }
    }
    let mut told = Vec::new();
    for step in steps {
        for request in ways(&w, name) {
            told.push(asked(&w, &request).await);
            told.push(asked(&w, &request).await);
        }
        step(&w).await;
    }
    told
}

macro_rules! step {
    (|$w:ident| $body:expr) => {
        &|$w: &World| -> BoxFuture<'_, ()> {
            Box::pin(async move {
                $body;
            })
        }
    };
}

/// Moves the clock as traffic would: each second a poll, which is waited for.
async fn pass(w: &World, seconds: u64) {
    for _ in 0..seconds {
        w.clock.advance(Duration::from_secs(1));
        let _ = w.tenancy.catch_up().await;
    }
}

#[tokio::test]
async fn a_tenant_of_others_costs_what_one_costs_that_does_not_exist() {
    for warm in [false, true] {
        let steps: [&Step; 9] = [
            step!(|w| pass(w, 1).await),
            // Both are believed for the same time.
            step!(|w| pass(w, 3).await),
            step!(|w| pass(w, 1).await),
            step!(|w| pass(w, 60).await),
            // Elsewhere, the tenant that is asked for changes, and another one does.
            step!(|w| {
                let elsewhere = w.directory.directory();
                elsewhere.set_plan(w.globex.id, Some("gold")).await.unwrap();
                pass(w, 1).await;
            }),
            step!(|w| {
                let elsewhere = w.directory.directory();
                elsewhere.set_plan(w.acme.id, Some("gold")).await.unwrap();
                pass(w, 1).await;
            }),
            // Here, the same; a poll in the background would tell it at any moment.
            step!(|w| {
                w.tenancy
                    .admin(tenancy_core::testing::service())
                    .set_plan(w.globex.id, None)
                    .await
                    .unwrap();
                w.tenancy.catch_up().await.unwrap();
            }),
            step!(|w| w.tenancy.invalidate(w.globex.id)),
            step!(|w| w.tenancy.invalidate(w.acme.id)),
        ];
        let [others, nobodys] = [
            answers(NAMES[0], warm, &steps).await,
            answers(NAMES[1], warm, &steps).await,
        ];
        assert_eq!(others, nobodys, "warm: {warm}");
        assert!(
            others.iter().all(|(status, _)| *status == 404),
            "{others:?}"
        );
        assert_eq!(others[..2], [(404, 2), (404, 0)], "asked once, and kept");
    }
}

#[tokio::test]
async fn the_same_in_an_outage() {
    for (warm, asked_before) in [(false, false), (false, true), (true, false), (true, true)] {
        let steps: [&Step; 6] = [
            step!(|w| w.directory.fail_questions(true)),
            step!(|w| w.directory.fail(true)),
            step!(|w| w.clock.advance(Duration::from_secs(4))),
            step!(|w| w.clock.advance(Duration::from_secs(2))),
            step!(|w| {
                w.directory.fail(false);
                w.directory.fail_questions(false);
                w.directory.silence_feed(true);
            }),
            step!(|w| w.clock.advance(Duration::from_secs(10))),
        ];
        let steps = if asked_before {
            &steps[..]
        } else {
            &steps[1..]
        };
        let [others, nobodys] = [
            answers(NAMES[0], warm, steps).await,
            answers(NAMES[1], warm, steps).await,
        ];
        assert_eq!(others, nobodys, "warm: {warm}");
        assert!(
            others.iter().any(|(status, _)| *status == 503),
            "{others:?}"
        );
    }
}

#[tokio::test]
async fn whoever_is_invited_elsewhere_is_let_in_at_the_next_poll() {
    let w = World::new().await;
    let request = w.alice_at("globex.notes.example");
    assert_eq!(w.refused(&request).await, (404, "not-a-member"));
    let viewer = Membership::new(w.globex.id, w.alice, SystemRole::Viewer.name());
    let elsewhere = w.directory.directory();
    elsewhere.put_membership(&viewer).await.unwrap();
    pass(&w, 1).await;
    assert_eq!(w.admit(&request).await.unwrap().tenant_id(), w.globex.id);
}

#[tokio::test]
async fn what_one_token_is_refused_another_of_the_same_user_may_have() {
    let w = World::new().await;
    let bound = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&w.token(w.bob, serde_json::json!({})));
    for _ in 0..3 {
        assert_eq!(w.refused(&bound).await, (404, "not-a-member"));
        w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
        let two = w
            .alice_at("acme.notes.example")
            .header("x-organization-id", "globex");
        assert_eq!(w.refused(&two).await, (404, "hints-contradict"));
    }
}

#[tokio::test]
async fn a_stranger_is_recorded_with_the_same_entry_warm_and_cold() {
    let w = World::new().await;
    for name in NAMES {
        let request = w.alice_at(&format!("{name}.notes.example"));
        let mut entries = Vec::new();
        for _ in 0..3 {
            w.refused(&request).await;
            let entry = w.last_audit();
            entries.push((entry.tenant, entry.actor, entry.reason, entry.target));
        }
        assert!(entries.iter().all(|entry| *entry == entries[0]), "{name}");
    }
}

/// A service of the tenant `acme`.
#[derive(Debug)]
struct Exporter;

#[async_trait]
impl Authenticator for Exporter {
    fn probe(&self, _: Credential<'_>, now: Timestamp) -> Verdict {
        let acme = AllowedTenants::Bound(TenantKey::Slug("acme".parse().unwrap()));
        let service = ServiceId::from_uuid(uuid::Uuid::nil());
        let mut principal = Principal::new(Actor::Service(service), acme, "services");
        principal.issued_at = Some(now);
        Verdict::Verified(Arc::new(principal))
    }

    async fn verify(&self, _: Credential<'_>, _: Timestamp) -> Result<Verdict, LookupError> {
        Ok(Verdict::NotMine)
    }
}

/// A directory that answers one thing after the other asks no more about a tenant that exists: neither for a
/// service of another tenant nor for a visitor of a tenant that is not served, also where they name a project.
#[tokio::test]
async fn a_project_that_is_named_costs_nobody_without_a_membership_a_question_more() {
    use tenancy_core::TenantStatus;

    let mut costs = Vec::new();
    for name in NAMES {
        let w = World::with(|builder| builder.authenticator(Exporter)).await;
        let elsewhere = w.directory.directory();
        let suspended = TenantStatus::Suspended;
        elsewhere.set_status(w.globex.id, suspended).await.unwrap();
        let host = format!("{name}.notes.example");
        let request = |host: &str| {
            FakeRequest::new("/notes")
                .header("host", host)
                .header("x-project-id", "0192f0c1-2345-7abc-8def-0123456789ab")
        };
        w.tenancy.catch_up().await.unwrap();
        let mut cost = Vec::new();
        for asking in [request(&host), request(&host).bearer("exporter")] {
            let before = w.directory.questions();
            let needs = RouteNeeds::tenant().or_anonymous();
            let status = match w.admit_as(&asking, needs).await {
                Ok(_) => 200,
                Err(refusal) => refusal.kind().status(),
            };
            cost.push((status, w.directory.questions() - before));
        }
        costs.push(cost);
    }
    assert_eq!(
        costs[0], costs[1],
        "a visitor and a service, of others and of nobody"
    );
}

/// Bob, as a credential of the tenant `acme` calls him: the issuer may be acme's own.
#[derive(Debug)]
struct BobOfAcme(UserId);

#[async_trait]
impl Authenticator for BobOfAcme {
    fn probe(&self, credential: Credential<'_>, now: Timestamp) -> Verdict {
        if credential.expose() != "bob-of-acme" {
            return Verdict::NotMine;
        }
        let acme = AllowedTenants::Bound(TenantKey::Slug("acme".parse().unwrap()));
        let mut principal = Principal::new(Actor::User(self.0), acme, "acme's own");
        principal.issued_at = Some(now);
        Verdict::Verified(Arc::new(principal))
    }

    async fn verify(&self, _: Credential<'_>, _: Timestamp) -> Result<Verdict, LookupError> {
        Ok(Verdict::NotMine)
    }
}

/// A credential that reaches one tenant does not find out by what another costs whether its user, or a key's
/// creator, is a member there.
#[tokio::test]
async fn a_bound_credential_does_not_learn_where_its_user_is_a_member() {
    let bob = UserId::new();
    let mut costs = Vec::new();
    for (name, is_member) in [("globex", true), ("globex", false), ("nobody", false)] {
        let w = World::with(|builder| builder.authenticator(BobOfAcme(bob))).await;
        if is_member {
            let viewer = Membership::new(w.globex.id, bob, SystemRole::Viewer.name());
            let elsewhere = w.directory.directory();
            elsewhere.put_membership(&viewer).await.unwrap();
        }
        w.tenancy.catch_up().await.unwrap();
        let request = FakeRequest::new("/notes")
            .header("host", format!("{name}.notes.example"))
            .bearer("bob-of-acme");
        costs.push((name, is_member, asked(&w, &request).await));
    }
    let first = costs[0].2;
    assert_eq!(first.0, 404);
    assert!(costs.iter().all(|(_, _, cost)| *cost == first), "{costs:?}");
}

/// Whoever joins a question late makes its answer no younger, also where it is a refusal.
#[tokio::test]
async fn a_stranger_who_joins_a_question_late_makes_its_answer_no_younger() {
    let w = World::new().await;
    w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    w.tenancy.catch_up().await.unwrap();
    let request = w.alice_at("globex.notes.example");
    w.directory.close();
    let mut first = Box::pin(w.refused(&request));
    assert!(futures_util::poll!(&mut first).is_pending());
    // Within the five seconds for which news is fresh, and a refusal is believed.
    w.clock.advance(Duration::from_secs(4));
    let mut second = Box::pin(w.refused(&request));
    assert!(futures_util::poll!(&mut second).is_pending());
    let before = w.directory.questions();
    w.directory.open();
    let refused = (404, "not-a-member");
    assert_eq!(first.await, refused);
    assert_eq!(second.await, refused);
    assert_eq!(w.directory.questions() - before, 1, "one question for both");
    pass(&w, 2).await;
    assert_ne!(asked(&w, &request).await, (404, 0), "6 s after it was read");
}
