//! What requests write of keys: uses and renewed digests, which tell nobody anything.

use std::time::Duration;

use super::{super::new_tenant, NOW, digest, found, generation, key_of, stored};
use crate::{
    Directory, DirectoryStore, KeyId,
    key::{KeyDigest, KeyStore},
};

/// The newest use is kept, whatever the order, and the generation stays.
pub async fn uses_are_noted_forward_only<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    let tenant = new_tenant(directory).await;
    let key = stored(directory, &key_of(tenant.id)).await;
    let other = stored(directory, &key_of(tenant.id)).await;
    let before = generation(directory, &tenant).await;
    let later = NOW + Duration::from_secs(60);
    let unknown = (KeyId::new(), later);
    directory
        .record_last_used(&[(key.id, later), unknown])
        .await
        .unwrap();
    directory
        .record_last_used(&[(other.id, NOW), (key.id, NOW)])
        .await
        .unwrap();
    directory.record_last_used(&[]).await.unwrap();
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
    expected.verifier = digest(2).into();
    assert_eq!(found(directory, key.id).await, expected);
    assert_eq!(
        generation(directory, &tenant).await.generation,
        before.generation
    );
}
