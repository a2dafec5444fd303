//! Admissions that caches have already decided: who asked for what, and the context it gave.
//!
//! A decision reads several caches; with very many tenants each is a walk to cold memory. What
//! follows from an unchanged principal and unchanged hints stays the same for as long as the
//! tenant's stamp does, so that it is kept whole.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use quick_cache::{Equivalent, sync::Cache};

use crate::{
    Principal, ProjectId, TenantId, TenantKey,
    cache::{Stamp, Stamps},
    context::Parts,
    identification::Hint,
};

/// What was asked. The principal stands for itself, as the one value in memory: its entry keeps it
/// there, so that no other can take its place.
struct Asked {
    principal: Arc<Principal>,
    hints: Box<[TenantKey]>,
    project: Option<ProjectId>,
}

/// [`Asked`], borrowed from a request.
pub(super) struct Asking<'a> {
    pub(super) principal: &'a Arc<Principal>,
    pub(super) hints: &'a [Hint<'a>],
    pub(super) project: Option<ProjectId>,
}

#[derive(Clone)]
struct Answer {
    tenant: TenantId,
    stamp: Stamp,
    parts: Arc<Parts>,
}

pub(super) struct Remembered {
    answers: Cache<Asked, Answer>,
}

impl Remembered {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            answers: Cache::new(capacity),
        }
    }

    /// The context that the same question gave, if nothing about its tenant has changed.
    pub(super) fn get(&self, asking: &Asking<'_>, stamps: &Stamps) -> Option<Arc<Parts>> {
        let answer = self.answers.get(asking)?;
        (answer.stamp == stamps.of(answer.tenant)).then_some(answer.parts)
    }

    /// Keeps an answer that was decided from caches alone, unless any tenant has changed since
    /// `before`, when the decision began.
    pub(super) fn keep(
        &self,
        asking: &Asking<'_>,
        parts: &Arc<Parts>,
        stamps: &Stamps,
        before: Stamp,
    ) {
        let tenant = parts.tenant.id;
        let stamp = stamps.of(tenant);
        if !stamps.undisturbed_since(before) {
            return;
        }
        let asked = Asked {
            principal: Arc::clone(asking.principal),
            hints: asking.hints.iter().map(|hint| hint.key.to_key()).collect(),
            project: asking.project,
        };
        self.answers.insert(
            asked,
            Answer {
                tenant,
                stamp,
                parts: Arc::clone(parts),
            },
        );
    }
}

impl Hash for Asked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.principal).hash(state);
        self.hints.iter().for_each(|key| key.hash(state));
        self.project.hash(state);
    }
}

/// Hashes as the [`Asked`] it would become.
impl Hash for Asking<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(self.principal).hash(state);
        self.hints.iter().for_each(|hint| hint.key.hash(state));
        self.project.hash(state);
    }
}

impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.principal, &other.principal)
            && self.hints == other.hints
            && self.project == other.project
    }
}

impl Eq for Asked {}

impl Equivalent<Asked> for Asking<'_> {
    fn equivalent(&self, asked: &Asked) -> bool {
        Arc::ptr_eq(self.principal, &asked.principal)
            && self.project == asked.project
            && self.hints.len() == asked.hints.len()
            && self
                .hints
                .iter()
                .zip(&asked.hints)
                .all(|(hint, key)| hint.key.equivalent(key))
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}
