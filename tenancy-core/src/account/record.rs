//! An account, and what it is found by.

use super::ExternalSubject;
use crate::{EmailAddress, StoreError, StoreErrorKind, Timestamp, UserId, key::SecretHash};

/// Somebody who may sign in to the service: it belongs to no tenant, and may be a member of several or of none.
///
/// It is for applications that have the library keep accounts. One that has a table of its own gives the engine the ids of
/// its users, and needs none of this.
///
/// ```
/// use tenancy_core::{Account, ExternalSubject};
///
/// let subject = ExternalSubject::new("https://login.example.com", "auth0|4711")?;
/// let alice = Account::external(subject).email("alice@example.com".parse()?);
/// assert!(alice.password.is_none() && !alice.disabled);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
/// An address that was typed at sign-up is nobody's yet. Do not join an account that signs in elsewhere with one that has
/// merely the same address: whoever typed it first would get in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// As the engine knows them. Never changes.
    pub user: UserId,
    /// The address, which no other account has.
    pub email: Option<EmailAddress>,
    /// What is stored of the password, if there is one.
    pub password: Option<SecretHash>,
    /// Who they are elsewhere.
    pub subjects: Vec<ExternalSubject>,
    /// Whether nobody signs in for now.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Account {
    /// The most subjects of an account.
    pub const MAX_SUBJECTS: usize = 8;

    /// A new account whose owner signs in with address and password: see `Passwords`.
    #[must_use]
    pub fn with_password(email: EmailAddress, password: SecretHash) -> Self {
        Self {
            email: Some(email),
            password: Some(password),
            ..Self::of(UserId::new())
        }
    }

    /// A new account whose owner signs in elsewhere.
    #[must_use]
    pub fn external(subject: ExternalSubject) -> Self {
        Self {
            subjects: vec![subject],
            ..Self::of(UserId::new())
        }
    }

    /// An account without a way in, for a store that reads one.
    #[must_use]
    pub fn of(user: UserId) -> Self {
        Self {
            user,
            email: None,
            password: None,
            subjects: Vec::new(),
            disabled: false,
            created_at: Timestamp::from(std::time::SystemTime::now()),
        }
    }

    /// The same with an address.
    #[must_use]
    pub fn email(mut self, email: EmailAddress) -> Self {
        self.email = Some(email);
        self
    }

    /// The same, known elsewhere too.
    #[must_use]
    pub fn subject(mut self, subject: ExternalSubject) -> Self {
        self.subjects.push(subject);
        self
    }

    /// Whether it can be stored.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let invalid = |message: String| Err(StoreError::new(StoreErrorKind::Invalid, message));
        if self.subjects.len() > Self::MAX_SUBJECTS {
            let most = Self::MAX_SUBJECTS;
            return invalid(format!("an account has at most {most} external subjects"));
        }
        if self.password.is_some() && self.email.is_none() {
            return invalid("an account with a password needs an address to sign in with".into());
        }
        match &self.password {
            Some(hash) if hash.as_str().len() > SecretHash::MAX_LEN => {
                invalid("the password's hash is too long to be one".into())
            }
            _ => Ok(()),
        }
    }
}

/// What an account is found by.
///
/// ```
/// use tenancy_core::{AccountKey, UserId};
///
/// let by_id = AccountKey::User(UserId::new());
/// assert_ne!(by_id, AccountKey::Email("alice@example.com".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a store that does not know a key must not compile"
)]
pub enum AccountKey {
    /// The user's id.
    User(UserId),
    /// The address.
    Email(EmailAddress),
    /// Who they are elsewhere.
    Subject(ExternalSubject),
}
