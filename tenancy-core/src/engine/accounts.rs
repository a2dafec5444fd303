//! Managing accounts of the whole service on somebody's authority, and signing in.

#[cfg(feature = "argon2")]
mod resets;
#[cfg(feature = "argon2")]
mod sign_in;

#[cfg(all(feature = "argon2", feature = "jwt"))]
#[cfg(test)]
mod tests;

#[cfg(feature = "argon2")]
pub use resets::{PasswordResets, ResetMail};

use super::{
    Authority, Inner, Tenancy,
    author::{Author, Stale},
    authority::Who,
    token_revocations::Raising,
};
use crate::{
    Account, AccountChange, AccountKey, AccountStore, ChangeAction, ChangeRecord, EmailAddress,
    ExternalSubject, OperatorRight, RevokedBefore, StoreError, StoreErrorKind, Timestamp,
    TokenSubject, UserId, change::Change, key::SecretHash,
};

/// The accounts of the service, where the library keeps them; made by [`Tenancy::accounts`].
///
/// They are optional: an application with a table of users gives the engine their ids, and needs none of this. An account
/// belongs to no tenant; whose member somebody is, memberships say.
///
/// Each change is one transaction of the store, with its entry in the audit trail and its event. Neither names an address.
///
/// ```
/// # use tenancy_core::{Account, ExternalSubject, StoreError, Tenancy, danger};
/// # async fn signed_in(tenancy: Tenancy, issuer: String, subject: String) -> Result<(), Box<dyn std::error::Error>> {
/// // Once, at start.
/// let accounts = tenancy.accounts(danger::service("sign-up and sign-in")?);
/// // For each sign-in by an identity provider, after its token was verified.
/// let who = ExternalSubject::new(issuer, subject)?;
/// let account = match accounts.find_by_subject(&who).await? {
///     Some(account) => account,
///     None => {
///         let new = Account::external(who);
///         accounts.create(&new).await?;
///         new
///     }
/// };
/// if account.disabled {
///     return Err("this account is disabled".into());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Besides what each method names: [`StoreErrorKind::Forbidden`] on a caller's authority, which is good for the caller's
/// tenant, and accounts are no tenant's.
///
/// # Security
/// Nothing here asks who is calling: guard what leads here. [`find_by_email`](Self::find_by_email) and a conflict of
/// [`create`](Self::create) tell that an address has an account. Tell no caller who has not shown that the address is their
/// own: answer a sign-up with "look into your mail" in either case.
#[derive(Debug, Clone)]
#[must_use]
pub struct Accounts {
    pub(super) author: Author,
}

impl Tenancy {
    /// The accounts that the library keeps, on this authority: the service's, for sign-up and sign-in, or an operator's.
    pub fn accounts(&self, authority: Authority) -> Accounts {
        Accounts {
            author: Author {
                engine: self.clone(),
                authority,
            },
        }
    }
}

impl Accounts {
    /// The account of a user, disabled or not.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn find(&self, user: UserId) -> Result<Option<Account>, StoreError> {
        self.find_by(&AccountKey::User(user)).await
    }

    /// The account that has this address, disabled or not.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn find_by_email(&self, email: &EmailAddress) -> Result<Option<Account>, StoreError> {
        self.find_by(&AccountKey::Email(email.clone())).await
    }

    /// The account of somebody who is known elsewhere, disabled or not.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn find_by_subject(
        &self,
        subject: &ExternalSubject,
    ) -> Result<Option<Account>, StoreError> {
        self.find_by(&AccountKey::Subject(subject.clone())).await
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if its address or subject is another's, and [`StoreErrorKind::Invalid`] if it has a
    /// password and no address.
    pub async fn create(&self, account: &Account) -> Result<(), StoreError> {
        account.check()?;
        let change = Change::new(ChangeAction::AccountCreate, None).to("user", account.user);
        let store = self.store()?;
        self.make(change, async |record| {
            store.create_account(account, &record).await
        })
        .await
    }

    /// Stores another password, which `Passwords::hash` has hashed. The user's tokens that were
    /// issued until now are taken back, in every tenant.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if there is no such account.
    ///
    /// # Security
    /// Ask whoever is signed in for the former password first.
    pub async fn set_password(&self, user: UserId, hash: SecretHash) -> Result<(), StoreError> {
        let revoked = RevokedBefore::revoking_at(self.now());
        let change = AccountChange::Password { hash, revoked };
        self.change(ChangeAction::AccountSetPassword, user, change)
            .await
    }

    /// Lets nobody sign in to an account, and takes the user's tokens back. What the user is a member of stays, and so do
    /// the user's API keys: [suspend](crate::MembershipStatus::Suspended) the memberships to end those too.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if there is no such account.
    pub async fn disable(&self, user: UserId) -> Result<(), StoreError> {
        let revoked = RevokedBefore::revoking_at(self.now());
        let change = AccountChange::Disable { revoked };
        self.change(ChangeAction::AccountDisable, user, change)
            .await
    }

    /// Lets the owner sign in again.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if there is no such account.
    pub async fn enable(&self, user: UserId) -> Result<(), StoreError> {
        self.change(ChangeAction::AccountEnable, user, AccountChange::Enable)
            .await
    }

    /// Lets somebody sign in by another identity provider, too.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if there is no such account, and [`StoreErrorKind::Conflict`] if the subject is another
    /// account's.
    ///
    /// # Security
    /// Only for whoever is signed in to the account and has signed in there a moment ago. That both have one address proves
    /// nothing.
    pub async fn link(&self, user: UserId, subject: ExternalSubject) -> Result<(), StoreError> {
        let change = AccountChange::Link(subject);
        self.change(ChangeAction::AccountLink, user, change).await
    }

    /// Lets somebody no longer sign in by an identity provider. That the account has another way in is the application's to
    /// see to.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if there is no such account.
    pub async fn unlink(&self, user: UserId, subject: ExternalSubject) -> Result<(), StoreError> {
        let change = AccountChange::Unlink(subject);
        self.change(ChangeAction::AccountUnlink, user, change).await
    }

    async fn find_by(&self, by: &AccountKey) -> Result<Option<Account>, StoreError> {
        let right = OperatorRight::ReadTenants;
        self.author
            .may_list("accounts", right, (None, None))
            .await?;
        let mut found = self.store()?.find_account(by).await?;
        if let (Some(account), Who::Staff(_)) = (&mut found, &self.author.authority.who) {
            // What a password is compared with is nothing to look at.
            account.password = None;
        }
        Ok(found)
    }

    async fn change(
        &self,
        action: ChangeAction,
        user: UserId,
        change: AccountChange,
    ) -> Result<(), StoreError> {
        let what = Change::new(action, None).to("user", user);
        let store = self.store()?;
        let revoked = change.revoked();
        self.make(what, async |record| {
            taking_back(self.inner(), user, revoked, async || {
                store.change_account(user, &change, &record).await
            })
            .await
        })
        .await
    }

    async fn make<T>(
        &self,
        change: Change,
        store: impl AsyncFnOnce(ChangeRecord) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.author.make(change, Stale::Nothing, store).await
    }

    fn store(&self) -> Result<&dyn AccountStore, StoreError> {
        self.inner().stores.account_store()
    }

    fn inner(&self) -> &Inner {
        self.author.engine.inner()
    }

    fn now(&self) -> Timestamp {
        self.author.engine.clock().now()
    }
}

/// Makes a change that takes a user's tokens back, in this process too: also where nobody knows what came of it.
async fn taking_back<T>(
    inner: &Inner,
    user: UserId,
    revoked: Option<RevokedBefore>,
    make: impl AsyncFnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let news = revoked.map(|revoked| (TokenSubject::User(user), revoked));
    let mut raising = Raising::new(&inner.token_revocations, inner.clock.now(), news);
    let done = make().await;
    if done
        .as_ref()
        .is_err_and(|error| error.kind() != StoreErrorKind::Unavailable)
    {
        raising.calm();
    }
    done
}
