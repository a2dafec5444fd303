//! Explanations: which grant of which role decides about a permission.

use std::{fmt, sync::Arc};

use crate::RoleName;

use super::{
    Grant, PermissionDecision, RoleProblem, RoleProblemKind, RoleTable, SystemRole,
    flatten::Source, grant::clip,
};

/// What decides about a permission, for people to read; made by [`RoleTable::explain`].
///
/// `Display` says it in one sentence.
///
/// ```
/// use tenancy_core::{PermissionDecision, PermissionRegistry, RoleDefinition, RoleTable, SystemRole};
///
/// let registry = PermissionRegistry::builder()
///     .permission("notes:read", SystemRole::Viewer)
///     .permission("notes:purge", SystemRole::Owner)
///     .build()?;
/// let editor = RoleDefinition::new("editor".parse()?).allow("notes:*").deny("notes:purge");
/// let table = RoleTable::compile(&registry, &[editor])?;
/// let why = table.explain(&"editor".parse()?, "notes:purge");
/// assert_eq!(why.decision(), PermissionDecision::ExplicitDeny);
/// assert_eq!(why.grant(), Some("notes:purge"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    role: RoleName,
    permission: String,
    reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Allowed { grant: Box<str>, of: RoleName },
    Denied { grant: Box<str>, of: RoleName },
    Sealed(Arc<RoleProblem>),
    NotGranted,
    NoSuchRole,
    NoSuchPermission,
}

impl Explanation {
    /// The decision.
    #[must_use]
    pub const fn decision(&self) -> PermissionDecision {
        match self.reason {
            Reason::Allowed { .. } => PermissionDecision::Allowed,
            Reason::Denied { .. } | Reason::Sealed(_) => PermissionDecision::ExplicitDeny,
            Reason::NotGranted | Reason::NoSuchRole | Reason::NoSuchPermission => {
                PermissionDecision::ImplicitDeny
            }
        }
    }

    /// The grant that decides, if one does.
    ///
    /// For a system role this is the permission's own name. For a denial that is no grant it is
    /// the stored text, cut to 64 characters.
    #[must_use]
    pub fn grant(&self) -> Option<&str> {
        match &self.reason {
            Reason::Allowed { grant, .. } | Reason::Denied { grant, .. } => Some(grant),
            Reason::Sealed(problem) => match problem.kind() {
                RoleProblemKind::MalformedDeny { grant } => Some(grant),
                _ => None,
            },
            _ => None,
        }
    }

    /// The role that decides: the one asked about, or one that it includes.
    #[must_use]
    pub fn role(&self) -> Option<&RoleName> {
        match &self.reason {
            Reason::Allowed { of, .. } | Reason::Denied { of, .. } => Some(of),
            Reason::Sealed(problem) => Some(problem.role()),
            _ => None,
        }
    }

    /// The problem because of which the role denies everything, if there is one.
    #[must_use]
    pub fn problem(&self) -> Option<&RoleProblem> {
        match &self.reason {
            Reason::Sealed(problem) => Some(problem),
            _ => None,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            role,
            permission,
            reason,
        } = self;
        match reason {
            Reason::Allowed { grant, of } => {
                write!(
                    f,
                    "`{role}` has `{permission}` by the grant `{grant}` of `{of}`"
                )
            }
            Reason::Denied { grant, of } => {
                write!(
                    f,
                    "`{role}` is denied `{permission}` by `{grant}` of `{of}`"
                )
            }
            Reason::Sealed(problem) => write!(f, "`{role}` is denied everything: {problem}"),
            Reason::NotGranted => write!(f, "nothing grants `{permission}` to `{role}`"),
            Reason::NoSuchRole => write!(f, "the tenant has no role `{role}`"),
            Reason::NoSuchPermission => write!(f, "no permission `{permission}` is declared"),
        }
    }
}

pub(super) fn explain(table: &RoleTable, role: &RoleName, permission: &str) -> Explanation {
    let reason = reason(table, role, permission);
    let permission = match reason {
        Reason::NoSuchPermission => clip(permission),
        _ => permission.to_owned(),
    };
    Explanation {
        role: role.clone(),
        permission,
        reason,
    }
}

fn reason(table: &RoleTable, role: &RoleName, permission: &str) -> Reason {
    let Some(id) = table.registry().id(permission) else {
        return Reason::NoSuchPermission;
    };
    let Some(asked) = table.role(role) else {
        return Reason::NoSuchRole;
    };
    if let Source::Sealed(problem) = &asked.source {
        return Reason::Sealed(problem.clone());
    }
    let lowest = table.registry().lowest_role(id);
    let mut allowed = None;
    for name in with_includes(table, role) {
        match table.role(name).map(|role| &role.source) {
            Some(Source::System(system)) => {
                let lowest = lowest.filter(|lowest| lowest <= system);
                allowed = allowed.or_else(|| lowest.map(|r| (permission, SystemRole::name(r))));
            }
            Some(Source::Defined { allow, deny, .. }) => {
                if let Some(grant) = deny.iter().find(|grant| grant.covers(permission)) {
                    return Reason::Denied {
                        grant: grant.as_str().into(),
                        of: name.clone(),
                    };
                }
                let grant = allow.iter().find(|grant| grant.covers(permission));
                allowed = allowed.or_else(|| grant.map(|g| (Grant::as_str(g), name.clone())));
            }
            Some(Source::Sealed(_)) | None => {}
        }
    }
    allowed.map_or(Reason::NotGranted, |(grant, of)| Reason::Allowed {
        grant: grant.into(),
        of,
    })
}

/// A role and all that it includes, the nearest first.
fn with_includes<'a>(table: &'a RoleTable, role: &'a RoleName) -> Vec<&'a RoleName> {
    let mut found = vec![role];
    let mut next = 0;
    while let Some(name) = found.get(next).copied() {
        next += 1;
        if let Some(Source::Defined { includes, .. }) = table.role(name).map(|role| &role.source) {
            for include in includes {
                if !found.contains(&include) {
                    found.push(include);
                }
            }
        }
    }
    found
}
