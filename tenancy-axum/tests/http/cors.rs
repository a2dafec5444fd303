//! Pages of other origins, and the header fields of responses.

use std::sync::atomic::Ordering;

use axum::{
    Json, Router,
    body::Body,
    middleware::{Next, from_fn},
    response::{AppendHeaders, IntoResponse},
    routing::{get, post},
};
use http::{HeaderValue, Request};
use serde_json::Value;
use tenancy_axum::{Error, SecurityHeadersLayer, TenancyCors, TenancyLayer};
use tower::ServiceExt as _;

use crate::{
    pages::{Ask, Client, Got, OPEN, World, specify},
    support::{self, slug},
};

struct Axum(Router);

async fn own() -> impl IntoResponse {
    AppendHeaders([
        ("vary", "accept-language"),
        ("vary", "accept-encoding"),
        ("cache-control", "max-age=60"),
    ])
}

async fn fails() -> Result<(), Error> {
    Err(Error::internal("as it should"))
}

async fn open() -> impl IntoResponse {
    AppendHeaders(OPEN)
}

async fn streams() -> Body {
    let chunks = ["first ", "second"].map(Ok::<_, std::convert::Infallible>);
    Body::from_stream(futures_util::stream::iter(chunks))
}

impl Client for Axum {
    async fn new(world: &World) -> Self {
        let passed = world.passed.clone();
        let count = move |request: Request<Body>, next: Next| {
            passed.fetch_add(1, Ordering::Relaxed);
            next.run(request)
        };
        let app = Router::new()
            .route("/notes", get(slug).post(slug).options(slug))
            .route("/own", get(own))
            .route("/json", post(async |Json(body): Json<Value>| Json(body)))
            .route("/streams", get(streams))
            .route("/fails", get(fails))
            .layer(TenancyLayer::new(&world.tenancy))
            .route("/open", get(open))
            .layer(from_fn(count))
            .layer(TenancyCors::new(&world.tenancy).unwrap());
        let app = match &world.around {
            Some(engine) => app.layer(TenancyCors::new(engine).unwrap()),
            None => app,
        };
        Self(match world.secured.clone() {
            Some(headers) => app.layer(SecurityHeadersLayer::new(headers)),
            None => app,
        })
    }

    async fn send(&self, ask: Ask) -> Got {
        let mut request = Request::builder().method(ask.method).uri(ask.path);
        for (name, value) in ask.fields {
            request = request.header(name, value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.0.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let fields = parts.headers.iter();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Got {
            status: parts.status.as_u16(),
            fields: fields
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

specify!(tokio::test, Axum);

#[tokio::test]
async fn without_a_policy_there_is_no_layer() {
    let world = support::World::new().await;
    let error = TenancyCors::new(&world.tenancy).unwrap_err();
    assert!(
        error.to_string().contains("TenancyBuilder::cors"),
        "{error}"
    );
}

#[tokio::test]
async fn an_error_of_the_inner_service_stays_one() {
    let world = World::secured().await;
    let failing =
        tower::service_fn(async |_: Request<()>| Err::<http::Response<String>, _>("down"));
    let service = tower::ServiceBuilder::new()
        .layer(SecurityHeadersLayer::new(world.secured.clone().unwrap()))
        .layer(TenancyCors::new(&world.tenancy).unwrap())
        .service(failing);
    for origin in [None, Some("https://app.notes.test")] {
        let mut request = Request::new(());
        if let Some(origin) = origin {
            request
                .headers_mut()
                .insert("origin", origin.parse().unwrap());
        }
        assert_eq!(service.clone().oneshot(request).await.unwrap_err(), "down");
    }
}
