//! What the routes do, whichever framework calls them.

use serde_json::{Value, json};
use tenancy_core::TenantContext;
use tenancy_sqlx::{Error, TenantDb};
use uuid::Uuid;

pub(crate) async fn count(db: &TenantDb) -> Result<Value, Error> {
    let select = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes");
    Ok(json!(select.fetch_one(db).await?))
}

pub(crate) async fn add(db: &TenantDb, body: String) -> Result<Value, Error> {
    let insert = sqlx::query("INSERT INTO notes (body) VALUES ($1)").bind(body);
    Ok(json!(insert.execute(db).await?.rows_affected()))
}

pub(crate) async fn read(db: &TenantDb, id: Uuid) -> Result<Value, Error> {
    let select = sqlx::query_scalar::<_, String>("SELECT body FROM notes WHERE id = $1");
    Ok(json!(select.bind(id).fetch_optional(db).await?))
}

pub(crate) async fn overwrite(db: &TenantDb, id: Uuid) -> Result<Value, Error> {
    let update = sqlx::query("UPDATE notes SET body = 'overwritten' WHERE id = $1").bind(id);
    Ok(json!(update.execute(db).await?.rows_affected()))
}

pub(crate) async fn delete(db: &TenantDb, id: Uuid) -> Result<Value, Error> {
    let delete = sqlx::query("DELETE FROM notes WHERE id = $1").bind(id);
    Ok(json!(delete.execute(db).await?.rows_affected()))
}

pub(crate) async fn broken(db: &TenantDb) -> Result<Value, Error> {
    let select = sqlx::query("SELECT * FROM a_table_that_is_secret");
    select
        .execute(db)
        .await
        .map(|_| Value::Null)
        .map_err(Error::from)
}

/// Panics in the middle of a transaction that has written.
pub(crate) async fn panicking(db: &TenantDb) -> Result<Value, Error> {
    let mut tx = db.begin().await?;
    sqlx::query("INSERT INTO notes (body) VALUES ('never committed')")
        .execute(&mut *tx)
        .await?;
    panic!("a handler panics, as this scenario wants");
}

pub(crate) fn context(context: &TenantContext) -> Value {
    json!({
        "tenant": context.record().slug.as_str(),
        "actor": context.principal().actor.kind(),
        "role": context.role().map(ToString::to_string),
        "project": context.project_id().is_some(),
        "ip": context.client_ip().map(|ip| ip.to_string()),
    })
}

pub(crate) fn slug(context: Option<&TenantContext>) -> Value {
    match context {
        Some(context) => json!(context.record().slug.as_str()),
        None => json!("none"),
    }
}

/// What an application's own failure says, which is for the log alone.
pub(crate) const SECRET: &str = "password=hunter2";
