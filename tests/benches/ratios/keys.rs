//! API keys, with 10 and with 100,000 of them, beside a bare HMAC-SHA-256.

use std::{hint::black_box, sync::Arc};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tenancy_core::{
    Admission, RouteNeeds, SystemClock, Tenancy,
    key::{IssuedKey, KeyHasher as _, KeyMatch, KeyVerifier},
    testing::FakeRequest,
};

use crate::{
    key_world::{PEPPER, format, hasher, world},
    ratio::{self, Bound},
};

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

/// Reading and verifying one key, without anything around it.
async fn alone() {
    let (_, keys) = world(1, 10, Arc::new(SystemClock)).await;
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
    let (tenancy, keys) = world(count, count * 2, Arc::new(SystemClock)).await;
    let (forgetful, their_keys) = world(count, 1, Arc::new(SystemClock)).await;
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
