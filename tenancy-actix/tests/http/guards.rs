//! Guards and refusals as outer middleware sees them.

use actix_web::{
    App, HttpResponse,
    dev::Service as _,
    http::StatusCode,
    test::{call_service, init_service},
    web,
};
use tenancy_actix::{RequirePermission, TenancyMiddleware};
use tenancy_core::{Refusal, RefusalKind};

use crate::support::World;

#[actix_web::test]
async fn a_guard_stands_around_a_scope_a_resource_or_a_route() {
    let world = World::new().await;
    let reading = RequirePermission::new(&world.tenancy, "notes:read").unwrap();
    let managing = RequirePermission::new(&world.tenancy, "notes:manage").unwrap();
    let open = || web::get().to(HttpResponse::Ok);
    let app = App::new()
        .service(
            web::scope("/scope")
                .route("/x", open())
                .wrap(managing.clone()),
        )
        .service(
            web::resource("/resource")
                .route(open())
                .wrap(managing.clone()),
        )
        .service(
            web::resource("/route")
                .route(web::post().to(HttpResponse::Ok).wrap(managing))
                .route(open().wrap(reading)),
        )
        .wrap(TenancyMiddleware::new(&world.tenancy));
    let app = init_service(app).await;
    for (uri, status) in [
        ("/scope/x", StatusCode::FORBIDDEN),
        ("/resource", StatusCode::FORBIDDEN),
        ("/route", StatusCode::OK),
    ] {
        let answer = call_service(&app, world.request("acme", uri).to_request()).await;
        assert_eq!(answer.status(), status, "{uri}");
    }
    let post = world
        .request("acme", "/route")
        .method(actix_web::http::Method::POST);
    let answer = call_service(&app, post.to_request()).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[actix_web::test]
async fn a_refusal_is_a_response_with_the_refusal_in_its_extensions() {
    let world = World::new().await;
    let app = App::new()
        .route("/notes", web::get().to(HttpResponse::Ok))
        .wrap(TenancyMiddleware::new(&world.tenancy));
    let app = init_service(app).await;
    for (tenant, kind) in [
        ("nowhere", RefusalKind::TenantNotFound),
        ("nowhere", RefusalKind::TenantNotFound),
    ] {
        // `call` and not `call_service`, which would panic at an error.
        let answer = app
            .call(world.request(tenant, "/notes").to_request())
            .await
            .unwrap();
        let refusal = answer
            .response()
            .extensions()
            .get::<Refusal>()
            .unwrap()
            .kind();
        assert_eq!(refusal, kind);
    }
}
