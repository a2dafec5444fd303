//! API keys, with 10 and with 100,000 of them, beside a bare HMAC-SHA-256.

use std::hint::black_box;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tenancy_core::{
    Admission, Membership, MemoryDirectory, RouteNeeds, SystemRole, Tenancy, TenantRecord,
    TenantStatus, UserId,
    key::{
        ApiKeys, Environment, HmacKeyHasher, IssuedKey, KeyFormat, KeyHasher as _, KeyMatch,
        KeyVerifier, NewKey, Pepper,
    },
    testing::FakeRequest,
    testing::StoreDirectly as _,
};
use tenancy_tests::notes;

use crate::ratio::{self, Bound};

const PEPPER: [u8; 32] = [0x5c; 32];

pub(crate) async fn run() {
    ratio::heading("API keys beside a bare HMAC-SHA-256 of the same text");
    alone().await;
    let mut warm = Vec::new();
    for count in [10, if ratio::hurries() { 100 } else { 100_000 }] {
        warm.push(requests(count).await);
    }
    if let [few, many] = *warm {
        let name = "known key, 100,000 keys : 10 keys";
        ratio::figure(name, many / few, "x", Bound::AtMost(4.0));
    }
}

fn hasher() -> HmacKeyHasher {
    HmacKeyHasher::new(Pepper::new(1, PEPPER).unwrap())
}

/// Reading and verifying one key, without anything around it.
async fn alone() {
    let (_, keys) = world(1, 10).await;
    let issued = keys.first().unwrap();
    let (format, hasher) = (format(), hasher());
    let KeyVerifier::Digest(digest) = &issued.record().verifier else {
        unreachable!("an issued key has a digest");
    };
    let key = Hmac::<Sha256>::new_from_slice(&PEPPER).unwrap();
    let rounds = ratio::by_turns(
        200,
        async || {
            let read = format.read(black_box(issued.expose())).unwrap();
            assert_eq!(hasher.verify(&read, black_box(digest)), KeyMatch::Current);
        },
        async || {
            let mut mac = key.clone();
            mac.update(black_box(issued.expose()).as_bytes());
            black_box(mac.finalize().into_bytes());
        },
    )
    .await;
    let nanoseconds = |(ours, theirs): &(f64, f64)| (ours * 1_000.0, theirs * 1_000.0);
    let rounds: Vec<_> = rounds.iter().map(nanoseconds).collect();
    ratio::pair("read and verified : HMAC", &rounds, "ns", Bound::None);
}

/// Requests with one of so many keys; returns the time of a request with a known key.
async fn requests(count: usize) -> f64 {
    let (tenancy, keys) = world(count, count * 2).await;
    let (forgetful, their_keys) = world(count, 1).await;
    let request = |keys: &[IssuedKey], random: usize| {
        FakeRequest::new("/notes").bearer(keys.get(random % keys.len()).unwrap().expose())
    };
    for key in &keys {
        let known = FakeRequest::new("/notes").bearer(key.expose());
        admit(&tenancy, &known, RouteNeeds::tenant()).await;
    }
    let at_once = |request: &FakeRequest, needs| match tenancy.admit(request, needs) {
        Admission::Ready(Ok(admitted)) => drop(black_box(admitted)),
        other => unreachable!("the key is known: {other:?}"),
    };
    let verified = ratio::nanoseconds_each(
        |random| request(&keys, random),
        |request| at_once(request, RouteNeeds::central()),
    );
    let name = format!("{count} keys: a request is read, its known key verified");
    ratio::figure(&name, verified, "ns", Bound::None);
    let admitted = ratio::nanoseconds_each(
        |random| request(&keys, random),
        |request| at_once(request, RouteNeeds::tenant()),
    );
    let name = format!("{count} keys: and admitted to its tenant");
    ratio::figure(&name, admitted, "ns", Bound::AtMost(1_000.0));

    // Nothing fits into this engine's caches, so that each key is looked up.
    let mut turn = 0_usize;
    let rounds = ratio::by_turns(
        200,
        async || {
            turn = turn.wrapping_add(7919);
            let request = request(&their_keys, turn);
            admit(&forgetful, &request, RouteNeeds::central()).await;
        },
        async || drop(black_box(request(&their_keys, 7))),
    )
    .await;
    let name = format!("{count} keys: looked up in memory : making the request");
    ratio::pair(&name, &rounds, "µs", Bound::None);
    verified
}

async fn admit(tenancy: &Tenancy, request: &FakeRequest, needs: RouteNeeds) {
    match tenancy.admit(request, needs) {
        Admission::Ready(admitted) => drop(black_box(admitted.unwrap())),
        Admission::Pending(pending) => drop(black_box(pending.resolve().await.unwrap())),
    }
}

fn format() -> KeyFormat {
    KeyFormat::new("notes", Environment::Live).unwrap()
}

/// An engine over memory whose caches hold so much, with so many keys of ten tenants.
async fn world(keys: usize, cached: usize) -> (Tenancy, Vec<IssuedKey>) {
    let directory = MemoryDirectory::new();
    let tenancy = Tenancy::builder(directory.clone())
        .keys(ApiKeys::new(format(), hasher(), directory.clone()))
        .permissions(notes::permissions().unwrap())
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
