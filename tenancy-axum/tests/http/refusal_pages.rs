//! Refusals as pages.

use axum::{
    Router,
    body::Body,
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use http::{HeaderValue, Request, StatusCode};
use tenancy_axum::{Error, Principal, RefusalPages, RequirePermission, TenancyLayer};
use tenancy_core::{Refusal, RefusalKind};
use tower::ServiceExt as _;

use crate::refusal_pages_cases::{
    Ask, Browser, Got, World, established, page, specify_refusal_pages,
};

struct Axum(Router);

async fn missing() -> Error {
    Refusal::new(RefusalKind::NotFound, "no-such-note").into()
}

async fn establish(mut request: Request<Body>, next: Next) -> Response {
    let field = request.headers().get("x-signed-in");
    if let Some(principal) = established(field.map(HeaderValue::as_bytes)) {
        request.extensions_mut().insert(principal);
    }
    next.run(request).await
}

impl Browser for Axum {
    async fn new(world: &World, whole: bool) -> Self {
        let reading = RequirePermission::new(&world.tenancy, "notes:read").unwrap();
        let notes = get(async || "notes").post(async || "notes");
        let covered = Router::new()
            .route("/notes", notes.layer(reading))
            .route("/missing", get(missing))
            .route("/own", get(async || (StatusCode::UNAUTHORIZED, "own")))
            .layer(TenancyLayer::new(&world.tenancy));
        let login = Router::new()
            .route("/login", get(async |_: Principal| "login"))
            .layer(TenancyLayer::new(&world.tenancy).central());
        let pages = match whole {
            true => RefusalPages::new().sign_in("/login").unwrap().page(page),
            false => RefusalPages::new(),
        };
        // Nested, so that the router inside sees a shorter target than the browser sent.
        let app = Router::new()
            .nest("/o/{tenant}", covered)
            .merge(login)
            .fallback_service(
                Router::new()
                    .route("/{*all}", get(async || "fallback"))
                    .layer(TenancyLayer::new(&world.tenancy)),
            );
        Self(app.layer(from_fn(establish)).layer(pages))
    }

    async fn send(&self, ask: Ask) -> Got {
        let mut request = Request::builder().method(ask.method).uri(ask.target);
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
            refused: parts.extensions.get::<Refusal>().is_some(),
        }
    }
}

specify_refusal_pages!(tokio::test, Axum);
