//! What callers can make a process keep, in bytes as the allocator counts them.

use std::{fmt, sync::Arc, time::Duration};

use allocation_counter::measure;
use serde_json::{Value, json};
use tenancy_core::{
    Actor, AllowedTenants, Authenticator, Clock as _, Credential, LookupError, Membership,
    Principal, SystemRole, TenantRecord, TenantStatus, Timestamp, UserId, Verdict, async_trait,
    jwt::{JwtAuthenticator, JwtIssuers},
    testing::FakeRequest,
    testing::StoreDirectly as _,
};
use tokio::runtime::Runtime;

use crate::support::{ISSUER, World, key, sign_one_of_many};

const HOST: &str = "acme.notes.example";
const MIB: i64 = 1 << 20;

fn is_long() -> bool {
    std::env::var("TENANCY_LONG").is_ok_and(|value| value == "1")
}

/// Everything on this thread, whose allocations are counted.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn claims(w: &World, issuer: &str, number: usize) -> Value {
    let now = w.clock.now().as_unix_seconds();
    json!({
        "iss": issuer, "aud": "notes", "sub": w.alice.to_string(), "exp": now + 3600, "iat": now,
        "jti": format!("token {number}"),
    })
}

fn with_token(token: &str) -> FakeRequest {
    FakeRequest::new("/notes")
        .header("host", HOST)
        .bearer(token)
}

/// Admits a request; the bytes that are kept afterwards and were not before.
fn kept_by(runtime: &Runtime, w: &World, request: &FakeRequest) -> i64 {
    let admit = || drop(runtime.block_on(w.admit(request)).unwrap());
    measure(admit).bytes_current
}

/// M1: a claim that is small in a token and large once it is parsed.
#[test]
fn tokens_made_to_be_large_once_parsed_are_kept_within_a_budget() {
    const SSO: &str = "https://sso.acme.example";
    let runtime = runtime();
    let issuers = JwtIssuers::new();
    let w = runtime.block_on(World::with(|b| b.authenticator(issuers.clone())));
    let sso = JwtAuthenticator::builder(SSO, "notes")
        .key(key())
        .bound_to(w.acme.id)
        .build()
        .unwrap();
    issuers.add(sso).unwrap();
    let padding: Vec<Value> = (0..790).map(|_| json!({ "": 0 })).collect();
    let tokens = if is_long() { 100_000 } else { 4_000 };
    let mut kept = 0;
    for number in 0..tokens {
        let mut claims = claims(&w, SSO, number);
        claims["f"] = padding.clone().into();
        let token = sign_one_of_many(&claims);
        assert!((7_500..8_192).contains(&token.len()), "{}", token.len());
        kept += kept_by(&runtime, &w, &with_token(&token));
    }
    println!("{tokens} tokens of 7.9 KB: {} KiB kept", kept / 1024);
    assert!(kept < 64 * MIB, "{kept} bytes are kept");
}

/// M2: what has expired is let go of under the traffic that comes later, and not only as new tokens
/// push it out.
#[test]
fn tokens_that_have_expired_are_freed() {
    let runtime = runtime();
    let w = runtime.block_on(World::new());
    let tokens = if is_long() { 60_000 } else { 6_000 };
    let groups: Vec<String> = (0..30).map(|n| format!("a group of users, {n}")).collect();
    let mut kept = 0;
    for number in 0..tokens {
        let mut claims = claims(&w, ISSUER, number);
        claims["groups"] = groups.clone().into();
        let token = sign_one_of_many(&claims);
        kept += kept_by(&runtime, &w, &with_token(&token));
    }
    println!("{tokens} tokens of 1.4 KB: {} KiB kept", kept / 1024);
    assert!(kept < 64 * MIB, "{kept} bytes are kept");
    let full = kept;
    assert!(full > 4 * MIB, "{full} bytes: nothing is remembered");

    w.clock.advance(Duration::from_secs(2 * 3600));
    let others = with_token(&w.token(w.alice, json!({})));
    for _ in 0..1_000 {
        kept += kept_by(&runtime, &w, &others);
        w.clock.advance(Duration::from_secs(1));
    }
    println!("after they have expired: {} KiB kept", kept / 1024);
    // The tables stay as large as they were, and are empty.
    assert!(kept < full / 4, "{kept} of {full} bytes are still kept");
}

/// Makes a new principal of each request, as code that a team writes for itself does.
struct Anew(UserId);

#[async_trait]
impl Authenticator for Anew {
    fn probe(&self, _: Credential<'_>, now: Timestamp) -> Verdict {
        let mut principal =
            Principal::new(Actor::User(self.0), AllowedTenants::Memberships, "anew");
        principal.issued_at = Some(now);
        Verdict::Verified(Arc::new(principal))
    }

    async fn verify(&self, _: Credential<'_>, _: Timestamp) -> Result<Verdict, LookupError> {
        unreachable!("the probe tells")
    }
}

impl fmt::Debug for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anew")
    }
}

/// M3: what is remembered is found by who a principal is, not by where it lies in memory.
#[test]
fn an_admission_is_remembered_for_a_principal_that_is_made_anew() {
    let runtime = runtime();
    let alice = UserId::new();
    let w = runtime.block_on(World::with(|b| {
        // Nothing but the admission itself can answer: the other caches hold one entry each.
        b.authenticator(Anew(alice)).directory_cache_bytes(0)
    }));
    let admin = w.tenancy.admin(tenancy_core::testing::service());
    for tenant in [w.acme.id, w.globex.id] {
        let viewer = tenancy_core::SystemRole::Viewer.name();
        let member = tenancy_core::Membership::new(tenant, alice, viewer);
        runtime.block_on(admin.put_membership(&member)).unwrap();
    }
    let at = |host: &str| FakeRequest::new("/").header("host", host).bearer("x");
    let requests = [at(HOST), at("globex.notes.example")];
    let admit = |request: &FakeRequest| runtime.block_on(w.admit(request)).unwrap();
    for request in &requests {
        // The first loads, and the second is decided from what was loaded.
        (0..3).for_each(|_| drop(admit(request)));
    }
    let asked = w.directory.questions();
    for _ in 0..10 {
        let contexts = requests.each_ref().map(admit);
        let tenants = contexts.map(|context| context.tenant_id());
        assert_eq!(tenants, [w.acme.id, w.globex.id]);
    }
    assert_eq!(w.directory.questions(), asked);
    let mut kept = 0;
    for _ in 0..5_000 {
        kept += kept_by(&runtime, &w, &requests[0]);
    }
    assert!(kept < MIB / 8, "{kept} bytes are kept");
}

/// M3: a token that is verified again adds nothing to what is remembered.
#[test]
fn tokens_that_the_cache_has_no_room_for_add_no_admissions() {
    let runtime = runtime();
    let small = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .cache_bytes(64 << 10)
        .build()
        .unwrap();
    let w = runtime.block_on(World::with(|b| b.authenticator(small)));
    let tokens: Vec<String> = (0..1_000)
        .map(|number| sign_one_of_many(&claims(&w, ISSUER, number)))
        .collect();
    let pass = || -> i64 {
        let kept = tokens
            .iter()
            .map(|token| kept_by(&runtime, &w, &with_token(token)));
        kept.sum()
    };
    let first = pass();
    let later: i64 = (0..5).map(|_| pass()).sum();
    assert!(first < MIB, "{first} bytes are kept");
    assert!(later < MIB / 16, "{later} bytes more are kept");
}

/// Two tokens of one user share what is remembered, and each request still sees its own.
#[test]
fn the_claims_of_a_context_are_those_of_its_own_request() {
    let runtime = runtime();
    let w = runtime.block_on(World::new());
    let token = |device: &str| w.token(w.alice, json!({ "device": device }));
    let requests = ["phone", "desk"].map(|device| (device, with_token(&token(device))));
    for _ in 0..4 {
        for (device, request) in &requests {
            let context = runtime.block_on(w.admit(request)).unwrap();
            let claims = context.principal().claims.to_value();
            assert_eq!(claims["device"], *device);
            assert_eq!(claims["aud"], "notes");
        }
    }
}

/// What a directory says is kept by its size: a large record takes the room of many.
#[test]
fn large_records_are_kept_within_a_budget() {
    const BUDGET: i64 = 2 * MIB;
    let runtime = runtime();
    let alice = UserId::new();
    let kept = |size: usize| {
        let w = runtime.block_on(World::with(|b| {
            b.authenticator(Anew(alice))
                .directory_cache_bytes(BUDGET as usize)
                .admission_cache_bytes(0)
        }));
        let name = "x".repeat(size);
        let mut kept = 0;
        for number in 0..400 {
            let slug = format!("tenant-{number}").parse().unwrap();
            let tenant = TenantRecord::new(slug, &*name).with_status(TenantStatus::Active);
            let viewer = Membership::new(tenant.id, alice, SystemRole::Viewer.name());
            let stored = w.directory.directory();
            runtime.block_on(stored.create_tenant(&tenant)).unwrap();
            runtime.block_on(stored.put_membership(&viewer)).unwrap();
            let host = format!("tenant-{number}.notes.example");
            let request = FakeRequest::new("/").header("host", host).bearer("x");
            // Twice: what the first allocates for the runtime is not counted.
            kept += kept_by(&runtime, &w, &request);
            kept += kept_by(&runtime, &w, &request);
        }
        kept
    };
    let (small, large) = (kept(10), kept(20_000));
    println!(
        "400 tenants: {} KiB, with long names {} KiB",
        small / 1024,
        large / 1024
    );
    assert!(
        large < 2 * BUDGET,
        "{large} bytes are kept of a budget of {BUDGET}"
    );
    assert!(large > 2 * small, "nothing is kept: {large}");
}

/// Takes what stands in the credential for the id of a user.
#[derive(Debug)]
struct ByName;

#[async_trait]
impl Authenticator for ByName {
    fn probe(&self, credential: Credential<'_>, now: Timestamp) -> Verdict {
        let Ok(user) = credential.expose().parse::<UserId>() else {
            return Verdict::NotMine;
        };
        let mut principal =
            Principal::new(Actor::User(user), AllowedTenants::Memberships, "by name");
        principal.issued_at = Some(now);
        Verdict::Verified(Arc::new(principal))
    }

    async fn verify(&self, _: Credential<'_>, _: Timestamp) -> Result<Verdict, LookupError> {
        Ok(Verdict::NotMine)
    }
}

/// The members of one tenant share its record, however large it is: each admission that is remembered must
/// not keep a copy of its own, which no budget counts.
#[test]
fn members_of_one_tenant_share_its_record() {
    const MEMBERS: usize = 1_000;
    let runtime = runtime();
    let kept = |size: usize| {
        let w = runtime.block_on(World::with(|b| b.authenticator(ByName)));
        let slug = "large".parse().unwrap();
        let tenant = TenantRecord::new(slug, "x".repeat(size)).with_status(TenantStatus::Active);
        let stored = w.directory.directory();
        runtime.block_on(stored.create_tenant(&tenant)).unwrap();
        let users: Vec<_> = (0..MEMBERS).map(|_| UserId::new()).collect();
        for user in &users {
            let viewer = Membership::new(tenant.id, *user, SystemRole::Viewer.name());
            runtime.block_on(stored.put_membership(&viewer)).unwrap();
        }
        let mut kept = 0;
        for user in &users {
            let request = FakeRequest::new("/")
                .header("host", "large.notes.example")
                .bearer(&user.to_string());
            kept += kept_by(&runtime, &w, &request);
        }
        kept
    };
    let (small, large) = (kept(10), kept(100_000));
    println!(
        "1,000 members of a tenant: {} KiB, of one with a record of 100 KB {} KiB",
        small / 1024,
        large / 1024
    );
    assert!(
        large - small < 8 * MIB,
        "{large} bytes are kept for one record of 100 KB, {small} for one of 10 bytes"
    );
}
