//! What an operator may do: a closed table of roles and rights.

use std::fmt;

/// A role of an operator. It is no tenant's role, and no tenant's role gives it.
///
/// ```
/// use tenancy_core::{OperatorRight, OperatorRole};
///
/// assert!(OperatorRole::Support.may(OperatorRight::Impersonate));
/// assert!(!OperatorRole::Billing.may(OperatorRight::Impersonate));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OperatorRole {
    /// Helps customers: reads tenants, and acts as a user of one.
    Support,
    /// Sells: reads tenants, and changes their plans and limits.
    Billing,
    /// Runs the service: changes tenants, who may do what in them, and who the operators are.
    Admin,
    /// Watches: reads the trail, takes credentials back, approves and ends what support does.
    Security,
}

impl OperatorRole {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Support, Self::Billing, Self::Admin, Self::Security];

    /// The name under which it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Billing => "billing",
            Self::Admin => "admin",
            Self::Security => "security",
        }
    }

    /// The role of a stored name; `None` if there is no such role.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Whether the role has a right. The table is the library's, and closed.
    #[must_use]
    pub const fn may(self, right: OperatorRight) -> bool {
        use OperatorRight as Right;
        match self {
            Self::Support => matches!(
                right,
                Right::ReadTenants | Right::Impersonate | Right::EndImpersonations
            ),
            Self::Billing => matches!(right, Right::ReadTenants | Right::ChangePlans),
            // Nobody who says who the operators are acts as a user by the same role.
            Self::Admin => !matches!(right, Right::Impersonate | Right::ApproveImpersonations),
            Self::Security => matches!(
                right,
                Right::ReadTenants
                    | Right::ReadTrail
                    | Right::Revoke
                    | Right::ApproveImpersonations
                    | Right::EndImpersonations
            ),
        }
    }
}

impl fmt::Display for OperatorRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that an operator may have the right to do. [`OperatorRole::may`] says which role has which.
///
/// ```
/// use tenancy_core::{OperatorRight, OperatorRole};
///
/// let roles = OperatorRole::ALL.into_iter();
/// let who: Vec<_> = roles.filter(|role| role.may(OperatorRight::ManageOperators)).collect();
/// assert_eq!(who, [OperatorRole::Admin]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OperatorRight {
    /// List tenants, members, projects, roles and usage, of one tenant or of all. Changes nothing.
    ReadTenants,
    /// Read the audit trail, the list of operators and that of impersonations.
    ReadTrail,
    /// Add a tenant; change its status, name, slug, settings, domains and projects.
    ChangeTenants,
    /// Change a tenant's members and roles, who may do what there, and take issuers from it. No operator has a tenant
    /// trust an issuer: whoever runs it signs tokens of every member.
    ChangeAccess,
    /// Put tenants on plans, give them limits of their own, and add versions of plans.
    ChangePlans,
    /// Change a tenant's API keys: their names, networks, limits and metadata, fewer scopes, and on again. No operator
    /// issues, imports or rotates a key or gives one more scopes: whoever has its text acts as the user who made it.
    ManageKeys,
    /// Take back keys and tokens, of one tenant or everywhere.
    Revoke,
    /// Act as a user of one tenant.
    Impersonate,
    /// Let another operator's impersonation begin.
    ApproveImpersonations,
    /// End an impersonation, whoever began it.
    EndImpersonations,
    /// Say who the operators are.
    ManageOperators,
}

impl OperatorRight {
    /// Every right.
    pub const ALL: [Self; 11] = [
        Self::ReadTenants,
        Self::ReadTrail,
        Self::ChangeTenants,
        Self::ChangeAccess,
        Self::ChangePlans,
        Self::ManageKeys,
        Self::Revoke,
        Self::Impersonate,
        Self::ApproveImpersonations,
        Self::EndImpersonations,
        Self::ManageOperators,
    ];

    /// The name in the audit trail.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadTenants => "read-tenants",
            Self::ReadTrail => "read-trail",
            Self::ChangeTenants => "change-tenants",
            Self::ChangeAccess => "change-access",
            Self::ChangePlans => "change-plans",
            Self::ManageKeys => "manage-keys",
            Self::Revoke => "revoke",
            Self::Impersonate => "impersonate",
            Self::ApproveImpersonations => "approve-impersonations",
            Self::EndImpersonations => "end-impersonations",
            Self::ManageOperators => "manage-operators",
        }
    }
}

impl fmt::Display for OperatorRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever changes the table changes this text, and sees who gets what.
    #[test]
    fn each_role_has_these_rights_and_no_others() {
        let mut table = String::new();
        for right in OperatorRight::ALL {
            let who = OperatorRole::ALL.into_iter().filter(|role| role.may(right));
            let who: Vec<_> = who.map(OperatorRole::as_str).collect();
            table += &format!("{right}: {}\n", who.join(" "));
        }
        let want = "\
read-tenants: support billing admin security
read-trail: admin security
change-tenants: admin
change-access: admin
change-plans: billing admin
manage-keys: admin
revoke: admin security
impersonate: support
approve-impersonations: security
end-impersonations: support admin security
manage-operators: admin
";
        assert_eq!(table, want);
    }

    #[test]
    fn a_stored_name_is_one_roles() {
        for role in OperatorRole::ALL {
            assert_eq!(OperatorRole::from_stored(role.as_str()), Some(role));
        }
        for wrong in ["", "owner", "Admin", "support "] {
            assert_eq!(OperatorRole::from_stored(wrong), None, "{wrong}");
        }
    }
}
