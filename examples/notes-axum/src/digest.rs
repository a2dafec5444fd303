//! A digest of all notes, made after the request has been answered.

use axum::http::StatusCode;
use tenancy::axum::TenantDb;

/// Starts the work and answers at once.
pub(crate) async fn start(db: TenantDb) -> StatusCode {
    tokio::spawn(async move {
        if let Err(error) = write(&db).await {
            tracing::error!(%error, "the digest was not written");
        }
    });
    StatusCode::ACCEPTED
}

async fn write(db: &TenantDb) -> Result<(), tenancy::postgres::Error> {
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
