//! Notes: list and write.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use tenancy::axum::{Error, TenantDb};
use uuid::Uuid;

use crate::App;

#[derive(Debug, Serialize, sqlx::FromRow)]
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
    let notes = sqlx::query_as("SELECT id, title, body FROM notes ORDER BY created_at, id")
        .fetch_all(&db.reader())
        .await?;
    Ok(Json(notes))
}

pub(crate) async fn create(
    db: TenantDb,
    State(app): State<App>,
    Json(new): Json<NewNote>,
) -> Result<(StatusCode, Json<Arc<Note>>), Error> {
    let note = write(&app, &db, new).await?;
    Ok((StatusCode::CREATED, Json(note)))
}

/// Writes a note and, when it is committed, tells those who listen to its tenant.
pub(crate) async fn write(
    app: &App,
    db: &tenancy::postgres::TenantDb,
    new: NewNote,
) -> Result<Arc<Note>, Error> {
    let insert = "INSERT INTO notes (title, body) VALUES ($1, $2) RETURNING id, title, body";
    let note: Note = sqlx::query_as(insert)
        .bind(new.title)
        .bind(new.body)
        .fetch_one(db)
        .await?;
    let note = Arc::new(note);
    app.channels.publish(db.context(), &note);
    Ok(note)
}

#[cfg(test)]
impl Note {
    /// A note that nobody wrote.
    pub(crate) fn titled(title: &str) -> Arc<Self> {
        Arc::new(Self {
            id: Uuid::nil(),
            title: title.into(),
            body: String::new(),
        })
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }
}
