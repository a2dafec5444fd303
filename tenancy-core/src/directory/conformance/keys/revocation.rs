//! Revocation: for good, one by one and many at once.

use std::time::Duration;

use super::{super::new_tenant, NOW, digest, found, generation, key_of, stored};
use crate::{
    Directory, DirectoryStore, KeyId, StoreErrorKind, TenantId, UserId,
    key::{Environment, KeyChange, KeyRange, KeyRotation, KeyStore},
    testing::unattributed,
};

/// Nothing takes a revocation back, and its moment is that of the first time.
pub async fn a_revocation_stays<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    let tenant = new_tenant(directory).await;
    let key = stored(directory, &key_of(tenant.id)).await;
    let later = NOW + Duration::from_secs(60);
    for change in [
        KeyChange::Revoked(NOW),
        KeyChange::Revoked(later),
        KeyChange::Disabled(false),
    ] {
        let changed = directory
            .change_key(tenant.id, key.id, &change, &unattributed())
            .await
            .unwrap();
        assert_eq!(changed.revoked_at, Some(NOW));
    }
    let range = KeyRange {
        environment: key.environment,
        first: key.id,
        last: key.id,
    };
    assert!(
        directory
            .revoke_key_range(&range, later, &unattributed())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        directory
            .revoke_tenant_keys(tenant.id, later, &unattributed())
            .await
            .unwrap(),
        0
    );
    assert_eq!(found(directory, key.id).await.revoked_at, Some(NOW));
    let rotation = KeyRotation::new(key.id, KeyId::new(), digest(2), later, later);
    let refused = directory
        .rotate_key(tenant.id, &rotation, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::IllegalTransition);
    assert!(
        directory
            .find_key(rotation.successor)
            .await
            .unwrap()
            .is_none()
    );
}

/// A tenant's keys, and those of a range, are revoked; the others stay, and each tenant is told.
pub async fn many_keys_are_revoked_at_once<D: Directory + DirectoryStore + KeyStore>(
    directory: &D,
) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let ours = stored(directory, &key_of(one.id)).await;
    let theirs = stored(directory, &key_of(other.id)).await;
    let mut elsewhere = key_of(other.id);
    elsewhere.environment = Environment::Test;
    let elsewhere = stored(directory, &elsewhere).await;
    let beyond = stored(directory, &key_of(one.id)).await;
    let before = [
        generation(directory, &one).await,
        generation(directory, &other).await,
    ];
    let ids = [ours.id, theirs.id, elsewhere.id];
    let (first, last) = (
        ids.into_iter().min().unwrap(),
        ids.into_iter().max().unwrap(),
    );
    assert!(beyond.id > last);
    let range = KeyRange {
        environment: Environment::Live,
        first,
        last,
    };
    let mut revoked = directory
        .revoke_key_range(&range, NOW, &unattributed())
        .await
        .unwrap();
    revoked.sort();
    let mut expected = vec![(one.id, 1), (other.id, 1)];
    expected.sort();
    assert_eq!(revoked, expected);
    for (tenant, before) in [&one, &other].into_iter().zip(before) {
        assert!(generation(directory, tenant).await.generation > before.generation);
    }
    for (key, revoked) in [
        (&ours, true),
        (&theirs, true),
        (&elsewhere, false),
        (&beyond, false),
    ] {
        assert_eq!(found(directory, key.id).await.revoked_at.is_some(), revoked);
    }
    assert_eq!(
        directory
            .revoke_tenant_keys(one.id, NOW, &unattributed())
            .await
            .unwrap(),
        1
    );
    assert!(found(directory, beyond.id).await.revoked_at.is_some());
    assert!(found(directory, elsewhere.id).await.revoked_at.is_none());
    let unknown = directory
        .revoke_tenant_keys(TenantId::new(), NOW, &unattributed())
        .await;
    assert_eq!(unknown.unwrap_err().kind(), StoreErrorKind::NotFound);
}

/// The keys that a user has made are revoked, in every tenant and environment; those of others stay,
/// and each tenant that has lost some is told.
pub async fn the_keys_of_a_creator_are_revoked<D: Directory + DirectoryStore + KeyStore>(
    directory: &D,
) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let spared = new_tenant(directory).await;
    let (creator, at) = (UserId::new(), NOW + Duration::from_secs(60));
    let mut keys = Vec::new();
    for (tenant, environment, own) in [
        (&one, Environment::Live, true),
        (&one, Environment::Test, true),
        (&one, Environment::Live, false),
        (&other, Environment::Live, true),
        (&spared, Environment::Live, false),
    ] {
        let mut key = key_of(tenant.id);
        key.environment = environment;
        if own {
            key.creator = creator;
        }
        keys.push((stored(directory, &key).await, own));
    }
    // One that was revoked before keeps its moment, and is not counted.
    let mut before = key_of(spared.id);
    (before.creator, before.revoked_at) = (creator, Some(NOW));
    let before = stored(directory, &before).await;
    let mut states = Vec::new();
    for tenant in [&one, &other, &spared] {
        states.push(generation(directory, tenant).await);
    }
    let mut revoked = directory
        .revoke_creator_keys(creator, at, &unattributed())
        .await
        .unwrap();
    revoked.sort();
    let mut expected = vec![(one.id, 2), (other.id, 1)];
    expected.sort();
    assert_eq!(revoked, expected);
    for (key, own) in &keys {
        let revoked_at = found(directory, key.id).await.revoked_at;
        assert_eq!(revoked_at, own.then_some(at), "{key:?}");
    }
    assert_eq!(found(directory, before.id).await.revoked_at, Some(NOW));
    for (before, told) in states.iter().zip([true, true, false]) {
        let now = generation(directory, before).await;
        assert_eq!(now.generation > before.generation, told);
    }
    let again = directory
        .revoke_creator_keys(creator, at, &unattributed())
        .await
        .unwrap();
    assert!(again.is_empty(), "{again:?}");
}
