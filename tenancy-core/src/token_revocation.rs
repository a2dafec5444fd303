//! TokenRevocations: since when tokens count, so that those issued before can be taken back.

use std::{fmt, sync::Arc};

use crate::{ServiceId, TenantId, Timestamp, UserId};

/// Whose tokens an [`RevokedBefore`] is about.
///
/// ```
/// use tenancy_core::{TokenSubject, UserId};
///
/// let stolen = TokenSubject::Issuer("https://login.example.com".into());
/// let left = TokenSubject::User(UserId::new());
/// assert_ne!(stolen, left);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a store that does not know a kind must not compile"
)]
pub enum TokenSubject {
    /// Every token of an issuer, by its exact name.
    Issuer(Arc<str>),
    /// The tokens of one user, of every issuer and in every tenant.
    User(UserId),
    /// The tokens of one service account.
    Service(ServiceId),
    /// Every token, as far as it is used in this tenant.
    Tenant(TenantId),
}

impl TokenSubject {
    /// The kind as it is stored: `issuer`, `user`, `service` or `tenant`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Issuer(_) => "issuer",
            Self::User(_) => "user",
            Self::Service(_) => "service",
            Self::Tenant(_) => "tenant",
        }
    }

    /// The name or the id, as it is stored.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Issuer(name) => (**name).to_owned(),
            Self::User(id) => id.to_string(),
            Self::Service(id) => id.to_string(),
            Self::Tenant(id) => id.to_string(),
        }
    }

    /// Reads what [`kind`](Self::kind) and [`subject`](Self::subject) have written; `None` if they
    /// have not.
    #[must_use]
    pub fn from_stored(kind: &str, subject: &str) -> Option<Self> {
        match kind {
            "issuer" => Some(Self::Issuer(subject.into())),
            "user" => subject.parse().ok().map(Self::User),
            "service" => subject.parse().ok().map(Self::Service),
            "tenant" => subject.parse().ok().map(Self::Tenant),
            _ => None,
        }
    }
}

impl fmt::Display for TokenSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.subject())
    }
}

/// The first moment at which a token that counts was issued.
///
/// ```
/// use tenancy_core::{RevokedBefore, Timestamp};
///
/// let revoked = RevokedBefore::revoking_at(Timestamp::from_unix_micros(1_800_000_000_250_000));
/// assert!(!revoked.admits(Some(Timestamp::from_unix_seconds(1_800_000_000))));
/// assert!(revoked.admits(Some(Timestamp::from_unix_seconds(1_800_000_001))));
/// assert!(!revoked.admits(None), "nobody knows when it was issued");
/// assert!(RevokedBefore::NONE.admits(None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevokedBefore(Timestamp);

impl RevokedBefore {
    /// Nothing was taken back.
    pub const NONE: Self = Self(Timestamp::from_unix_micros(i64::MIN));

    /// Takes back what was issued up to this moment.
    ///
    /// It is the beginning of the next second: `iat` has whole seconds, and a token issued a moment
    /// before, in the same second, must not survive.
    #[must_use]
    pub const fn revoking_at(moment: Timestamp) -> Self {
        let next = moment.as_unix_seconds().saturating_add(1);
        Self(Timestamp::from_unix_seconds(next))
    }

    /// A token revocation that was stored.
    #[must_use]
    pub const fn from_timestamp(first: Timestamp) -> Self {
        Self(first)
    }

    /// The first moment that counts, for storing it.
    #[must_use]
    pub const fn as_timestamp(self) -> Timestamp {
        self.0
    }

    /// Whether a token issued then counts. One that does not say when counts only if nothing was
    /// taken back.
    #[must_use]
    pub fn admits(self, issued_at: Option<Timestamp>) -> bool {
        self == Self::NONE || issued_at.is_some_and(|issued_at| issued_at >= self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back() {
        for of in [
            TokenSubject::Issuer("https://login.example.com".into()),
            TokenSubject::User(UserId::new()),
            TokenSubject::Service(ServiceId::new()),
            TokenSubject::Tenant(TenantId::new()),
        ] {
            let read = TokenSubject::from_stored(of.kind(), &of.subject());
            assert_eq!(read.as_ref(), Some(&of));
        }
        assert_eq!(TokenSubject::from_stored("user", "alice"), None);
        assert_eq!(TokenSubject::from_stored("planet", "mars"), None);
    }
}
