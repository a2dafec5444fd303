//! What axum's extractors have beside the scenarios of both frameworks: `Option`.

use axum::{Router, routing::get as on_get};
use http::StatusCode;
use tenancy_axum::{Principal, TenancyLayer, Tenant};

use crate::support::{Logs, World, get, token};

async fn tenant(tenant: Option<Tenant>) -> String {
    tenant.map_or("none".to_owned(), |tenant| tenant.record().slug.to_string())
}

async fn principal(principal: Option<Principal>) -> String {
    principal.map_or("none".to_owned(), |principal| {
        principal.actor.kind().to_owned()
    })
}

fn router() -> Router {
    Router::new()
        .route("/tenant", on_get(tenant))
        .route("/principal", on_get(principal))
}

#[tokio::test]
async fn an_option_is_none_where_that_is_the_answer_and_hides_no_mistake() {
    let world = World::new().await;
    let layer = || TenancyLayer::new(&world.tenancy);
    let [optional, central] = [layer().optional(), layer().central()].map(|l| router().layer(l));
    let member = |path| get(path).tenant("acme").bearer(&token(world.member));
    for (app, request, body) in [
        (&optional, member("/tenant"), "acme"),
        (&optional, get("/tenant"), "none"),
        (&optional, member("/principal"), "user"),
        (&optional, get("/principal"), "none"),
        (&central, get("/principal"), "none"),
    ] {
        let answer = request.send(app).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, body));
    }
    for (app, request) in [
        (&central, member("/tenant")),
        (&router(), member("/tenant")),
        (&router(), member("/principal")),
    ] {
        let (logs, _guard) = Logs::collect();
        let answer = request.send(app).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(logs.at("ERROR").len(), 1, "{}", logs.text());
    }
}
