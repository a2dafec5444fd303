//! An engine over memory with many tenants, and tokens for their owners.

use std::{sync::Arc, time::Duration};

use tenancy_core::{
    Admission, Clock, Identification, Membership, MemoryDirectory, SystemRole, Tenancy,
    TenantRecord, TenantStatus, UserId,
    quota::{Limit, Meter, Quotas},
    testing::{FakeRequest, StoreDirectly as _},
};
use tenancy_tests::notes;

/// A limit of each tenant that nobody meets.
fn quotas() -> Quotas {
    let second = Duration::from_secs(1);
    Quotas::new()
        .meter(Meter::consumed(METER))
        .limit(Limit::rate(METER, 1_000_000, second))
}

/// What requests cost one of, where they are charged.
pub(crate) const METER: &str = "requests";

pub(crate) struct World {
    pub(crate) tenancy: Tenancy,
    /// Slug and owner of each tenant.
    pub(crate) tenants: Vec<(String, UserId)>,
    /// A token of each tenant's owner: one that was signed later is another, and not warm.
    pub(crate) tokens: Vec<String>,
}

impl World {
    pub(crate) async fn new(tenants: usize, clock: Arc<dyn Clock>) -> Self {
        let directory = MemoryDirectory::new();
        let mut known = Vec::with_capacity(tenants);
        for number in 0..tenants {
            let slug = format!("tenant-{number}");
            let tenant = TenantRecord::new(slug.parse().unwrap(), "A tenant")
                .with_status(TenantStatus::Active);
            let owner = UserId::new();
            directory.create_tenant(&tenant).await.unwrap();
            let membership = Membership::new(tenant.id, owner, SystemRole::Owner.name());
            directory.put_membership(&membership).await.unwrap();
            known.push((slug, owner));
        }
        let tenancy = Tenancy::builder(directory)
            .identification(Identification::new().subdomains_of("notes.example"))
            .authenticator(
                tenancy_core::jwt::JwtAuthenticator::builder(notes::ISSUER, notes::AUDIENCE)
                    .key(
                        tenancy_core::jwt::VerificationKey::hmac(
                            tenancy_core::jwt::Algorithm::HS256,
                            notes::SECRET,
                        )
                        .unwrap(),
                    )
                    .cache_bytes((tenants * 2048).max(1 << 20))
                    .build()
                    .unwrap(),
            )
            .admission_cache_bytes((tenants * 2048).max(1 << 20))
            .permissions(notes::permissions().unwrap())
            .quotas(quotas())
            .clock(clock)
            .build()
            .unwrap();
        let tokens = known.iter().map(|(_, owner)| notes::token(*owner).unwrap());
        Self {
            tenancy,
            tokens: tokens.collect(),
            tenants: known,
        }
    }

    /// A request of each tenant's owner, each admitted until the caches are warm: the first time
    /// loads, the second decides from what was loaded, and the third finds what was decided.
    pub(crate) async fn warm_requests(&self) -> Vec<FakeRequest> {
        let mut requests = Vec::with_capacity(self.tenants.len());
        for ((slug, _), token) in self.tenants.iter().zip(&self.tokens) {
            let request = FakeRequest::new("/notes")
                .header("host", format!("{slug}.notes.example"))
                .bearer(token);
            for _ in 0..3 {
                match self
                    .tenancy
                    .admit(&request, tenancy_core::RouteNeeds::tenant())
                {
                    Admission::Ready(admitted) => drop(admitted.unwrap()),
                    Admission::Pending(pending) => drop(pending.resolve().await.unwrap()),
                }
            }
            requests.push(request);
        }
        requests
    }
}
