//! Runs: what an agent does for somebody.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use tenancy::axum::{Tenant, TenantDb};
use uuid::Uuid;

use crate::{App, error::Error};

#[derive(Serialize, sqlx::FromRow)]
pub(crate) struct Run {
    id: Uuid,
    task: String,
    started_by: String,
    on_behalf_of: Uuid,
    end_user: Option<String>,
    state: String,
    result: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Task {
    task: String,
    end_user: Option<String>,
}

/// Records who has asked, and leaves the work to a job.
pub(crate) async fn start(
    tenant: Tenant,
    db: TenantDb,
    State(app): State<App>,
    Json(asked): Json<Task>,
) -> Result<(StatusCode, Json<Run>), Error> {
    let principal = tenant.principal();
    let rights_of = principal.user().or(principal.on_behalf_of);
    // A place for the job first: what is recorded is also done.
    let place = app.queue.reserve()?;
    let run: Run = sqlx::query_as(
        "INSERT INTO runs (task, started_by, on_behalf_of, end_user) VALUES ($1, $2, $3, $4)
         RETURNING id, task, started_by, on_behalf_of, end_user, state, result",
    )
    .bind(asked.task)
    .bind(principal.actor.to_string())
    .bind(rights_of.map(|user| user.as_uuid()))
    .bind(asked.end_user)
    .fetch_one(&db)
    .await?;
    place.put(tenant.into(), run.id);
    Ok((StatusCode::ACCEPTED, Json(run)))
}

pub(crate) async fn list(db: TenantDb) -> Result<Json<Vec<Run>>, Error> {
    let runs = sqlx::query_as(
        "SELECT id, task, started_by, on_behalf_of, end_user, state, result FROM runs
         ORDER BY created_at, id",
    );
    Ok(Json(runs.fetch_all(&db.reader()).await?))
}

pub(crate) async fn read(db: TenantDb, Path(id): Path<Uuid>) -> Result<Json<Run>, Error> {
    let run = sqlx::query_as(
        "SELECT id, task, started_by, on_behalf_of, end_user, state, result FROM runs
         WHERE id = $1",
    );
    let run = run.bind(id).fetch_optional(&db.reader()).await?;
    run.map(Json).ok_or(Error::NotFound)
}
