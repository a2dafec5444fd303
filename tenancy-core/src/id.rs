//! Typed identifiers: one type per kind of thing, so that a user's id never lands in a tenant's place.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an identifier.
///
/// Identifiers are UUIDs in their hyphenated form of 36 characters; the nil UUID is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not an id; expected a hyphenated, non-nil UUID")]
pub struct ParseIdError {
    input: String,
}

/// Reads the one accepted spelling of a UUID: 36 characters, hyphenated, not nil.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    // `Uuid::try_parse` also accepts braces, URNs and 32 bare digits; one spelling is enough.
    if text.len() != 36 {
        return None;
    }
    Uuid::try_parse(text).ok().filter(|id| !id.is_nil())
}

fn parse_error(text: &str) -> ParseIdError {
    // Whoever sent the text chooses its length; an error message does not repeat it whole.
    let input = text.chars().take(64).collect();
    ParseIdError { input }
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id: a UUIDv7 (RFC 9562 §5.7), so that ids made later sort later.
            #[must_use]
            #[allow(clippy::new_without_default, reason = "an id made by accident is a bug")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Wraps a UUID that is known to be this kind of id.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The plain UUID, as a database driver binds it.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_uuid(text).map(Self).ok_or_else(|| parse_error(text))
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

typed_id! {
    /// Identifies a tenant: one customer, organization or workspace whose data nobody else may see.
    TenantId
}
typed_id! {
    /// Identifies a project, a subdivision of one tenant.
    ProjectId
}
typed_id! {
    /// Identifies a user: a person, who may be a member of many tenants.
    UserId
}
typed_id! {
    /// Identifies a service account: a machine that acts in its own name.
    ServiceId
}
typed_id! {
    /// Identifies an API key. Public: it stands in the key's text and in the audit trail.
    KeyId
}

typed_id! {
    /// Identifies an invitation. Public: it stands in the link, and in events.
    InvitationId
}

typed_id! {
    /// Identifies an event of the outbox; consumers that see an event twice know it by this.
    EventId
}

typed_id! {
    /// Identifies an operator: one of the people who run the service, and no tenant's user.
    OperatorId
}
typed_id! {
    /// Identifies one impersonation: an operator who acts as a user of one tenant for a while.
    ImpersonationId
}

impl UserId {
    /// Derives the id of a user whom an identity provider names by a text that is not a UUID.
    ///
    /// The id is a UUIDv5 (RFC 9562 §5.5) over the issuer and the subject, each preceded by its
    /// length, so that two issuers never produce the same user by choosing their subjects.
    ///
    /// ```
    /// use tenancy_core::UserId;
    ///
    /// let here = UserId::derive("https://login.example.com", "auth0|42");
    /// assert_eq!(here, UserId::derive("https://login.example.com", "auth0|42"));
    /// assert_ne!(here, UserId::derive("https://other.example.com", "auth0|42"));
    /// ```
    #[must_use]
    pub fn derive(issuer: &str, subject: &str) -> Self {
        Self(derived(issuer, subject))
    }
}

impl ServiceId {
    /// Derives the id of a service account that an identity provider names by a text that is not a
    /// UUID, as [`UserId::derive`] does.
    ///
    /// ```
    /// use tenancy_core::{ServiceId, TokenSubject};
    ///
    /// // To take back what client credentials were issued to it.
    /// let exporter = ServiceId::derive("https://login.example.com", "exporter");
    /// let tokens = TokenSubject::Service(exporter);
    /// ```
    #[must_use]
    pub fn derive(issuer: &str, subject: &str) -> Self {
        Self(derived(issuer, subject))
    }
}

fn derived(issuer: &str, subject: &str) -> Uuid {
    let name = format!("{}:{issuer}{}:{subject}", issuer.len(), subject.len());
    Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_is_accepted() {
        let id = TenantId::new();
        assert_eq!(id.to_string().parse::<TenantId>(), Ok(id));
        for refused in [
            "",
            "00000000-0000-0000-0000-000000000000",
            &id.as_uuid().simple().to_string(),
            &id.as_uuid().braced().to_string(),
            &id.as_uuid().urn().to_string(),
            &format!("{id} "),
        ] {
            assert!(refused.parse::<TenantId>().is_err(), "{refused}");
        }
    }

    #[test]
    fn subjects_of_two_issuers_never_meet() {
        assert_ne!(UserId::derive("a", "b:c"), UserId::derive("a:b", "c"));
        assert_ne!(UserId::derive("ab", "c"), UserId::derive("a", "bc"));
    }

    #[test]
    fn ids_made_later_sort_later() {
        let first = TenantId::new();
        let second = TenantId::new();
        assert!(first < second);
    }
}
