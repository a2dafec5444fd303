//! Accounts of the service, by functions that find and change one: no login but the owner reads their passwords.

use async_trait::async_trait;
use sqlx::{
    PgConnection,
    postgres::PgRow,
    types::{Json, Uuid},
};
use tenancy_core::{
    Account, AccountChange, AccountKey, AccountStore, ChangeRecord, DirectoryError, EmailAddress,
    ExternalSubject, RevokedBefore, StoreError, StoreErrorKind, Timestamp, UserId, key::SecretHash,
};

use super::{
    PgDirectory,
    rows::column,
    write::{Writing, refused},
};
use crate::audit::{Row, targets_of};

#[async_trait]
impl AccountStore for PgDirectory {
    async fn find_account(&self, by: &AccountKey) -> Result<Option<Account>, StoreError> {
        let (user, email, subject) = match by {
            AccountKey::User(user) => (Some(user.as_uuid()), None, None),
            AccountKey::Email(email) => (None, Some(email.as_str()), None),
            AccountKey::Subject(subject) => (None, None, Some(subject)),
        };
        let mut tx = self.list_across().await?;
        let found = sqlx::query("SELECT * FROM tenancy.find_account($1, $2, $3, $4)")
            .bind(user)
            .bind(email)
            .bind(subject.map(ExternalSubject::issuer))
            .bind(subject.map(ExternalSubject::subject))
            .fetch_optional(&mut *tx)
            .await
            .map_err(refused)?;
        let read = found.as_ref().map(account).transpose();
        read.map_err(StoreError::unavailable)
    }

    async fn create_account(
        &self,
        account: &Account,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_by_functions().await?;
        create(&mut tx, account).await?;
        commit(tx, with).await
    }

    async fn change_account(
        &self,
        user: UserId,
        change: &AccountChange,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_by_functions().await?;
        let (hash, disabled) = match change {
            AccountChange::Password { hash, .. } => (Some(hash.as_str()), None),
            AccountChange::Disable { .. } => (None, Some(true)),
            AccountChange::Enable => (None, Some(false)),
            AccountChange::Link(_) | AccountChange::Unlink(_) => (None, None),
        };
        let is_there: bool = match change {
            AccountChange::Link(subject) | AccountChange::Unlink(subject) => {
                sqlx::query_scalar("SELECT tenancy.link_account($1, $2, $3, $4)")
                    .bind(user.as_uuid())
                    .bind(subject.issuer())
                    .bind(subject.subject())
                    .bind(matches!(change, AccountChange::Link(_)))
                    .fetch_one(&mut *tx)
                    .await
            }
            _ => {
                sqlx::query_scalar("SELECT tenancy.change_account($1, $2, $3, $4)")
                    .bind(user.as_uuid())
                    .bind(hash)
                    .bind(disabled)
                    .bind(change.revoked().map(micros))
                    .fetch_one(&mut *tx)
                    .await
            }
        }
        .map_err(refused_account)?;
        if !is_there {
            let unknown = format!("there is no account `{user}`");
            return Err(StoreError::new(StoreErrorKind::NotFound, unknown));
        }
        commit(tx, with).await
    }

    async fn renew_hash(
        &self,
        user: UserId,
        expected: &SecretHash,
        new: &SecretHash,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write_by_functions().await?;
        let renewed = sqlx::query_scalar("SELECT tenancy.renew_account_hash($1, $2, $3)")
            .bind(user.as_uuid())
            .bind(expected.as_str())
            .bind(new.as_str())
            .fetch_one(&mut *tx)
            .await
            .map_err(refused)?;
        tx.commit_unrecorded().await?;
        Ok(renewed)
    }
}

/// Adds an account in whatever transaction.
pub(super) async fn create(
    connection: &mut PgConnection,
    account: &Account,
) -> Result<(), StoreError> {
    let subjects = account.subjects.iter();
    let (issuers, subjects): (Vec<_>, Vec<_>) =
        subjects.map(|one| (one.issuer(), one.subject())).unzip();
    sqlx::query("SELECT tenancy.create_account($1, $2, $3, $4, $5, $6, $7)")
        .bind(account.user.as_uuid())
        .bind(account.email.as_ref().map(EmailAddress::as_str))
        .bind(account.password.as_ref().map(SecretHash::as_str))
        .bind(account.disabled)
        .bind(account.created_at.as_unix_micros())
        .bind(issuers)
        .bind(subjects)
        .execute(connection)
        .await
        .map_err(refused_account)?;
    Ok(())
}

fn refused_account(error: sqlx::Error) -> StoreError {
    let database = error.as_database_error();
    if database.is_some_and(sqlx::error::DatabaseError::is_unique_violation) {
        let taken = "the account's id, address or external subject is another account's";
        return StoreError::new(StoreErrorKind::Conflict, taken);
    }
    refused(error)
}

/// Commits a change of what is no tenant's, with its entry and its events.
pub(super) async fn commit(mut writing: Writing, with: &ChangeRecord) -> Result<(), StoreError> {
    let ChangeRecord { entry, events, .. } = with;
    let row = Row::of(entry);
    let targets: Vec<_> = targets_of(&row.targets).collect();
    let (ids, (kinds, payloads)): (Vec<_>, (Vec<_>, Vec<_>)) = events
        .iter()
        .map(|event| (event.id().as_uuid(), (event.kind(), Json(event.payload()))))
        .unzip();
    sqlx::query(
        "SELECT tenancy.record_account_change($1, to_timestamp($2::float8 / 1000000), $3, $4, $5, $6, $7, $8, $9,
             $10, $11, $12::text::inet, $13, $14, $15, $16, $17)",
    )
    .bind(entry.id)
    .bind(entry.at.as_unix_micros())
    .bind(row.actor_kind)
    .bind(row.actor_id)
    .bind(entry.on_behalf_of.map(|user| user.as_uuid()))
    .bind(&row.credential)
    .bind(&*entry.action)
    .bind(entry.outcome.as_str())
    .bind(row.reason())
    .bind(Json(targets))
    .bind(row.details.as_ref().map(Json))
    .bind(entry.ip.map(|ip| ip.to_string()))
    .bind(row.user_agent())
    .bind(row.request_id())
    .bind(ids)
    .bind(kinds)
    .bind(payloads)
    .execute(&mut *writing)
    .await
    .map_err(refused)?;
    writing.commit_unrecorded().await
}

pub(super) fn micros(revoked: RevokedBefore) -> i64 {
    revoked.as_timestamp().as_unix_micros()
}

fn account(row: &PgRow) -> Result<Account, DirectoryError> {
    let user: Uuid = column(row, "user_id")?;
    let mut account = Account::of(UserId::from_uuid(user));
    let email: Option<String> = column(row, "email")?;
    account.email = email.as_deref().map(address).transpose()?;
    let password: Option<String> = column(row, "password")?;
    account.password = password.map(SecretHash::from_stored);
    account.disabled = column(row, "disabled")?;
    account.created_at = Timestamp::from_unix_micros(column(row, "created_at")?);
    let issuers: Vec<String> = column(row, "issuers")?;
    let subjects: Vec<String> = column(row, "subjects")?;
    for (issuer, subject) in issuers.into_iter().zip(subjects) {
        let subject = ExternalSubject::new(issuer, subject).map_err(DirectoryError::new)?;
        account.subjects.push(subject);
    }
    Ok(account)
}

pub(super) fn address(stored: &str) -> Result<EmailAddress, DirectoryError> {
    stored.parse().map_err(DirectoryError::new)
}
