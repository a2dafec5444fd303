//! A digest of all notes, made after the request has been answered.

use axum::{extract::State, http::StatusCode};
use sqlx::PgPool;

/// Starts the work and answers at once.
pub(crate) async fn start(State(db): State<PgPool>) -> StatusCode {
    tokio::spawn(async move {
        if let Err(error) = write(&db).await {
            tracing::error!(%error, "the digest was not written");
        }
    });
    StatusCode::ACCEPTED
}

async fn write(db: &PgPool) -> Result<(), sqlx::Error> {
    let mut tx = db.begin().await?;
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM notes"#)
        .fetch_one(&mut *tx)
        .await?;
    let body = format!("{count} notes so far");
    sqlx::query!(
        "INSERT INTO notes (title, body) VALUES ('Digest', $1)",
        body
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
