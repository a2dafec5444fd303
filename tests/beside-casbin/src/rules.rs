//! The rules that all sides are given: ten tenants with four roles each, which allow 25 permissions each.

pub(crate) const TENANTS: usize = 10;
pub(crate) const ROLES: usize = 4;
/// How many permissions a role allows. No two roles of a tenant allow the same one.
const GRANTS: usize = 25;
pub(crate) const PERMISSIONS: usize = ROLES * GRANTS;
/// Each is a member of every tenant.
pub(crate) const USERS: usize = ROLES;

/// Whether a user may do something in a tenant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) tenant: usize,
    pub(crate) user: usize,
    pub(crate) permission: usize,
}

/// One that a rule in the middle allows.
pub(crate) const ALLOWED: Question = Question {
    tenant: 5,
    user: 1,
    permission: 2 * GRANTS + 12,
};

/// One that no rule allows in this tenant. In others the same user may.
pub(crate) const REFUSED: Question = Question {
    tenant: 5,
    user: 1,
    permission: 12,
};

impl Question {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..TENANTS * USERS * PERMISSIONS).map(|number| Self {
            tenant: number / PERMISSIONS / USERS,
            user: number / PERMISSIONS % USERS,
            permission: number % PERMISSIONS,
        })
    }

    /// What is right.
    pub(crate) const fn answer(self) -> bool {
        self.permission / GRANTS == role_of(self.user, self.tenant)
    }
}

/// The role of a user: another one in the next tenant.
pub(crate) const fn role_of(user: usize, tenant: usize) -> usize {
    (user + tenant) % ROLES
}

pub(crate) fn grants_of(role: usize) -> impl Iterator<Item = String> {
    (role * GRANTS..(role + 1) * GRANTS).map(permission)
}

pub(crate) fn permission(number: usize) -> String {
    format!("data{}:act{}", number / GRANTS, number % GRANTS)
}
