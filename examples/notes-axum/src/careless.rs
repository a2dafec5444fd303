//! A handler with a classic mistake, to show that it does no harm: it writes whatever columns the
//! client sends, the tenant's among them.

use axum::{Json, http::StatusCode};
use serde::Deserialize;
use tenancy::axum::TenantDb;
use uuid::Uuid;

use crate::error::Error;

#[derive(Deserialize)]
pub(crate) struct Row {
    tenant_id: Uuid,
    title: String,
}

pub(crate) async fn import(db: TenantDb, Json(row): Json<Row>) -> Result<StatusCode, Error> {
    sqlx::query!(
        "INSERT INTO notes (tenant_id, title) VALUES ($1, $2)",
        row.tenant_id,
        row.title
    )
    .execute(&db)
    .await?;
    Ok(StatusCode::CREATED)
}
