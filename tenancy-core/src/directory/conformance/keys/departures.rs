//! Keys of a member who goes: revoked, or handed over, whatever happens at once.

use futures_util::future::join;

use super::{NOW, digest, found, generation, grants, key_of, stored};
use crate::{
    Directory, DirectoryStore, HandedKey, KeyHandover, KeyId, MemberHoldings, Membership,
    MembershipRemoval, MembershipStatus, Project, ProjectMembership, RoleSeen, StoreErrorKind,
    UserId,
    directory::conformance::{new_tenant, role, slug},
    key::{KeyChange, KeyRotation, KeyStore},
    testing::unattributed,
};

/// The keys of a member who is removed are revoked, in that tenant alone, and stay so when the user comes back.
pub async fn keys_end_with_the_membership<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    let (tenant, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let (user, at) = (UserId::new(), NOW + std::time::Duration::from_secs(60));
    let mut keys = Vec::new();
    for (of, own) in [
        (&tenant, true),
        (&tenant, true),
        (&tenant, false),
        (&other, true),
    ] {
        let mut key = key_of(of.id);
        if own {
            key.creator = user;
        }
        keys.push(stored(directory, &key).await);
    }
    let off = KeyChange::Disabled(true);
    directory
        .change_key(tenant.id, keys[1].id, &off, &unattributed())
        .await
        .unwrap();
    let mut before = key_of(tenant.id);
    (before.creator, before.revoked_at) = (user, Some(NOW));
    let before = stored(directory, &before).await;
    let project = Project::new(tenant.id, slug("p"), "A project");
    directory
        .put_project(&project, &unattributed())
        .await
        .unwrap();
    let in_project = ProjectMembership::new(tenant.id, project.id, user, role("admin"));
    directory
        .put_project_membership(&in_project, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();

    let holdings = directory
        .find_holdings(tenant.id, user, NOW)
        .await
        .unwrap()
        .unwrap();
    let held: Vec<_> = holdings.keys.iter().map(|key| key.id).collect();
    let mut own = vec![keys[0].id, keys[1].id];
    own.sort();
    assert_eq!(held, own, "the live ones, also what is switched off");
    assert!(!holdings.has_more_keys && !holdings.others_own);
    assert_eq!(holdings.project_roles, [in_project]);
    assert_eq!(holdings.membership.user, user);
    let nobodys = directory.find_holdings(tenant.id, UserId::new(), NOW).await;
    assert_eq!(nobodys.unwrap(), None::<MemberHoldings>);

    let told = generation(directory, &tenant).await;
    let removal = MembershipRemoval::new(at);
    directory
        .remove_membership(tenant.id, user, &removal, &unattributed())
        .await
        .unwrap();
    assert!(generation(directory, &tenant).await.generation > told.generation);
    let back = Membership::new(tenant.id, user, role("viewer"));
    directory
        .put_membership(&back, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    for (key, gone) in keys.iter().zip([true, true, false, false]) {
        let now = found(directory, key.id).await;
        assert_eq!(now.revoked_at, gone.then_some(at), "{key:?}");
        assert_eq!(now.creator, key.creator);
    }
    assert_eq!(found(directory, before.id).await.revoked_at, Some(NOW));
    let holdings = directory
        .find_holdings(tenant.id, user, at)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(holdings, MemberHoldings::new(back));
}

/// Keys that are handed over go on with another creator and other scopes, and nothing else of them changes; those
/// that are not are revoked. What is not as it was seen changes nothing.
pub async fn keys_are_handed_over<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    let (tenant, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let (user, heir) = (UserId::new(), UserId::new());
    let heirs = Membership::new(tenant.id, heir, role("member"));
    directory
        .put_membership(&heirs, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    let mut keys = Vec::new();
    for of in [&tenant, &tenant, &tenant, &other] {
        let mut key = key_of(of.id);
        (key.creator, key.scopes) = (user, grants(&["*"]));
        keys.push(stored(directory, &key).await);
    }
    let strangers = stored(directory, &key_of(tenant.id)).await;
    let handed =
        |key: KeyId, had: &[&str]| HandedKey::new(key, grants(had), grants(&["notes:read"]));
    let remove = async |handover: KeyHandover| {
        let removal = MembershipRemoval::new(NOW).handover(handover);
        let record = unattributed();
        directory
            .remove_membership(tenant.id, user, &removal, &record)
            .await
    };
    let invited = Membership::new(tenant.id, UserId::new(), role("member"))
        .with_status(MembershipStatus::Invited);
    directory
        .put_membership(&invited, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    let first = || handed(keys[0].id, &["*"]);
    for (wrong, kind) in [
        (
            KeyHandover::new(UserId::new(), vec![first()]),
            StoreErrorKind::Conflict,
        ),
        (
            KeyHandover::new(invited.user, vec![first()]),
            StoreErrorKind::Conflict,
        ),
        (
            KeyHandover::new(user, vec![first()]),
            StoreErrorKind::Conflict,
        ),
        (
            KeyHandover::new(heir, vec![first(), handed(keys[1].id, &["notes:*"])]),
            StoreErrorKind::Conflict,
        ),
        (
            KeyHandover::new(heir, vec![first(), handed(strangers.id, &[])]),
            StoreErrorKind::Conflict,
        ),
    ] {
        let refused = remove(wrong.clone()).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{wrong:?}: {refused}");
    }
    for wrong in [handed(keys[3].id, &["*"]), handed(KeyId::new(), &["*"])] {
        let refused = remove(KeyHandover::new(heir, vec![first(), wrong]))
            .await
            .unwrap_err();
        let kinds = [StoreErrorKind::Conflict, StoreErrorKind::NotFound];
        assert!(kinds.contains(&refused.kind()), "{refused}");
    }
    for key in &keys {
        assert_eq!(found(directory, key.id).await, *key, "nothing has changed");
    }
    // One that was revoked meanwhile stays revoked.
    let revoked = KeyChange::Revoked(NOW);
    directory
        .change_key(tenant.id, keys[1].id, &revoked, &unattributed())
        .await
        .unwrap();
    let told = generation(directory, &tenant).await;
    let handover = KeyHandover::new(heir, vec![first(), handed(keys[1].id, &["*"])]);
    remove(handover).await.unwrap();
    assert!(generation(directory, &tenant).await.generation > told.generation);
    let mut expected = keys[0].clone();
    (expected.creator, expected.scopes) = (heir, grants(&["notes:read"]));
    expected.open_projects_only = true;
    assert_eq!(found(directory, keys[0].id).await, expected);
    let rotation = KeyRotation::new(expected.id, KeyId::new(), digest(9), NOW, NOW);
    let record = unattributed();
    let rotated = directory.rotate_key(tenant.id, &rotation, &record);
    assert!(
        rotated.await.unwrap().open_projects_only,
        "so is its successor"
    );
    for key in &keys[1..3] {
        let now = found(directory, key.id).await;
        assert_eq!((now.creator, now.revoked_at), (user, Some(NOW)));
    }
    assert_eq!(found(directory, keys[3].id).await, keys[3]);
}

/// No key of a user is alive after the removal: neither one that is issued at once, nor a successor.
pub async fn no_key_outlives_the_membership<D: Directory + DirectoryStore + KeyStore>(
    directory: &D,
) {
    let tenant = new_tenant(directory).await.id;
    let lone = key_of(tenant);
    let refused = directory
        .insert_key(&lone, &unattributed())
        .await
        .unwrap_err();
    assert_eq!(
        refused.kind(),
        StoreErrorKind::Invalid,
        "a creator is a member"
    );
    for round in 0..20 {
        let mut old = key_of(tenant);
        old.creator = UserId::new();
        let old = stored(directory, &old).await;
        let mut new = key_of(tenant);
        new.creator = old.creator;
        let rotation = KeyRotation::new(old.id, KeyId::new(), digest(2), NOW, NOW);
        let issuing = async {
            let record = unattributed();
            if round % 2 == 0 {
                directory.insert_key(&new, &record).await
            } else {
                directory
                    .rotate_key(tenant, &rotation, &record)
                    .await
                    .map(drop)
            }
        };
        let removal = MembershipRemoval::new(NOW);
        let record = unattributed();
        let removing = directory.remove_membership(tenant, old.creator, &removal, &record);
        let (issued, removed) = join(issuing, removing).await;
        removed.unwrap();
        if let Err(error) = issued {
            assert_ne!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        }
        for id in [old.id, new.id, rotation.successor] {
            if let Some(key) = directory.find_key(id).await.unwrap() {
                assert!(key.revoked_at.is_some(), "round {round}: {key:?}");
            }
        }
    }
}
