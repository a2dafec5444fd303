//! What [`KeyStore`] promises.

use std::time::Duration;

use serde_json::json;

use super::{
    a_key_is_rotated_once, a_rotation_never_undoes_a_revocation, new_tenant,
    no_successor_escapes_the_revocation_of_its_tenant, told,
};
use crate::{
    Directory, DirectoryStore, Grant, KeyId, ProjectId, StoreErrorKind, Tenant, TenantId,
    Timestamp, UserId,
    key::{
        ApiKey, Environment, KeyChange, KeyDigest, KeyNetworks, KeyRange, KeyRotation, KeyStore,
    },
};

/// Runs the suite of API keys. The directory may hold other tenants and keys; the suite makes its
/// own.
pub async fn keys<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    keys_are_found_as_they_were_stored(directory).await;
    keys_belong_to_one_tenant(directory).await;
    keys_are_listed_in_pages(directory).await;
    changes_of_keys_are_kept_and_told(directory).await;
    a_revocation_stays(directory).await;
    a_rotated_key_never_outlives_its_expiry(directory).await;
    a_key_is_rotated_once(directory).await;
    a_rotation_never_undoes_a_revocation(directory).await;
    no_successor_escapes_the_revocation_of_its_tenant(directory).await;
    many_keys_are_revoked_at_once(directory).await;
    uses_are_noted_forward_only(directory).await;
    digests_are_replaced_if_expected(directory).await;
}

pub(super) const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

pub(super) fn digest(byte: u8) -> KeyDigest {
    KeyDigest::new(u32::from(byte), [byte; 32])
}

fn grants(list: &[&str]) -> Vec<Grant> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

fn networks(list: &[&str]) -> KeyNetworks {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

pub(super) fn key_of(tenant: TenantId) -> ApiKey {
    let id = KeyId::new();
    ApiKey::new(id, tenant, UserId::new(), Environment::Live, digest(1), NOW)
}

pub(super) async fn stored<D: KeyStore>(directory: &D, key: &ApiKey) -> ApiKey {
    directory.insert_key(key).await.unwrap();
    found(directory, key.id).await
}

pub(super) async fn found<D: KeyStore>(directory: &D, id: KeyId) -> ApiKey {
    directory.find_key(id).await.unwrap().expect("the key")
}

async fn generation<D: Directory>(directory: &D, tenant: &Tenant) -> Tenant {
    directory
        .find_tenant(&tenant.id.into())
        .await
        .unwrap()
        .unwrap()
}

/// A key is found by its id, with everything that was stored.
pub async fn keys_are_found_as_they_were_stored<D: Directory + DirectoryStore + KeyStore>(
    directory: &D,
) {
    let tenant = new_tenant(directory).await;
    let plain = key_of(tenant.id);
    assert_eq!(stored(directory, &plain).await, plain);
    let mut full = key_of(tenant.id);
    full.environment = Environment::Staging;
    full.name = "Nächtlicher Export '\"; --".into();
    full.scopes = grants(&["notes:read", "users:*"]);
    full.networks = networks(&["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32"]);
    full.metadata = json!({ "team": "ops", "n": [1, { "x": null }] })
        .as_object()
        .cloned()
        .unwrap();
    full.expires_at = Some(NOW + Duration::from_micros(3_600_000_001));
    full.overlap_until = Some(NOW + Duration::from_secs(60));
    full.disabled = true;
    full.revoked_at = Some(NOW);
    full.last_used_at = Some(NOW);
    full.digest = KeyDigest::new(u32::MAX, [0xa5; 32]);
    assert_eq!(stored(directory, &full).await, full);
    let again = directory.insert_key(&plain).await.unwrap_err();
    assert_eq!(again.kind(), StoreErrorKind::Conflict);
    assert!(directory.find_key(KeyId::new()).await.unwrap().is_none());
    let nobodys = key_of(TenantId::new());
    let unknown = directory.insert_key(&nobodys).await.unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::NotFound);
    let project = crate::Project::new(tenant.id, super::slug("p"), "A project");
    directory.put_project(&project).await.unwrap();
    let mut confined = key_of(tenant.id);
    confined.project = Some(project.id);
    assert_eq!(stored(directory, &confined).await.project, Some(project.id));
    let mut astray = key_of(tenant.id);
    astray.project = Some(ProjectId::new());
    let unknown = directory.insert_key(&astray).await.unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::NotFound);
}

/// A tenant neither lists, changes, rotates nor revokes another's key.
pub async fn keys_belong_to_one_tenant<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    let (own, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let key = stored(directory, &key_of(own.id)).await;
    let rotation = KeyRotation::new(key.id, KeyId::new(), digest(2), NOW, NOW);
    let change = KeyChange::Revoked(NOW);
    let refused = directory.change_key(other.id, key.id, &change).await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::NotFound);
    let refused = directory.rotate_key(other.id, &rotation).await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::NotFound);
    assert!(
        directory
            .find_key(rotation.successor)
            .await
            .unwrap()
            .is_none()
    );
    let revoked = directory.revoke_tenant_keys(other.id, NOW).await.unwrap();
    assert_eq!(revoked, 0);
    assert!(
        directory
            .list_keys(other.id, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(found(directory, key.id).await, key);
}

/// Pages are in the order of ids, end where they should, and hold every key once.
pub async fn keys_are_listed_in_pages<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    let tenant = new_tenant(directory).await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(stored(directory, &key_of(tenant.id)).await);
    }
    all.sort_by_key(|key| key.id);
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = directory.list_keys(tenant.id, after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        listed.extend(page);
    }
    assert_eq!(listed, all);
    assert!(
        directory
            .list_keys(tenant.id, None, 0)
            .await
            .unwrap()
            .is_empty()
    );
}

/// Each change is kept, moves the tenant's generation on, and is told by the feed.
pub async fn changes_of_keys_are_kept_and_told<D: Directory + DirectoryStore + KeyStore>(
    directory: &D,
) {
    let tenant = new_tenant(directory).await;
    let mut before = generation(directory, &tenant).await;
    let page = directory.changes_since(None).await.unwrap();
    let mut cursor = page.cursor;
    let mut key = stored(directory, &key_of(tenant.id)).await;
    let metadata = json!({ "seen": true }).as_object().cloned().unwrap();
    let changes = [
        KeyChange::Name("renamed".into()),
        KeyChange::Scopes(grants(&["*"])),
        KeyChange::Networks(networks(&["10.0.0.0/8"])),
        KeyChange::Metadata(metadata),
        KeyChange::Disabled(true),
        KeyChange::Disabled(false),
        KeyChange::Revoked(NOW),
    ];
    let mut step = 0;
    let mut next = async |before: &mut Tenant| {
        let now = generation(directory, &tenant).await;
        assert!(
            now.generation > before.generation,
            "change {step} moves the generation on"
        );
        cursor = told(directory, cursor, &now, step).await;
        step += 1;
        *before = now;
    };
    next(&mut before).await;
    for change in changes {
        change.apply(&mut key);
        let answered = directory
            .change_key(tenant.id, key.id, &change)
            .await
            .unwrap();
        assert_eq!(answered, key);
        assert_eq!(found(directory, key.id).await, key);
        next(&mut before).await;
    }
    let mut fresh = stored(directory, &key_of(tenant.id)).await;
    next(&mut before).await;
    let rotation = KeyRotation::new(fresh.id, KeyId::new(), digest(2), NOW, NOW);
    let new = directory.rotate_key(tenant.id, &rotation).await.unwrap();
    let expected = fresh
        .rotate(rotation.successor, digest(2), NOW, NOW)
        .unwrap();
    assert_eq!(new, expected);
    assert_eq!(found(directory, new.id).await, expected);
    assert_eq!(found(directory, fresh.id).await, fresh);
    next(&mut before).await;
    directory.revoke_tenant_keys(tenant.id, NOW).await.unwrap();
    next(&mut before).await;
}

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
            .change_key(tenant.id, key.id, &change)
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
            .revoke_key_range(&range, later)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        directory
            .revoke_tenant_keys(tenant.id, later)
            .await
            .unwrap(),
        0
    );
    assert_eq!(found(directory, key.id).await.revoked_at, Some(NOW));
    let rotation = KeyRotation::new(key.id, KeyId::new(), digest(2), later, later);
    let refused = directory
        .rotate_key(tenant.id, &rotation)
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

/// An overlap ends with the expiry at the latest, and a key is rotated once.
pub async fn a_rotated_key_never_outlives_its_expiry<D: Directory + DirectoryStore + KeyStore>(
    directory: &D,
) {
    let tenant = new_tenant(directory).await;
    let mut key = key_of(tenant.id);
    let expiry = NOW + Duration::from_secs(60);
    key.expires_at = Some(expiry);
    let key = stored(directory, &key).await;
    let beyond = expiry + Duration::from_secs(60);
    let rotation = KeyRotation::new(key.id, KeyId::new(), digest(2), NOW, beyond);
    let new = directory.rotate_key(tenant.id, &rotation).await.unwrap();
    let old = found(directory, key.id).await;
    assert_eq!(
        (old.overlap_until, old.expires_at),
        (Some(expiry), Some(expiry))
    );
    assert_eq!(new.expires_at, Some(expiry));
    let twice = KeyRotation::new(key.id, KeyId::new(), digest(3), NOW, beyond);
    let refused = directory.rotate_key(tenant.id, &twice).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::IllegalTransition);
    let expired = KeyRotation::new(new.id, KeyId::new(), digest(3), expiry, beyond);
    let refused = directory.rotate_key(tenant.id, &expired).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::IllegalTransition);
    assert_eq!(
        directory
            .list_keys(tenant.id, None, 10)
            .await
            .unwrap()
            .len(),
        2
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
    let mut revoked = directory.revoke_key_range(&range, NOW).await.unwrap();
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
    assert_eq!(directory.revoke_tenant_keys(one.id, NOW).await.unwrap(), 1);
    assert!(found(directory, beyond.id).await.revoked_at.is_some());
    assert!(found(directory, elsewhere.id).await.revoked_at.is_none());
    let unknown = directory.revoke_tenant_keys(TenantId::new(), NOW).await;
    assert_eq!(unknown.unwrap_err().kind(), StoreErrorKind::NotFound);
}

/// The newest use is kept, whatever the order, and the generation stays.
pub async fn uses_are_noted_forward_only<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    let tenant = new_tenant(directory).await;
    let key = stored(directory, &key_of(tenant.id)).await;
    let other = stored(directory, &key_of(tenant.id)).await;
    let before = generation(directory, &tenant).await;
    let later = NOW + Duration::from_secs(60);
    let unknown = (KeyId::new(), later);
    directory
        .note_uses(&[(key.id, later), unknown])
        .await
        .unwrap();
    directory
        .note_uses(&[(other.id, NOW), (key.id, NOW)])
        .await
        .unwrap();
    directory.note_uses(&[]).await.unwrap();
    assert_eq!(found(directory, key.id).await.last_used_at, Some(later));
    assert_eq!(found(directory, other.id).await.last_used_at, Some(NOW));
    assert_eq!(
        generation(directory, &tenant).await.generation,
        before.generation
    );
}

/// A digest is replaced only where the expected one is, and the generation stays.
pub async fn digests_are_replaced_if_expected<D: Directory + DirectoryStore + KeyStore>(
    directory: &D,
) {
    let tenant = new_tenant(directory).await;
    let key = stored(directory, &key_of(tenant.id)).await;
    let before = generation(directory, &tenant).await;
    let replace = async |expected: &KeyDigest| {
        directory
            .replace_digest(key.id, expected, &digest(2))
            .await
            .unwrap()
    };
    for wrong in [
        digest(3),
        KeyDigest::new(9, [1; 32]),
        KeyDigest::new(1, [9; 32]),
    ] {
        assert!(!replace(&wrong).await);
    }
    assert!(replace(&digest(1)).await);
    assert!(!replace(&digest(1)).await);
    let mut expected = key.clone();
    expected.digest = digest(2);
    assert_eq!(found(directory, key.id).await, expected);
    assert_eq!(
        generation(directory, &tenant).await.generation,
        before.generation
    );
}
