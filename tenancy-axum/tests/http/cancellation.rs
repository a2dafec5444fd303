//! Requests that are given up while they are being decided.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use tenancy_axum::TenancyLayer;
use tower::{Layer as _, Service, ServiceExt as _, limit::ConcurrencyLimit};

use crate::support::{World, get, token};

#[derive(Debug, Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Service<Request<()>> for Counting {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        self.0.fetch_add(1, Ordering::Relaxed);
        ready(Ok(Response::new("served".to_owned())))
    }
}

#[tokio::test]
async fn a_request_dropped_at_any_poll_reaches_nothing_and_holds_nothing() {
    let world = World::new().await;
    let counting = Counting::default();
    let limited = ConcurrencyLimit::new(counting.clone(), 1);
    let mut service = TenancyLayer::new(&world.tenancy).layer(limited);
    let ask = || {
        get("/")
            .tenant("acme")
            .bearer(&token(world.member))
            .build::<()>()
    };

    world.directory.close();
    for polls in 0..4 {
        let mut waiting = Box::pin(service.ready().await.unwrap().call(ask()));
        for _ in 0..polls {
            let mut context = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
        }
        // Dropped here; if its place were not given back, the next `ready` would not return.
    }
    assert_eq!(counting.0.load(Ordering::Relaxed), 0);
    assert!(world.audit.entries().is_empty());

    world.directory.open();
    let response = service.ready().await.unwrap().call(ask()).await.unwrap();
    assert_eq!(response.body(), "served");
    assert_eq!(counting.0.load(Ordering::Relaxed), 1);
}
