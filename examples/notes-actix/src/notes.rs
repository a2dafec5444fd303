//! Notes: list, write, read, delete.

use actix_web::{HttpResponse, Responder, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use tenancy::actix::TenantDb;
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

pub(crate) async fn list(db: TenantDb) -> Result<web::Json<Vec<Note>>, Error> {
    let notes = sqlx::query_as!(
        Note,
        "SELECT id, title, body FROM notes ORDER BY created_at, id"
    )
    .fetch_all(&db)
    .await?;
    Ok(web::Json(notes))
}

pub(crate) async fn create(db: TenantDb, new: web::Json<NewNote>) -> Result<impl Responder, Error> {
    let note = sqlx::query_as!(
        Note,
        "INSERT INTO notes (title, body) VALUES ($1, $2) RETURNING id, title, body",
        new.title,
        new.body
    )
    .fetch_one(&db)
    .await?;
    Ok((web::Json(note), StatusCode::CREATED))
}

pub(crate) async fn read(db: TenantDb, id: web::Path<Uuid>) -> Result<web::Json<Note>, Error> {
    let id = id.into_inner();
    let note = sqlx::query_as!(Note, "SELECT id, title, body FROM notes WHERE id = $1", id)
        .fetch_optional(&db)
        .await?;
    note.map(web::Json).ok_or(Error::NotFound)
}

pub(crate) async fn delete(db: TenantDb, id: web::Path<Uuid>) -> Result<HttpResponse, Error> {
    let id = id.into_inner();
    let done = sqlx::query!("DELETE FROM notes WHERE id = $1", id)
        .execute(&db)
        .await?;
    if done.rows_affected() == 0 {
        Err(Error::NotFound)
    } else {
        Ok(HttpResponse::NoContent().finish())
    }
}
