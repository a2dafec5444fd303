//! Permission sets: up to 256 permissions as bits, so that a check is one comparison and one bit test.

use std::fmt;

use super::registry::PermissionId;

/// The registry of a set that is the same in every registry: [`PermissionSet::EMPTY`] and
/// [`PermissionSet::ALL`], and no other.
pub(super) const ANY: u64 = 0;

/// The registry of a set that was made from sets of two registries.
pub(super) const MIXED: u64 = u64::MAX;

/// A set of permissions of one [`PermissionRegistry`](super::PermissionRegistry).
///
/// A set is 40 bytes and `Copy`; no operation allocates. It is never stored, because the bits
/// mean something only beside the registry that gave them out; grants are stored as text.
///
/// # Security
/// A set knows which registry its permissions come from. Sets of two registries do not mix: the
/// result contains nothing, and neither does anything made from it by any operation. A permission
/// of another registry is in no set but [`ALL`](Self::ALL). Both fail closed for sets of what is
/// allowed. For a set of what is *denied*, do not read "not in the set" as "not denied": subtract
/// it, as [`RoleMask::effective`](super::RoleMask::effective) does.
///
/// # Example: narrowing a role by the scope of a credential
/// ```
/// use tenancy_core::{PermissionRegistry, PermissionSet, SystemRole};
///
/// let registry = PermissionRegistry::builder()
///     .permission("notes:read", SystemRole::Viewer)
///     .permission("notes:write", SystemRole::Member)
///     .build()?;
/// let [read, write] = ["notes:read", "notes:write"].map(|name| registry.id(name).unwrap());
///
/// let role = PermissionSet::from_iter([read, write]);
/// let scope = PermissionSet::from_iter([read]);
/// assert!(role.intersection(scope).contains(read));
/// assert!(!role.intersection(scope).contains(write));
/// assert_eq!(role.intersection(PermissionSet::ALL), role);
/// # Ok::<(), tenancy_core::RegistryError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PermissionSet {
    bits: [u64; 4],
    /// The fingerprint of the registry, [`ANY`] or [`MIXED`]. An empty set is `ANY` or `MIXED`, so
    /// that equal sets are equal field by field.
    registry: u64,
}

impl PermissionSet {
    /// No permission.
    pub const EMPTY: Self = Self {
        bits: [0; 4],
        registry: ANY,
    };

    /// Every permission of every registry: the scope of a credential that nothing narrows.
    ///
    /// [`PermissionRegistry::all`](super::PermissionRegistry::all) is the set of those that exist.
    pub const ALL: Self = Self {
        bits: [u64::MAX; 4],
        registry: ANY,
    };

    const MIXED: Self = Self {
        bits: [0; 4],
        registry: MIXED,
    };

    /// Whether the set contains a permission.
    #[inline]
    #[must_use]
    pub const fn contains(&self, permission: PermissionId) -> bool {
        (self.registry == permission.registry || self.registry == ANY)
            && self.has_bit(permission.index)
    }

    #[inline]
    const fn has_bit(&self, index: u8) -> bool {
        let [a, b, c, d] = self.bits;
        let word = match index >> 6 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        };
        word >> (index & 63) & 1 == 1
    }

    /// Adds a permission. In [`ALL`](Self::ALL) it is already.
    pub const fn insert(&mut self, permission: PermissionId) {
        let bit = 1 << (permission.index & 63);
        let bits = match permission.index >> 6 {
            0 => [bit, 0, 0, 0],
            1 => [0, bit, 0, 0],
            2 => [0, 0, bit, 0],
            _ => [0, 0, 0, bit],
        };
        *self = self.union(Self {
            bits,
            registry: permission.registry,
        });
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.bits, other.bits);
        let joined = self.joined(other, [a | e, b | f, c | g, d | h]);
        let everything = self.is_all() || other.is_all();
        if everything && joined.registry != MIXED {
            Self::ALL
        } else {
            joined
        }
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.bits, other.bits);
        self.joined(other, [a & e, b & f, c & g, d & h])
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.bits, other.bits);
        self.joined(other, [a & !e, b & !f, c & !g, d & !h])
    }

    /// Whether the other set contains everything that this one contains.
    ///
    /// False where the sets come from two registries.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        let rest = self.difference(other);
        rest.registry != MIXED && rest.is_empty()
    }

    /// Whether the set contains nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.bits, [0, 0, 0, 0])
    }

    /// The permissions, in the order of their names.
    ///
    /// [`ALL`](Self::ALL) belongs to no registry and lists nothing; intersect it with
    /// [`PermissionRegistry::all`](super::PermissionRegistry::all) first.
    pub fn iter(self) -> impl Iterator<Item = PermissionId> + Clone {
        let listed = if self.is_all() { Self::EMPTY } else { self };
        (0..=u8::MAX)
            .filter(move |index| listed.has_bit(*index))
            .map(move |index| PermissionId {
                registry: listed.registry,
                index,
            })
    }

    const fn is_all(&self) -> bool {
        self.registry == ANY && !self.is_empty()
    }

    /// A result of two sets, in its one form.
    const fn joined(self, other: Self, bits: [u64; 4]) -> Self {
        let registry = match (self.registry, other.registry) {
            (ANY, registry) | (registry, ANY) => registry,
            (registry, same) if registry == same => registry,
            _ => MIXED,
        };
        match bits {
            _ if registry == MIXED => Self::MIXED,
            [0, 0, 0, 0] => Self::EMPTY,
            bits => Self { bits, registry },
        }
    }
}

impl Default for PermissionSet {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl FromIterator<PermissionId> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = PermissionId>>(permissions: I) -> Self {
        let mut set = Self::EMPTY;
        for permission in permissions {
            set.insert(permission);
        }
        set
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => f.write_str("PermissionSet(ALL)"),
            Self::MIXED => f.write_str("PermissionSet(MIXED)"),
            set => {
                f.write_str("PermissionSet")?;
                f.debug_set()
                    .entries(set.iter().map(|id| id.index))
                    .finish()
            }
        }
    }
}
