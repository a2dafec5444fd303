//! Flattening: role definitions that include each other become one mask for each role.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::RoleName;

use super::{
    Grant, PermissionSet, RoleDefinition, RoleMask, RoleProblem, RoleProblemKind as Kind,
    SystemRole, catalog::Catalog, grant::clip,
};

/// How many steps a chain of includes may have.
pub(super) const MAX_DEPTH: usize = 10;

/// How many includes and grants a definition may list.
pub(super) const MAX_ENTRIES: usize = 256;

/// A role and all that it includes.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) mask: RoleMask,
    pub(super) source: Source,
}

/// Where the mask of a role comes from.
#[derive(Debug)]
pub(super) enum Source {
    System(SystemRole),
    /// What has effect of a definition.
    Defined {
        includes: Vec<RoleName>,
        allow: Vec<Grant>,
        deny: Vec<Grant>,
    },
    /// The definition, or one that it includes, has this problem; the role denies everything.
    Sealed(Arc<RoleProblem>),
}

impl Role {
    pub(super) const fn system(role: SystemRole, allow: PermissionSet) -> Self {
        Self {
            mask: RoleMask {
                allow,
                deny: PermissionSet::EMPTY,
            },
            source: Source::System(role),
        }
    }

    const fn sealed(problem: Arc<RoleProblem>) -> Self {
        Self {
            mask: RoleMask::SEALED,
            source: Source::Sealed(problem),
        }
    }
}

/// What definitions come to.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) roles: BTreeMap<RoleName, Role>,
    /// Sorted by role.
    pub(super) problems: Vec<RoleProblem>,
}

/// Compiles definitions that may include each other and the roles of `base`.
///
/// The order of the definitions does not matter: each round takes up, by name, those whose includes
/// are known, first the ones that include no other. Whatever is left when roles of [`MAX_DEPTH`]
/// steps have had their round is deeper, or in a cycle, or leads to one. A role of `base` is one
/// step, whatever it includes.
pub(super) fn flatten(
    catalog: &Catalog,
    base: &BTreeMap<RoleName, Role>,
    definitions: &[RoleDefinition],
) -> Compiled {
    let mut pending = BTreeMap::new();
    let mut twice = BTreeSet::new();
    let mut done = Compiled {
        roles: BTreeMap::new(),
        problems: Vec::new(),
    };
    for definition in definitions {
        let name = &definition.name;
        if base.contains_key(name) {
            done.problems.push(RoleProblem::new(name, Kind::NameTaken));
        } else if pending.insert(name, definition).is_some() {
            twice.insert(name);
        }
    }
    for name in twice {
        pending.remove(name);
        done.seal(name, Kind::Duplicate);
    }
    let defined: BTreeSet<_> = pending
        .keys()
        .copied()
        .chain(done.roles.keys())
        .cloned()
        .collect();
    pending.retain(|name, definition| {
        let unknown =
            |include: &&RoleName| !base.contains_key(include) && !defined.contains(include);
        let size = definition.includes.len() + definition.allow.len() + definition.deny.len();
        if definition.is_unreadable() {
            done.seal(name, Kind::Unreadable);
        } else if size > MAX_ENTRIES {
            done.seal(name, Kind::TooLarge);
        } else if let Some(include) = definition.includes.iter().find(unknown) {
            done.seal(
                name,
                Kind::UnknownInclude {
                    include: include.clone(),
                },
            );
        } else {
            return true;
        }
        false
    });

    for _ in 0..=MAX_DEPTH {
        let known = |role: &RoleName| base.contains_key(role) || done.roles.contains_key(role);
        let ready: Vec<_> = pending
            .values()
            .copied()
            .filter(|d| d.includes.iter().all(known))
            .collect();
        let round: Vec<_> = ready
            .iter()
            .map(|d| (d, done.read(catalog, base, d)))
            .collect();
        for (definition, role) in round {
            pending.remove(&definition.name);
            done.roles.insert(definition.name.clone(), role);
        }
    }
    for name in pending.keys() {
        let kind = cycle(&pending, name).map_or(Kind::TooDeep, |path| Kind::Cycle { path });
        done.seal(name, kind);
    }
    done.problems.sort_by(|a, b| a.role().cmp(b.role()));
    done
}

/// Follows the includes of a role among those that are left, to the cycle they end in, if any.
fn cycle(left: &BTreeMap<&RoleName, &RoleDefinition>, start: &RoleName) -> Option<Vec<RoleName>> {
    let mut path = vec![start];
    loop {
        let role = left.get(path.last()?)?;
        let next = role
            .includes
            .iter()
            .find(|include| left.contains_key(include))?;
        let start = path.iter().position(|passed| *passed == next);
        path.push(next);
        if let Some(start) = start {
            return Some(path.into_iter().skip(start).cloned().collect());
        }
    }
}

impl Compiled {
    fn seal(&mut self, name: &RoleName, kind: Kind) {
        let problem = RoleProblem::new(name, kind);
        self.problems.push(problem.clone());
        self.roles
            .insert(name.clone(), Role::sealed(Arc::new(problem)));
    }

    /// Reads a definition whose includes are all known.
    fn read(
        &mut self,
        catalog: &Catalog,
        base: &BTreeMap<RoleName, Role>,
        definition: &RoleDefinition,
    ) -> Role {
        let mut report = |kind| {
            let problem = RoleProblem::new(&definition.name, kind);
            self.problems.push(problem.clone());
            problem
        };
        let mut mask = RoleMask::NONE;
        let mut seal = None;
        let (mut includes, mut allow, mut deny) = (Vec::new(), Vec::new(), Vec::new());
        for include in &definition.includes {
            let role = base.get(include).or_else(|| self.roles.get(include));
            match role.map(|role| (&role.source, role.mask)) {
                Some((Source::System(SystemRole::Owner), _)) => {
                    report(Kind::OwnerOnly);
                }
                Some((Source::Sealed(cause), _)) => {
                    report(Kind::SealedInclude {
                        include: include.clone(),
                    });
                    seal.get_or_insert(cause.clone());
                }
                Some((_, included)) => {
                    mask = mask.combine(included);
                    includes.push(include.clone());
                }
                None => {}
            }
        }
        for text in &definition.allow {
            match text.parse::<Grant>() {
                Ok(grant) if grant.is_everything() => {
                    report(Kind::OwnerOnly);
                }
                Ok(grant) => allow.push(grant),
                Err(_) => {
                    report(Kind::MalformedAllow { grant: clip(text) });
                }
            }
        }
        for text in &definition.deny {
            match text.parse() {
                Ok(grant) => deny.push(grant),
                Err(_) => {
                    let problem = report(Kind::MalformedDeny { grant: clip(text) });
                    seal.get_or_insert(Arc::new(problem));
                }
            }
        }
        for (grants, set) in [(&allow, &mut mask.allow), (&deny, &mut mask.deny)] {
            for grant in grants {
                let covered = catalog.covered_by(grant);
                if covered.is_empty() {
                    report(Kind::CoversNothing {
                        grant: clip(grant.as_str()),
                    });
                }
                *set = set.union(covered);
            }
        }
        match seal {
            Some(cause) => Role::sealed(cause),
            None => Role {
                mask,
                source: Source::Defined {
                    includes,
                    allow,
                    deny,
                },
            },
        }
    }
}
