//! Imported keys: found by their handle, each in its own environment.

use super::{super::new_tenant, NOW, digest, found, key_of, of_a_member, stored};
use crate::{
    Directory, DirectoryStore, KeyId, StoreErrorKind, TenantId,
    key::{
        ApiKey, Environment, KeyChange, KeyHandle, KeyRange, KeyRotation, KeyStore, KeyVerifier,
        SecretHash,
    },
    testing::unattributed,
};

fn imported(tenant: TenantId, handle: &KeyHandle) -> ApiKey {
    let mut key = key_of(tenant);
    key.verifier = KeyVerifier::Argon2id {
        handle: handle.clone(),
        hash: SecretHash::from_stored("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"),
    };
    key
}

/// A handle that nobody has.
fn free_handle() -> KeyHandle {
    KeyId::new().to_string().parse().unwrap()
}

/// An imported key is found by its handle and by its id, with everything that was stored, and by
/// the handle of no other environment.
pub async fn imported_keys_are_found_by_their_handle<D: Directory + DirectoryStore + KeyStore>(
    directory: &D,
) {
    let tenant = new_tenant(directory).await;
    let handle = free_handle();
    let find = async |environment| {
        directory
            .find_imported_key(environment, &handle)
            .await
            .unwrap()
    };
    assert_eq!(find(Environment::Live).await, None);
    let key = stored(directory, &imported(tenant.id, &handle)).await;
    assert_eq!(key, imported_as(&key, tenant.id, &handle));
    assert_eq!(find(Environment::Live).await, Some(key.clone()));
    assert_eq!(find(Environment::Test).await, None);
    let listed = directory.list_keys(tenant.id, None, 10).await.unwrap();
    assert_eq!(listed.as_slice(), std::slice::from_ref(&key));
    let change = KeyChange::Revoked(NOW);
    directory
        .change_key(tenant.id, key.id, &change, &unattributed())
        .await
        .unwrap();
    let revoked = find(Environment::Live).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(NOW), "also what was revoked");
    assert_eq!(revoked.verifier, key.verifier);
}

/// What was to be stored, with the id of what was.
fn imported_as(key: &ApiKey, tenant: TenantId, handle: &KeyHandle) -> ApiKey {
    ApiKey {
        id: key.id,
        creator: key.creator,
        ..imported(tenant, handle)
    }
}

/// Two keys of an environment have two handles, also where they are two tenants', and where one was
/// revoked; those of two environments may share one.
pub async fn a_handle_belongs_to_one_key<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    let (own, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let handle = free_handle();
    let first = stored(directory, &imported(own.id, &handle)).await;
    directory
        .revoke_tenant_keys(own.id, NOW, &unattributed())
        .await
        .unwrap();
    for tenant in [&own, &other] {
        let second = imported(tenant.id, &handle);
        of_a_member(directory, &second).await;
        let refused = directory
            .insert_key(&second, &unattributed())
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Conflict);
        assert_eq!(directory.find_key(second.id).await.unwrap(), None);
    }
    let mut elsewhere = imported(other.id, &handle);
    elsewhere.environment = Environment::Test;
    let elsewhere = stored(directory, &elsewhere).await;
    for (environment, key) in [
        (Environment::Live, first.id),
        (Environment::Test, elsewhere.id),
    ] {
        let found = directory.find_imported_key(environment, &handle).await;
        assert_eq!(found.unwrap().map(|found| found.id), Some(key));
    }
}

/// A key that takes an imported one's place has a digest, and no handle; the imported one keeps its
/// own, and no digest takes the place of a hash.
pub async fn an_imported_key_is_rotated_into_one_with_a_digest<
    D: Directory + DirectoryStore + KeyStore,
>(
    directory: &D,
) {
    let tenant = new_tenant(directory).await;
    let handle = free_handle();
    let key = stored(directory, &imported(tenant.id, &handle)).await;
    for expected in [digest(0), digest(1)] {
        let replaced = directory
            .replace_digest(key.id, &expected, &digest(2))
            .await;
        assert!(!replaced.unwrap());
    }
    let rotation = KeyRotation::new(key.id, KeyId::new(), digest(2), NOW, NOW);
    let new = directory
        .rotate_key(tenant.id, &rotation, &unattributed())
        .await
        .unwrap();
    assert_eq!(new.verifier, KeyVerifier::Digest(digest(2)));
    assert_eq!(found(directory, new.id).await, new);
    let old = directory
        .find_imported_key(Environment::Live, &handle)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (old.id, &old.verifier, old.successor),
        (key.id, &key.verifier, Some(new.id))
    );
    let range = KeyRange {
        environment: Environment::Live,
        first: key.id,
        last: key.id,
    };
    let revoked = directory
        .revoke_key_range(&range, NOW, &unattributed())
        .await
        .unwrap();
    assert_eq!(revoked, [(tenant.id, 1)], "by its id, like any other");
}
