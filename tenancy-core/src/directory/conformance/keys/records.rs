//! Keys as records: found as they were stored, by their own tenant alone.

use std::time::Duration;

use serde_json::json;

use super::{
    super::{new_tenant, slug},
    NOW, digest, found, grants, key_of, networks, of_a_member, stored,
};
use crate::{
    Directory, DirectoryStore, KeyId, Project, ProjectId, StoreErrorKind, TenantId,
    key::{Environment, KeyChange, KeyDigest, KeyRotation, KeyStore},
    quota::{Limit, Period},
    testing::unattributed,
};

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
    full.limits = [
        Limit::rate("requests", 10, Duration::from_millis(1_500)).burst(3),
        Limit::per_period("exports", 100, Period::Month).warn_at([80, 100]),
    ]
    .into_iter()
    .collect();
    full.expires_at = Some(NOW + Duration::from_micros(3_600_000_001));
    full.overlap_until = Some(NOW + Duration::from_secs(60));
    full.disabled = true;
    full.open_projects_only = true;
    full.revoked_at = Some(NOW);
    full.last_used_at = Some(NOW);
    full.verifier = KeyDigest::new(u32::MAX, [0xa5; 32]).into();
    assert_eq!(stored(directory, &full).await, full);
    let again = directory
        .insert_key(&plain, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(again.kind(), StoreErrorKind::Conflict);
    assert!(directory.find_key(KeyId::new()).await.unwrap().is_none());
    let nobodys = key_of(TenantId::new());
    let unknown = directory
        .insert_key(&nobodys, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::NotFound);
    let project = Project::new(tenant.id, slug("p"), "A project");
    directory
        .put_project(&project, &unattributed())
        .await
        .unwrap();
    let mut confined = key_of(tenant.id);
    confined.project = Some(project.id);
    assert_eq!(stored(directory, &confined).await.project, Some(project.id));
    let mut astray = key_of(tenant.id);
    astray.project = Some(ProjectId::new());
    of_a_member(directory, &astray).await;
    let unknown = directory
        .insert_key(&astray, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::NotFound);
}

/// A tenant neither lists, changes, rotates nor revokes another's key.
pub async fn keys_belong_to_one_tenant<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    let (own, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let key = stored(directory, &key_of(own.id)).await;
    let rotation = KeyRotation::new(key.id, KeyId::new(), digest(2), NOW, NOW);
    let change = KeyChange::Revoked(NOW);
    let refused = directory
        .change_key(other.id, key.id, &change, &unattributed())
        .await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::NotFound);
    let refused = directory
        .rotate_key(other.id, &rotation, &unattributed())
        .await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::NotFound);
    assert!(
        directory
            .find_key(rotation.successor)
            .await
            .unwrap()
            .is_none()
    );
    let revoked = directory
        .revoke_tenant_keys(other.id, NOW, &unattributed())
        .await
        .unwrap();
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
