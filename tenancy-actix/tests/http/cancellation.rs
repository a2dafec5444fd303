//! Requests that are given up while they are being decided.

use std::{
    pin::pin,
    sync::atomic::Ordering,
    task::{Context, Waker},
};

use actix_web::dev::{Service as _, Transform as _};
use tenancy_actix::TenancyMiddleware;

use crate::support::{Counting, World};

#[actix_web::test]
async fn a_request_dropped_at_any_poll_reaches_nothing() {
    let world = World::new().await;
    let counting = Counting::default();
    let middleware = TenancyMiddleware::new(&world.tenancy);
    let service = middleware.new_transform(counting.clone()).await.unwrap();
    let ask = || world.request("acme", "/notes").to_srv_request();

    world.directory.close();
    for polls in 0..4 {
        let mut waiting = pin!(service.call(ask()));
        for _ in 0..polls {
            let mut context = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
        }
    }
    assert_eq!(counting.0.load(Ordering::Relaxed), 0);

    world.directory.open();
    assert_eq!(service.call(ask()).await.unwrap().status(), 200);
    assert_eq!(counting.0.load(Ordering::Relaxed), 1);
}
