//! The tenant on the span of whoever stands outside.

use actix_web::{
    App, HttpResponse,
    dev::Service as _,
    http::StatusCode,
    test::{call_service, init_service},
    web,
};
use tenancy_actix::{TenancyMiddleware, Tenant};
use tracing::{Instrument as _, field::Empty};

use crate::support::{Logs, World};

async fn logging(_: Tenant) -> HttpResponse {
    tracing::info!("in the handler");
    HttpResponse::Ok().finish()
}

#[actix_web::test]
async fn a_span_that_is_opened_outside_gets_the_tenant_cold_and_warm() {
    let world = World::new().await;
    let app = App::new()
        .route("/notes", web::get().to(logging))
        .wrap(TenancyMiddleware::new(&world.tenancy))
        .wrap_fn(|request, service| {
            let span = tracing::info_span!("request", tenant.slug = Empty, principal.role = Empty);
            span.in_scope(|| service.call(request))
                .instrument(span.clone())
        });
    let app = init_service(app).await;
    for temperature in ["cold", "warm"] {
        let (logs, _guard) = Logs::collect();
        let answer = call_service(&app, world.request("acme", "/notes").to_request()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let lines = logs.at("in the handler").concat();
        assert!(
            lines.contains("tenant.slug=\"acme\""),
            "{temperature}: {lines}"
        );
        assert!(
            lines.contains("principal.role=\"member\""),
            "{temperature}: {lines}"
        );
    }
}
