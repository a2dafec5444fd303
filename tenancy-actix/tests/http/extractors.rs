//! What actix-web's `Option` hides, and what it can't.

use actix_web::{
    App, HttpResponse,
    test::{call_service, init_service},
    web,
};
use tenancy_actix::{TenancyMiddleware, Tenant};

use crate::support::{Logs, World, text};

async fn option(tenant: Option<Tenant>) -> HttpResponse {
    HttpResponse::Ok()
        .body(tenant.map_or("none".to_owned(), |tenant| tenant.record().slug.to_string()))
}

#[actix_web::test]
async fn an_option_on_a_route_that_nothing_covers_is_none_and_the_log_says_why() {
    let world = World::new().await;
    let app = App::new()
        .service(
            web::scope("/covered")
                .route("/option", web::get().to(option))
                .wrap(TenancyMiddleware::new(&world.tenancy)),
        )
        .route("/option", web::get().to(option));
    let app = init_service(app).await;
    let ask = |uri| world.request("acme", uri).to_request();
    assert_eq!(
        text(call_service(&app, ask("/covered/option")).await).await,
        "acme"
    );

    let (logs, _guard) = Logs::collect();
    assert_eq!(text(call_service(&app, ask("/option")).await).await, "none");
    let errors = logs.at("ERROR");
    assert_eq!(errors.len(), 1, "{}", logs.text());
    for part in [
        "`Tenant`",
        "`/option`",
        "`.wrap(TenancyMiddleware::new(&tenancy))`",
    ] {
        assert!(errors[0].contains(part), "{part} in {}", errors[0]);
    }
}

#[cfg(feature = "sqlx")]
#[actix_web::test]
async fn a_missing_pool_is_a_500_whose_log_says_what_to_add() {
    let world = World::new().await;
    let app = App::new()
        .route(
            "/db",
            web::get().to(async |_: tenancy_actix::TenantDb| HttpResponse::Ok()),
        )
        .wrap(TenancyMiddleware::new(&world.tenancy));
    let app = init_service(app).await;
    let (logs, _guard) = Logs::collect();
    let answer = call_service(&app, world.request("acme", "/db").to_request()).await;
    assert_eq!(answer.status(), 500);
    let body = text(answer).await;
    assert!(!body.contains("pool"), "{body}");
    let errors = logs.at("ERROR").concat();
    assert!(
        errors.contains(".app_data(web::Data::new(pool.clone()))"),
        "{errors}"
    );
}
