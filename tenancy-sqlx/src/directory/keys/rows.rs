//! Rows of keys, read.

use sqlx::{postgres::PgRow, types::Uuid};
use tenancy_core::{
    DirectoryError, KeyId, ProjectId, TenantId, Timestamp, UserId,
    key::{ApiKey, Environment, KeyDigest, KeyLimits, KeyVerifier, SecretHash},
};

use crate::directory::rows::column;

/// The columns that [`key`] reads.
pub(super) const KEY: &str = "k.id, k.tenant_id, k.creator, k.environment, k.name, k.scopes, k.project_id, \
    k.networks, k.metadata, k.digest, k.digest_version, k.handle, k.secret_hash, k.successor, \
    k.disabled, k.limits, k.open_projects_only, \
    (extract(epoch FROM k.created_at) * 1000000)::bigint AS created_at, \
    (extract(epoch FROM k.expires_at) * 1000000)::bigint AS expires_at, \
    (extract(epoch FROM k.overlap_until) * 1000000)::bigint AS overlap_until, \
    (extract(epoch FROM k.revoked_at) * 1000000)::bigint AS revoked_at, \
    (extract(epoch FROM k.last_used_at) * 1000000)::bigint AS last_used_at";

/// Reads a key. A row that this version can't read is an error, never "not found".
pub(super) fn key(row: &PgRow) -> Result<ApiKey, DirectoryError> {
    let moment = |name| Ok(column::<Option<i64>>(row, name)?.map(Timestamp::from_unix_micros));
    let environment: String = column(row, "environment")?;
    let environment = Environment::from_stored(&environment).ok_or_else(|| {
        DirectoryError::new(format!("`{environment}` is not an environment of keys"))
    })?;
    let mut key = ApiKey::new(
        KeyId::from_uuid(column(row, "id")?),
        TenantId::from_uuid(column(row, "tenant_id")?),
        UserId::from_uuid(column(row, "creator")?),
        environment,
        verifier(row)?,
        Timestamp::from_unix_micros(column(row, "created_at")?),
    );
    key.name = column(row, "name")?;
    let scopes: Vec<String> = column(row, "scopes")?;
    key.scopes = parsed(&scopes)?;
    key.project = column::<Option<Uuid>>(row, "project_id")?.map(ProjectId::from_uuid);
    let networks: Vec<String> = column(row, "networks")?;
    key.networks = parsed::<_>(&networks)?.into_iter().collect();
    key.metadata = column::<sqlx::types::Json<_>>(row, "metadata")?.0;
    let limits = column::<Option<sqlx::types::Json<serde_json::Value>>>(row, "limits")?;
    if let Some(limits) = limits {
        key.limits = KeyLimits::from_stored(&limits.0).map_err(DirectoryError::new)?;
    }
    key.open_projects_only = column(row, "open_projects_only")?;
    key.expires_at = moment("expires_at")?;
    key.overlap_until = moment("overlap_until")?;
    key.successor = column::<Option<Uuid>>(row, "successor")?.map(KeyId::from_uuid);
    key.disabled = column(row, "disabled")?;
    key.revoked_at = moment("revoked_at")?;
    key.last_used_at = moment("last_used_at")?;
    Ok(key)
}

/// Reads how a key is verified. A row that says two ways, or none, is an error.
fn verifier(row: &PgRow) -> Result<KeyVerifier, DirectoryError> {
    let digest = (column(row, "digest")?, column(row, "digest_version")?);
    let imported = (column(row, "handle")?, column(row, "secret_hash")?);
    match (digest, imported) {
        ((Some::<Vec<u8>>(digest), Some::<i64>(version)), (None, None)) => {
            let digest = digest
                .try_into()
                .map_err(|_| DirectoryError::new("a digest is not of 32 bytes"))?;
            let version = u32::try_from(version).map_err(DirectoryError::new)?;
            Ok(KeyDigest::new(version, digest).into())
        }
        ((None, None), (Some::<String>(handle), Some::<String>(hash))) => {
            Ok(KeyVerifier::Argon2id {
                handle: handle.parse().map_err(DirectoryError::new)?,
                hash: SecretHash::from_stored(hash),
            })
        }
        _ => Err(DirectoryError::new("a key has neither a digest nor a hash")),
    }
}

fn parsed<T>(texts: &[String]) -> Result<Vec<T>, DirectoryError>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let each = texts.iter().map(|text| text.parse::<T>());
    each.collect::<Result<_, _>>().map_err(DirectoryError::new)
}
