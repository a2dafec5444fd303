//! API keys in PostgreSQL.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgRow, types::Uuid};
use tenancy_core::{
    DirectoryError, KeyId, ProjectId, StoreError, StoreErrorKind, TenantId, Timestamp, UserId,
    key::{
        ApiKey, Environment, KeyChange, KeyDigest, KeyDirectory, KeyHandle, KeyRange, KeyRotation,
        KeyStore, KeyVerifier, SecretHash,
    },
};

use super::{
    PgDirectory,
    rows::column,
    write::{commit, record, refused},
};
use crate::session;

/// The columns that [`key`] reads.
const KEY: &str = "k.id, k.tenant_id, k.creator, k.environment, k.name, k.scopes, k.project_id, \
    k.networks, k.metadata, k.digest, k.digest_version, k.handle, k.secret_hash, k.successor, \
    k.disabled, \
    (extract(epoch FROM k.created_at) * 1000000)::bigint AS created_at, \
    (extract(epoch FROM k.expires_at) * 1000000)::bigint AS expires_at, \
    (extract(epoch FROM k.overlap_until) * 1000000)::bigint AS overlap_until, \
    (extract(epoch FROM k.revoked_at) * 1000000)::bigint AS revoked_at, \
    (extract(epoch FROM k.last_used_at) * 1000000)::bigint AS last_used_at";

/// Reads a key. A row that this version can't read is an error, never "not found".
fn key(row: &PgRow) -> Result<ApiKey, DirectoryError> {
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

fn micros(moment: Option<Timestamp>) -> Option<i64> {
    moment.map(Timestamp::as_unix_micros)
}

fn unknown(key: KeyId) -> StoreError {
    StoreError::new(StoreErrorKind::NotFound, format!("there is no key `{key}`"))
}

/// A tenant's key, locked until the transaction ends.
async fn locked(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: KeyId,
) -> Result<ApiKey, StoreError> {
    let one = format!(
        "SELECT {KEY} FROM tenancy.api_keys AS k WHERE k.tenant_id = $1 AND k.id = $2 FOR UPDATE"
    );
    let row = sqlx::query(AssertSqlSafe(one))
        .bind(tenant.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(connection)
        .await
        .map_err(refused)?;
    key(&row.ok_or_else(|| unknown(id))?).map_err(StoreError::unavailable)
}

async fn insert(connection: &mut PgConnection, key: &ApiKey) -> Result<(), StoreError> {
    let Written { scopes, networks } = written(key);
    let digest = key.verifier.digest();
    sqlx::query(
        "INSERT INTO tenancy.api_keys
             (id, tenant_id, creator, environment, name, scopes, project_id, networks, metadata,
              digest, digest_version, created_at, expires_at, overlap_until, successor, disabled,
              revoked_at, last_used_at, handle, secret_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
              timestamptz 'epoch' + $12 * interval '1 microsecond',
              timestamptz 'epoch' + $13 * interval '1 microsecond',
              timestamptz 'epoch' + $14 * interval '1 microsecond', $15, $16,
              timestamptz 'epoch' + $17 * interval '1 microsecond',
              timestamptz 'epoch' + $18 * interval '1 microsecond', $19, $20)",
    )
    .bind(key.id.as_uuid())
    .bind(key.tenant.as_uuid())
    .bind(key.creator.as_uuid())
    .bind(key.environment.as_str())
    .bind(&key.name)
    .bind(scopes)
    .bind(key.project.map(|project| project.as_uuid()))
    .bind(networks)
    .bind(sqlx::types::Json(&key.metadata))
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
    .execute(connection)
    .await
    .map_err(refused)?;
    Ok(())
}

/// Writes what may change about a key that is there.
async fn update(connection: &mut PgConnection, key: &ApiKey) -> Result<(), StoreError> {
    let Written { scopes, networks } = written(key);
    sqlx::query(
        "UPDATE tenancy.api_keys SET name = $2, scopes = $3, networks = $4, metadata = $5,
             overlap_until = timestamptz 'epoch' + $6 * interval '1 microsecond', successor = $7,
             disabled = $8, revoked_at = timestamptz 'epoch' + $9 * interval '1 microsecond'
         WHERE id = $1",
    )
    .bind(key.id.as_uuid())
    .bind(&key.name)
    .bind(scopes)
    .bind(networks)
    .bind(sqlx::types::Json(&key.metadata))
    .bind(micros(key.overlap_until))
    .bind(key.successor.map(|successor| successor.as_uuid()))
    .bind(key.disabled)
    .bind(micros(key.revoked_at))
    .execute(connection)
    .await
    .map_err(refused)?;
    Ok(())
}

#[async_trait]
impl KeyDirectory for PgDirectory {
    async fn find_key(&self, id: KeyId) -> Result<Option<ApiKey>, DirectoryError> {
        let mut reading = self.read_as_nobody(&self.app).await?;
        let one = format!("SELECT {KEY} FROM tenancy.find_api_key($1) AS k");
        let row = sqlx::query(AssertSqlSafe(one))
            .bind(id.as_uuid())
            .fetch_optional(&mut *reading)
            .await
            .map_err(DirectoryError::new)?;
        row.as_ref().map(key).transpose()
    }

    async fn find_imported_key(
        &self,
        environment: Environment,
        handle: &KeyHandle,
    ) -> Result<Option<ApiKey>, DirectoryError> {
        let mut reading = self.read_as_nobody(&self.app).await?;
        let one = format!("SELECT {KEY} FROM tenancy.find_imported_key($1, $2) AS k");
        let row = sqlx::query(AssertSqlSafe(one))
            .bind(environment.as_str())
            .bind(handle.as_str())
            .fetch_optional(&mut *reading)
            .await
            .map_err(DirectoryError::new)?;
        row.as_ref().map(key).transpose()
    }
}

#[async_trait]
impl KeyStore for PgDirectory {
    async fn insert_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        insert(&mut tx, key).await?;
        commit(tx).await
    }

    async fn list_keys(
        &self,
        tenant: TenantId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let mut tx = self.write().await?;
        let page = format!(
            "SELECT {KEY} FROM tenancy.api_keys AS k
             WHERE k.tenant_id = $1 AND ($2::uuid IS NULL OR k.id > $2) ORDER BY k.id LIMIT $3"
        );
        let rows = sqlx::query(AssertSqlSafe(page))
            .bind(tenant.as_uuid())
            .bind(after.map(|after| after.as_uuid()))
            .bind(i64::from(limit))
            .fetch_all(&mut *tx)
            .await
            .map_err(refused)?;
        let keys = rows.iter().map(key).collect::<Result<_, _>>();
        keys.map_err(StoreError::unavailable)
    }

    async fn change_key(
        &self,
        tenant: TenantId,
        key: KeyId,
        change: &KeyChange,
    ) -> Result<ApiKey, StoreError> {
        let mut tx = self.write().await?;
        let mut changed = locked(&mut tx, tenant, key).await?;
        change.apply(&mut changed);
        update(&mut tx, &changed).await?;
        commit(tx).await?;
        Ok(changed)
    }

    async fn rotate_key(
        &self,
        tenant: TenantId,
        rotation: &KeyRotation,
    ) -> Result<ApiKey, StoreError> {
        let mut tx = self.write().await?;
        // The tenant before its keys, as where all of them are revoked: else the two would wait for
        // each other, and a successor could be missed.
        record(&mut tx, tenant).await?;
        let mut old = locked(&mut tx, tenant, rotation.key).await?;
        let new = old.rotate(
            rotation.successor,
            rotation.digest.clone(),
            rotation.now,
            rotation.overlap_until,
        )?;
        insert(&mut tx, &new).await?;
        update(&mut tx, &old).await?;
        commit(tx).await?;
        Ok(new)
    }

    async fn revoke_tenant_keys(&self, tenant: TenantId, at: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        record(&mut tx, tenant).await?;
        let done = sqlx::query(
            // Locked in the order in which uses are noted.
            "WITH locked AS (
                 SELECT k.id FROM tenancy.api_keys AS k
                 WHERE k.tenant_id = $1 AND k.revoked_at IS NULL
                 ORDER BY k.id FOR NO KEY UPDATE OF k
             )
             UPDATE tenancy.api_keys AS k
             SET revoked_at = timestamptz 'epoch' + $2 * interval '1 microsecond'
             FROM locked WHERE k.id = locked.id",
        )
        .bind(tenant.as_uuid())
        .bind(at.as_unix_micros())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx).await?;
        Ok(done.rows_affected())
    }

    async fn revoke_key_range(
        &self,
        range: &KeyRange,
        at: Timestamp,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let mut tx = self.write().await?;
        let revoked: Vec<(Uuid, i64)> = sqlx::query_as(
            "WITH locked AS (
                 SELECT k.id FROM tenancy.api_keys AS k
                 WHERE k.environment = $1 AND k.id BETWEEN $2 AND $3 AND k.revoked_at IS NULL
                 ORDER BY k.id FOR NO KEY UPDATE OF k
             ), revoked AS (
                 UPDATE tenancy.api_keys AS k
                 SET revoked_at = timestamptz 'epoch' + $4 * interval '1 microsecond'
                 FROM locked WHERE k.id = locked.id
                 RETURNING k.tenant_id
             )
             SELECT tenant_id, count(*) FROM revoked GROUP BY tenant_id",
        )
        .bind(range.environment.as_str())
        .bind(range.first.as_uuid())
        .bind(range.last.as_uuid())
        .bind(at.as_unix_micros())
        .fetch_all(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx).await?;
        let counted = revoked.into_iter();
        Ok(counted
            .map(|(tenant, count)| (TenantId::from_uuid(tenant), count.unsigned_abs()))
            .collect())
    }

    async fn note_uses(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let keys: Vec<Uuid> = uses.iter().map(|(key, _)| key.as_uuid()).collect();
        let at: Vec<i64> = uses.iter().map(|(_, at)| at.as_unix_micros()).collect();
        // By the service's own login, whose process it is that keys are used in.
        let mut tx = session::begin_batch(&self.app, "BEGIN".into())
            .await
            .map_err(StoreError::unavailable)?;
        sqlx::query(
            "SELECT tenancy.note_key_uses($1, ARRAY(
                 SELECT timestamptz 'epoch' + u.at * interval '1 microsecond'
                 FROM unnest($2::bigint[]) WITH ORDINALITY AS u (at, place) ORDER BY u.place))",
        )
        .bind(keys)
        .bind(at)
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx).await
    }

    async fn replace_digest(
        &self,
        key: KeyId,
        expected: &KeyDigest,
        new: &KeyDigest,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE tenancy.api_keys SET digest = $4, digest_version = $5
             WHERE id = $1 AND digest = $2 AND digest_version = $3",
        )
        .bind(key.as_uuid())
        .bind(expected.as_bytes().as_slice())
        .bind(i64::from(expected.version()))
        .bind(new.as_bytes().as_slice())
        .bind(i64::from(new.version()))
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        commit(tx).await?;
        Ok(done.rows_affected() == 1)
    }
}
