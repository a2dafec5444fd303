//! Operators who act as users: what they may, what they may not, and when it ends.

use std::time::Duration;

use futures_util::FutureExt as _;
use tenancy_core::{
    Actor, ImpersonationState, Membership, MembershipStatus, NewImpersonation, Operator,
    OperatorContext, OperatorRight, OperatorRole, OperatorStore as _, Outcome, Project,
    ProjectAccess, ProjectDirectory as _, RouteNeeds, Settings, StartedImpersonation,
    StoreErrorKind, SystemRole, UserId,
    key::NewKey,
    testing::{FakeRequest, StoreDirectly as _, service, unattributed},
};

use super::{STAFF, context_of, operator, policy, staff_token, world};
use crate::support::{World, answer};

const MINUTE: Duration = Duration::from_secs(60);

struct Scene {
    w: World,
    mia: Operator,
    context: OperatorContext,
}

impl Scene {
    async fn with(policy: tenancy_core::ImpersonationPolicy) -> Self {
        let w = world(policy).await;
        let mia = operator(&w, &[OperatorRole::Support]).await;
        let context = context_of(&w, &mia).await;
        Self { w, mia, context }
    }

    fn asked(&self) -> NewImpersonation {
        NewImpersonation::new(self.w.acme.id, self.w.alice, "alice can't see her notes")
            .ticket("4711")
    }

    async fn started(&self) -> StartedImpersonation {
        self.context.impersonate(self.asked()).await.unwrap()
    }

    /// A request with the token, to acme unless it says otherwise.
    fn request(&self, started: &StartedImpersonation) -> FakeRequest {
        FakeRequest::new("/notes").bearer(started.token.expose())
    }

    async fn refused(&self, started: &StartedImpersonation) -> (u16, &'static str) {
        self.w.refused(&self.request(started)).await
    }
}

#[tokio::test]
async fn it_is_in_the_trail_before_the_token_is_known_and_both_are_in_each_entry() {
    let s = Scene::with(policy()).await;
    let started = s.started().await;
    let trail = s.w.directory.directory().outbox().trail();
    let entry = trail.last().unwrap();
    assert_eq!(
        (&*entry.action, entry.outcome),
        ("impersonation.start", Outcome::Allowed)
    );
    assert_eq!(entry.tenant, Some(s.w.acme.id));
    assert_eq!(entry.actor, Some(Actor::Operator(s.mia.id)));
    assert_eq!(entry.credential.as_deref(), Some(STAFF));
    assert_eq!(entry.reason.as_deref(), Some("alice can't see her notes"));
    let text = serde_json::to_string(&entry).unwrap();
    assert!(
        text.contains("4711") && text.contains(&s.w.alice.to_string()),
        "{text}"
    );
    assert!(!text.contains(started.token.expose()));

    let context = s.w.admit(&s.request(&started)).await.unwrap();
    assert_eq!(context.tenant_id(), s.w.acme.id);
    assert_eq!(context.user_id(), Some(s.w.alice));
    assert_eq!(context.role(), Some(&SystemRole::Owner.name()));
    let principal = context.principal();
    assert_eq!(principal.actor, Actor::Operator(s.mia.id));
    assert_eq!(
        (principal.on_behalf_of, principal.user()),
        (Some(s.w.alice), None)
    );
    let seen = context.impersonation().unwrap();
    assert_eq!(seen, &started.impersonation);
    context.require("notes:write").unwrap();

    // A change that is allowed, and a refusal.
    let admin = s.w.tenancy.admin(context.authority("notes:write").unwrap());
    admin
        .set_settings(s.w.acme.id, &Settings::default())
        .await
        .unwrap();
    let changed = s.w.last_audit();
    let _ = context.require("audit:read").unwrap_err();
    s.w.tenancy
        .admin(service())
        .suspend(s.w.acme.id)
        .await
        .unwrap();
    assert_eq!(s.refused(&started).await, (403, "tenant-suspended"));
    let refused = s.w.last_audit();
    for entry in [changed, refused] {
        assert_eq!(entry.actor, Some(Actor::Operator(s.mia.id)), "{entry:?}");
        assert_eq!(entry.on_behalf_of, Some(s.w.alice), "{entry:?}");
        assert_eq!(entry.tenant, Some(s.w.acme.id), "{entry:?}");
    }
    let id = started.impersonation.id;
    let entries = s.w.directory.directory().outbox().trail();
    let by = format!("impersonation:{id}");
    assert!(
        entries
            .iter()
            .any(|entry| entry.credential.as_deref() == Some(&*by))
    );
}

#[tokio::test]
async fn it_reaches_one_tenant_and_nothing_without_one() {
    let s = Scene::with(policy()).await;
    let started = s.started().await;
    // Globex is there, and alice even belongs to it.
    let member = Membership::new(s.w.globex.id, s.w.alice, SystemRole::Owner.name());
    s.w.directory.put_membership(&member).await.unwrap();
    s.w.admit(&s.w.alice_at("globex.notes.example"))
        .await
        .unwrap();
    let request = s.request(&started).header("host", "globex.notes.example");
    assert_eq!(
        s.w.refused(&request).await,
        (404, "credential-of-another-tenant")
    );
    let own = s.request(&started).header("host", "acme.notes.example");
    s.w.admit(&own).await.unwrap();
    let both = own.header("x-organization-id", s.w.globex.id.to_string());
    assert_eq!(s.w.refused(&both).await.0, 404);
    let central =
        s.w.admit_as(&s.request(&started), RouteNeeds::central())
            .await;
    assert_eq!(answer(central), (403, "impersonation-without-tenant"));
    // With a credential of somebody else, neither counts.
    let two = s
        .request(&started)
        .bearer(&staff_token(&s.w, s.mia.subject));
    assert_eq!(s.w.refused(&two).await, (401, "credential-repeated"));
    let wrong = FakeRequest::new("/").bearer(&format!("tnimp_{}", "0".repeat(64)));
    assert_eq!(s.w.refused(&wrong).await, (401, "impersonation-unknown"));
    let short = FakeRequest::new("/").bearer("tnimp_00");
    assert_eq!(s.w.refused(&short).await, (401, "impersonation-malformed"));
}

#[tokio::test]
async fn it_does_not_nest() {
    let s = Scene::with(policy()).await;
    let started = s.started().await;
    let operators = FakeRequest::new("/operators").bearer(started.token.expose());
    let nested =
        s.w.tenancy
            .authenticate_operator(&operators)
            .resolve()
            .await;
    assert_eq!(answer(nested), (401, "credential-unknown-kind"));
    // Nor does anybody become an operator, or itself.
    let mut tom = operator(&s.w, &[OperatorRole::Support]).await;
    tom.user = Some(s.w.bob);
    s.w.tenancy
        .admin(service())
        .put_operator(&tom)
        .await
        .unwrap();
    for (tenant, user) in [
        (s.w.acme.id, s.mia.subject),
        (s.w.acme.id, tom.subject),
        (s.w.globex.id, s.w.bob),
    ] {
        let member = Membership::new(tenant, user, SystemRole::Viewer.name());
        s.w.directory.put_membership(&member).await.unwrap();
        let asked = NewImpersonation::new(tenant, user, "a test");
        let refused = s.context.impersonate(asked).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Forbidden);
        assert!(refused.to_string().contains("is an operator"), "{refused}");
        assert_eq!(s.w.last_audit().outcome, Outcome::Refused);
    }
}

#[tokio::test]
async fn only_members_are_impersonated_once_for_a_while_and_by_who_may() {
    let s = Scene::with(policy()).await;
    let stranger = NewImpersonation::new(s.w.acme.id, s.w.bob, "a test");
    let kind = async |context: &OperatorContext, asked| {
        context
            .impersonate(asked)
            .await
            .map(|_| ())
            .map_err(|error| error.kind())
    };
    assert_eq!(
        kind(&s.context, stranger).await,
        Err(StoreErrorKind::Forbidden)
    );
    let invited = UserId::new();
    let mut member = Membership::new(s.w.acme.id, invited, SystemRole::Viewer.name());
    member.status = MembershipStatus::Invited;
    s.w.directory.put_membership(&member).await.unwrap();
    let asked = NewImpersonation::new(s.w.acme.id, invited, "a test");
    assert_eq!(
        kind(&s.context, asked).await,
        Err(StoreErrorKind::Forbidden)
    );
    for ttl in [Duration::ZERO, 61 * MINUTE] {
        assert_eq!(
            kind(&s.context, s.asked().ttl(ttl)).await,
            Err(StoreErrorKind::Invalid)
        );
    }
    let blank = NewImpersonation::new(s.w.acme.id, s.w.alice, " ");
    assert_eq!(kind(&s.context, blank).await, Err(StoreErrorKind::Invalid));
    for role in [
        OperatorRole::Billing,
        OperatorRole::Admin,
        OperatorRole::Security,
    ] {
        let other = context_of(&s.w, &operator(&s.w, &[role]).await).await;
        assert_eq!(
            kind(&other, s.asked()).await,
            Err(StoreErrorKind::Forbidden),
            "{role}"
        );
    }
    s.started().await;
    assert_eq!(
        kind(&s.context, s.asked()).await,
        Err(StoreErrorKind::Conflict)
    );
}

#[tokio::test]
async fn what_is_the_users_own_is_refused() {
    let s = Scene::with(policy().not_while_impersonating(["notes:write"])).await;
    let context = s.w.admit(&s.request(&s.started().await)).await.unwrap();
    assert!(context.require("notes:read").is_ok());
    assert_eq!(
        context.require("notes:write").unwrap_err().kind().status(),
        403
    );
    let alices =
        s.w.admit(&s.w.alice_at("acme.notes.example"))
            .await
            .unwrap();
    assert!(alices.require("notes:write").is_ok(), "alice herself may");

    let authority = context.authority("notes:read").unwrap();
    let admin = s.w.tenancy.admin(authority.clone());
    let keys = s.w.tenancy.keys().unwrap().by(authority);
    let member = Membership::new(s.w.acme.id, UserId::new(), SystemRole::Viewer.name());
    let until = s.w.clock_now() + MINUTE;
    let issuer = tenancy_core::IssuerRecord::new("https://sso", s.w.acme.id, serde_json::json!({}));
    let key = NewKey::new(s.w.acme.id, s.w.alice, "k", ["*".parse().unwrap()]);
    let refused = [
        admin.put_membership(&member).await.map(|_| ()),
        admin
            .remove_membership(s.w.acme.id, s.w.alice)
            .await
            .map(|_| ()),
        admin.put_issuer(&issuer).await.map(|_| ()),
        admin.set_plan(s.w.acme.id, None).await.map(|_| ()),
        admin.suspend(s.w.acme.id).await.map(|_| ()),
        admin
            .grant_support_access(s.w.acme.id, until)
            .await
            .map(|_| ()),
        keys.issue(key).await.map(|_| ()),
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Forbidden, "{error}");
        assert!(error.to_string().contains("for the user itself"), "{error}");
        let entry = s.w.last_audit();
        assert_eq!(entry.actor, Some(Actor::Operator(s.mia.id)));
        assert_eq!(entry.on_behalf_of, Some(s.w.alice));
    }
    // A project may be renamed as her, and not be opened.
    let mut payroll = Project::new(s.w.acme.id, "payroll".parse().unwrap(), "Payroll")
        .with_access(ProjectAccess::RoleOnly);
    s.w.directory.put_project(&payroll).await.unwrap();
    payroll.name = "Salaries".into();
    admin.put_project(&payroll).await.unwrap();
    let opened = payroll.clone().with_access(ProjectAccess::Members);
    let error = admin.put_project(&opened).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Forbidden, "{error}");
    let found = s.w.directory.find_project(s.w.acme.id, payroll.id).await;
    assert_eq!(found.unwrap(), Some(payroll));

    let own = s.w.tenancy.admin(alices.authority("notes:write").unwrap());
    own.put_membership(&member)
        .await
        .expect("alice herself does it");
}

#[tokio::test]
async fn it_ends_by_its_time() {
    let s = Scene::with(policy()).await;
    let started = s
        .context
        .impersonate(s.asked().ttl(15 * MINUTE))
        .await
        .unwrap();
    let context = s.w.admit(&s.request(&started)).await.unwrap();
    let mut watch = context.watch();
    s.w.clock.advance(15 * MINUTE - Duration::from_secs(1));
    s.w.admit(&s.request(&started)).await.unwrap();
    assert!(watch.changed().now_or_never().is_none());
    s.w.clock.advance(Duration::from_secs(1));
    assert_eq!(s.refused(&started).await, (401, "impersonation-ended"));
    assert_eq!(watch.ended().await.kind().status(), 401);
    let late = s.w.tenancy.admin(context.authority("notes:write").unwrap());
    let late = late.set_settings(s.w.acme.id, &Settings::default()).await;
    assert_eq!(late.unwrap_err().kind(), StoreErrorKind::Forbidden);
}

#[tokio::test]
async fn it_ends_when_somebody_ends_it() {
    let s = Scene::with(policy()).await;
    for who in ["operator", "security", "tenant", "leave"] {
        let started = s.started().await;
        let context = s.w.admit(&s.request(&started)).await.unwrap();
        let (tenant, id) = (started.impersonation.tenant, started.impersonation.id);
        match who {
            "operator" => s.context.end(tenant, id, "done").await.unwrap(),
            "security" => {
                let sam = operator(&s.w, &[OperatorRole::Security]).await;
                let sam = context_of(&s.w, &sam).await;
                sam.end(tenant, id, "too long").await.unwrap();
            }
            "tenant" => {
                let alice =
                    s.w.admit(&s.w.alice_at("acme.notes.example"))
                        .await
                        .unwrap();
                let admin = s.w.tenancy.admin(alice.authority("notes:write").unwrap());
                let listed = admin
                    .list_impersonations(Some(tenant), None, 10)
                    .await
                    .unwrap();
                assert!(listed.iter().any(|one| one.id == id), "the tenant sees it");
                assert!(admin.list_impersonations(None, None, 10).await.is_err());
                admin.end_impersonation(tenant, id).await.unwrap();
            }
            _ => context.end_impersonation().await.unwrap(),
        }
        assert_eq!(&*s.w.last_audit().action, "impersonation.end", "{who}");
        assert_eq!(
            s.refused(&started).await,
            (401, "impersonation-ended"),
            "{who}"
        );
        let held = s.w.tenancy.revalidate(&context).await;
        assert_eq!(answer(held), (401, "impersonation-ended"), "{who}");
        assert_eq!(context.watch().ended().await.kind().status(), 401, "{who}");
    }
    let alice =
        s.w.admit(&s.w.alice_at("acme.notes.example"))
            .await
            .unwrap();
    assert!(alice.end_impersonation().await.is_err(), "alice has none");
}

#[tokio::test]
async fn it_ends_with_the_operator_the_membership_and_the_tenant() {
    let s = Scene::with(policy()).await;
    let started = s.started().await;
    let context = s.w.admit(&s.request(&started)).await.unwrap();
    // By another process, which tells this one nothing.
    let mut mia = s.mia.clone();
    mia.roles = [OperatorRole::Billing].into();
    let directory = s.w.directory.directory();
    directory.put_operator(&mia, &unattributed()).await.unwrap();
    assert_eq!(s.refused(&started).await, (401, "impersonation-ended"));
    assert!(s.w.tenancy.revalidate(&context).await.is_err());
    assert!(s.context.impersonate(s.asked()).await.is_err());

    directory
        .put_operator(&s.mia, &unattributed())
        .await
        .unwrap();
    let started = s.started().await;
    s.w.admit(&s.request(&started)).await.unwrap();
    let admin = s.w.tenancy.admin(service());
    admin
        .remove_membership(s.w.acme.id, s.w.alice)
        .await
        .unwrap();
    assert_eq!(s.refused(&started).await, (401, "impersonation-ended"));
    let member = Membership::new(s.w.acme.id, s.w.alice, SystemRole::Owner.name());
    admin.put_membership(&member).await.unwrap();
    // It does not come back with her.
    assert_eq!(s.refused(&started).await, (401, "impersonation-ended"));
    let started = s.started().await;
    s.w.admit(&s.request(&started)).await.unwrap();
    // What is taken back from alice is taken back from whoever acts as her.
    s.w.clock.advance(Duration::from_secs(1));
    let alices = tenancy_core::TokenSubject::User(s.w.alice);
    admin.revoke_tokens(&alices).await.unwrap();
    assert_eq!(s.refused(&started).await, (401, "token-revoked"));
}

#[tokio::test]
async fn a_tenant_that_has_not_agreed_is_left_alone() {
    let s = Scene::with(policy().require_consent()).await;
    let refused = s.context.impersonate(s.asked()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Forbidden);
    assert_eq!(s.w.last_audit().outcome, Outcome::Refused);

    let alice =
        s.w.admit(&s.w.alice_at("acme.notes.example"))
            .await
            .unwrap();
    let admin = s.w.tenancy.admin(alice.authority("notes:write").unwrap());
    let until = s.w.clock_now() + 10 * MINUTE;
    admin
        .grant_support_access(s.w.acme.id, until)
        .await
        .unwrap();
    assert_eq!(
        admin.support_access(s.w.acme.id).await.unwrap(),
        Some(until)
    );
    assert!(
        admin
            .grant_support_access(s.w.globex.id, until)
            .await
            .is_err()
    );
    assert!(
        admin
            .grant_support_access(s.w.acme.id, s.w.clock_now())
            .await
            .is_err()
    );
    let started = s.started().await;
    assert_eq!(
        started.impersonation.until, until,
        "no longer than the tenant agrees"
    );
    s.w.admit(&s.request(&started)).await.unwrap();
    let elsewhere = NewImpersonation::new(s.w.globex.id, s.w.bob, "a test");
    assert!(
        s.context.impersonate(elsewhere).await.is_err(),
        "globex has not agreed"
    );

    admin.revoke_support_access(s.w.acme.id).await.unwrap();
    assert_eq!(s.refused(&started).await, (401, "impersonation-ended"));
    assert!(s.context.impersonate(s.asked()).await.is_err());
    // An operator agrees for nobody.
    let root = context_of(&s.w, &operator(&s.w, &[OperatorRole::Admin]).await).await;
    let right = OperatorRight::ChangeTenants;
    let root =
        s.w.tenancy
            .admin(root.authority(s.w.acme.id, right, "a test").unwrap());
    let refused = root
        .grant_support_access(s.w.acme.id, until)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Forbidden);
}

#[tokio::test]
async fn a_second_operator_opens_what_the_first_may_not_alone() {
    let policies = [
        policy().require_consent().break_glass(),
        policy().two_operators(),
    ];
    for policy in policies {
        let s = Scene::with(policy).await;
        let started = s.started().await;
        let (tenant, id) = (started.impersonation.tenant, started.impersonation.id);
        let now = s.w.clock_now();
        assert_eq!(
            started.impersonation.state(now),
            ImpersonationState::Waiting
        );
        assert_eq!(
            s.refused(&started).await,
            (401, "impersonation-not-approved")
        );
        // Not the one who asks, whatever its roles.
        let mut mia = s.mia.clone();
        mia.roles = [OperatorRole::Support, OperatorRole::Security].into();
        s.w.tenancy
            .admin(service())
            .put_operator(&mia)
            .await
            .unwrap();
        let own = context_of(&s.w, &mia)
            .await
            .approve(tenant, id, "fine")
            .await;
        assert_eq!(own.unwrap_err().kind(), StoreErrorKind::Forbidden);
        let tom = context_of(&s.w, &operator(&s.w, &[OperatorRole::Support]).await).await;
        assert!(tom.approve(tenant, id, "fine").await.is_err());
        assert_eq!(
            s.refused(&started).await,
            (401, "impersonation-not-approved")
        );

        let sam = operator(&s.w, &[OperatorRole::Security]).await;
        let approved = context_of(&s.w, &sam)
            .await
            .approve(tenant, id, "fire")
            .await;
        assert_eq!(approved.unwrap().approved_by, Some(sam.id));
        let entry = s.w.last_audit();
        assert_eq!(&*entry.action, "impersonation.approve");
        assert_eq!(entry.actor, Some(Actor::Operator(sam.id)));
        let context = s.w.admit(&s.request(&started)).await.unwrap();
        assert_eq!(context.impersonation().unwrap().approved_by, Some(sam.id));
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_lets_nobody_in() {
    let s = Scene::with(policy()).await;
    let started = s.started().await;
    s.w.admit(&s.request(&started)).await.unwrap();
    // The directory's answers are remembered still; the impersonation's are not.
    let context = s.w.admit(&s.request(&started)).await.unwrap();
    s.w.directory.fail(true);
    s.w.clock.advance(Duration::from_secs(6));
    assert_eq!(s.refused(&started).await.0, 503);
    assert!(s.w.tenancy.revalidate(&context).await.is_err());
}
