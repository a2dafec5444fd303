//! Refusals as pages.

use std::pin::Pin;

use actix_web::{
    App, HttpMessage as _, HttpResponse,
    body::to_bytes,
    dev::Service,
    http::{Method, header::HeaderValue},
    test, web,
};
use tenancy_actix::{Error, Principal, RefusalPages, RequirePermission, TenancyMiddleware};
use tenancy_core::{Refusal, RefusalKind};

use crate::refusal_pages_cases::{
    Ask, Browser, Got, World, established, page, specify_refusal_pages,
};

type Sending = Pin<Box<dyn Future<Output = Got>>>;

struct Actix(Box<dyn Fn(Ask) -> Sending>);

async fn missing() -> Result<&'static str, Error> {
    Err(Refusal::new(RefusalKind::NotFound, "no-such-note").into())
}

impl Browser for Actix {
    async fn new(world: &World, whole: bool) -> Self {
        let reading = RequirePermission::new(&world.tenancy, "notes:read").unwrap();
        let pages = match whole {
            true => RefusalPages::new().sign_in("/login").unwrap().page(page),
            false => RefusalPages::new(),
        };
        let notes = web::resource("/notes")
            .route(web::get().to(async || "notes"))
            .route(web::head().to(async || "notes"))
            .route(web::post().to(async || "notes"))
            .wrap(reading);
        let covered = web::scope("/o/{tenant}")
            .service(notes)
            .route("/missing", web::get().to(missing))
            .route(
                "/own",
                web::get().to(async || HttpResponse::Unauthorized().body("own")),
            )
            .wrap(TenancyMiddleware::new(&world.tenancy));
        let login = web::resource("/login")
            .route(web::get().to(async |_: Principal| "login"))
            .wrap(TenancyMiddleware::new(&world.tenancy).central());
        let others = web::scope("")
            .default_service(web::to(async || "fallback"))
            .wrap(TenancyMiddleware::new(&world.tenancy));
        let app = App::new()
            .service(covered)
            .service(login)
            .service(others)
            .wrap_fn(|request, next| {
                let field = request.headers().get("x-signed-in");
                if let Some(principal) = established(field.map(HeaderValue::as_bytes)) {
                    request.extensions_mut().insert(principal);
                }
                next.call(request)
            })
            .wrap(pages);
        let service = std::rc::Rc::new(test::init_service(app).await);
        Self(Box::new(move |ask| {
            let service = service.clone();
            Box::pin(async move {
                let to_head = ask.method == "HEAD";
                let method = Method::from_bytes(ask.method.as_bytes()).unwrap();
                let request = test::TestRequest::with_uri(ask.target).method(method);
                let fields = ask.fields.into_iter();
                let request = fields.fold(request, |request, field| request.append_header(field));
                let response = service.call(request.to_request()).await.unwrap();
                let refused = response.response().extensions().get::<Refusal>().is_some();
                let (head, body) = response.into_parts().1.into_parts();
                let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
                let fields = head.headers().iter();
                let fields = fields.map(|(name, value)| (name.to_string(), text(value)));
                let mut fields: Vec<_> = fields.collect();
                let mut body = to_bytes(body).await.unwrap().to_vec();
                if to_head {
                    // As actix-web's server does.
                    fields.push(("content-length".into(), body.len().to_string()));
                    body.clear();
                }
                Got {
                    status: head.status().as_u16(),
                    fields,
                    body: String::from_utf8(body).unwrap(),
                    refused,
                }
            })
        }))
    }

    async fn send(&self, ask: Ask) -> Got {
        (self.0)(ask).await
    }
}

specify_refusal_pages!(actix_web::test, Actix);
