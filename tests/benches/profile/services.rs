//! Services of either framework that say hello, called without a server.

use std::net::SocketAddr;

use futures_util::FutureExt as _;
use tenancy_actix::TenancyMiddleware;
use tenancy_axum::TenancyLayer;
use tenancy_core::Tenancy;

use crate::case;

/// Host and `Authorization` of the requests of a case, by number.
pub(crate) type Named<'a> = dyn Fn(usize) -> (String, String) + 'a;

pub(crate) fn axum(name: &str, of: usize, named: &Named<'_>, tenancy: Option<&Tenancy>) {
    use axum::{Router, body::Body, routing::get};
    use tower::Service as _;
    let mut app: Router = Router::new().route("/", get(async || "Hello"));
    if let Some(tenancy) = tenancy {
        app = app.layer(TenancyLayer::new(tenancy));
    }
    let make = |number| {
        let (host, token) = named(number);
        http::Request::get("/")
            .header("host", host)
            .header("authorization", token)
            .body(Body::empty())
            .unwrap()
    };
    case(name, of, make, |request| {
        let response = app.call(request).now_or_never().unwrap().unwrap();
        assert_eq!(response.status().as_u16(), 200);
    });
}

pub(crate) async fn actix(name: &str, of: usize, named: &Named<'_>, tenancy: Option<&Tenancy>) {
    use actix_web::{
        App,
        dev::Service as _,
        test::{TestRequest, init_service},
        web::get,
    };
    let make = |number| {
        let (host, token) = named(number);
        TestRequest::get()
            .uri("/")
            .insert_header(("host", host))
            .insert_header(("authorization", token))
            .peer_addr(SocketAddr::from(([127, 0, 0, 1], 4711)))
            .to_request()
    };
    macro_rules! ask {
        ($app:expr) => {{
            let app = init_service($app).await;
            case(name, of, make, |request| {
                let response = app.call(request).now_or_never().unwrap().unwrap();
                assert_eq!(response.status().as_u16(), 200);
            });
        }};
    }
    let app = App::new().route("/", get().to(async || "Hello"));
    match tenancy {
        Some(tenancy) => ask!(app.wrap(TenancyMiddleware::new(tenancy))),
        None => ask!(app),
    }
}
