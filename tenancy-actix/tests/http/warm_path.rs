//! What the middleware costs a request whose tenant and caller are known.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform as _},
};
use tenancy_actix::{RequirePermission, TenancyMiddleware};

use crate::support::{Counting, World};

/// The allocations of one answered request.
fn allocations<B, S>(service: &S, request: ServiceRequest) -> u64
where
    B: MessageBody,
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    let mut answer = None;
    let measured = allocation_counter::measure(|| {
        let mut answering = pin!(service.call(request));
        let polled = answering
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(response)) = polled else {
            panic!("not answered at once")
        };
        answer = Some(response);
    });
    assert_eq!(answer.map(|response| response.status().as_u16()), Some(200));
    measured.count_total
}

#[actix_web::test]
async fn a_known_caller_costs_four_allocations_and_no_waiting() {
    let world = World::new().await;
    // A server has always put something into the extensions already.
    let ask = || {
        let request = world.request("acme", "/notes").to_srv_request();
        request.extensions_mut().insert("the server's own");
        request
    };
    let tenancy = TenancyMiddleware::new(&world.tenancy);
    let guard = RequirePermission::new(&world.tenancy, "notes:read").unwrap();
    let bare = Counting::default();
    let layered = tenancy.new_transform(bare.clone()).await.unwrap();
    let guarded = guard.new_transform(bare.clone()).await.unwrap();
    let guarded = tenancy.new_transform(guarded).await.unwrap();
    let twice = tenancy.new_transform(bare.clone()).await.unwrap();
    let twice = tenancy.new_transform(twice).await.unwrap();
    // The first fills the caches, the second is remembered whole.
    for _ in 0..2 {
        assert_eq!(layered.call(ask()).await.unwrap().status(), 200);
    }

    let without = allocations(&bare, ask());
    let with = allocations(&layered, ask());
    assert!(with - without <= 4, "{} allocations", with - without);
    assert_eq!(
        allocations(&guarded, ask()),
        with,
        "a guard allocates nothing"
    );
    assert_eq!(
        allocations(&twice, ask()),
        with,
        "a second middleware allocates nothing"
    );
}
