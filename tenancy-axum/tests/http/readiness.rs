//! The readiness check.

use axum::{Router, routing::get as on_get};
use http::StatusCode;

use crate::support::{World, get};

#[tokio::test]
async fn ready_while_the_directory_answers() {
    let world = World::new().await;
    let app: Router = Router::new().route("/ready", on_get(tenancy_axum::ready(&world.tenancy)));
    let answer = get("/ready").send(&app).await;
    assert_eq!(
        (answer.status, &*answer.body),
        (StatusCode::OK, r#"{"status":"ready"}"#)
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    world.directory.fail(true);
    let answer = get("/ready").send(&app).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.problem(), "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(!answer.body.contains("10.1.2.3"), "{}", answer.body);
}

#[tokio::test]
async fn readiness_is_a_handler_under_any_state() {
    let world = World::new().await;
    let app = Router::new()
        .route("/ready", on_get(tenancy_axum::ready(&world.tenancy)))
        .with_state(String::from("some state"));
    assert_eq!(get("/ready").send(&app).await.status, StatusCode::OK);
}
