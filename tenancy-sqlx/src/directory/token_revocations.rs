//! Since when tokens count.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use tenancy_core::{
    ChangeRecord, DirectoryError, RevocationStore, RevokedBefore, StoreError, Timestamp,
    TokenRevocationDirectory, TokenSubject,
};

use super::{
    PgDirectory, invitations, rows,
    write::{commit, refused},
};

#[async_trait]
impl TokenRevocationDirectory for PgDirectory {
    async fn find_token_revocation(
        &self,
        of: &[TokenSubject],
    ) -> Result<RevokedBefore, DirectoryError> {
        let kinds: Vec<_> = of.iter().map(TokenSubject::kind).collect();
        let subjects: Vec<_> = of.iter().map(TokenSubject::subject).collect();
        let mut reading = self.read_as_nobody(&self.app).await?;
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT (extract(epoch FROM tenancy.find_epoch($1, $2)) * 1000000)::bigint",
        )
        .bind(kinds)
        .bind(subjects)
        .fetch_one(&mut *reading)
        .await
        .map_err(DirectoryError::new)?;
        Ok(found.map_or(RevokedBefore::NONE, revoked_before))
    }
}

/// Reads a token revocation that the feed tells; `None` for a kind that this version does not know, and of
/// which it takes no tokens.
pub(super) fn told(row: &PgRow) -> Result<Option<(TokenSubject, RevokedBefore)>, DirectoryError> {
    let (kind, subject) = (rows::text(row, "kind")?, rows::text(row, "subject")?);
    let first = revoked_before(rows::column(row, "valid_after")?);
    Ok(TokenSubject::from_stored(&kind, &subject).map(|of| (of, first)))
}

fn revoked_before(micros: i64) -> RevokedBefore {
    RevokedBefore::from_timestamp(Timestamp::from_unix_micros(micros))
}

#[async_trait]
impl RevocationStore for PgDirectory {
    async fn revoke_before(
        &self,
        of: &TokenSubject,
        to: RevokedBefore,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = match of {
            TokenSubject::Tenant(tenant) => self.write_as(*tenant).await?,
            _ => self.write().await?,
        };
        sqlx::query(
            "INSERT INTO tenancy.token_epochs AS e (kind, subject, valid_after)
             VALUES ($1, $2, to_timestamp($3::float8 / 1000000))
             ON CONFLICT (kind, subject) DO UPDATE
                 SET valid_after = excluded.valid_after, changed_xid = pg_current_xact_id()
                 WHERE e.valid_after < excluded.valid_after",
        )
        .bind(of.kind())
        .bind(of.subject())
        .bind(to.as_timestamp().as_unix_micros())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        if let TokenSubject::Service(account) = of {
            invitations::revoke_of_account(&mut tx, *account).await?;
        }
        commit(tx, with).await
    }

    async fn forget_token_revocations(
        &self,
        before: RevokedBefore,
        with: &ChangeRecord,
    ) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "DELETE FROM tenancy.token_epochs
             WHERE valid_after < to_timestamp($1::float8 / 1000000)",
        )
        .bind(before.as_timestamp().as_unix_micros())
        .execute(&mut *tx)
        .await
        .map_err(refused)?;
        if done.rows_affected() == 0 {
            return Ok(0);
        }
        commit(tx, with).await?;
        Ok(done.rows_affected())
    }
}
