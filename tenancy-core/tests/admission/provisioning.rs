//! Making a tenant with all that it begins with: once for a key, by whoever may, and nothing half done.

use std::time::Duration;

use serde_json::json;
use tenancy_core::{
    Account, ExternalSubject, Idempotency, Membership, MembershipDirectory as _, Outcome,
    ProjectDirectory as _, Provisioning, Settings, StoreErrorKind, SystemRole,
    TenantDirectory as _, TenantKey, TenantStatus, UserId,
    outbox::{ClaimRequest, Outbox as _, Start},
    testing::service,
};

use crate::{
    keys,
    support::{World, answer},
};

fn wanted(slug: &str, owner: UserId) -> Provisioning {
    Provisioning::new(slug.parse().unwrap(), "Initech", owner)
        .plan("trial")
        .settings(Settings::new(json!({ "locale": "de" })))
        .project("general".parse().unwrap(), "General")
        .external("stripe", "cus_4711")
        .domain("initech.example".parse().unwrap())
        .first_key("first key", ["notes:read".parse().unwrap()])
}

#[tokio::test]
async fn a_tenant_is_there_with_all_that_it_begins_with_and_its_owner_is_admitted() {
    let w = keys::world().await;
    let outbox = w.directory.directory().outbox();
    let mut request = ClaimRequest::new("test".parse().unwrap());
    request.start = Start::Now;
    let claim = outbox.claim(&request).await.unwrap().unwrap();
    let carol = UserId::new();
    let made = w
        .tenancy
        .admin(service())
        .provision(&wanted("initech", carol))
        .await
        .unwrap();
    assert!(!made.replayed);
    assert_eq!(made.owner, carol);

    let record = w
        .directory
        .find_tenant(&TenantKey::Id(made.tenant))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (record.status, record.plan.as_deref()),
        (TenantStatus::Active, Some("trial"))
    );
    assert_eq!(record.settings.as_json(), &json!({ "locale": "de" }));
    let member = w
        .directory
        .find_membership(made.tenant, carol)
        .await
        .unwrap();
    assert_eq!(
        member,
        Some(Membership::new(
            made.tenant,
            carol,
            SystemRole::Owner.name()
        ))
    );
    let project = made.project.unwrap();
    assert!(
        w.directory
            .find_project(made.tenant, project)
            .await
            .unwrap()
            .is_some()
    );
    let role = w
        .directory
        .find_project_role(made.tenant, project, carol)
        .await
        .unwrap();
    assert_eq!(role, Some(SystemRole::Owner.name()));
    let key = made.first_key.as_ref().unwrap();
    assert_eq!(made.key, Some(key.record().id));

    let by_token = tenancy_core::testing::FakeRequest::new("/notes")
        .header("host", "initech.example")
        .bearer(&w.token(carol, json!({})));
    assert_eq!(w.admit(&by_token).await.unwrap().tenant_id(), made.tenant);
    let by_key = tenancy_core::testing::FakeRequest::new("/notes")
        .header("host", "initech.example")
        .bearer(key.expose());
    let admitted = w.admit(&by_key).await.unwrap();
    assert!(admitted.require("notes:read").is_ok() && admitted.require("notes:write").is_err());
    // And nobody else is: it is acme's owner's no more than before.
    let stranger = tenancy_core::testing::FakeRequest::new("/notes")
        .header("host", "initech.example")
        .bearer(&w.token(w.alice, json!({})));
    assert_eq!(answer(w.admit(&stranger).await).0, 404);

    let page = outbox.next_page(&claim, 100).await.unwrap().new;
    let kinds: Vec<_> = page.iter().map(|event| event.kind.as_str()).collect();
    let expected = [
        "tenant.created",
        "membership.changed",
        "tenant.external-id-bound",
        "tenant.domain-bound",
        "project.changed",
        "project-membership.changed",
        "key.issued",
        "tenant.provisioned",
    ];
    assert_eq!(kinds, expected);
    let entry = outbox.trail().pop().unwrap();
    assert_eq!(
        (&*entry.action, entry.outcome),
        ("tenant.provision", Outcome::Allowed)
    );
    for event in &page {
        assert_eq!(
            (event.tenant, event.caused_by),
            (Some(made.tenant), Some(entry.id))
        );
        let secret = key
            .expose()
            .rsplit_once('_')
            .map_or(key.expose(), |(_, secret)| secret);
        assert!(!event.payload.to_string().contains(secret));
    }
    let told = &page.last().unwrap().payload;
    let expected = json!({
        "tenant": made.tenant, "user": carol, "project": project, "key": made.key,
        "slug": "initech", "name": "Initech", "plan": "trial",
    });
    assert_eq!(told, &expected);
}

#[tokio::test]
async fn a_request_that_is_repeated_gets_its_tenant_and_another_one_with_its_key_is_refused() {
    let w = keys::world().await;
    let admin = w.tenancy.admin(service());
    let carol = UserId::new();
    let first = wanted("initech", carol).idempotency_key("form 1");
    let made = admin.provision(&first).await.unwrap();
    let trail = w.directory.directory().outbox().trail().len();

    let again = admin.provision(&first.clone()).await.unwrap();
    assert!(again.replayed);
    assert_eq!(
        (again.tenant, again.owner, again.project, again.key),
        (made.tenant, made.owner, made.project, made.key)
    );
    assert!(again.first_key.is_none(), "its text was told once");
    assert_eq!(w.directory.directory().outbox().trail().len(), trail);

    let others = [
        wanted("other", carol),
        wanted("initech", carol).plan("pro"),
        wanted("initech", carol).external("github", "1"),
        wanted("initech", carol).role(SystemRole::Admin.name()),
    ];
    for other in others {
        let refused = admin
            .provision(&other.idempotency_key("form 1"))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Conflict);
        assert!(refused.to_string().contains("idempotency key"), "{refused}");
    }
    // Another owner's key of the same name is another key, and the slug is taken.
    let dave = wanted("initech", UserId::new()).idempotency_key("form 1");
    let refused = admin.provision(&dave).await.unwrap_err();
    assert!(refused.to_string().contains("slug"), "{refused}");
    // So is it without a key.
    let refused = admin
        .provision(&wanted("initech", carol))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Conflict);

    w.clock
        .advance(Duration::from_secs(3_600 * u64::from(Idempotency::HOURS)));
    let forgotten = admin.provision(&first).await.unwrap_err();
    assert!(forgotten.to_string().contains("slug"), "{forgotten}");
}

#[tokio::test]
async fn an_account_is_made_with_its_tenant_and_is_the_same_in_a_repetition() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    let accounts = w.tenancy.accounts(service());
    let sso = || ExternalSubject::new("https://sso.example", "carol").unwrap();
    // Each time that a form is read, the account has another id.
    let asked = || {
        let account = Account::external(sso()).email("carol@example.com".parse().unwrap());
        Provisioning::with_account("initech".parse().unwrap(), "Initech", account)
            .idempotency_key("form 1")
    };
    let made = admin.provision(&asked()).await.unwrap();
    let account = accounts.find_by_subject(&sso()).await.unwrap().unwrap();
    assert_eq!(account.user, made.owner);
    let again = admin.provision(&asked()).await.unwrap();
    assert!(again.replayed && again.owner == made.owner);

    let taken = Account::external(sso());
    let taken = Provisioning::with_account("other".parse().unwrap(), "Other", taken);
    let refused = admin.provision(&taken).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Conflict);
    let other = TenantKey::Slug("other".parse().unwrap());
    assert_eq!(w.directory.find_tenant(&other).await.unwrap(), None);
}

#[tokio::test]
async fn a_callers_authority_makes_no_tenant_and_is_told_of_none() {
    let w = World::new().await;
    let carol = UserId::new();
    let asked =
        Provisioning::new("initech".parse().unwrap(), "Initech", carol).idempotency_key("form 1");
    w.tenancy.admin(service()).provision(&asked).await.unwrap();
    let context = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    let own = context.authority("notes:write").unwrap();
    for asked in [
        asked,
        Provisioning::new("hooli".parse().unwrap(), "Hooli", w.alice),
    ] {
        let refused = w
            .tenancy
            .admin(own.clone())
            .provision(&asked)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Forbidden, "{refused}");
    }
    assert_eq!(w.last_audit().outcome, Outcome::Refused);
    let hooli = TenantKey::Slug("hooli".parse().unwrap());
    assert_eq!(w.directory.find_tenant(&hooli).await.unwrap(), None);
}

#[tokio::test]
async fn what_can_not_be_is_refused_before_anything_is_stored() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    let plain = || Provisioning::new("initech".parse().unwrap(), "Initech", UserId::new());
    let mut many = plain();
    for number in 0..17 {
        many = many.external("github", number.to_string());
    }
    for (asked, kind) in [
        (
            Provisioning::new("initech".parse().unwrap(), " ", UserId::new()),
            StoreErrorKind::Invalid,
        ),
        (
            plain().project("general".parse().unwrap(), "a\nb"),
            StoreErrorKind::Invalid,
        ),
        (plain().idempotency_key(""), StoreErrorKind::Invalid),
        (
            plain().idempotency_key("x".repeat(256)),
            StoreErrorKind::Invalid,
        ),
        (many, StoreErrorKind::Invalid),
        (
            plain().role("ownr".parse().unwrap()),
            StoreErrorKind::Invalid,
        ),
        // This engine has no keys.
        (plain().first_key("k", []), StoreErrorKind::ReadOnly),
    ] {
        let refused = admin.provision(&asked).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused}");
        let slug = TenantKey::Slug("initech".parse().unwrap());
        assert_eq!(
            w.directory.find_tenant(&slug).await.unwrap(),
            None,
            "{refused}"
        );
    }
}

/// Nobody would get in: the tenant's own roles come after it.
#[tokio::test]
async fn a_role_that_a_new_tenant_does_not_have_is_refused_by_name() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    let asked = Provisioning::new("initech".parse().unwrap(), "Initech", UserId::new());
    let asked = asked.role("ownr".parse().unwrap());
    let refused = admin.provision(&asked).await.unwrap_err().to_string();
    assert!(refused.contains("no role `ownr`"), "{refused}");
    for there in SystemRole::EVERY {
        assert!(refused.contains(there.as_str()), "{refused}");
    }
    let asked = asked.role(SystemRole::Owner.name());
    let made = admin.provision(&asked).await.unwrap();
    let owner = w.directory.find_membership(made.tenant, made.owner).await;
    assert!(owner.unwrap().is_some_and(|owner| owner.is_active_owner()));
}
