//! Records: which state counts, and when.

use std::time::Duration;

use super::*;
use crate::{TenantId, Timestamp, UserId, engine::CachedKey};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_000);

fn record() -> ApiKey {
    let digest = KeyDigest::new(1, [1; 32]);
    let (tenant, creator) = (TenantId::new(), UserId::new());
    ApiKey::new(
        KeyId::new(),
        tenant,
        creator,
        Environment::Live,
        digest,
        NOW,
    )
}

fn secs(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

#[test]
fn the_most_final_state_counts_and_ends_are_exclusive() {
    let mut key = record();
    assert_eq!((key.state_at(NOW), key.ends_at()), (KeyState::Active, None));
    key.disabled = true;
    assert_eq!(key.state_at(NOW), KeyState::Disabled);
    key.overlap_until = Some(secs(10));
    assert_eq!(key.state_at(secs(9)), KeyState::Disabled);
    assert_eq!(
        (key.state_at(secs(10)), key.ends_at()),
        (KeyState::Rotated, Some(secs(10)))
    );
    key.expires_at = Some(secs(20));
    assert_eq!(
        (key.state_at(secs(19)), key.ends_at()),
        (KeyState::Rotated, Some(secs(10)))
    );
    assert_eq!(key.state_at(secs(20)), KeyState::Expired);
    key.expires_at = Some(secs(5));
    assert_eq!(key.ends_at(), Some(secs(5)));
    key.revoked_at = Some(NOW);
    assert_eq!(key.state_at(secs(30)), KeyState::Revoked);
}

#[test]
fn a_principal_ends_with_its_key() {
    let registry = crate::PermissionRegistry::builder().build().unwrap();
    let mut key = record();
    key.expires_at = Some(secs(20));
    key.overlap_until = Some(secs(10));
    let known = CachedKey::new(key, &registry, None);
    assert_eq!(known.principal.expires_at, Some(secs(10)));
    assert!(known.principal.holds_at(secs(9)) && !known.principal.holds_at(secs(10)));
}

#[test]
fn a_use_is_queued_once_until_it_is_written() {
    let registry = crate::PermissionRegistry::builder().build().unwrap();
    let known = CachedKey::new(record(), &registry, None);
    assert!(known.used(NOW));
    assert!(!known.used(secs(5)));
    assert_eq!(known.dequeue(), secs(5));
    assert!(!known.used(secs(5)), "the same second");
    assert!(known.used(secs(6)));
    assert!(!known.used(secs(2)), "earlier");
    assert_eq!(known.dequeue(), secs(6));
}
