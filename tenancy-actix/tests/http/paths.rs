//! actix-web matches decoded paths: what is written otherwise must not get around the path's hint.

use actix_web::{
    App, HttpResponse,
    http::StatusCode,
    test::{call_service, init_service},
    web,
};
use tenancy_actix::{TenancyMiddleware, Tenant};

use crate::support::{World, text};

async fn seen(tenant: Tenant, path: web::Path<String>) -> HttpResponse {
    HttpResponse::Ok().body(format!("{path} is {}", tenant.record().slug))
}

#[actix_web::test]
async fn a_handler_never_sees_one_tenant_in_the_path_and_another_in_the_context() {
    let world = World::new().await;
    let app = App::new().service(
        web::scope("/t/{tenant}")
            .route("/notes", web::get().to(seen))
            .wrap(TenancyMiddleware::new(&world.tenancy)),
    );
    let app = init_service(app).await;
    let ask = |tenant, uri| world.request(tenant, uri).to_request();
    // The member belongs to both tenants.
    let both = call_service(&app, ask("acme", "/t/acme/notes")).await;
    assert_eq!(text(both).await, "acme is acme");
    for uri in [
        "/t/acme/notes",
        "/%74/acme/notes",
        "/t/%61cme/notes",
        "/%74/%61cme/notes",
    ] {
        let answer = call_service(&app, ask("globex", uri)).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{uri}");
        assert!(
            text(answer).await.contains("tenant-not-found"),
            "the tenancy refuses {uri}"
        );
    }
}
