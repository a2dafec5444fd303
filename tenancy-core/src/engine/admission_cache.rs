//! Admissions that caches have already decided: who asked for what, and the context it gave.
//!
//! A decision reads several caches; with very many tenants each is a walk to cold memory. What
//! follows from the same actor, reach and hints stays the same for as long as the tenant's version
//! does, so that it is kept whole. A question is known by its digest, and the credential is no part of
//! it: all tokens of one user that reach as far ask the same, and add nothing.

use std::{fmt, hash::Hash as _, mem::size_of, sync::Arc};

use crate::{
    Principal, ProjectId, TenantId, Timestamp,
    cache::{Budgeted, CacheVersion, CacheVersions, MaxAge},
    digest::Digest,
    engine::context::Parts,
    identification::{Hint, HintKeys},
};

/// What was asked, borrowed from a request.
pub(super) struct AdmissionKey<'a> {
    pub(super) principal: &'a Principal,
    pub(super) hints: &'a [Hint<'a>],
    pub(super) project: Option<ProjectId>,
}

impl AdmissionKey<'_> {
    /// What stands for the question; `None` if this process can't remember.
    pub(super) fn digest(&self) -> Option<Digest> {
        Digest::of(|hasher| {
            self.principal.hash_identity(hasher);
            HintKeys(self.hints).hash(hasher);
            self.project.hash(hasher);
        })
    }
}

#[derive(Clone)]
struct AdmissionEntry {
    tenant: TenantId,
    version: CacheVersion,
    parts: Arc<Parts>,
}

pub(super) struct AdmissionCache {
    answers: Option<Budgeted<AdmissionEntry>>,
    max_age: MaxAge,
}

impl AdmissionCache {
    /// Room for so many bytes; nothing is remembered for 0.
    pub(super) fn new(bytes: usize, max_age: MaxAge) -> Self {
        Self {
            answers: Budgeted::new(bytes),
            max_age,
        }
    }

    /// The context that the same question gave, if nothing about its tenant has changed and it is not
    /// too old.
    pub(super) fn get(
        &self,
        question: &Digest,
        versions: &CacheVersions,
        now: Timestamp,
    ) -> Option<Arc<Parts>> {
        let answer = self.answers.as_ref()?.get(question, now)?;
        let counts = answer.version == versions.of(answer.tenant)
            && self.max_age.allows(answer.parts.read_at, now);
        counts.then_some(answer.parts)
    }

    /// Keeps an answer, unless any tenant has changed since `before`, when what it rests on began to be
    /// looked at.
    pub(super) fn keep(
        &self,
        question: Digest,
        parts: &Arc<Parts>,
        versions: &CacheVersions,
        before: CacheVersion,
        now: Timestamp,
    ) {
        let Some(answers) = &self.answers else {
            return;
        };
        let tenant = parts.tenant.id;
        let version = versions.of(tenant);
        if !versions.undisturbed_since(before) {
            return;
        }
        let heap = size_of::<Parts>() + parts.role.as_ref().map_or(0, |role| role.as_str().len());
        let answer = AdmissionEntry {
            tenant,
            version,
            parts: Arc::clone(parts),
        };
        let ends_at = parts.read_at + self.max_age.as_duration();
        answers.insert(question, answer, heap, ends_at, now);
    }
}

impl fmt::Debug for AdmissionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionCache").finish_non_exhaustive()
    }
}
