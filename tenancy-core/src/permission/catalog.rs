//! The catalog: declared permissions, sorted, each at the index that is its bit.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{
    Grant, InvalidPermission, PermissionId, PermissionSet, RegistryError, SystemRole,
    grant::is_permission,
    set::{ANY, MIXED},
};

/// How many permissions a [`PermissionSet`] has room for.
pub(super) const MAX_PERMISSIONS: usize = 256;

#[derive(Debug)]
pub(super) struct Permission {
    pub(super) name: Box<str>,
    pub(super) lowest: Option<SystemRole>,
    pub(super) description: Option<Box<str>>,
}

#[derive(Debug)]
pub(super) struct Catalog {
    permissions: Vec<Permission>,
    /// Tells the ids of this catalog from those of one with other names. Equal names give equal
    /// indexes, so catalogs that share a fingerprint may share ids.
    fingerprint: u64,
    /// By the position of a segment in a name.
    positions: [Position; 4],
}

/// Which permissions have which segment at one position, so that a grant costs the same however
/// many permissions there are: tenants write grants.
#[derive(Debug, Default)]
struct Position {
    /// Those with any segment here.
    any: PermissionSet,
    by_segment: BTreeMap<Box<str>, PermissionSet>,
}

impl Catalog {
    pub(super) fn new(mut permissions: Vec<Permission>) -> Result<Self, RegistryError> {
        if permissions.len() > MAX_PERMISSIONS {
            return Err(RegistryError::TooManyPermissions {
                count: permissions.len(),
            });
        }
        if let Some(invalid) = permissions.iter().find(|p| !is_permission(&p.name)) {
            return Err(InvalidPermission::new(&invalid.name).into());
        }
        permissions.sort_by(|a, b| a.name.cmp(&b.name));
        let mut hasher = DefaultHasher::new();
        let mut last = None;
        for permission in &permissions {
            if last == Some(&permission.name) {
                return Err(RegistryError::DuplicatePermission {
                    name: permission.name.to_string(),
                });
            }
            permission.name.hash(&mut hasher);
            last = Some(&permission.name);
        }
        let fingerprint = hasher.finish().clamp(ANY + 1, MIXED - 1);
        let mut catalog = Self {
            permissions,
            fingerprint,
            positions: Default::default(),
        };
        catalog.positions = catalog.by_position();
        Ok(catalog)
    }

    fn by_position(&self) -> [Position; 4] {
        let mut positions = <[Position; 4]>::default();
        for (id, permission) in self.iter() {
            for (position, segment) in positions.iter_mut().zip(permission.name.split(':')) {
                position.any.insert(id);
                position
                    .by_segment
                    .entry(segment.into())
                    .or_default()
                    .insert(id);
            }
        }
        positions
    }

    pub(super) fn id(&self, name: &str) -> Option<PermissionId> {
        let index = self
            .permissions
            .binary_search_by(|p| (*p.name).cmp(name))
            .ok()?;
        Some(PermissionId {
            registry: self.fingerprint,
            index: u8::try_from(index).ok()?,
        })
    }

    pub(super) fn get(&self, id: PermissionId) -> Option<&Permission> {
        self.permissions
            .get(usize::from(id.index))
            .filter(|_| id.registry == self.fingerprint)
    }

    pub(super) fn len(&self) -> usize {
        self.permissions.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PermissionId, &Permission)> {
        (0..=u8::MAX)
            .map(|index| PermissionId {
                registry: self.fingerprint,
                index,
            })
            .zip(&self.permissions)
    }

    pub(super) const fn all(&self) -> PermissionSet {
        let [first, ..] = &self.positions;
        first.any
    }

    pub(super) fn held_by(&self, role: SystemRole) -> PermissionSet {
        let held = |p: &Permission| p.lowest.is_some_and(|lowest| lowest <= role);
        self.iter()
            .filter(|(_, p)| held(p))
            .map(|(id, _)| id)
            .collect()
    }

    /// All that [`Grant::covers`] says the grant covers.
    pub(super) fn covered_by(&self, grant: &Grant) -> PermissionSet {
        let mut positions = self.positions.iter();
        let mut covered = self.all();
        let mut open = false;
        for (segment, position) in grant.as_str().split(':').zip(&mut positions) {
            open = segment == "*";
            let here = if open {
                Some(&position.any)
            } else {
                position.by_segment.get(segment)
            };
            covered = here.map_or(PermissionSet::EMPTY, |here| covered.intersection(*here));
        }
        match positions.next() {
            Some(longer) if !open => covered.difference(longer.any),
            _ => covered,
        }
    }
}
