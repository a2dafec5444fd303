//! Pages of other origins, and the header fields of responses.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../../tenancy-http/tests/pages/mod.rs"]
mod pages;

use std::{convert::Infallible, pin::Pin, sync::atomic::Ordering};

use actix_web::{
    App, HttpResponse,
    body::{MessageBody, to_bytes},
    dev::{Service, ServiceResponse},
    error::ErrorImATeapot,
    http::{Method, header::HeaderValue},
    middleware::Identity,
    test, web,
    web::Bytes,
};
use pages::{Ask, Client, Got, OPEN, World, ask, specify};
use serde_json::Value;
use tenancy_actix::{Error, SecurityHeadersMiddleware, TenancyCors, TenancyMiddleware, Tenant};
use tenancy_core::{
    Identification, MemoryDirectory, Tenancy,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
};

type Outcome<B> = Result<ServiceResponse<B>, actix_web::Error>;
type Sending = Pin<Box<dyn Future<Output = Got>>>;

struct Actix(Box<dyn Fn(Ask) -> Sending>);

async fn slug(tenant: Tenant) -> String {
    tenant.record().slug.to_string()
}

async fn own() -> HttpResponse {
    HttpResponse::Ok()
        .append_header(("vary", "accept-language"))
        .append_header(("vary", "accept-encoding"))
        .append_header(("cache-control", "max-age=60"))
        .finish()
}

async fn fails() -> Result<&'static str, Error> {
    Err(Error::internal("as it should"))
}

async fn open() -> HttpResponse {
    let mut response = HttpResponse::Ok();
    for field in OPEN {
        response.append_header(field);
    }
    response.finish()
}

async fn streams() -> HttpResponse {
    let chunks =
        ["first ", "second"].map(|chunk| Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes())));
    HttpResponse::Ok().streaming(futures_util::stream::iter(chunks))
}

/// The service, inside this middleware.
macro_rules! client {
    ($world:ident, $outermost:expr) => {{
        let passed = $world.passed.clone();
        let covered = web::scope("")
            .service(
                web::resource("/notes")
                    .route(web::get().to(slug))
                    .route(web::head().to(slug))
                    .route(web::post().to(slug))
                    .route(web::route().method(Method::OPTIONS).to(slug)),
            )
            .route("/json", web::post().to(async |body: web::Json<Value>| body))
            .route("/own", web::get().to(own))
            .route("/streams", web::get().to(streams))
            .route("/fails", web::get().to(fails))
            .route("/brews", web::get().to(async || "no coffee"))
            .wrap_fn(|request, next| {
                // A middleware that fails, where a handler's error would be a response.
                let fails = request.path() == "/brews";
                let response = next.call(request);
                async move {
                    let response = response.await?;
                    if fails {
                        return Err(ErrorImATeapot("short and stout"));
                    }
                    Ok(response)
                }
            })
            .wrap(TenancyMiddleware::new(&$world.tenancy));
        let app = App::new()
            .route("/open", web::get().to(open))
            .service(covered)
            .wrap_fn(move |request, next| {
                passed.fetch_add(1, Ordering::Relaxed);
                next.call(request)
            })
            .wrap(TenancyCors::new(&$world.tenancy).unwrap())
            .wrap($outermost);
        let service = std::rc::Rc::new(test::init_service(app).await);
        Actix(Box::new(move |ask| {
            let service = service.clone();
            Box::pin(async move {
                let to_head = ask.method == "HEAD";
                let outcome = service.call(request(ask).to_request()).await;
                got(outcome, to_head).await
            })
        }))
    }};
}

fn request(ask: Ask) -> test::TestRequest {
    let method = Method::from_bytes(ask.method.as_bytes()).unwrap();
    let request = test::TestRequest::with_uri(ask.path).method(method);
    let fields = ask.fields.into_iter();
    fields.fold(request, |request, field| request.append_header(field))
}

async fn got<B>(outcome: Outcome<B>, to_head: bool) -> Got
where
    B: MessageBody + 'static,
{
    let response = match outcome {
        Ok(response) => response.map_into_boxed_body().into(),
        // As actix-web's server does.
        Err(error) => error.error_response(),
    };
    let (head, body) = response.into_parts();
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let fields = head.headers().iter();
    let fields = fields.map(|(name, value)| (name.to_string(), text(value)));
    let body = to_bytes(body).await.unwrap();
    Got {
        status: head.status().as_u16(),
        fields: fields.collect(),
        // The server sends none to HEAD.
        body: if to_head {
            String::new()
        } else {
            String::from_utf8(body.to_vec()).unwrap()
        },
    }
}

impl Client for Actix {
    async fn new(world: &World) -> Self {
        match (world.secured.clone(), &world.around) {
            (Some(headers), _) => client!(world, SecurityHeadersMiddleware::new(headers)),
            (None, Some(engine)) => client!(world, TenancyCors::new(engine).unwrap()),
            (None, None) => client!(world, Identity::default()),
        }
    }

    async fn send(&self, ask: Ask) -> Got {
        (self.0)(ask).await
    }
}

specify!(actix_web::test, Actix);

#[actix_web::test]
async fn an_error_of_a_middleware_inside_becomes_a_response_with_the_fields() {
    let world = World::secured().await;
    let client = Actix::new(&world).await;
    for (origin, allowed) in [
        (None, None),
        (
            Some("https://app.notes.test"),
            Some("https://app.notes.test"),
        ),
        (
            Some("https://notes.acme.test"),
            Some("https://notes.acme.test"),
        ),
    ] {
        let asking = ask("GET", "/brews", "acme.notes.example").by(world.alice);
        let asking = origin.map_or(asking.clone(), |origin| asking.with("origin", origin));
        let got = client.send(asking).await;
        assert_eq!((got.status, &*got.body), (418, "short and stout"));
        assert_eq!(got.one("access-control-allow-origin"), allowed);
        let exposed = allowed.map(|_| "retry-after,www-authenticate,etag");
        assert_eq!(got.one("access-control-expose-headers"), exposed);
        assert_eq!(got.one("x-content-type-options"), Some("nosniff"));
        assert_eq!(got.vary(), ["authorization", "origin", "x-org"]);
    }
}

#[actix_web::test]
async fn without_a_policy_there_is_no_middleware() {
    let key = VerificationKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
    let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key);
    let tenancy = Tenancy::builder(MemoryDirectory::new())
        .identification(Identification::new().header("x-org"))
        .authenticator(tokens.build().unwrap())
        .build()
        .unwrap();
    let error = TenancyCors::new(&tenancy).unwrap_err();
    assert!(
        error.to_string().contains("TenancyBuilder::cors"),
        "{error}"
    );
}
