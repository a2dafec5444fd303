//! The error of handlers: what is answered, what is logged, what never leaves.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get as on_get,
};
use http::StatusCode;
use serde::Deserialize;
use tenancy_axum::{Error, TenancyLayer, Tenant};
use tenancy_core::{DirectoryError, Refusal, RefusalKind, StoreError, StoreErrorKind};

use crate::support::{Logs, World, get, token};

const SECRET: &str = "password=hunter2";

fn leaky() -> std::io::Error {
    std::io::Error::other(SECRET)
}

#[tokio::test]
async fn the_cause_is_logged_at_its_level_and_never_sent() {
    for (error, status, level) in [
        (Error::internal(leaky()), 500, "ERROR"),
        (DirectoryError::new(leaky()).into(), 503, "WARN"),
        (StoreError::unavailable(leaky()).into(), 503, "WARN"),
        (
            StoreError::new(StoreErrorKind::ReadOnly, SECRET).into(),
            500,
            "ERROR",
        ),
        (
            StoreError::new(StoreErrorKind::Conflict, SECRET).into(),
            409,
            "DEBUG",
        ),
        (
            StoreError::new(StoreErrorKind::NotFound, SECRET).into(),
            404,
            "DEBUG",
        ),
        (
            StoreError::new(StoreErrorKind::Invalid, SECRET).into(),
            400,
            "DEBUG",
        ),
    ] {
        let (logs, _guard) = Logs::collect();
        let response = error.into_response();
        assert_eq!(response.status(), status);
        assert!(response.extensions().get::<Refusal>().is_some());
        let shown = format!("{response:?}");
        let body = axum::body::to_bytes(response.into_body(), 10_000)
            .await
            .unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        for text in [&shown, &body] {
            assert!(!text.contains(SECRET), "{text}");
        }
        assert!(logs.at(level).concat().contains(SECRET), "{}", logs.text());
    }
}

#[tokio::test]
async fn a_refusal_passes_through_as_it_is() {
    let (logs, _guard) = Logs::collect();
    let error = Error::from(Refusal::permission_denied("notes:write"));
    assert_eq!(error.kind(), RefusalKind::PermissionDenied);
    let want = error.refusal().problem().to_json();
    let body = axum::body::to_bytes(error.into_response().into_body(), 10_000)
        .await
        .unwrap();
    assert_eq!(body, want);
    assert!(
        logs.at("ERROR").is_empty() && logs.at("WARN").is_empty(),
        "{}",
        logs.text()
    );
}

#[test]
fn an_error_shows_its_chain_to_logs() {
    let error = Error::internal(leaky());
    assert!(error.to_string().contains(SECRET));
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.is::<std::io::Error>());
}

/// An application's own error, as the documentation advises.
enum AppError {
    NoSuchNote,
    Tenancy(Error),
}

tenancy_axum::convert_errors!(AppError::Tenancy(Error));

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        match self {
            Self::NoSuchNote => StatusCode::NOT_FOUND.into_response(),
            Self::Tenancy(error) => error.into_response(),
        }
    }
}

#[derive(Deserialize)]
struct Look {
    #[allow(dead_code)]
    accent: String,
}

#[tokio::test]
async fn an_applications_error_takes_ours_inside() {
    async fn look(tenant: Tenant) -> Result<(), AppError> {
        tenant.require("notes:read")?;
        let _ = tenant.settings::<Look>()?;
        Ok(())
    }
    async fn missing(tenant: Tenant) -> Result<(), AppError> {
        tenant.require("notes:write")?;
        Err(AppError::NoSuchNote)
    }

    let world = World::new().await;
    let app = Router::new()
        .route("/look", on_get(look))
        .route("/missing", on_get(missing))
        .layer(TenancyLayer::new(&world.tenancy));
    let ask = |path, user| get(path).tenant("acme").bearer(&token(user));
    let misfit = ask("/look", world.viewer).send(&app).await;
    assert_eq!(misfit.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!misfit.body.contains("Look"), "{}", misfit.body);
    assert_eq!(
        ask("/missing", world.member).send(&app).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        ask("/missing", world.viewer).send(&app).await.status,
        StatusCode::FORBIDDEN
    );
}

#[cfg(feature = "sqlx")]
#[tokio::test]
async fn database_errors_keep_what_the_driver_said() {
    for (error, status) in [
        (sqlx::Error::Protocol(SECRET.to_owned()), 500),
        (sqlx::Error::RowNotFound, 404),
        (sqlx::Error::PoolTimedOut, 503),
        (sqlx::Error::Io(leaky()), 503),
    ] {
        let direct = Error::from(error).into_response();
        assert_eq!(direct.status(), status);
        let body = axum::body::to_bytes(direct.into_body(), 10_000)
            .await
            .unwrap();
        assert!(!String::from_utf8_lossy(&body).contains(SECRET));
    }
}
