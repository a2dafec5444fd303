//! What [`KeyStore`] promises.

mod changes;
mod departures;
mod imported;
mod races;
mod records;
mod revocation;
mod uses;

pub use changes::{
    a_rotated_key_never_outlives_its_expiry, changes_of_keys_are_kept_and_told,
    keys_are_changed_as_they_were_seen,
};
pub use departures::{
    keys_are_handed_over, keys_end_with_the_membership, no_key_outlives_the_membership,
};
pub use imported::{
    a_handle_belongs_to_one_key, an_imported_key_is_rotated_into_one_with_a_digest,
    imported_keys_are_found_by_their_handle,
};
pub use races::{
    a_key_is_rotated_once, a_rotation_never_undoes_a_revocation,
    no_successor_escapes_a_revocation_across_tenants,
    no_successor_escapes_the_revocation_of_its_tenant,
};
pub use records::{
    keys_are_found_as_they_were_stored, keys_are_listed_in_pages, keys_belong_to_one_tenant,
};
pub use revocation::{
    a_revocation_stays, many_keys_are_revoked_at_once, the_keys_of_a_creator_are_revoked,
};
pub use uses::{digests_are_replaced_if_expected, uses_are_noted_forward_only};

use super::role;
use crate::{
    Directory, DirectoryStore, Grant, KeyId, Membership, RoleSeen, TenantId, TenantRecord,
    Timestamp, UserId,
    key::{ApiKey, Environment, KeyDigest, KeyNetworks, KeyStore},
    testing::unattributed,
};

/// Runs the suite of API keys. The directory may hold other tenants and keys; the suite makes its
/// own.
pub async fn keys<D: Directory + DirectoryStore + KeyStore>(directory: &D) {
    keys_are_found_as_they_were_stored(directory).await;
    keys_belong_to_one_tenant(directory).await;
    keys_are_listed_in_pages(directory).await;
    changes_of_keys_are_kept_and_told(directory).await;
    keys_are_changed_as_they_were_seen(directory).await;
    a_revocation_stays(directory).await;
    a_rotated_key_never_outlives_its_expiry(directory).await;
    a_key_is_rotated_once(directory).await;
    a_rotation_never_undoes_a_revocation(directory).await;
    no_successor_escapes_the_revocation_of_its_tenant(directory).await;
    no_successor_escapes_a_revocation_across_tenants(directory).await;
    many_keys_are_revoked_at_once(directory).await;
    the_keys_of_a_creator_are_revoked(directory).await;
    uses_are_noted_forward_only(directory).await;
    digests_are_replaced_if_expected(directory).await;
    imported_keys_are_found_by_their_handle(directory).await;
    a_handle_belongs_to_one_key(directory).await;
    an_imported_key_is_rotated_into_one_with_a_digest(directory).await;
    super::keys_end_with_their_project(directory).await;
    keys_end_with_the_membership(directory).await;
    keys_are_handed_over(directory).await;
    no_key_outlives_the_membership(directory).await;
}

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn digest(byte: u8) -> KeyDigest {
    KeyDigest::new(u32::from(byte), [byte; 32])
}

fn grants(list: &[&str]) -> Vec<Grant> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

fn networks(list: &[&str]) -> KeyNetworks {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

fn key_of(tenant: TenantId) -> ApiKey {
    let id = KeyId::new();
    ApiKey::new(id, tenant, UserId::new(), Environment::Live, digest(1), NOW)
}

/// Stores a key, whose creator is made a member if it is none.
async fn stored<D: DirectoryStore + KeyStore>(directory: &D, key: &ApiKey) -> ApiKey {
    of_a_member(directory, key).await;
    directory.insert_key(key, &unattributed()).await.unwrap();
    found(directory, key.id).await
}

async fn of_a_member<D: DirectoryStore>(directory: &D, key: &ApiKey) {
    let member = Membership::new(key.tenant, key.creator, role("member"));
    directory
        .put_membership(&member, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
}

async fn found<D: KeyStore>(directory: &D, id: KeyId) -> ApiKey {
    directory.find_key(id).await.unwrap().expect("the key")
}

async fn generation<D: Directory>(directory: &D, tenant: &TenantRecord) -> TenantRecord {
    directory
        .find_tenant(&tenant.id.into())
        .await
        .unwrap()
        .unwrap()
}
