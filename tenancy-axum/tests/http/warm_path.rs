//! What the layer costs a request whose tenant and caller are known.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use tenancy_axum::{RequirePermission, TenancyLayer};
use tower::{Layer as _, Service};

use crate::support::{World, get, token};

#[derive(Debug, Clone)]
struct Nothing;

impl Service<Request<String>> for Nothing {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        ready(Ok(Response::new(String::new())))
    }
}

/// The allocations of one answered request.
fn allocations<S>(service: &mut S, request: Request<String>) -> u64
where
    S: Service<Request<String>, Response = Response<String>, Error = Infallible>,
{
    let measured = allocation_counter::measure(|| {
        let mut answer = std::pin::pin!(service.call(request));
        let polled = answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(response)) if response.status() == 200));
    });
    measured.count_total
}

#[tokio::test]
async fn a_known_caller_costs_four_allocations_and_no_waiting() {
    let world = World::new().await;
    world.warm().await;
    // A server has always put something into the extensions already.
    let ask = || {
        get("/")
            .tenant("acme")
            .bearer(&token(world.member))
            .extension("the server's own")
            .build()
    };
    let layer = TenancyLayer::new(&world.tenancy);
    let guard = RequirePermission::new(&world.tenancy, "notes:read").unwrap();
    let mut bare = Nothing;
    let mut layered = layer.layer(Nothing);
    let mut guarded = layer.layer(guard.layer(Nothing));
    let mut twice = layer.layer(layer.layer(Nothing));
    let _ = allocations(&mut layered, ask());

    let without = allocations(&mut bare, ask());
    let with = allocations(&mut layered, ask());
    assert!(with - without <= 4, "{} allocations", with - without);
    assert_eq!(
        allocations(&mut guarded, ask()),
        with,
        "a guard allocates nothing"
    );
    assert_eq!(
        allocations(&mut twice, ask()),
        with,
        "a second layer allocates nothing"
    );
}
