//! The readiness check.

use axum::{Router, routing::get as on_get};
use http::StatusCode;

use crate::support::{World, get};

#[tokio::test]
async fn readiness_is_a_handler_under_any_state() {
    let world = World::new().await;
    let app = Router::new()
        .route("/ready", on_get(tenancy_axum::ready(&world.tenancy)))
        .with_state(String::from("some state"));
    assert_eq!(get("/ready").send(&app).await.status, StatusCode::OK);
}
