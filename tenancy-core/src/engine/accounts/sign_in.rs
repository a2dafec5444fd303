//! Signing in with address and password.

use std::net::IpAddr;

use super::Accounts;
use crate::{
    Account, EmailAddress, PasswordError, PasswordVerdict, Passwords, Refusal, RefusalKind,
    StoreError, StoreErrorKind, key::LowEntropySecret,
};

impl Accounts {
    /// The account whose address and password these are; `None` if there is none, or it is disabled, or has no password.
    /// All of these take the same work, and are one answer.
    ///
    /// A password whose hash cost less than new ones do is hashed anew and stored.
    ///
    /// # Errors
    /// A [`Refusal`]: 429 if too many attempts have failed for the address or from the client's, 503 if too many wait or the
    /// store did not answer. Nothing is known of the password then.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    ///
    /// ```
    /// # use tenancy_core::{Accounts, Passwords, Refusal, key::LowEntropySecret};
    /// # use std::net::IpAddr;
    /// # async fn log_in(accounts: Accounts, passwords: Passwords, typed: (String, String), ip: IpAddr) -> Result<(), Refusal> {
    /// let (Ok(email), Ok(password)) = (typed.0.parse(), LowEntropySecret::new(typed.1)) else {
    ///     return Ok(()); // "wrong address or password"
    /// };
    /// match accounts.sign_in(&passwords, &email, password, Some(ip)).await? {
    ///     Some(account) => println!("a new session of {}", account.user),
    ///     None => println!("wrong address or password"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn sign_in(
        &self,
        passwords: &Passwords,
        email: &EmailAddress,
        password: LowEntropySecret,
        ip: Option<IpAddr>,
    ) -> Result<Option<Account>, Refusal> {
        let found = self.find_by_email(email).await;
        let found = found.map_err(|error| unanswered(&error))?;
        let stored = found
            .as_ref()
            .filter(|account| !account.disabled)
            .and_then(|account| account.password.as_ref());
        let verdict = passwords.verify(email.as_str(), ip, stored, password).await;
        match (verdict, found) {
            (Ok(PasswordVerdict::Right { renewed }), Some(mut account)) => {
                if let (Some(before), Some(new)) = (&account.password, renewed) {
                    self.renew(&account, before, &new).await;
                    account.password = Some(new);
                }
                Ok(Some(account))
            }
            (Ok(_), _) => Ok(None),
            (Err(PasswordError::Stored), Some(account)) => {
                tracing::warn!(
                    user.id = %account.user,
                    "the stored hash of a password can't be used; have the person reset the password"
                );
                Ok(None)
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Whoever is right gets in, whether the new hash could be stored or not: the next sign-in tries again.
    async fn renew(
        &self,
        account: &Account,
        before: &crate::key::SecretHash,
        new: &crate::key::SecretHash,
    ) {
        let renewed = match self.store() {
            Ok(store) => store.renew_hash(account.user, before, new).await,
            Err(missing) => Err(missing),
        };
        if let Err(error) = renewed {
            tracing::warn!(user.id = %account.user, %error, "a password's hash was not renewed");
        }
    }
}

pub(super) fn unanswered(error: &StoreError) -> Refusal {
    tracing::warn!(%error, "accounts can't be looked at");
    match error.kind() {
        StoreErrorKind::Unavailable => {
            Refusal::new(RefusalKind::Unavailable, "accounts-unavailable")
        }
        _ => Refusal::new(RefusalKind::Internal, "accounts-unusable"),
    }
}
