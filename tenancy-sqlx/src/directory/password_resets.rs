//! Password resets, by functions that look for one by its id.

use async_trait::async_trait;
use sqlx::{postgres::PgRow, types::Uuid};
use tenancy_core::{
    ChangeRecord, DirectoryError, NewPasswordReset, PasswordReset, PasswordResetStore, StoreError,
    StoreErrorKind, Timestamp, UsedPasswordReset, UserId, one_time::OneTimeDigest,
};

use super::{
    PgDirectory,
    accounts::{address, commit, micros},
    rows::{column, text},
    write::refused,
};

#[async_trait]
impl PasswordResetStore for PgDirectory {
    async fn request_password_reset(
        &self,
        reset: &NewPasswordReset,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_by_functions().await?;
        sqlx::query("SELECT tenancy.request_password_reset($1, $2, $3, $4, $5, $6)")
            .bind(reset.email.as_str())
            .bind(reset.id)
            .bind(reset.digest.as_bytes().as_slice())
            .bind(i64::from(reset.digest.version()))
            .bind(reset.created_at.as_unix_micros())
            .bind(reset.expires_at.as_unix_micros())
            .execute(&mut *tx)
            .await
            .map_err(refused)?;
        commit(tx, with).await
    }

    async fn find_password_reset(&self, id: Uuid) -> Result<Option<PasswordReset>, StoreError> {
        let mut tx = self.list_across().await?;
        let found = sqlx::query("SELECT * FROM tenancy.find_password_reset($1)")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await
            .map_err(refused)?;
        let read = found.as_ref().map(reset).transpose();
        read.map_err(StoreError::unavailable)
    }

    async fn use_password_reset(
        &self,
        used: &UsedPasswordReset,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_by_functions().await?;
        let is_used: bool =
            sqlx::query_scalar("SELECT tenancy.use_password_reset($1, $2, $3, $4, $5, $6)")
                .bind(used.id)
                .bind(used.digest.as_bytes().as_slice())
                .bind(used.user.as_uuid())
                .bind(used.now.as_unix_micros())
                .bind(used.hash.as_str())
                .bind(micros(used.revoked))
                .fetch_one(&mut *tx)
                .await
                .map_err(refused)?;
        // Without a commit, what was deleted is there again.
        if !is_used {
            return Err(StoreError::new(
                StoreErrorKind::NotFound,
                "the password reset is used, replaced or expired",
            ));
        }
        commit(tx, with).await
    }
}

fn reset(row: &PgRow) -> Result<PasswordReset, DirectoryError> {
    let digest: Vec<u8> = column(row, "digest")?;
    let digest: [u8; 32] = digest
        .try_into()
        .map_err(|_| DirectoryError::new("a digest has another length"))?;
    let version: i64 = column(row, "digest_version")?;
    let version = u32::try_from(version).map_err(DirectoryError::new)?;
    let user: Option<Uuid> = column(row, "user_id")?;
    Ok(PasswordReset::new(
        address(&text(row, "email")?)?,
        OneTimeDigest::new(version, digest),
        Timestamp::from_unix_micros(column(row, "expires_at")?),
        user.map(UserId::from_uuid),
    ))
}
