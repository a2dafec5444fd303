//! Managing keys: audited, and nobody else's.

use serde_json::json;
use tenancy_core::{
    Actor, AllowedTenants, Authority, Clock as _, Grant, KeyId, Membership, Outcome, Principal,
    ProjectId, StoreErrorKind, SystemRole, UserId, danger,
    key::NewKey,
    testing::{StoreDirectly as _, service},
};

use super::{alices, issue, with, world};
use crate::support::World;

async fn invalid(w: &World, new: NewKey) {
    let refused = w
        .tenancy
        .keys()
        .unwrap()
        .by(service())
        .issue(new)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
}

#[tokio::test]
async fn what_can_not_be_a_key_is_not_issued() {
    let w = world().await;
    let named = |name: &str| NewKey::new(w.acme.id, w.alice, name, []);
    let scoped = |scope: &str| {
        let scope: Grant = scope.parse().unwrap();
        NewKey::new(w.acme.id, w.alice, "a key", [scope])
    };
    for new in [
        named(""),
        named("  "),
        named("a\nb"),
        named(&"x".repeat(101)),
        scoped("nothing:like-it"),
        alices(&w).expires_at(w.clock.now()),
        alices(&w).project(ProjectId::new()),
        NewKey::new(w.acme.id, UserId::new(), "of a stranger", []),
        NewKey::new(w.acme.id, w.bob, "of another tenant's", []),
        alices(&w).metadata(
            json!({ "x": "y".repeat(5000) })
                .as_object()
                .cloned()
                .unwrap(),
        ),
        (0..65).fold(alices(&w), |new, _| {
            new.network("192.0.2.0/24".parse().unwrap())
        }),
    ] {
        invalid(&w, new).await;
    }
    assert!(
        w.tenancy
            .keys()
            .unwrap()
            .list(w.acme.id, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn each_change_is_audited_with_its_actor_and_its_key() {
    let w = world().await;
    let keys = w.tenancy.keys().unwrap().by(operated_by(w.alice));
    let alice = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    let own = alice.authority("notes:read").unwrap();
    let own = w.tenancy.keys().unwrap().by(own);
    let id = own.issue(alices(&w)).await.unwrap().record().id;
    let (tenant, read) = (w.acme.id, "notes:read".parse().unwrap());
    keys.rename(tenant, id, "renamed").await.unwrap();
    keys.set_scopes(tenant, id, [read]).await.unwrap();
    keys.set_networks(tenant, id, ["192.0.2.0/24".parse().unwrap()])
        .await
        .unwrap();
    keys.set_limits(tenant, id, []).await.unwrap();
    let noted = json!({ "noted": 1 }).as_object().cloned().unwrap();
    keys.set_metadata(tenant, id, noted).await.unwrap();
    keys.disable(tenant, id).await.unwrap();
    keys.enable(tenant, id).await.unwrap();
    let _new = own
        .rotate(tenant, id, std::time::Duration::ZERO)
        .await
        .unwrap();
    keys.revoke(tenant, id).await.unwrap();
    let refused = keys.revoke(w.globex.id, id).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::NotFound);
    let entries = w.audit.entries();
    let actions: Vec<_> = entries.iter().map(|entry| &*entry.action).collect();
    assert_eq!(
        actions,
        [
            "key.issue",
            "key.rename",
            "key.set-scopes",
            "key.set-networks",
            "key.set-limits",
            "key.set-metadata",
            "key.disable",
            "key.enable",
            "key.rotate",
            "key.revoke",
            "key.revoke",
        ]
    );
    let (failed, done) = entries.split_last().unwrap();
    assert_eq!(
        (failed.outcome, failed.tenant),
        (Outcome::Failed, Some(w.globex.id))
    );
    for entry in done {
        assert_eq!(entry.outcome, Outcome::Allowed);
        assert_eq!(entry.actor, Some(Actor::User(w.alice)));
        assert_eq!(entry.tenant, Some(tenant));
        assert_eq!(entry.target, Some(format!("key:{id}")));
    }
    let listed = keys.list(tenant, None, 10).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].name, "renamed");
}

#[tokio::test]
async fn an_operator_revokes_a_key_a_tenant_a_prefix() {
    let w = world().await;
    let keys = w.tenancy.keys().unwrap().by(service());
    let bobs = || NewKey::new(w.globex.id, w.bob, "bob's", ["*".parse().unwrap()]);
    let mut issued = Vec::new();
    for new in [alices(&w), alices(&w), alices(&w), bobs(), bobs()] {
        issued.push(issue(&w, new).await);
    }
    let works = async || {
        let mut works = Vec::new();
        for key in &issued {
            works.push(w.admit(&with(key)).await.is_ok());
        }
        works
    };
    assert_eq!(works().await, [true; 5]);
    for blank in ["", "  "] {
        let id = issued[0].record().id;
        let keys = keys.by(service().because(blank));
        assert!(keys.revoke_any(id).await.is_err());
        assert!(keys.revoke_tenant(w.acme.id).await.is_err());
        assert!(keys.revoke_prefix("acme_live_").await.is_err());
        assert!(keys.revoke_leaked(issued[0].expose()).await.is_err());
    }
    let keys = keys.by(service().because("seen in a chat"));
    keys.revoke_any(issued[3].record().id).await.unwrap();
    assert_eq!(w.last_audit().reason.as_deref(), Some("seen in a chat"));
    assert_eq!(w.last_audit().tenant, Some(w.globex.id));
    assert_eq!(works().await, [true, true, true, false, true]);
    // As it may be shown: all before the secret.
    let shown = super::format().shown(issued[0].record().id);
    let revoked = keys.revoke_prefix(&shown).await.unwrap();
    assert_eq!(revoked, [(w.acme.id, 1)]);
    assert_eq!(works().await, [false, true, true, false, true]);
    assert_eq!(keys.revoke_tenant(w.acme.id).await.unwrap(), 2);
    assert_eq!(works().await, [false, false, false, false, true]);
    let revoked = keys.revoke_prefix("acme_live_").await.unwrap();
    assert_eq!(revoked, [(w.globex.id, 1)]);
    assert_eq!(works().await, [false; 5]);
    for prefix in [
        "",
        "acme",
        "acme_live",
        "acme_test_",
        "other_live_",
        "acme_live_!",
    ] {
        let refused = keys.revoke_prefix(prefix).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{prefix}");
    }
}

#[tokio::test]
async fn the_keys_of_somebody_who_left_are_revoked_in_every_tenant() {
    let w = world().await;
    let keys = w.tenancy.keys().unwrap().by(operated_by(w.bob));
    let viewer = Membership::new(w.globex.id, w.alice, SystemRole::Viewer.name());
    w.directory.put_membership(&viewer).await.unwrap();
    let mut issued = Vec::new();
    for (tenant, creator) in [
        (w.acme.id, w.alice),
        (w.acme.id, w.alice),
        (w.globex.id, w.alice),
        (w.globex.id, w.bob),
    ] {
        let new = NewKey::new(tenant, creator, "a key", ["*".parse().unwrap()]);
        let key = issue(&w, new).await;
        assert!(w.admit(&with(&key)).await.is_ok(), "and it is cached");
        issued.push(key);
    }
    let blank = keys.by(service().because(" "));
    let refused = blank.revoke_creator(w.alice).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid);
    assert!(w.admit(&with(&issued[0])).await.is_ok());
    let before = w.audit.entries().len();
    let mut revoked = keys.revoke_creator(w.alice).await.unwrap();
    revoked.sort();
    let mut expected = [(w.acme.id, 2), (w.globex.id, 1)];
    expected.sort();
    assert_eq!(revoked, expected);
    let noted = w.audit.entries().split_off(before);
    let about: Vec<_> = noted
        .iter()
        .map(|entry| (entry.tenant, entry.target.clone().unwrap()))
        .collect();
    let mut wanted = vec![(None, format!("user:{}", w.alice))];
    wanted.extend(revoked.iter().map(|(t, n)| (Some(*t), format!("keys:{n}"))));
    assert_eq!(about[0], wanted[0]);
    assert!(
        about.len() == 3 && wanted.iter().all(|one| about.contains(one)),
        "{about:?}"
    );
    for entry in &noted {
        assert_eq!(&*entry.action, "key.revoke-creator");
        assert_eq!(entry.outcome, Outcome::Allowed);
        assert_eq!(entry.reason.as_deref(), Some("has left"));
        assert_eq!(entry.actor, Some(Actor::User(w.bob)));
    }
    for key in &issued[..3] {
        assert_eq!(w.refused(&with(key)).await, (401, "key-revoked"));
    }
    assert!(w.admit(&with(&issued[3])).await.is_ok());
}

#[tokio::test]
async fn only_the_whole_text_of_a_key_revokes_it_as_leaked() {
    let w = world().await;
    let keys = w.tenancy.keys().unwrap().by(service());
    let (key, other) = (issue(&w, alices(&w)).await, issue(&w, alices(&w)).await);
    let shown = super::format().shown(key.record().id);
    for text in ["", "a log line", &shown, &key.expose()[..60]] {
        assert!(keys.revoke_leaked(text).await.unwrap().is_none());
    }
    assert!(w.admit(&with(&key)).await.is_ok());
    let revoked = keys.revoke_leaked(key.expose()).await.unwrap().unwrap();
    assert_eq!(revoked.id, key.record().id);
    assert_eq!(w.refused(&with(&key)).await, (401, "key-revoked"));
    assert!(w.admit(&with(&other)).await.is_ok());
}

#[tokio::test]
async fn a_tenant_finds_its_own_keys_only() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    let (keys, id) = (w.tenancy.keys().unwrap().by(service()), key.record().id);
    let found = keys.find(w.acme.id, id).await.unwrap();
    assert_eq!(found.as_ref(), Some(key.record()));
    assert_eq!(keys.find(w.globex.id, id).await.unwrap(), None);
    assert_eq!(keys.find(w.acme.id, KeyId::new()).await.unwrap(), None);
    w.directory.fail(true);
    let refused = keys.find(w.acme.id, id).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
}

/// On the authority of an operator, who is this user.
fn operated_by(user: UserId) -> Authority {
    let principal = Principal::new(Actor::User(user), AllowedTenants::Memberships, "operators");
    danger::operator(&principal, None, "has left").unwrap()
}
