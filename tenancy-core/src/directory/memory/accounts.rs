//! Accounts and password resets in memory.

use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;
use uuid::Uuid;

use super::{MemoryDirectory, State};
use crate::{
    Account, AccountChange, AccountKey, AccountStore, ChangeRecord, EmailAddress, NewPasswordReset,
    PasswordReset, PasswordResetStore, RevokedBefore, StoreError, StoreErrorKind, Timestamp,
    TokenSubject, UsedPasswordReset, UserId, key::SecretHash,
};

/// How many that have expired go with each that comes.
const CLEANED: usize = 16;

/// Resets by their address.
#[derive(Debug, Default)]
pub(super) struct Resets {
    by_email: HashMap<EmailAddress, NewPasswordReset>,
    by_id: HashMap<Uuid, EmailAddress>,
    /// In the order in which they came.
    came: VecDeque<Uuid>,
}

impl Resets {
    fn find(&self, id: Uuid) -> Option<&NewPasswordReset> {
        self.by_email.get(self.by_id.get(&id)?)
    }

    fn forget(&mut self, email: &EmailAddress) {
        if let Some(reset) = self.by_email.remove(email) {
            self.by_id.remove(&reset.id);
        }
    }

    fn remove(&mut self, id: Uuid) {
        if let Some(email) = self.by_id.remove(&id) {
            self.by_email.remove(&email);
        }
    }

    fn put(&mut self, reset: &NewPasswordReset, now: Timestamp) {
        for _ in 0..CLEANED {
            let Some(oldest) = self.came.front().copied() else {
                break;
            };
            if self
                .find(oldest)
                .is_some_and(|reset| now < reset.expires_at)
            {
                break;
            }
            self.remove(oldest);
            self.came.pop_front();
        }
        let before = self.by_email.insert(reset.email.clone(), reset.clone());
        if let Some(before) = before {
            self.by_id.remove(&before.id);
        }
        self.by_id.insert(reset.id, reset.email.clone());
        self.came.push_back(reset.id);
    }
}

impl State {
    fn find_account(&self, by: &AccountKey) -> Option<&Account> {
        match by {
            AccountKey::User(user) => self.accounts.get(user),
            AccountKey::Email(email) => {
                (self.accounts.values()).find(|one| one.email.as_ref() == Some(email))
            }
            AccountKey::Subject(subject) => {
                (self.accounts.values()).find(|one| one.subjects.contains(subject))
            }
        }
    }

    /// Whether nobody has the id, the address or a subject of a new account.
    pub(super) fn is_free_account(&self, account: &Account) -> Result<(), StoreError> {
        let keys = std::iter::once(AccountKey::User(account.user))
            .chain(account.email.clone().map(AccountKey::Email))
            .chain(account.subjects.iter().cloned().map(AccountKey::Subject));
        for key in keys {
            if self.find_account(&key).is_some() {
                return Err(taken());
            }
        }
        Ok(())
    }

    fn change_account(&mut self, user: UserId, change: &AccountChange) -> Result<(), StoreError> {
        if let AccountChange::Link(subject) = change {
            let theirs = self.find_account(&AccountKey::Subject(subject.clone()));
            if theirs.is_some_and(|theirs| theirs.user != user) {
                return Err(taken());
            }
        }
        let account = self.accounts.get(&user).ok_or_else(|| unknown(user))?;
        let mut changed = account.clone();
        let email = changed.email.clone();
        change.apply(&mut changed);
        changed.check()?;
        self.accounts.insert(user, changed);
        if let Some(revoked) = change.revoked() {
            // An open reset would undo it.
            if let Some(email) = email {
                self.resets.forget(&email);
            }
            self.take_back(user, revoked);
        }
        Ok(())
    }

    fn take_back(&mut self, user: UserId, revoked: RevokedBefore) {
        self.changes += 1;
        let change = self.changes;
        self.token_revocations
            .raise(&TokenSubject::User(user), revoked, change);
    }
}

fn taken() -> StoreError {
    let message = "the account's id, address or external subject is another account's";
    StoreError::new(StoreErrorKind::Conflict, message)
}

fn unknown(user: UserId) -> StoreError {
    let message = format!("there is no account `{user}`");
    StoreError::new(StoreErrorKind::NotFound, message)
}

#[async_trait]
impl AccountStore for MemoryDirectory {
    async fn find_account(&self, by: &AccountKey) -> Result<Option<Account>, StoreError> {
        Ok(self.read().find_account(by).cloned())
    }

    async fn create_account(
        &self,
        account: &Account,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.is_free_account(account)?;
            state.accounts.insert(account.user, account.clone());
            Ok(())
        })
    }

    async fn change_account(
        &self,
        user: UserId,
        change: &AccountChange,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| state.change_account(user, change))
    }

    async fn renew_hash(
        &self,
        user: UserId,
        expected: &SecretHash,
        new: &SecretHash,
    ) -> Result<bool, StoreError> {
        let mut state = self.write();
        let account = state.accounts.get_mut(&user);
        let account = account.filter(|account| account.password.as_ref() == Some(expected));
        Ok(account
            .map(|account| account.password = Some(new.clone()))
            .is_some())
    }
}

#[async_trait]
impl PasswordResetStore for MemoryDirectory {
    async fn request_password_reset(
        &self,
        reset: &NewPasswordReset,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.resets.put(reset, self.outbox.now());
            Ok(())
        })
    }

    async fn find_password_reset(&self, id: Uuid) -> Result<Option<PasswordReset>, StoreError> {
        let state = self.read();
        Ok(state.resets.find(id).map(|reset| {
            let user = state.find_account(&AccountKey::Email(reset.email.clone()));
            let user = user.filter(|account| !account.disabled);
            let (email, digest) = (reset.email.clone(), reset.digest.clone());
            PasswordReset::new(
                email,
                digest,
                reset.expires_at,
                user.map(|account| account.user),
            )
        }))
    }

    async fn use_password_reset(
        &self,
        used: &UsedPasswordReset,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            let open = state
                .resets
                .find(used.id)
                .filter(|reset| reset.digest == used.digest && used.now < reset.expires_at);
            let theirs =
                open.and_then(|reset| state.find_account(&AccountKey::Email(reset.email.clone())));
            let is_theirs =
                theirs.is_some_and(|account| account.user == used.user && !account.disabled);
            if !is_theirs {
                return Err(StoreError::new(
                    StoreErrorKind::NotFound,
                    "the password reset is used, replaced or expired",
                ));
            }
            let change = AccountChange::Password {
                hash: used.hash.clone(),
                revoked: used.revoked,
            };
            state.change_account(used.user, &change)?;
            state.resets.remove(used.id);
            Ok(())
        })
    }
}
