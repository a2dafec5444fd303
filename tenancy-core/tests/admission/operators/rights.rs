//! What an operator's authority is good for.

use std::time::Duration;

use serde_json::json;
use tenancy_core::{
    Actor, AuditFilter, Authority, IssuerRecord, KeyId, Membership, Operator, OperatorContext,
    OperatorRight, OperatorRole, Outcome, Settings, StoreError, StoreErrorKind, TenantFilter,
    TenantId, TokenSubject, UserId, danger, key::NewKey, testing::service,
};

use super::{STAFF, context_of, operator, policy, world};
use crate::support::World;

/// One change for each right, made on an authority.
async fn change(
    w: &World,
    right: OperatorRight,
    authority: Authority,
    tenant: TenantId,
) -> Result<(), StoreError> {
    use OperatorRight as Right;
    let admin = w.tenancy.admin(authority.clone());
    let keys = w.tenancy.keys().unwrap().by(authority);
    match right {
        Right::ChangeTenants => admin.set_settings(tenant, &Settings::default()).await,
        Right::ChangeAccess => {
            let member = Membership::new(tenant, UserId::new(), "viewer".parse().unwrap());
            admin.put_membership(&member).await
        }
        Right::ChangePlans => admin.set_plan(tenant, None).await,
        Right::ManageKeys => {
            let creator = if tenant == w.acme.id { w.alice } else { w.bob };
            let key = issued(w, tenant, creator, &["*"]).await;
            keys.rename(tenant, key, "another").await.map(|_| ())
        }
        Right::Revoke => keys.revoke_tenant(tenant).await.map(|_| ()),
        Right::ReadTenants => admin
            .list_members(tenant, &Default::default(), None, 9)
            .await
            .map(|_| ()),
        Right::ReadTrail => {
            let all = AuditFilter::new();
            let entries = admin.list_entries(Some(tenant), &all, None, 9).await;
            entries.map(|_| ())
        }
        _ => unreachable!("{right} is tried elsewhere"),
    }
}

/// A key that the service has issued.
async fn issued(w: &World, tenant: TenantId, creator: UserId, scopes: &[&str]) -> KeyId {
    let scopes = scopes.iter().map(|scope| scope.parse().unwrap());
    let new = NewKey::new(tenant, creator, "a key", scopes);
    let issued = w.tenancy.keys().unwrap().by(service()).issue(new).await;
    issued.unwrap().record().id
}

const TRIED: [OperatorRight; 7] = [
    OperatorRight::ChangeTenants,
    OperatorRight::ChangeAccess,
    OperatorRight::ChangePlans,
    OperatorRight::ManageKeys,
    OperatorRight::Revoke,
    OperatorRight::ReadTenants,
    OperatorRight::ReadTrail,
];

fn is_forbidden<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(error) if error.kind() == StoreErrorKind::Forbidden)
}

#[tokio::test]
async fn each_role_makes_what_its_rights_say_and_nothing_else() {
    let w = world(policy()).await;
    for role in OperatorRole::ALL {
        let context = context_of(&w, &operator(&w, &[role]).await).await;
        for right in TRIED {
            let authority = context.authority(w.acme.id, right, "a test");
            assert_eq!(authority.is_ok(), role.may(right), "{role} {right}");
            let Ok(authority) = authority else { continue };
            for tried in TRIED {
                let done = change(&w, tried, authority.clone(), w.acme.id).await;
                let reads = matches!(tried, OperatorRight::ReadTenants | OperatorRight::ReadTrail);
                // A change takes the authority's own right; of its one tenant, whoever may read lists.
                let may = if reads {
                    role.may(tried)
                } else {
                    tried == right
                };
                assert_eq!(!is_forbidden(done), may, "{role} with {right} does {tried}");
                let elsewhere = change(&w, tried, authority.clone(), w.globex.id).await;
                assert!(
                    is_forbidden(elsewhere),
                    "{role} with {right}: {tried} elsewhere"
                );
            }
        }
    }
}

#[tokio::test]
async fn who_reads_across_tenants_changes_none_and_is_recorded_before() {
    let w = world(policy()).await;
    let sam = operator(&w, &[OperatorRole::Security]).await;
    let context = context_of(&w, &sam).await;
    let authority = context.reader("weekly look").unwrap();
    assert_eq!(authority.tenant(), None);
    let admin = w.tenancy.admin(authority.clone());
    let tenants = admin
        .list_tenants(&TenantFilter::new(), None, 10)
        .await
        .unwrap();
    assert_eq!(tenants.len(), 2);
    let entry = w.last_audit();
    assert_eq!(
        (&*entry.action, entry.outcome),
        ("operator.list", Outcome::Allowed)
    );
    assert_eq!(entry.actor, Some(Actor::Operator(sam.id)));
    assert_eq!(entry.credential.as_deref(), Some(STAFF));
    assert_eq!(entry.reason.as_deref(), Some("weekly look"));
    assert_eq!(entry.target.as_deref(), Some("list:tenants"));
    admin
        .list_entries(None, &AuditFilter::new(), None, 10)
        .await
        .unwrap();
    for right in [
        OperatorRight::ChangeTenants,
        OperatorRight::ChangePlans,
        OperatorRight::Revoke,
    ] {
        let changed = change(&w, right, authority.clone(), w.acme.id).await;
        assert!(is_forbidden(changed), "{right}");
        assert_eq!(w.last_audit().outcome, Outcome::Refused);
    }
    let one = context
        .authority(w.acme.id, OperatorRight::Revoke, "a test")
        .unwrap();
    let across = w
        .tenancy
        .admin(one)
        .list_tenants(&TenantFilter::new(), None, 10)
        .await;
    assert!(
        is_forbidden(across),
        "one tenant's authority reads no others"
    );

    let billing = context_of(&w, &operator(&w, &[OperatorRole::Billing]).await).await;
    let trail = w.tenancy.admin(billing.reader("curious").unwrap());
    let trail = trail
        .list_entries(None, &AuditFilter::new(), None, 10)
        .await;
    assert!(is_forbidden(trail));
    assert_eq!(w.last_audit().outcome, Outcome::Refused);
    let nothing = context_of(&w, &operator(&w, &[]).await).await;
    assert!(is_forbidden(nothing.reader("a test")));
}

#[tokio::test]
async fn what_the_application_takes_for_an_operator_is_recorded_where_it_reads_across_tenants() {
    let w = world(policy()).await;
    let me = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    let authority = danger::operator(me.principal(), None, "ticket 4711").unwrap();
    let admin = w.tenancy.admin(authority);
    let listed = async || {
        let entries = w.audit.entries().into_iter();
        entries
            .filter(|entry| entry.action == "operator.list")
            .count()
    };
    admin.list_roles(w.acme.id).await.unwrap();
    assert_eq!(listed().await, 0);
    admin
        .list_tenants(&TenantFilter::new(), None, 10)
        .await
        .unwrap();
    assert_eq!(listed().await, 1);
    let until = w.clock_now() + Duration::from_secs(60);
    let consent = admin.grant_support_access(w.acme.id, until).await;
    assert!(
        is_forbidden(consent),
        "an operator does not agree for a tenant"
    );
}

#[tokio::test]
async fn who_operators_are_is_for_another_operator_to_say() {
    let w = world(policy()).await;
    let root = operator(&w, &[OperatorRole::Admin]).await;
    let context = context_of(&w, &root).await;
    let manage = |context: &OperatorContext| {
        let right = OperatorRight::ManageOperators;
        context.authority_over_service(right, "joins the team")
    };
    let admin = w.tenancy.admin(manage(&context).unwrap());
    let mut tom = Operator::new(STAFF, UserId::new(), "Tom", [OperatorRole::Support]);
    admin.put_operator(&tom).await.unwrap();
    let entry = w.last_audit();
    assert_eq!((&*entry.action, entry.tenant), ("operator.put", None));
    assert_eq!(entry.actor, Some(Actor::Operator(root.id)));
    assert_eq!(entry.targets[0].id, tom.id.to_string());

    let mut more = root.clone();
    more.roles.extend(OperatorRole::ALL);
    assert!(
        is_forbidden(admin.put_operator(&more).await),
        "nobody gives itself roles"
    );
    let toms = context_of(&w, &tom).await;
    assert!(is_forbidden(manage(&toms)));
    let astray = Operator::new("https://login.example.com", UserId::new(), "Eve", []);
    let astray = admin.put_operator(&astray).await.unwrap_err();
    assert_eq!(astray.kind(), StoreErrorKind::Invalid);

    let reader = w.tenancy.admin(context.reader("a test").unwrap());
    let listed = reader.list_operators(None, 10).await.unwrap();
    assert_eq!(listed.len(), 2);
    tom.disabled = true;
    admin.put_operator(&tom).await.unwrap();
    // Who manages operators manages no tenant by the same authority.
    assert!(is_forbidden(admin.suspend(w.acme.id).await));
    let revoke = context
        .authority_over_service(OperatorRight::Revoke, "a leak")
        .unwrap();
    let subject = TokenSubject::User(w.alice);
    let issued = w.tenancy.keys().unwrap().by(service());
    let scopes = ["*".parse().unwrap()];
    let new = tenancy_core::key::NewKey::new(w.acme.id, w.alice, "found in public", scopes);
    let found = issued.issue(new).await.unwrap().record().id;
    let keys = w.tenancy.keys().unwrap().by(revoke.clone());
    keys.revoke_any(found).await.unwrap();
    assert!(is_forbidden(keys.rename(w.acme.id, found, "another").await));
    let admin = w.tenancy.admin(revoke);
    admin.revoke_tokens(&subject).await.unwrap();
    assert!(is_forbidden(admin.put_operator(&tom).await));
}

/// Whoever has the text of a key acts as its creator. So an operator gets none, and has none do more: not with the right to
/// manage keys, and not where the application alone takes somebody for an operator.
#[tokio::test]
async fn no_operator_gets_a_key_that_speaks_for_a_user() {
    let w = world(policy()).await;
    let acme = w.acme.id;
    let key = issued(&w, acme, w.alice, &["notes:read"]).await;
    let root = context_of(&w, &operator(&w, &[OperatorRole::Admin]).await).await;
    let manages = root
        .authority(acme, OperatorRight::ManageKeys, "a test")
        .unwrap();
    let alice = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    let taken_for_one = danger::operator(alice.principal(), None, "ticket 4711").unwrap();
    for authority in [manages, taken_for_one] {
        let keys = w.tenancy.keys().unwrap().by(authority);
        let new = NewKey::new(acme, w.alice, "mine", ["notes:read".parse().unwrap()]);
        assert!(is_forbidden(keys.issue(new).await));
        assert_eq!(w.last_audit().outcome, Outcome::Refused);
        assert!(is_forbidden(keys.rotate(acme, key, Duration::ZERO).await));
        for more in ["notes:write", "*", "notes:*"] {
            let wider = keys.set_scopes(acme, key, [more.parse().unwrap()]).await;
            assert!(is_forbidden(wider), "{more}");
        }
        let all = keys.list(acme, None, 10).await.unwrap();
        assert_eq!(all.len(), 1, "no other key has come to be");
        assert_eq!((all[0].scopes.len(), all[0].successor), (1, None));
        // To take something away is what the right is for.
        keys.set_scopes(acme, key, ["notes:read".parse().unwrap()])
            .await
            .unwrap();
    }
    let right = OperatorRight::Revoke;
    let revokes = root.authority(acme, right, "a test").unwrap();
    let revoked = w
        .tenancy
        .keys()
        .unwrap()
        .by(revokes)
        .revoke(acme, key)
        .await;
    assert!(revoked.unwrap().revoked_at.is_some());
}

/// Whoever runs an issuer signs tokens of the tenant's members. So no operator has one trusted, and each that may change
/// access takes one away.
#[tokio::test]
async fn no_operator_has_a_tenant_trust_an_issuer() {
    let w = world(policy()).await;
    let acme = w.acme.id;
    let theirs = IssuerRecord::new("https://sso.acme.example", acme, json!({}));
    let by_service = w.tenancy.admin(service());
    let root = context_of(&w, &operator(&w, &[OperatorRole::Admin]).await).await;
    let alice = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    let taken_for_one = danger::operator(alice.principal(), None, "ticket 4711").unwrap();
    let of_root = OperatorRight::ALL
        .iter()
        .filter_map(|right| root.authority(acme, *right, "a test").ok());
    let mut authorities: Vec<_> = of_root.collect();
    assert!(authorities.len() > 1);
    authorities.push(taken_for_one);
    for authority in authorities {
        let put = w.tenancy.admin(authority).put_issuer(&theirs).await;
        assert!(is_forbidden(put));
        assert_eq!(&*w.last_audit().action, "issuer.put");
        assert_eq!(w.last_audit().outcome, Outcome::Refused);
    }
    assert!(
        by_service
            .list_issuers(acme, None, 9)
            .await
            .unwrap()
            .is_empty()
    );

    by_service.put_issuer(&theirs).await.unwrap();
    let right = OperatorRight::ChangeAccess;
    let changes = w
        .tenancy
        .admin(root.authority(acme, right, "a test").unwrap());
    let swapped = IssuerRecord::new(&*theirs.issuer, acme, json!({ "jwks": "another" }));
    assert!(is_forbidden(changes.put_issuer(&swapped).await));
    let listed = by_service.list_issuers(acme, None, 9).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&theirs));
    changes.remove_issuer(acme, &theirs.issuer).await.unwrap();
    assert!(
        by_service
            .list_issuers(acme, None, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_reason_that_is_blank_is_none() {
    let w = world(policy()).await;
    let context = context_of(&w, &operator(&w, &[OperatorRole::Admin]).await).await;
    let blank = context.authority(w.acme.id, OperatorRight::ChangeTenants, " ");
    assert_eq!(blank.unwrap_err().kind(), StoreErrorKind::Invalid);
    assert!(context.reader("").is_err());
    let since = context.authority(w.acme.id, OperatorRight::ChangeTenants, "x");
    let since = w.tenancy.admin(since.unwrap().because(" "));
    assert!(since.suspend(w.acme.id).await.is_err());
    assert!(w.tenancy.admin(service()).suspend(w.acme.id).await.is_ok());
}
