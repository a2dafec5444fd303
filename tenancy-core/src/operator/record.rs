//! The record of an operator.

use std::collections::BTreeSet;

use super::{OperatorRight, OperatorRole};
use crate::{OperatorId, StoreError, StoreErrorKind, UserId};

/// One of the people who run the service, known by the name that an issuer of the staff gives.
///
/// It has tables, roles and an issuer of its own, and is no tenant's member: see
/// [`Operators`](crate::Operators).
///
/// ```
/// use tenancy_core::{Operator, OperatorRight, OperatorRole, UserId};
///
/// let issuer = "https://staff.example";
/// // The id that the authenticator of the staff gives to whom its issuer calls `mia`.
/// let subject = UserId::derive(issuer, "mia");
/// let mia = Operator::new(issuer, subject, "Mia", [OperatorRole::Support]);
/// assert!(mia.may(OperatorRight::Impersonate));
/// assert!(!mia.may(OperatorRight::ManageOperators));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operator {
    /// The id, which the audit trail has.
    pub id: OperatorId,
    /// Who vouches for it: the name of an issuer of the staff.
    pub issuer: String,
    /// The user's id that the authenticator makes of a credential of that issuer.
    pub subject: UserId,
    /// A name for people to read.
    pub name: String,
    /// The roles. Without one it may do nothing.
    pub roles: BTreeSet<OperatorRole>,
    /// The account that the same person has as a user of tenants, if there is one. Nobody may impersonate it.
    pub user: Option<UserId>,
    /// Whether it is let in no more. An operator is never removed, because the audit trail names it.
    pub disabled: bool,
}

impl Operator {
    /// The longest name of an operator, in characters.
    pub const MAX_NAME_LEN: usize = 200;

    /// An operator with a new id.
    #[must_use]
    pub fn new(
        issuer: impl Into<String>,
        subject: UserId,
        name: impl Into<String>,
        roles: impl IntoIterator<Item = OperatorRole>,
    ) -> Self {
        Self {
            id: OperatorId::new(),
            issuer: issuer.into(),
            subject,
            name: name.into(),
            roles: roles.into_iter().collect(),
            user: None,
            disabled: false,
        }
    }

    /// Whether one of its roles has the right, and it is not disabled.
    #[must_use]
    pub fn may(&self, right: OperatorRight) -> bool {
        !self.disabled && self.roles.iter().any(|role| role.may(right))
    }

    /// Whether another record is of the same person: both have the same [account](Self::user) or subject, or the account of
    /// one is the subject of the other.
    ///
    /// ```
    /// use tenancy_core::{Operator, OperatorRole, UserId};
    ///
    /// let (staff, mias_account) = ("https://staff.example", UserId::new());
    /// let mut mia = Operator::new(staff, UserId::new(), "Mia", [OperatorRole::Support]);
    /// let mut admin = Operator::new(staff, UserId::new(), "Mia, as admin", [OperatorRole::Security]);
    /// assert!(!mia.is_same_person(&admin));
    /// (mia.user, admin.user) = (Some(mias_account), Some(mias_account));
    /// assert!(mia.is_same_person(&admin));
    /// ```
    #[must_use]
    pub fn is_same_person(&self, other: &Self) -> bool {
        let ids = [Some(other.subject), other.user];
        ids.contains(&Some(self.subject)) || (self.user.is_some() && ids.contains(&self.user))
    }

    /// Whether this can be stored.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if the issuer is empty or longer than 512 bytes, or the name is blank, has more
    /// than 200 characters or a line break.
    pub fn check(&self) -> Result<(), StoreError> {
        let invalid = |message: &str| Err(StoreError::new(StoreErrorKind::Invalid, message));
        if !(1..=512).contains(&self.issuer.len()) || self.issuer.chars().any(char::is_control) {
            return invalid(
                "the issuer of an operator has 1 to 512 bytes and no control characters",
            );
        }
        let name = &self.name;
        if name.trim().is_empty()
            || name.chars().count() > Self::MAX_NAME_LEN
            || name.chars().any(char::is_control)
        {
            return invalid(
                "the name of an operator has 1 to 200 characters, is not blank, and has no line break",
            );
        }
        Ok(())
    }
}
