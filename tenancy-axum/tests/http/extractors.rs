//! Extractors: what a handler gets on each kind of route, and what happens without the layer.

use axum::{Router, routing::get as on_get};
use http::StatusCode;
use tenancy_axum::{Error, MaybeTenant, Principal, RequirePermission, TenancyLayer, Tenant};

use crate::support::{Logs, World, get, token};

async fn maybe(MaybeTenant(tenant): MaybeTenant) -> String {
    tenant.map_or("none".to_owned(), |context| {
        context.tenant().slug.to_string()
    })
}

async fn option(tenant: Option<Tenant>) -> String {
    tenant.map_or("none".to_owned(), |tenant| tenant.tenant().slug.to_string())
}

async fn who(principal: Principal) -> String {
    principal.actor.kind().to_owned()
}

async fn perhaps_who(principal: Option<Principal>) -> String {
    principal.map_or("none".to_owned(), |principal| {
        principal.actor.kind().to_owned()
    })
}

async fn tenant(tenant: Tenant) -> String {
    tenant.tenant().slug.to_string()
}

fn router() -> Router {
    Router::new()
        .route("/tenant", on_get(tenant))
        .route("/maybe", on_get(maybe))
        .route("/option", on_get(option))
        .route("/who", on_get(who))
        .route("/perhaps-who", on_get(perhaps_who))
}

#[tokio::test]
async fn each_extractor_on_each_kind_of_route() {
    let world = World::new().await;
    let layer = || TenancyLayer::new(&world.tenancy);
    let [required, public, optional, central] = [
        layer(),
        layer().or_anonymous(),
        layer().optional(),
        layer().central(),
    ]
    .map(|layer| router().layer(layer));
    let nobody = |path| get(path).tenant("acme");
    let lost = |path| get(path).bearer(&token(world.member));
    let member = |path| get(path).tenant("acme").bearer(&token(world.member));

    for (path, app, request, status, body) in [
        ("/tenant", &required, member("/tenant"), 200, "acme"),
        ("/maybe", &required, member("/maybe"), 200, "acme"),
        ("/option", &required, member("/option"), 200, "acme"),
        ("/who", &required, member("/who"), 200, "user"),
        (
            "/perhaps-who",
            &required,
            member("/perhaps-who"),
            200,
            "user",
        ),
        ("/tenant", &public, nobody("/tenant"), 200, "acme"),
        ("/who", &public, nobody("/who"), 401, ""),
        ("/perhaps-who", &public, nobody("/perhaps-who"), 200, "none"),
        ("/tenant", &optional, member("/tenant"), 200, "acme"),
        ("/tenant", &optional, nobody("/tenant"), 401, ""),
        ("/tenant", &optional, lost("/tenant"), 400, ""),
        ("/maybe", &optional, member("/maybe"), 200, "acme"),
        ("/maybe", &optional, nobody("/maybe"), 200, "none"),
        ("/maybe", &optional, lost("/maybe"), 200, "none"),
        ("/option", &optional, lost("/option"), 200, "none"),
        ("/who", &optional, lost("/who"), 200, "user"),
        (
            "/perhaps-who",
            &optional,
            nobody("/perhaps-who"),
            200,
            "none",
        ),
        ("/who", &central, member("/who"), 200, "user"),
        ("/who", &central, nobody("/who"), 401, ""),
        (
            "/perhaps-who",
            &central,
            nobody("/perhaps-who"),
            200,
            "none",
        ),
        ("/tenant", &central, member("/tenant"), 500, ""),
        ("/maybe", &central, member("/maybe"), 500, ""),
        ("/option", &central, member("/option"), 500, ""),
    ] {
        let answer = request.send(app).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        if status == 200 {
            assert_eq!(answer.body, body, "{path}");
        }
    }
}

#[tokio::test]
async fn a_forgotten_layer_is_a_500_whose_log_names_it() {
    let world = World::new().await;
    let guard = RequirePermission::new(&world.tenancy, "notes:read").unwrap();
    let app = router().route("/guarded", on_get(async || "reached").layer(guard));
    for (path, what) in [
        ("/tenant", "`Tenant`"),
        ("/maybe", "`MaybeTenant`"),
        ("/option", "`Tenant`"),
        ("/who", "`Principal`"),
        ("/perhaps-who", "`Principal`"),
        ("/guarded", "`RequirePermission`"),
    ] {
        let (logs, _guard) = Logs::collect();
        let request = get(path).tenant("acme").bearer(&token(world.member));
        let answer = request.send(&app).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert_eq!(answer.problem(), "internal");
        assert!(!answer.body.contains("TenancyLayer"), "{}", answer.body);
        let errors = logs.at("ERROR");
        let [line] = &*errors else {
            panic!("{path}: one error in {errors:?}")
        };
        for part in [what, path, "`.layer(TenancyLayer::new(&tenancy))`"] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}

#[tokio::test]
async fn a_tenant_asked_for_on_a_central_route_is_named_in_the_log() {
    let world = World::new().await;
    let app = router().layer(TenancyLayer::new(&world.tenancy).central());
    let (logs, _guard) = Logs::collect();
    let answer = get("/tenant").send(&app).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let errors = logs.at("ERROR").concat();
    assert!(
        errors.contains("`/tenant`, which is declared central"),
        "{errors}"
    );
}

#[tokio::test]
async fn a_handler_requires_a_permission_with_a_question_mark() {
    async fn write(tenant: Tenant) -> Result<&'static str, Error> {
        tenant.require("notes:write")?;
        Ok("written")
    }
    async fn never_declared(tenant: Tenant) -> Result<(), Error> {
        Ok(tenant.require("notes:burn")?)
    }

    let world = World::new().await;
    let app = Router::new()
        .route("/notes", on_get(write))
        .route("/never-declared", on_get(never_declared))
        .layer(TenancyLayer::new(&world.tenancy));
    let ask = |path, user| get(path).tenant("acme").bearer(&token(user));
    assert_eq!(ask("/notes", world.member).send(&app).await.body, "written");
    let denied = ask("/notes", world.viewer).send(&app).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    assert_eq!(denied.json()["permission"], "notes:write");
    let unknown = ask("/never-declared", world.member).send(&app).await;
    assert_eq!(unknown.status, StatusCode::INTERNAL_SERVER_ERROR);
}
