//! Notes: list, write, read, delete.

use axum::{Json, extract::Path, http::StatusCode};
use serde::{Deserialize, Serialize};
use tenancy::axum::TenantDb;
use uuid::Uuid;

use crate::error::Error;

#[derive(Serialize)]
pub(crate) struct Note {
    id: Uuid,
    title: String,
    body: String,
}

#[derive(Deserialize)]
pub(crate) struct NewNote {
    title: String,
    #[serde(default)]
    body: String,
}

pub(crate) async fn list(db: TenantDb) -> Result<Json<Vec<Note>>, Error> {
    let notes = sqlx::query_as!(
        Note,
        "SELECT id, title, body FROM notes ORDER BY created_at, id"
    )
    .fetch_all(&db)
    .await?;
    Ok(Json(notes))
}

pub(crate) async fn create(
    db: TenantDb,
    Json(new): Json<NewNote>,
) -> Result<(StatusCode, Json<Note>), Error> {
    let note = sqlx::query_as!(
        Note,
        "INSERT INTO notes (title, body) VALUES ($1, $2) RETURNING id, title, body",
        new.title,
        new.body
    )
    .fetch_one(&db)
    .await?;
    Ok((StatusCode::CREATED, Json(note)))
}

pub(crate) async fn read(db: TenantDb, Path(id): Path<Uuid>) -> Result<Json<Note>, Error> {
    let note = sqlx::query_as!(Note, "SELECT id, title, body FROM notes WHERE id = $1", id)
        .fetch_optional(&db)
        .await?;
    note.map(Json).ok_or(Error::NotFound)
}

pub(crate) async fn delete(db: TenantDb, Path(id): Path<Uuid>) -> Result<StatusCode, Error> {
    let done = sqlx::query!("DELETE FROM notes WHERE id = $1", id)
        .execute(&db)
        .await?;
    if done.rows_affected() == 0 {
        Err(Error::NotFound)
    } else {
        Ok(StatusCode::NO_CONTENT)
    }
}
