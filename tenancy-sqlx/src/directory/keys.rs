//! API keys in PostgreSQL.

mod many;
mod rows;
mod statements;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, types::Uuid};
use tenancy_core::{
    ChangeRecord, DirectoryError, KeyId, StoreError, TenantId, Timestamp, UserId,
    key::{
        ApiKey, Environment, KeyChange, KeyDigest, KeyDirectory, KeyHandle, KeyRange, KeyRotation,
        KeyStore,
    },
};

use super::{
    PgDirectory,
    write::{commit, locked_tenant, refused},
};
use crate::{options::Timeouts, session};
pub(super) use many::Many;
use rows::{KEY, key};
pub(super) use statements::{hand_over, insert, live_of, locked};
use statements::{require_creator, update};

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
    async fn insert_key(&self, key: &ApiKey, with: &ChangeRecord) -> Result<(), StoreError> {
        let mut tx = self.write_as(key.tenant).await?;
        require_creator(&mut tx, key).await?;
        insert(&mut tx, key).await?;
        commit(tx, with).await
    }

    async fn list_keys(
        &self,
        tenant: TenantId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let mut tx = self.write_as(tenant).await?;
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
        with: &ChangeRecord,
    ) -> Result<ApiKey, StoreError> {
        let mut tx = self.write_as(tenant).await?;
        let mut changed = locked(&mut tx, tenant, key).await?;
        change.apply(&mut changed)?;
        update(&mut tx, &changed).await?;
        commit(tx, with).await?;
        Ok(changed)
    }

    async fn rotate_key(
        &self,
        tenant: TenantId,
        rotation: &KeyRotation,
        with: &ChangeRecord,
    ) -> Result<ApiKey, StoreError> {
        let mut tx = self.write_as(tenant).await?;
        // The tenant before its keys, as where all of them are revoked: else the two would wait for
        // each other, and a successor could be missed.
        locked_tenant(&mut tx, tenant).await?;
        let mut old = locked(&mut tx, tenant, rotation.key).await?;
        let new = rotation.apply(&mut old)?;
        insert(&mut tx, &new).await?;
        update(&mut tx, &old).await?;
        commit(tx, with).await?;
        Ok(new)
    }

    async fn revoke_tenant_keys(
        &self,
        tenant: TenantId,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<u64, StoreError> {
        let mut tx = self.write_as(tenant).await?;
        locked_tenant(&mut tx, tenant).await?;
        let revoked = Many::Tenant(tenant).revoke(&mut tx, at).await?;
        commit(tx, with).await?;
        Ok(revoked.iter().map(|(_, count)| count).sum())
    }

    async fn revoke_key_range(
        &self,
        range: &KeyRange,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        self.revoke(Many::Range(*range), at, with).await
    }

    async fn revoke_creator_keys(
        &self,
        creator: UserId,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        self.revoke(Many::Creator(creator), at, with).await
    }

    async fn record_last_used(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let keys: Vec<Uuid> = uses.iter().map(|(key, _)| key.as_uuid()).collect();
        let at: Vec<i64> = uses.iter().map(|(_, at)| at.as_unix_micros()).collect();
        // By the service's own login, whose process it is that keys are used in.
        let batch = session::nobodys_batch("BEGIN", &Timeouts::LOOK_UP);
        let mut tx = session::begin(&self.app, batch)
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
        tx.commit().await.map_err(refused)
    }

    async fn replace_digest(
        &self,
        key: KeyId,
        expected: &KeyDigest,
        new: &KeyDigest,
    ) -> Result<bool, StoreError> {
        // The registry login writes as one tenant: the key says whose it is.
        let mut tx = match &self.registry {
            Some(_) => match self.find_key(key).await.map_err(StoreError::unavailable)? {
                Some(key) => self.write_as(key.tenant).await?,
                None => return Ok(false),
            },
            None => self.write().await?,
        };
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
        tx.commit_unrecorded().await?;
        Ok(done.rows_affected() == 1)
    }
}
