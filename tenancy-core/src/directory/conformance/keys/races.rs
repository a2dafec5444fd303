//! What [`KeyStore`] promises about changes that are asked for at the same time.

use futures_util::future::{join, join_all, join3};

use super::{super::new_tenant, NOW, digest, found, key_of, stored};
use crate::{
    DirectoryStore, KeyId, StoreErrorKind, UserId,
    key::{ApiKey, Environment, KeyChange, KeyRange, KeyRotation, KeyStore},
    testing::unattributed,
};

/// How many rounds are tried; a store that takes no lock fails in one of the first.
const ROUNDS: u8 = 10;

fn rotation_of(key: &ApiKey, byte: u8) -> KeyRotation {
    KeyRotation::new(key.id, KeyId::new(), digest(byte), NOW, NOW)
}

/// Of rotations at the same time one succeeds, and there is one successor.
pub async fn a_key_is_rotated_once<D: DirectoryStore + KeyStore>(directory: &D) {
    for _ in 0..ROUNDS {
        let tenant = new_tenant(directory).await.id;
        let key = stored(directory, &key_of(tenant)).await;
        let rotations: Vec<_> = (2..10).map(|byte| rotation_of(&key, byte)).collect();
        let attempts = rotations
            .iter()
            .map(|one| async move { directory.rotate_key(tenant, one, &unattributed()).await });
        let mut successors = Vec::new();
        for attempt in join_all(attempts).await {
            match attempt {
                Ok(new) => successors.push(new.id),
                Err(refused) => assert_eq!(
                    refused.kind(),
                    StoreErrorKind::IllegalTransition,
                    "{refused}"
                ),
            }
        }
        let [successor] = successors[..] else {
            panic!("of eight rotations these succeeded: {successors:?}");
        };
        let old = found(directory, key.id).await;
        assert_eq!(old.successor, Some(successor));
        let kept = directory.list_keys(tenant, None, 10).await.unwrap();
        assert_eq!(kept.len(), 2, "{kept:?}");
    }
}

/// A key that is revoked and rotated at the same time is revoked; it has a successor only if the
/// rotation came first, and a successor goes on.
pub async fn a_rotation_never_undoes_a_revocation<D: DirectoryStore + KeyStore>(directory: &D) {
    for round in 0..ROUNDS {
        let tenant = new_tenant(directory).await.id;
        let key = stored(directory, &key_of(tenant)).await;
        let rotation = rotation_of(&key, 2);
        let rotate = async {
            directory
                .rotate_key(tenant, &rotation, &unattributed())
                .await
        };
        let rotated = if round % 2 == 0 {
            let change = KeyChange::Revoked(NOW);
            let revoke = async {
                directory
                    .change_key(tenant, key.id, &change, &unattributed())
                    .await
            };
            let (rotated, revoked) = join(rotate, revoke).await;
            revoked.unwrap();
            rotated
        } else {
            let range = KeyRange {
                environment: key.environment,
                first: key.id,
                last: key.id,
            };
            let revoke = async {
                directory
                    .revoke_key_range(&range, NOW, &unattributed())
                    .await
            };
            let (revoked, rotated) = join(revoke, rotate).await;
            assert_eq!(revoked.unwrap(), [(tenant, 1)]);
            rotated
        };
        assert_eq!(found(directory, key.id).await.revoked_at, Some(NOW));
        let successor = directory.find_key(rotation.successor).await.unwrap();
        assert_eq!(rotated.is_ok(), successor.is_some());
        if let Err(refused) = rotated {
            assert_eq!(
                refused.kind(),
                StoreErrorKind::IllegalTransition,
                "{refused}"
            );
        }
    }
}

/// When all keys of a tenant are revoked while they are rotated and used, that neither fails nor
/// leaves a successor out.
pub async fn no_successor_escapes_the_revocation_of_its_tenant<D: DirectoryStore + KeyStore>(
    directory: &D,
) {
    for _ in 0..ROUNDS {
        let tenant = new_tenant(directory).await.id;
        let mut keys = Vec::new();
        for _ in 0..6 {
            keys.push(stored(directory, &key_of(tenant)).await);
        }
        let rotations: Vec<_> = keys.iter().map(|key| rotation_of(key, 2)).collect();
        let rotate = rotations
            .iter()
            .map(|one| async move { directory.rotate_key(tenant, one, &unattributed()).await });
        let uses: Vec<_> = keys.iter().rev().map(|key| (key.id, NOW)).collect();
        let (rotated, revoked, used) = join3(
            join_all(rotate),
            directory.revoke_tenant_keys(tenant, NOW, &unattributed()),
            directory.record_last_used(&uses),
        )
        .await;
        used.unwrap();
        let mut successors = 0;
        for attempt in rotated {
            match attempt {
                Ok(_) => successors += 1,
                Err(refused) => assert_eq!(
                    refused.kind(),
                    StoreErrorKind::IllegalTransition,
                    "{refused}"
                ),
            }
        }
        assert_eq!(revoked.unwrap(), 6 + successors);
        let kept = directory.list_keys(tenant, None, 100).await.unwrap();
        assert!(kept.iter().all(|key| key.revoked_at == Some(NOW)));
    }
}

/// When keys of several tenants are revoked while they are rotated and used, by their
/// creator or by a range of an environment, that neither fails nor leaves a successor out.
pub async fn no_successor_escapes_a_revocation_across_tenants<D: DirectoryStore + KeyStore>(
    directory: &D,
) {
    for round in 0..2 * ROUNDS {
        let (creator, mut keys) = (UserId::new(), Vec::new());
        for _ in 0..2 {
            let tenant = new_tenant(directory).await.id;
            for _ in 0..3 {
                let mut key = key_of(tenant);
                (key.creator, key.environment) = (creator, Environment::Staging);
                keys.push(stored(directory, &key).await);
            }
        }
        // Each is rotated, and its successor at once too, in the middle of the revocation if it can.
        let rotations: Vec<_> = keys
            .iter()
            .map(|key| {
                let first = rotation_of(key, 2);
                let again = KeyRotation::new(first.successor, KeyId::new(), digest(3), NOW, NOW);
                [first, again]
            })
            .collect();
        let steps = || rotations.iter().flatten();
        let ids = || steps().flat_map(|step| [step.key, step.successor]);
        let range = KeyRange {
            environment: Environment::Staging,
            first: ids().min().unwrap(),
            last: ids().max().unwrap(),
        };
        let rotate = keys.iter().zip(&rotations).map(async |(key, steps)| {
            let mut successors = 0;
            for step in steps {
                match directory
                    .rotate_key(key.tenant, step, &unattributed())
                    .await
                {
                    Ok(_) => successors += 1,
                    Err(refused) => {
                        let kind = refused.kind();
                        assert_eq!(kind, StoreErrorKind::IllegalTransition, "{refused}");
                        break;
                    }
                }
            }
            successors
        });
        let revoke = async {
            if round % 2 == 0 {
                directory
                    .revoke_creator_keys(creator, NOW, &unattributed())
                    .await
            } else {
                directory
                    .revoke_key_range(&range, NOW, &unattributed())
                    .await
            }
        };
        let uses: Vec<_> = keys.iter().rev().map(|key| (key.id, NOW)).collect();
        let (successors, revoked, used) =
            join3(join_all(rotate), revoke, directory.record_last_used(&uses)).await;
        used.unwrap();
        let counted: u64 = revoked.unwrap().iter().map(|(_, count)| count).sum();
        assert_eq!(counted, 6 + successors.iter().sum::<u64>());
        for id in ids() {
            let key = directory.find_key(id).await.unwrap();
            assert!(key.is_none_or(|key| key.revoked_at == Some(NOW)), "{id}");
        }
    }
}
