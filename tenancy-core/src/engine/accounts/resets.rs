//! Password resets: asked for, mailed, and used once.

use std::{fmt, net::IpAddr, time::Duration};

use serde_json::Value;
use uuid::Uuid;

use super::{Accounts, sign_in::unanswered, taking_back};
use crate::{
    ChangeAction, ConfigError, EmailAddress, NewPasswordReset, PasswordError, PasswordReset,
    PasswordResetStore, Passwords, Refusal, RefusalKind, StoreError, StoreErrorKind, Timestamp,
    UsedPasswordReset, UserId,
    change::Change,
    key::LowEntropySecret,
    one_time::{OneTimeId, OneTimeKind, OneTimeText, OneTimeTokens, PresentedOneTime},
    outbox::Event,
};

/// How long a reset holds unless it is said, and at most.
const DEFAULT: Duration = Duration::from_secs(3_600);
const MOST: Duration = Duration::from_secs(24 * 3_600);

/// Password resets for the accounts that the library keeps; made by [`Accounts::resets`].
///
/// 1. Somebody types an address: [`request`](Self::request). It answers alike and does the same work whether there is such an
///    account or not. Nothing is looked up. It keeps a digest of a token, and an event `account.reset-requested`, which has the
///    reset's id and neither address nor token.
/// 2. A consumer of the outbox asks for [`mail`](Self::mail). For an address of an account it gets the token and sends it.
/// 3. The link comes back with a new password: [`reset`](Self::reset). A token is good for one hour, for one use, and until
///    the next one is asked for. The user's tokens are taken back.
///
/// ```
/// # use tenancy_core::{Accounts, ConfigError, Passwords};
/// use tenancy_core::{key::Pepper, one_time::OneTimeTokens};
///
/// # fn start(accounts: Accounts, passwords: Passwords, secret: [u8; 32]) -> Result<(), ConfigError> {
/// let tokens = OneTimeTokens::new(Pepper::new(1, secret)?);
/// let resets = accounts.resets(passwords, tokens).lasting(std::time::Duration::from_secs(1_800))?;
/// # drop(resets);
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// An address gets 5 mails in an hour, and a client may ask for as many resets in an hour as
/// [attempts may fail](crate::PasswordsBuilder::attempts_per_address) in a minute. Sessions that are no tokens of the
/// engine's end where the application ends them.
#[derive(Debug, Clone)]
#[must_use]
pub struct PasswordResets {
    accounts: Accounts,
    passwords: Passwords,
    tokens: OneTimeTokens,
    lasting: Duration,
}

/// A mail that is to be sent: to whom, and with which token. `Debug` shows neither.
///
/// ```
/// # use tenancy_core::{PasswordResets, StoreError, outbox::Event};
/// # async fn consumer(resets: PasswordResets, event: Event) -> Result<(), StoreError> {
/// if let Some(mail) = resets.mail(&event).await? {
///     let link = format!("https://app.example.com/reset?token={}", mail.token.expose());
///     // … is sent to `mail.email`, with the event's id as the mail's …
/// #   drop(link);
/// }
/// # Ok(())
/// # }
/// ```
#[non_exhaustive]
pub struct ResetMail {
    /// The address.
    pub email: EmailAddress,
    /// Whose it is.
    pub user: UserId,
    /// The token, for this address alone.
    pub token: OneTimeText,
    /// The moment from which it no longer holds.
    pub expires_at: Timestamp,
}

impl Accounts {
    /// Password resets, whose new passwords are hashed here, and whose tokens are derived with this pepper.
    pub fn resets(&self, passwords: Passwords, tokens: OneTimeTokens) -> PasswordResets {
        PasswordResets {
            accounts: self.clone(),
            passwords,
            tokens,
            lasting: DEFAULT,
        }
    }
}

impl PasswordResets {
    /// How long a token holds. Default: 1 hour.
    ///
    /// # Errors
    /// [`ConfigError`] if it is zero or more than 24 hours.
    pub fn lasting(mut self, time: Duration) -> Result<Self, ConfigError> {
        if time.is_zero() || time > MOST {
            return Err(ConfigError::new(
                "a password reset holds for some time, and for 24 hours at most",
            ));
        }
        self.lasting = time;
        Ok(self)
    }

    /// Keeps a reset of this address, in the place of any other, and tells the outbox. Say "look into your mail", whatever
    /// the address.
    ///
    /// # Errors
    /// A [`Refusal`]: 429 if it was asked for too often, for the address or from the client's; 503 if the store did not
    /// answer.
    pub async fn request(&self, email: &EmailAddress, ip: Option<IpAddr>) -> Result<(), Refusal> {
        let now = self.accounts.now();
        let requests = self.passwords.reset_requests();
        let spent = |wait| Refusal::from(PasswordError::Spent(wait));
        let begun = requests.begin_everywhere(email.as_str(), ip, now).await;
        begun.map_err(spent)?;
        let id = OneTimeId::new(OneTimeKind::PasswordReset, Uuid::now_v7());
        let digest = self.tokens.digest(id);
        let expires_at = now + self.lasting;
        let reset = NewPasswordReset::new(id.id(), email.clone(), digest, now, expires_at);
        let change = Change::new(ChangeAction::PasswordResetRequest, None).to(TARGET, id.id());
        let asked = self.accounts.make(change, async |record| {
            self.store()?.request_password_reset(&reset, &record).await
        });
        asked.await.map_err(|error| unanswered(&error))
    }

    /// The mail for an event `account.reset-requested`; `None` for any other event, for an address without an account, and
    /// for a reset that was replaced, used, or has expired.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or if the reset was asked for in a process with another pepper.
    pub async fn mail(&self, event: &Event) -> Result<Option<ResetMail>, StoreError> {
        let id = event.payload.get("password_reset").and_then(Value::as_str);
        let id = id.and_then(|id| id.parse::<Uuid>().ok());
        let Some(id) =
            id.filter(|_| Some(&*event.kind) == ChangeAction::PasswordResetRequest.event())
        else {
            return Ok(None);
        };
        let found = self.store()?.find_password_reset(id).await?;
        let found = found.filter(|found| self.accounts.now() < found.expires_at);
        let Some((found, user)) = found.and_then(|found| Some((found.clone(), found.user?))) else {
            return Ok(None);
        };
        let of = OneTimeId::new(OneTimeKind::PasswordReset, id);
        let token = self.tokens.text(of, found.digest.version());
        let token = token.ok_or_else(|| {
            let message = "the token of a password reset was made with a pepper that is not configured here; give this \
                           process the peppers of the others";
            StoreError::new(StoreErrorKind::Invalid, message)
        })?;
        Ok(Some(ResetMail {
            email: found.email,
            user,
            token,
            expires_at: found.expires_at,
        }))
    }

    /// Stores a new password for whoever presents the token, and takes the user's tokens back. Returns whose it is.
    ///
    /// A token that is wrong, cut, used, replaced or expired is one answer.
    ///
    /// # Errors
    /// A [`Refusal`]: 404 for such a token; 400 for a password that nobody may choose, which leaves the token as it was
    /// ([`Passwords::check`] has a text for the page); 429 if too many attempts have failed; 503 if too many passwords are
    /// being hashed, or the store did not answer.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn reset(
        &self,
        token: &str,
        password: LowEntropySecret,
        ip: Option<IpAddr>,
    ) -> Result<UserId, Refusal> {
        let unfit = |error| Refusal::from(PasswordError::Unfit(error));
        self.passwords.check(&password).map_err(unfit)?;
        let attempts = self.passwords.reset_attempts();
        let presented = OneTimeKind::PasswordReset.read(token);
        // Whoever guesses is counted by the row that the guess is about, if it is about one.
        let name = presented.map_or_else(String::new, |token| token.id().to_string());
        let now = self.accounts.now();
        let begun = attempts.begin_everywhere(&name, ip, now).await;
        let begun = begun.map_err(|wait| Refusal::from(PasswordError::Spent(wait)))?;
        let (id, open, user) = self.open(presented, now).await?;
        attempts.take_back_everywhere(&begun, now).await;
        let hash = self.passwords.hash(password).await?;
        let used = UsedPasswordReset::new((id, open.digest), user, now, hash);
        let change = Change::new(ChangeAction::PasswordResetUse, None)
            .to("user", user)
            .to(TARGET, id);
        let inner = self.accounts.inner();
        let done = self.accounts.make(change, async |record| {
            let store = self.store()?;
            taking_back(inner, user, Some(used.revoked), async || {
                store.use_password_reset(&used, &record).await
            })
            .await
        });
        match done.await {
            Ok(()) => Ok(user),
            Err(error) if error.kind() == StoreErrorKind::NotFound => Err(unknown()),
            Err(error) => Err(unanswered(&error)),
        }
    }

    /// The reset whose token this is, if it holds.
    async fn open(
        &self,
        presented: Option<PresentedOneTime<'_>>,
        now: Timestamp,
    ) -> Result<(Uuid, PasswordReset, UserId), Refusal> {
        let presented = presented.ok_or_else(unknown)?;
        let store = self.store().map_err(|error| unanswered(&error))?;
        let found = store.find_password_reset(presented.id()).await;
        let found = found.map_err(|error| unanswered(&error))?;
        let found = found.filter(|found| self.tokens.verify(&presented, &found.digest));
        let found = found.filter(|found| now < found.expires_at);
        let found = found.ok_or_else(unknown)?;
        let user = found.user.ok_or_else(unknown)?;
        Ok((presented.id(), found, user))
    }

    fn store(&self) -> Result<&dyn PasswordResetStore, StoreError> {
        self.accounts.inner().stores.password_reset_store()
    }
}

impl fmt::Debug for ResetMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResetMail")
            .field("user", &self.user)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What an entry and an event call a reset.
const TARGET: &str = "password-reset";

fn unknown() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "password-reset-unknown")
}
