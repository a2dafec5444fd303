//! An engine over memory with many API keys.

use std::sync::Arc;

use tenancy_core::{
    Clock, Membership, MemoryDirectory, SystemRole, Tenancy, TenantRecord, TenantStatus, UserId,
    key::{ApiKeys, Environment, HmacKeyHasher, IssuedKey, KeyFormat, NewKey, Pepper},
    testing::StoreDirectly as _,
};
use tenancy_tests::notes;

pub(crate) const PEPPER: [u8; 32] = [0x5c; 32];

pub(crate) fn hasher() -> HmacKeyHasher {
    HmacKeyHasher::new(Pepper::new(1, PEPPER).unwrap())
}

pub(crate) fn format() -> KeyFormat {
    KeyFormat::new("notes", Environment::Live).unwrap()
}

/// An engine over memory whose caches hold so much, with so many keys of ten tenants.
pub(crate) async fn world(
    keys: usize,
    cached: usize,
    clock: Arc<dyn Clock>,
) -> (Tenancy, Vec<IssuedKey>) {
    let directory = MemoryDirectory::new();
    let tenancy = Tenancy::builder(directory.clone())
        .keys(ApiKeys::new(format(), hasher(), directory.clone()))
        .permissions(notes::permissions().unwrap())
        .clock(clock)
        .directory_cache_bytes(cached * 4096)
        .admission_cache_bytes((cached * 2048).max(1 << 20))
        .build()
        .unwrap();
    let creator = UserId::new();
    let mut tenants = Vec::new();
    for number in 0..10 {
        let slug = format!("tenant-{number}").parse().unwrap();
        let tenant = TenantRecord::new(slug, "A tenant").with_status(TenantStatus::Active);
        directory.create_tenant(&tenant).await.unwrap();
        let owner = Membership::new(tenant.id, creator, SystemRole::Owner.name());
        directory.put_membership(&owner).await.unwrap();
        tenants.push(tenant.id);
    }
    let mut issued = Vec::with_capacity(keys);
    for tenant in tenants.into_iter().cycle().take(keys) {
        let new = NewKey::new(tenant, creator, "a key", ["*".parse().unwrap()]);
        issued.push(
            tenancy
                .keys()
                .unwrap()
                .by(tenancy_core::testing::service())
                .issue(new)
                .await
                .unwrap(),
        );
    }
    (tenancy, issued)
}
