//! Permission guards on routes.

use axum::{
    Router,
    routing::{get as on_get, post},
};
use http::{Method, StatusCode};
use tenancy_axum::{RequirePermission, TenancyLayer};

use crate::support::{World, get, slug, token};

fn guard(world: &World, permission: &str) -> RequirePermission {
    RequirePermission::new(&world.tenancy, permission).unwrap()
}

#[tokio::test]
async fn each_method_has_its_own_guard() {
    let world = World::new().await;
    let app = Router::new()
        .route("/notes", on_get(slug).layer(guard(&world, "notes:read")))
        .route("/notes", post(slug).layer(guard(&world, "notes:write")))
        .layer(TenancyLayer::new(&world.tenancy));
    let (read, write) = (Method::GET, Method::POST);
    for (method, user, status) in [
        (&read, world.member, StatusCode::OK),
        (&write, world.member, StatusCode::OK),
        (&read, world.viewer, StatusCode::OK),
        (&write, world.viewer, StatusCode::FORBIDDEN),
        (&write, world.stranger, StatusCode::NOT_FOUND),
    ] {
        let request = get("/notes")
            .method(method.clone())
            .tenant("acme")
            .bearer(&token(user));
        assert_eq!(request.send(&app).await.status, status, "{method}");
    }
}

#[tokio::test]
async fn a_denial_names_the_permission_and_is_audited() {
    let world = World::new().await;
    let app = Router::new()
        .route("/notes", on_get(slug))
        .route_layer(guard(&world, "notes:write"))
        .layer(TenancyLayer::new(&world.tenancy));
    let ask = || get("/notes").tenant("acme").bearer(&token(world.viewer));
    let answer = ask().send(&app).await;
    assert_eq!(answer.problem(), "permission-denied");
    assert_eq!(answer.json()["permission"], "notes:write");
    let entries = world.audit.entries();
    let [entry] = &*entries else {
        panic!("one entry: {entries:?}")
    };
    assert_eq!(entry.target.as_deref(), Some("notes:write"));

    let headed = ask().method(Method::HEAD).send(&app).await;
    assert_eq!((headed.status, &*headed.body), (StatusCode::FORBIDDEN, ""));
}

#[tokio::test]
async fn where_there_is_no_tenant_nothing_is_permitted() {
    let world = World::new().await;
    let guarded = || {
        Router::new()
            .route("/", on_get(slug))
            .route_layer(guard(&world, "notes:read"))
    };
    let layer = || TenancyLayer::new(&world.tenancy);
    let optional = guarded().layer(layer().optional());
    let central = guarded().layer(layer().central());
    let public = guarded().layer(layer().or_anonymous());
    let known = || get("/").bearer(&token(world.member));
    for (case, app, request, status) in [
        (
            "optional, nobody",
            &optional,
            get("/"),
            StatusCode::UNAUTHORIZED,
        ),
        (
            "optional, no tenant",
            &optional,
            known(),
            StatusCode::BAD_REQUEST,
        ),
        (
            "optional, both",
            &optional,
            known().tenant("acme"),
            StatusCode::OK,
        ),
        (
            "central",
            &central,
            known(),
            StatusCode::INTERNAL_SERVER_ERROR,
        ),
    ] {
        assert_eq!(request.send(app).await.status, status, "{case}");
    }
    let visitor = get("/").tenant("acme").send(&public).await.status;
    assert!(visitor.is_client_error(), "{visitor}");
}

#[tokio::test]
async fn a_guard_for_a_permission_nobody_declared_is_not_built() {
    let world = World::new().await;
    let error = RequirePermission::new(&world.tenancy, "notes:wriet")
        .unwrap_err()
        .to_string();
    assert!(error.contains("`notes:wriet`"), "{error}");
}
