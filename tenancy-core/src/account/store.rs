//! What a store does with accounts and password resets.

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Account, AccountChange, AccountKey, NewPasswordReset, PasswordReset, UsedPasswordReset,
};
use crate::{ChangeRecord, StoreError, UserId, key::SecretHash};

/// Keeps accounts of the whole service.
///
/// Each change is one transaction, with its entry and its events: their actions and kinds begin with `account.`, and a store
/// may refuse others.
///
/// # Security
/// No tenant's session reads an account, and nothing lists them.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// The account that is found by this, disabled or not.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn find_account(&self, by: &AccountKey) -> Result<Option<Account>, StoreError>;

    /// Adds an account. A taken id, address or subject is a
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict).
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn create_account(
        &self,
        account: &Account,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Changes an account as [`AccountChange::apply`] does, and takes the tokens back that
    /// [`AccountChange::revoked`] says. No such account is
    /// [`StoreErrorKind::NotFound`](crate::StoreErrorKind::NotFound), and another account's subject is a conflict.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn change_account(
        &self,
        user: UserId,
        change: &AccountChange,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Replaces what is stored of a password by another hash of the same one, if it is still the expected one;
    /// returns whether it was. It changes nothing that anybody sees, and is not recorded.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn renew_hash(
        &self,
        user: UserId,
        expected: &SecretHash,
        new: &SecretHash,
    ) -> Result<bool, StoreError>;
}

/// Keeps password resets, one for each address.
#[async_trait]
pub trait PasswordResetStore: Send + Sync {
    /// Keeps a reset in the place of any other of its address, and removes a few that have expired. It does the same work
    /// whether there is such an account or not.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn request_password_reset(
        &self,
        reset: &NewPasswordReset,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// The reset of this id, expired or not, with whose it is now.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn find_password_reset(&self, id: Uuid) -> Result<Option<PasswordReset>, StoreError>;

    /// Ends a reset, stores the new password and takes the user's tokens back. Of two at once, one does; the other is
    /// [`StoreErrorKind::NotFound`](crate::StoreErrorKind::NotFound), as is one that has expired or was replaced, or
    /// whose address is no longer that user's.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn use_password_reset(
        &self,
        used: &UsedPasswordReset,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;
}
