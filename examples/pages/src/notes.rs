//! Notes: a tenant's rows, and no query that says so.

use sqlx::FromRow;
use tenancy::{Refusal, RefusalKind, http::Error, postgres::TenantDb};
use uuid::Uuid;

use crate::forms::NewNote;

#[derive(Debug, FromRow)]
pub struct Note {
    pub id: Uuid,
    pub title: String,
    pub body: String,
    pub published: bool,
}

pub async fn all(db: &TenantDb) -> Result<Vec<Note>, Error> {
    let select = "SELECT id, title, body, published FROM notes ORDER BY created_at DESC, id";
    Ok(sqlx::query_as(select).fetch_all(&db.reader()).await?)
}

/// What visitors see.
pub async fn published(db: &TenantDb) -> Result<Vec<Note>, Error> {
    let select = "SELECT id, title, body, published FROM notes WHERE published \
                  ORDER BY created_at DESC, id";
    Ok(sqlx::query_as(select).fetch_all(&db.reader()).await?)
}

pub async fn add(db: &TenantDb, note: NewNote) -> Result<(), Error> {
    sqlx::query("INSERT INTO notes (title, body) VALUES ($1, $2)")
        .bind(note.title.trim().to_owned())
        .bind(note.body)
        .execute(db)
        .await?;
    Ok(())
}

/// Shows the note to visitors, or hides it from them.
pub async fn publish(db: &TenantDb, note: Uuid) -> Result<(), Error> {
    let update = sqlx::query("UPDATE notes SET published = NOT published WHERE id = $1");
    let done = update.bind(note).execute(db).await?;
    found(done.rows_affected())
}

pub async fn delete(db: &TenantDb, note: Uuid) -> Result<(), Error> {
    let delete = sqlx::query("DELETE FROM notes WHERE id = $1");
    let done = delete.bind(note).execute(db).await?;
    found(done.rows_affected())
}

/// A note of another tenant is not found either.
fn found(rows: u64) -> Result<(), Error> {
    match rows {
        0 => Err(Refusal::new(RefusalKind::NotFound, "no-such-note").into()),
        _ => Ok(()),
    }
}
