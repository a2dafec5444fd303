//! What can be wrong with a role definition.

use crate::RoleName;

use super::flatten::{MAX_DEPTH, MAX_ENTRIES};

/// Something that is wrong with one role definition, and how to mend it.
///
/// ```
/// use tenancy_core::{
///     PermissionRegistry, RoleDefinition, RoleProblemKind, RoleTable, SystemRole,
/// };
///
/// let registry = PermissionRegistry::builder()
///     .permission("notes:read", SystemRole::Viewer)
///     .build()?;
/// let broken = RoleDefinition::new("broken".parse()?).deny("notes read");
/// let table = RoleTable::compile(&registry, &[broken])?;
/// let problem = &table.problems()[0];
/// assert!(matches!(problem.kind(), RoleProblemKind::MalformedDeny { .. }));
/// assert!(problem.seals(), "the role denies everything");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("role `{role}` {kind}")]
pub struct RoleProblem {
    role: RoleName,
    kind: RoleProblemKind,
}

impl RoleProblem {
    pub(super) fn new(role: &RoleName, kind: RoleProblemKind) -> Self {
        Self {
            role: role.clone(),
            kind,
        }
    }

    /// The role whose definition it is.
    #[must_use]
    pub const fn role(&self) -> &RoleName {
        &self.role
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> &RoleProblemKind {
        &self.kind
    }

    /// Whether the role denies everything because of it.
    ///
    /// The other problems leave a part of the definition without effect.
    #[must_use]
    pub const fn seals(&self) -> bool {
        match self.kind {
            RoleProblemKind::Duplicate
            | RoleProblemKind::Unreadable
            | RoleProblemKind::TooLarge
            | RoleProblemKind::UnknownInclude { .. }
            | RoleProblemKind::SealedInclude { .. }
            | RoleProblemKind::Cycle { .. }
            | RoleProblemKind::TooDeep
            | RoleProblemKind::MalformedDeny { .. } => true,
            RoleProblemKind::NameTaken
            | RoleProblemKind::OwnerOnly
            | RoleProblemKind::MalformedAllow { .. }
            | RoleProblemKind::CoversNothing { .. } => false,
        }
    }
}

/// What is wrong with a role definition.
///
/// Texts from the definition are cut to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoleProblemKind {
    /// A system or application role has the name. The definition is ignored.
    #[error("has the name of a system or application role; choose another name")]
    NameTaken,
    /// Two definitions have the name. The role denies everything.
    #[error("is defined more than once; keep one of the definitions")]
    Duplicate,
    /// What is stored can't be read. The role denies everything.
    #[error("can't be read as it is stored, or is of a newer version; store it again or upgrade")]
    Unreadable,
    /// The definition lists too much. The role denies everything.
    #[error(
        "lists more than {MAX_ENTRIES} includes and grants; use wildcards or split it into roles"
    )]
    TooLarge,
    /// An included role is not defined. The role denies everything, because the missing role may
    /// have denied something.
    #[error("includes `{include}`, which is not defined; define it or remove the include")]
    UnknownInclude {
        /// The missing role.
        include: RoleName,
    },
    /// An included role denies everything because of a problem. So does this one.
    #[error("includes `{include}`, which has a problem and denies everything; mend `{include}`")]
    SealedInclude {
        /// The role with the problem.
        include: RoleName,
    },
    /// The role includes itself, or a role that does. It denies everything.
    #[error("leads into a cycle of includes, {}; remove one of them", arrows(path))]
    Cycle {
        /// The roles of the cycle; the first one is also the last.
        path: Vec<RoleName>,
    },
    /// The chain of includes is too long. The role denies everything.
    #[error("includes roles over more than {MAX_DEPTH} steps; include the last ones directly")]
    TooDeep,
    /// The role allows the bare `*` or includes the owner, and is not the owner. Without effect.
    #[error(
        "claims everything, which only `owner` holds; name the permissions, or use wildcards \
             such as `notes:*`, or include `admin`"
    )]
    OwnerOnly,
    /// What the role allows is not a grant. Without effect.
    #[error("allows `{grant}`, which is not a grant; write it like `notes:read` or `notes:*`")]
    MalformedAllow {
        /// The text.
        grant: String,
    },
    /// What the role denies is not a grant. The role denies everything.
    #[error("denies `{grant}`, which is not a grant; write it like `notes:read` or `notes:*`")]
    MalformedDeny {
        /// The text.
        grant: String,
    },
    /// A grant covers no declared permission. Without effect until one is declared.
    #[error("names `{grant}`, which covers no declared permission; declare one or remove it")]
    CoversNothing {
        /// The grant.
        grant: String,
    },
}

fn arrows(path: &[RoleName]) -> String {
    path.iter()
        .map(|role| format!("`{role}`"))
        .collect::<Vec<_>>()
        .join(" → ")
}
