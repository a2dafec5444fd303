//! Rows of keys, locked and written inside a transaction.

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, types::Json};
use tenancy_core::{
    ConfigError, KeyId, MemberHoldings, StoreError, StoreErrorKind, TenantId, Timestamp, UserId,
    key::{ApiKey, KeyHandle, SecretHash},
};

use super::rows::{KEY, key};
use crate::directory::write::{read_rows, refused, require_tenant};

fn written(key: &ApiKey) -> Written {
    Written {
        scopes: key.scopes.iter().map(ToString::to_string).collect(),
        networks: key
            .networks
            .as_slice()
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

/// The parts of a key that are stored as lists of text.
struct Written {
    scopes: Vec<String>,
    networks: Vec<String>,
}

/// Its own limits, as they are stored: NULL for none.
fn limits(key: &ApiKey) -> Result<Option<Json<Value>>, StoreError> {
    if key.limits.is_empty() {
        return Ok(None);
    }
    let unfit = |error: ConfigError| StoreError::new(StoreErrorKind::Invalid, error.to_string());
    Ok(Some(Json(key.limits.to_stored().map_err(unfit)?)))
}

fn micros(moment: Option<Timestamp>) -> Option<i64> {
    moment.map(Timestamp::as_unix_micros)
}

fn unknown(key: KeyId) -> StoreError {
    StoreError::new(StoreErrorKind::NotFound, format!("there is no key `{key}`"))
}

/// A tenant's key, locked until the transaction ends.
pub(in crate::directory) async fn locked(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: KeyId,
) -> Result<ApiKey, StoreError> {
    let one = format!(
        "SELECT {KEY} FROM tenancy.api_keys AS k
         WHERE k.tenant_id = $1 AND k.id = $2 FOR NO KEY UPDATE"
    );
    let row = sqlx::query(AssertSqlSafe(one))
        .bind(tenant.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(connection)
        .await
        .map_err(refused)?;
    key(&row.ok_or_else(|| unknown(id))?).map_err(StoreError::unavailable)
}

/// Refuses a key whose creator is no active member. The membership can't be removed before the transaction ends.
pub(super) async fn require_creator(
    connection: &mut PgConnection,
    key: &ApiKey,
) -> Result<(), StoreError> {
    let member = sqlx::query(
        "SELECT FROM tenancy.memberships
         WHERE tenant_id = $1 AND user_id = $2 AND status = 'active' FOR KEY SHARE",
    )
    .bind(key.tenant.as_uuid())
    .bind(key.creator.as_uuid())
    .fetch_optional(&mut *connection)
    .await
    .map_err(refused)?;
    if member.is_some() {
        return Ok(());
    }
    require_tenant(connection, key.tenant).await?;
    Err(StoreError::no_key_creator())
}

/// The live keys that a user has made in a tenant, by id: as many as are listed, and one more.
pub(in crate::directory) async fn live_of(
    connection: &mut PgConnection,
    (tenant, creator): (TenantId, UserId),
    at: Timestamp,
) -> Result<Vec<ApiKey>, StoreError> {
    let live = format!(
        "SELECT {KEY} FROM tenancy.api_keys AS k,
             (SELECT timestamptz 'epoch' + $3 * interval '1 microsecond') AS now (at)
         WHERE k.tenant_id = $1 AND k.creator = $2 AND k.revoked_at IS NULL
             AND (k.expires_at IS NULL OR k.expires_at > now.at)
             AND (k.overlap_until IS NULL OR k.overlap_until > now.at)
         ORDER BY k.id LIMIT $4"
    );
    let rows = sqlx::query(AssertSqlSafe(live))
        .bind(tenant.as_uuid())
        .bind(creator.as_uuid())
        .bind(at.as_unix_micros())
        .bind(i64::from(MemberHoldings::MAX_KEYS) + 1)
        .fetch_all(connection)
        .await;
    read_rows(rows, key)
}

/// Writes that a key has another holder, with other scopes.
pub(in crate::directory) async fn hand_over(
    connection: &mut PgConnection,
    key: &ApiKey,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE tenancy.api_keys SET creator = $3, scopes = $4, open_projects_only = $5
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(key.tenant.as_uuid())
    .bind(key.id.as_uuid())
    .bind(key.creator.as_uuid())
    .bind(written(key).scopes)
    .bind(key.open_projects_only)
    .execute(connection)
    .await
    .map_err(refused)?;
    Ok(())
}

pub(in crate::directory) async fn insert(
    connection: &mut PgConnection,
    key: &ApiKey,
) -> Result<(), StoreError> {
    let Written { scopes, networks } = written(key);
    let digest = key.verifier.digest();
    let limits = limits(key)?;
    sqlx::query(
        "INSERT INTO tenancy.api_keys
             (id, tenant_id, creator, environment, name, scopes, project_id, networks, metadata,
              digest, digest_version, created_at, expires_at, overlap_until, successor, disabled,
              revoked_at, last_used_at, handle, secret_hash, limits, open_projects_only)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
              timestamptz 'epoch' + $12 * interval '1 microsecond',
              timestamptz 'epoch' + $13 * interval '1 microsecond',
              timestamptz 'epoch' + $14 * interval '1 microsecond', $15, $16,
              timestamptz 'epoch' + $17 * interval '1 microsecond',
              timestamptz 'epoch' + $18 * interval '1 microsecond', $19, $20, $21, $22)",
    )
    .bind(key.id.as_uuid())
    .bind(key.tenant.as_uuid())
    .bind(key.creator.as_uuid())
    .bind(key.environment.as_str())
    .bind(&key.name)
    .bind(scopes)
    .bind(key.project.map(|project| project.as_uuid()))
    .bind(networks)
    .bind(Json(&key.metadata))
    .bind(digest.map(|digest| digest.as_bytes().as_slice()))
    .bind(digest.map(|digest| i64::from(digest.version())))
    .bind(key.created_at.as_unix_micros())
    .bind(micros(key.expires_at))
    .bind(micros(key.overlap_until))
    .bind(key.successor.map(|successor| successor.as_uuid()))
    .bind(key.disabled)
    .bind(micros(key.revoked_at))
    .bind(micros(key.last_used_at))
    .bind(key.verifier.handle().map(KeyHandle::as_str))
    .bind(key.verifier.hash().map(SecretHash::as_str))
    .bind(limits)
    .bind(key.open_projects_only)
    .execute(connection)
    .await
    .map_err(refused)?;
    Ok(())
}

/// Writes what may change about a key that is there.
pub(super) async fn update(connection: &mut PgConnection, key: &ApiKey) -> Result<(), StoreError> {
    let Written { scopes, networks } = written(key);
    sqlx::query(
        "UPDATE tenancy.api_keys SET name = $2, scopes = $3, networks = $4, metadata = $5,
             overlap_until = timestamptz 'epoch' + $6 * interval '1 microsecond', successor = $7,
             disabled = $8, revoked_at = timestamptz 'epoch' + $9 * interval '1 microsecond',
             limits = $10
         WHERE id = $1",
    )
    .bind(key.id.as_uuid())
    .bind(&key.name)
    .bind(scopes)
    .bind(networks)
    .bind(Json(&key.metadata))
    .bind(micros(key.overlap_until))
    .bind(key.successor.map(|successor| successor.as_uuid()))
    .bind(key.disabled)
    .bind(micros(key.revoked_at))
    .bind(limits(key)?)
    .execute(connection)
    .await
    .map_err(refused)?;
    Ok(())
}
