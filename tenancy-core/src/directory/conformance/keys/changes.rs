//! Changes of keys: kept, told by the feed, and within the time that a key has.

use std::time::Duration;

use serde_json::json;

use super::{
    super::{new_tenant, told},
    NOW, digest, found, generation, grants, key_of, networks, stored,
};
use crate::{
    Directory, DirectoryStore, KeyId, StoreErrorKind, TenantRecord, UserId,
    key::{KeyChange, KeyLimits, KeyRotation, KeySeen, KeyStore},
    quota::{Limit, Period},
    testing::unattributed,
};

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
    let requests = Limit::rate("requests", 10, Duration::from_secs(60));
    let export = Limit::per_period("exports", 100, Period::Month);
    let changes = [
        KeyChange::Name("renamed".into()),
        KeyChange::Scopes {
            scopes: grants(&["*"]),
            seen: KeySeen::Any,
        },
        KeyChange::Networks(networks(&["10.0.0.0/8"])),
        KeyChange::Limits([export.clone(), requests].into_iter().collect()),
        KeyChange::Limits([export].into_iter().collect()),
        KeyChange::Limits(KeyLimits::default()),
        KeyChange::Metadata(metadata),
        KeyChange::Disabled(true),
        KeyChange::Disabled(false),
        KeyChange::Revoked(NOW),
    ];
    let mut step = 0;
    let mut next = async |before: &mut TenantRecord| {
        let now = generation(directory, &tenant).await;
        assert!(
            now.generation > before.generation,
            "change {step} moves the generation on"
        );
        cursor = told(directory, cursor.clone(), &now, step).await;
        step += 1;
        *before = now;
    };
    next(&mut before).await;
    for change in changes {
        change.apply(&mut key).unwrap();
        let answered = directory
            .change_key(tenant.id, key.id, &change, &unattributed())
            .await
            .unwrap();
        assert_eq!(answered, key);
        assert_eq!(found(directory, key.id).await, key);
        next(&mut before).await;
    }
    let mut fresh = key_of(tenant.id);
    fresh.limits = [Limit::rate("requests", 10, Duration::from_secs(60))]
        .into_iter()
        .collect();
    let mut fresh = stored(directory, &fresh).await;
    next(&mut before).await;
    let rotation = KeyRotation::new(fresh.id, KeyId::new(), digest(2), NOW, NOW);
    let new = directory
        .rotate_key(tenant.id, &rotation, &unattributed())
        .await
        .unwrap();
    let expected = fresh
        .rotate(rotation.successor, digest(2), NOW, NOW)
        .unwrap();
    assert_eq!(new, expected);
    assert_eq!(new.limits, fresh.limits);
    assert_eq!(found(directory, new.id).await, expected);
    assert_eq!(found(directory, fresh.id).await, fresh);
    next(&mut before).await;
    directory
        .revoke_tenant_keys(tenant.id, NOW, &unattributed())
        .await
        .unwrap();
    next(&mut before).await;
}

/// What was decided on another creator or other scopes than the key has when it is written is not done.
pub async fn keys_are_changed_as_they_were_seen<D: Directory + DirectoryStore + KeyStore>(
    directory: &D,
) {
    let tenant = new_tenant(directory).await.id;
    let key = stored(directory, &key_of(tenant)).await;
    let record = unattributed();
    let seen = KeySeen::of(&key);
    let narrowed = KeyChange::Scopes {
        scopes: grants(&["notes:read"]),
        seen: seen.clone(),
    };
    directory
        .change_key(tenant, key.id, &narrowed, &unattributed())
        .await
        .unwrap();
    let now = found(directory, key.id).await;
    assert_eq!(now.scopes, grants(&["notes:read"]));
    let mut other = key.clone();
    other.scopes.clone_from(&now.scopes);
    other.creator = UserId::new();
    for seen in [seen, KeySeen::of(&other)] {
        let back = KeyChange::Scopes {
            scopes: key.scopes.clone(),
            seen: seen.clone(),
        };
        let changed = directory.change_key(tenant, key.id, &back, &record);
        assert_eq!(
            changed.await.unwrap_err().kind(),
            StoreErrorKind::Conflict,
            "{seen:?}"
        );
        let rotation = KeyRotation::new(key.id, KeyId::new(), digest(2), NOW, NOW).seen(seen);
        let rotated = directory.rotate_key(tenant, &rotation, &record);
        assert_eq!(rotated.await.unwrap_err().kind(), StoreErrorKind::Conflict);
    }
    assert_eq!(found(directory, key.id).await, now);
    let kept = directory.list_keys(tenant, None, 10).await.unwrap();
    assert_eq!(kept, [now], "no successor");
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
    let new = directory
        .rotate_key(tenant.id, &rotation, &unattributed())
        .await
        .unwrap();
    let old = found(directory, key.id).await;
    assert_eq!(
        (old.overlap_until, old.expires_at),
        (Some(expiry), Some(expiry))
    );
    assert_eq!(new.expires_at, Some(expiry));
    let twice = KeyRotation::new(key.id, KeyId::new(), digest(3), NOW, beyond);
    let refused = directory
        .rotate_key(tenant.id, &twice, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::IllegalTransition);
    let expired = KeyRotation::new(new.id, KeyId::new(), digest(3), expiry, beyond);
    let refused = directory
        .rotate_key(tenant.id, &expired, &unattributed())
        .await
        .unwrap_err();
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
