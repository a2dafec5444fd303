//! The layer on services that are not axum's, and the rules of tower about readiness.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use http::{Method, Request, Response, StatusCode};
use tenancy_axum::{AdmissionDecision, RequirePermission, TenancyLayer};
use tower::{Layer as _, Service, ServiceExt as _};

use crate::support::{World, get, token};

/// A body of the application's own.
#[derive(Debug, Default, PartialEq)]
struct Text(String);

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Answers with the tenant, and only where it has been asked for readiness: a clone has not.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
    served: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            served: Arc::clone(&self.served),
        }
    }
}

impl Service<Request<Vec<u8>>> for Strict {
    type Response = Response<Text>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Text>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Vec<u8>>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without having been ready"
        );
        self.served.fetch_add(1, Ordering::Relaxed);
        let decision = request.extensions().get::<AdmissionDecision>();
        let context = decision.and_then(AdmissionDecision::context);
        let slug = context.map_or(String::new(), |context| context.record().slug.to_string());
        ready(Ok(Response::new(Text(slug))))
    }
}

#[tokio::test]
async fn any_body_that_is_made_from_a_string_will_do() {
    let world = World::new().await;
    let mut service = TenancyLayer::new(&world.tenancy).layer(Strict::default());
    let request = get("/").tenant("acme").bearer(&token(world.member)).build();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(response.into_body(), Text("acme".into()));

    let refused = service
        .ready()
        .await
        .unwrap()
        .call(get("/").build())
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let Text(body) = refused.into_body();
    assert!(body.starts_with('{'));
    let length = body.len().to_string();

    let headed = get("/").method(Method::HEAD).build();
    let headed = service.ready().await.unwrap().call(headed).await.unwrap();
    assert_eq!(headed.headers()["content-length"], *length);
    assert_eq!(headed.into_body(), Text(String::new()));
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let world = World::new().await;
    let guard = RequirePermission::new(&world.tenancy, "notes:read").unwrap();
    let mut service = TenancyLayer::new(&world.tenancy).layer(guard.layer(Strict::default()));
    let ask = || get("/").tenant("acme").bearer(&token(world.member)).build();
    // The first is decided by a future, the second from memory, the third after a refusal.
    for _ in 0..2 {
        let response = service.ready().await.unwrap().call(ask()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    let refused = service
        .ready()
        .await
        .unwrap()
        .call(get("/").build())
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let response = service.ready().await.unwrap().call(ask()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_layers_around_it_call_the_service_that_was_ready() {
    use tenancy_axum::{SecurityHeadersLayer, TenancyCors};
    use tenancy_core::{CorsPolicy, Identification, SecurityHeaders};

    let rules = Identification::new().header("x-tenant").custom_domains();
    let world = World::with(|builder| builder.identification(rules).cors(CorsPolicy::new())).await;
    let domain = "notes.acme.test".parse().unwrap();
    let admin = world.tenancy.admin(tenancy_core::testing::service());
    admin.bind_domain(world.acme.id, &domain).await.unwrap();
    let strict = Strict::default();
    let served = Arc::clone(&strict.served);
    let cors = TenancyCors::new(&world.tenancy).unwrap().layer(strict);
    let headers = SecurityHeaders::builder(&world.tenancy).build().unwrap();
    let mut service = SecurityHeadersLayer::new(headers).layer(cors);
    let page = || get("/").header("origin", "https://notes.acme.test");
    let preflight = || {
        let asking = page().method(Method::OPTIONS);
        asking.header("access-control-request-method", "GET")
    };
    // The first waits for the directory; then allowed, refused, no page, and a page's OPTIONS.
    let wanted = [
        (page(), 1),
        (page(), 2),
        (preflight(), 2),
        (get("/").header("origin", "null"), 3),
        (get("/"), 4),
        (page().method(Method::OPTIONS), 5),
    ];
    for (request, count) in wanted {
        let ready = service.ready().await.unwrap();
        let response = ready.call(request.build()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(served.load(Ordering::Relaxed), count);
    }
    // What is dropped while it waits has not reached the service.
    world.directory.close();
    let other = get("/").header("origin", "https://other.test").build();
    let mut waiting = by_hand(service.ready().await.unwrap().call(other));
    assert!(waiting.poll().is_pending());
    drop(waiting);
    assert_eq!(served.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn requests_that_wait_for_the_directory_hold_their_place_in_a_limited_service() {
    let world = World::new().await;
    world.warm().await;
    let served = Arc::new(AtomicUsize::new(0));
    let strict = Strict {
        ready: false,
        served: Arc::clone(&served),
    };
    let limited = tower::limit::ConcurrencyLimit::new(strict, 1);
    let mut service = TenancyLayer::new(&world.tenancy).layer(limited);
    let ask = |tenant| get("/").tenant(tenant).bearer(&token(world.member)).build();

    world.directory.close();
    let mut waiting = by_hand(service.ready().await.unwrap().call(ask("globex")));
    assert!(waiting.poll().is_pending());
    // The one place is taken, by a request that has not reached the inner service yet.
    assert!(poll_once(service.ready()).await.is_pending());
    assert_eq!(served.load(Ordering::Relaxed), 0);

    world.directory.open();
    let response = waiting.finish().await.unwrap();
    assert_eq!(response.into_body(), Text("globex".into()));
    let response = service
        .ready()
        .await
        .unwrap()
        .call(ask("acme"))
        .await
        .unwrap();
    assert_eq!(response.into_body(), Text("acme".into()));
}

/// A future that is polled by hand first.
struct Task<F>(std::pin::Pin<Box<F>>);

fn by_hand<F: Future>(future: F) -> Task<F> {
    Task(Box::pin(future))
}

impl<F: Future> Task<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        self.0
            .as_mut()
            .poll(&mut Context::from_waker(std::task::Waker::noop()))
    }

    async fn finish(self) -> F::Output {
        self.0.await
    }
}

async fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    by_hand(future).poll()
}
