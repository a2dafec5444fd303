//! Tenants that are made with all that they begin with: all of it or nothing, and once for a key.

use super::slug;
use crate::{
    Account, AccountKey, AccountStore, Directory, Idempotency, KeyId, Membership, NewTenant,
    Project, ProjectMembership, ProvisionedBefore, ProvisioningStore, StoreErrorKind, SystemRole,
    TenantKey, TenantRecord, TenantStatus, Timestamp, UserId,
    key::{ApiKey, Environment, KeyDigest, KeyStore, SecretHash},
    testing::unattributed,
};

/// Runs all that concerns provisioning.
pub async fn provisioning<D: Directory + ProvisioningStore + AccountStore + KeyStore>(
    directory: &D,
) {
    a_tenant_is_made_with_all_that_it_begins_with(directory).await;
    a_tenant_of_which_a_part_is_taken_leaves_nothing(directory).await;
    a_key_makes_one_tenant(directory).await;
    of_two_at_once_with_one_key_one_is_made(directory).await;
}

/// A unit with everything.
fn unit() -> NewTenant {
    let tenant = TenantRecord::new(slug("acme"), "Acme Ltd").with_status(TenantStatus::Active);
    let id = tenant.id;
    let hash = SecretHash::from_stored("a hash");
    let email = format!("{}@example.com", tenant.slug);
    let account = Account::with_password(email.parse().unwrap(), hash);
    let (owner, role) = (account.user, SystemRole::Owner.name());
    let mut unit = NewTenant::new(tenant, Membership::new(id, owner, role.clone()));
    unit.tenant.plan = Some("trial".into());
    unit.names = vec![
        TenantKey::Domain(format!("{}.example.org", slug("d")).parse().unwrap()),
        TenantKey::External {
            provider: "stripe".into(),
            id: slug("cus").as_str().into(),
        },
    ];
    let project = Project::new(id, slug("general"), "General");
    unit.project_membership = Some(ProjectMembership::new(id, project.id, owner, role));
    unit.project = Some(project);
    let digest = KeyDigest::new(1, [7; 32]);
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    unit.key = Some(ApiKey::new(
        KeyId::new(),
        id,
        owner,
        Environment::Live,
        digest,
        now,
    ));
    unit.account = Some(account);
    unit.idempotency = Some(Idempotency::new(random(), [2; 32]));
    unit
}

/// 32 bytes that no other unit has.
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(UserId::new().as_uuid().as_bytes());
    bytes[16..].copy_from_slice(UserId::new().as_uuid().as_bytes());
    bytes
}

/// What is there of a unit, part by part.
async fn found<D: Directory + ProvisioningStore + AccountStore + KeyStore>(
    directory: &D,
    unit: &NewTenant,
) -> Vec<(&'static str, bool)> {
    let id = unit.tenant.id;
    let project = unit.project.as_ref().unwrap().id;
    let is_there = async |key: &TenantKey| {
        let found = directory.find_tenant(key).await.unwrap();
        found.is_some_and(|found| found.id == id)
    };
    let user = AccountKey::User(unit.owner.user);
    let role = directory
        .find_project_role(id, project, unit.owner.user)
        .await
        .unwrap();
    let note = unit.idempotency.unwrap().key;
    let before = directory.find_provisioned(&note).await.unwrap();
    vec![
        ("id", is_there(&TenantKey::Id(id)).await),
        (
            "slug",
            is_there(&TenantKey::Slug(unit.tenant.slug.clone())).await,
        ),
        ("domain", is_there(&unit.names[0]).await),
        ("external id", is_there(&unit.names[1]).await),
        (
            "owner",
            directory
                .find_membership(id, unit.owner.user)
                .await
                .unwrap()
                .as_ref()
                == Some(&unit.owner),
        ),
        (
            "project",
            directory.find_project(id, project).await.unwrap() == unit.project,
        ),
        ("role in the project", role.is_some()),
        (
            "key",
            directory
                .find_key(unit.key.as_ref().unwrap().id)
                .await
                .unwrap()
                .is_some(),
        ),
        (
            "account",
            directory.find_account(&user).await.unwrap() == unit.account,
        ),
        ("note", before == unit.as_before()),
    ]
}

/// Every part is there afterwards, as it was given.
pub async fn a_tenant_is_made_with_all_that_it_begins_with<
    D: Directory + ProvisioningStore + AccountStore + KeyStore,
>(
    directory: &D,
) {
    let unit = unit();
    directory.provision(&unit, &unattributed()).await.unwrap();
    for (part, is_there) in found(directory, &unit).await {
        assert!(is_there, "{part}");
    }
    let id = TenantKey::Id(unit.tenant.id);
    let record = directory.find_tenant(&id).await.unwrap().unwrap();
    assert_eq!(record.status, TenantStatus::Active);
    assert_eq!(record.plan.as_deref(), Some("trial"));
}

/// What is taken, and how a unit comes to have it.
type Taking = (&'static str, fn(&mut NewTenant, &NewTenant));

/// Whatever is taken, nothing of the unit is there.
pub async fn a_tenant_of_which_a_part_is_taken_leaves_nothing<
    D: Directory + ProvisioningStore + AccountStore + KeyStore,
>(
    directory: &D,
) {
    let before = unit();
    directory.provision(&before, &unattributed()).await.unwrap();
    let taken: [Taking; 6] = [
        ("slug", |unit, before| {
            unit.tenant.slug = before.tenant.slug.clone();
        }),
        ("domain", |unit, before| {
            unit.names[0] = before.names[0].clone()
        }),
        ("external id", |unit, before| {
            unit.names[1] = before.names[1].clone();
        }),
        ("address", |unit, before| {
            let email = before.account.as_ref().unwrap().email.clone();
            unit.account.as_mut().unwrap().email = email;
        }),
        ("key", |unit, before| {
            unit.key.as_mut().unwrap().id = before.key.as_ref().unwrap().id;
        }),
        ("idempotency key", |unit, before| {
            unit.idempotency = before.idempotency
        }),
    ];
    for (what, take) in taken {
        let mut unit = unit();
        take(&mut unit, &before);
        let refused = directory
            .provision(&unit, &unattributed())
            .await
            .unwrap_err();
        assert_eq!(
            refused.kind(),
            StoreErrorKind::Conflict,
            "{what}: {refused}"
        );
        for (part, is_there) in found(directory, &unit).await {
            let is_the_others = what == "key" && part == "key";
            assert!(
                !is_there || is_the_others,
                "{part} is there, and the {what} was taken"
            );
        }
        for (part, is_there) in found(directory, &before).await {
            assert!(
                is_there,
                "{part} of the first is gone, and the {what} was taken"
            );
        }
    }
}

/// A key finds what was made with it, and no other does.
pub async fn a_key_makes_one_tenant<D: Directory + ProvisioningStore + AccountStore + KeyStore>(
    directory: &D,
) {
    let key = random();
    assert_eq!(directory.find_provisioned(&key).await.unwrap(), None);
    let tenant = TenantRecord::new(slug("small"), "Small").with_status(TenantStatus::Active);
    let owner = Membership::new(tenant.id, UserId::new(), SystemRole::Owner.name());
    let mut small = NewTenant::new(tenant, owner);
    small.idempotency = Some(Idempotency::new(key, [9; 32]));
    directory.provision(&small, &unattributed()).await.unwrap();
    let expected = ProvisionedBefore::new([9; 32], small.tenant.id, small.owner.user);
    assert_eq!(
        directory.find_provisioned(&key).await.unwrap(),
        Some(expected)
    );
    assert_eq!(directory.find_provisioned(&random()).await.unwrap(), None);
}

/// Of two that are made at once with one key, one is made and the other is a conflict.
pub async fn of_two_at_once_with_one_key_one_is_made<
    D: Directory + ProvisioningStore + AccountStore + KeyStore,
>(
    directory: &D,
) {
    for _ in 0..8 {
        let (one, mut other) = (unit(), unit());
        other.idempotency = one.idempotency;
        let record = unattributed();
        let (first, second) = futures_util::future::join(
            directory.provision(&one, &record),
            directory.provision(&other, &record),
        )
        .await;
        let (made, failed, error) = match (first, second) {
            (Ok(()), Err(error)) => (one, other, error),
            (Err(error), Ok(())) => (other, one, error),
            both => panic!("one is made, and not {both:?}"),
        };
        assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error}");
        let key = made.idempotency.unwrap().key;
        let before = directory.find_provisioned(&key).await.unwrap();
        assert_eq!(before, made.as_before());
        let gone = TenantKey::Id(failed.tenant.id);
        assert_eq!(directory.find_tenant(&gone).await.unwrap(), None);
    }
}
