//! The keys of a tenant's agent apps: issued by people, shown once.

use std::time::Duration;

use axum::{
    Json,
    extract::Path,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use tenancy::{
    Grant, KeyAdmin, KeyId, TenantContext,
    axum::Tenant,
    key::{ApiKey, IssuedKey, NewKey},
};

use crate::error::Error;

/// How long a key goes on after it was rotated: until the agent app has the new one.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Deserialize)]
pub(crate) struct Wanted {
    name: String,
    scopes: Vec<String>,
    expires_in_days: Option<u32>,
}

#[derive(Serialize)]
pub(crate) struct Shown {
    id: KeyId,
    name: String,
    scopes: Vec<String>,
    created_by: String,
    last_used_at: Option<i64>,
    revoked: bool,
}

impl From<&ApiKey> for Shown {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name.clone(),
            scopes: key.scopes.iter().map(ToString::to_string).collect(),
            created_by: key.creator.to_string(),
            last_used_at: key.last_used_at.map(|at| at.as_unix_seconds()),
            revoked: key.revoked_at.is_some(),
        }
    }
}

/// Nobody gives a key more than they hold, and a key issues none: `in_context` sees to both.
pub(crate) async fn issue(
    tenant: Tenant,
    Json(wanted): Json<Wanted>,
) -> Result<impl IntoResponse, Error> {
    let scopes = wanted.scopes.iter().map(|scope| scope.parse());
    let scopes: Vec<Grant> = scopes
        .collect::<Result<_, _>>()
        .map_err(|error: tenancy::InvalidGrant| Error::Invalid(error.to_string()))?;
    let mut new = NewKey::in_context(&tenant, wanted.name, scopes)?;
    if let Some(days) = wanted.expires_in_days {
        let life = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        new = new.expires_at(tenant.tenancy().clock().now() + life);
    }
    let issued = admin(&tenant)?.issue(new).await.map_err(Error::of_keys)?;
    Ok((StatusCode::CREATED, once(&issued)))
}

pub(crate) async fn list(tenant: Tenant) -> Result<Json<Vec<Shown>>, Error> {
    let keys = admin(&tenant)?.list(tenant.tenant_id(), None, 100).await?;
    Ok(Json(keys.iter().map(Shown::from).collect()))
}

/// The new text acts with its creator's rights: nobody else is shown it, and no key.
pub(crate) async fn rotate(
    tenant: Tenant,
    Path(key): Path<KeyId>,
) -> Result<impl IntoResponse, Error> {
    let (keys, id) = (admin(&tenant)?, tenant.tenant_id());
    let found = keys.find(id, key).await?.ok_or(Error::NotFound)?;
    let _ = NewKey::in_context(&tenant, found.name, found.scopes)?;
    if tenant.user_id() != Some(found.creator) {
        return Err(Error::NotFound);
    }
    let rotated = keys.rotate(id, key, OVERLAP).await;
    Ok(once(&rotated.map_err(Error::of_keys)?))
}

pub(crate) async fn revoke(tenant: Tenant, Path(key): Path<KeyId>) -> Result<StatusCode, Error> {
    let revoked = admin(&tenant)?.revoke(tenant.tenant_id(), key).await;
    revoked.map_err(Error::of_keys)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The text of a key, which can't be had again and is kept by no cache.
fn once(issued: &IssuedKey) -> impl IntoResponse + use<> {
    let id = issued.record().id;
    let body = Json(serde_json::json!({ "id": id, "key": issued.expose() }));
    ([(header::CACHE_CONTROL, "no-store")], body)
}

/// The administration of keys on the caller's authority, who is in the audit trail.
fn admin(context: &TenantContext) -> Result<KeyAdmin, Error> {
    let keys = context.tenancy().keys().map_err(|error| {
        tracing::error!(%error, "the engine was built without keys");
        tenancy::Refusal::new(tenancy::RefusalKind::Misconfigured, "no-keys")
    })?;
    Ok(keys.by(context.authority("keys:manage")?))
}
