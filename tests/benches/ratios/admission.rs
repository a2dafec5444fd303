//! Admission from memory, with 10 and with 100,000 tenants.

use std::{hint::black_box, sync::Arc};

use tenancy_core::{
    Admission, Admitted, Authenticator as _, Charging, Cost, Credential, RouteNeeds, SystemClock,
    Verdict,
};
use tenancy_tests::notes;

use crate::{
    ratio::{self, Bound},
    world::{METER, World},
};

pub(crate) async fn run() {
    ratio::heading("Warm admission: host + token + membership + permission, from memory");
    let few = admission(10).await;
    let many = admission(if ratio::hurries() { 1_000 } else { 100_000 }).await;
    ratio::figure(
        "100,000 tenants : 10 tenants",
        many / few,
        "x",
        Bound::AtMost(4.0),
    );

    ratio::heading("Parts");
    let world = World::new(1, Arc::new(SystemClock)).await;
    let requests = world.warm_requests().await;
    let context = admit(&world, requests.first().unwrap());
    let permission = world.tenancy.permissions().id("notes:write").unwrap();
    let check = ratio::nanoseconds(|| {
        black_box(black_box(&context).allows(black_box(permission)));
    });
    ratio::figure("permission check", check, "ns", Bound::AtMost(5.0));

    let tokens = notes::authenticator().unwrap();
    let user = world.tenants.first().unwrap().1;
    let text = notes::token(user).unwrap();
    let now = world.tenancy.clock().now();
    let verify = || match tokens.probe(Credential::new(black_box(&text)), now) {
        Verdict::Verified(principal) => drop(black_box(principal)),
        other => unreachable!("{other:?}"),
    };
    ratio::figure(
        "verified token, cache hit",
        ratio::nanoseconds(verify),
        "ns",
        Bound::AtMost(500.0),
    );
}

/// Measures admission over so many tenants, and prints time and allocations.
async fn admission(tenants: usize) -> f64 {
    let world = World::new(tenants, Arc::new(SystemClock)).await;
    let requests = world.warm_requests().await;
    let time = ratio::nanoseconds_each(
        // What has just arrived is in the processor's caches; what is known of the tenant is not.
        |random| requests.get(random % requests.len()).unwrap().clone(),
        |request| drop(black_box(admit(&world, request))),
    );
    ratio::figure(
        &format!("{tenants} tenants, p50"),
        time,
        "ns",
        Bound::AtMost(1_000.0),
    );
    // With a limit: one of each tenant, which a request costs one of.
    let costs = [Cost::new(METER, 1)];
    for request in &requests {
        charge(&world, request, &costs);
    }
    let charged = ratio::nanoseconds_each(
        |random| requests.get(random % requests.len()).unwrap().clone(),
        |request| charge(&world, request, &costs),
    );
    ratio::figure(
        &format!("{tenants} tenants, p50, with one limit"),
        charged,
        "ns",
        Bound::AtMost(1_000.0),
    );
    let request = requests.first().unwrap();
    let counted = allocation_counter::measure(|| drop(black_box(admit(&world, request))));
    let allocations = counted.count_total as f64;
    ratio::figure(
        &format!("{tenants} tenants"),
        allocations,
        "allocs",
        Bound::AtMost(4.0),
    );
    let counted = allocation_counter::measure(|| charge(&world, request, &costs));
    ratio::figure(
        &format!("{tenants} tenants, with one limit"),
        counted.count_total as f64,
        "allocs",
        Bound::AtMost(4.0),
    );
    time
}

/// Admits a request and takes what it costs.
fn charge(world: &World, request: &tenancy_core::testing::FakeRequest, costs: &[Cost]) {
    let admitted = Admitted::Tenant(admit(world, request));
    match world.tenancy.charge(&admitted, costs, request) {
        Charging::Ready(Ok(charge)) => drop(black_box(charge)),
        other => unreachable!("nobody meets the limit: {other:?}"),
    }
}

fn admit(
    world: &World,
    request: &tenancy_core::testing::FakeRequest,
) -> tenancy_core::TenantContext {
    match world.tenancy.admit(request, RouteNeeds::tenant()) {
        Admission::Ready(Ok(Admitted::Tenant(context))) => context,
        other => unreachable!("the caches are warm: {other:?}"),
    }
}
