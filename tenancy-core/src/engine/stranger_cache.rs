//! StrangerCache: what was answered to callers who named a tenant that is not theirs.
//!
//! A tenant of others and one that does not exist must cost the same look-ups, be believed for the
//! same time and go out of date by the same changes. So neither rests on what caches hold of that
//! tenant: the answer is kept here, by who asked for what, until anything changes for any tenant.

use std::{
    fmt,
    hash::{BuildHasher as _, Hash, RandomState},
    time::Duration,
};

use quick_cache::sync::Cache;

use super::refusal_log::Refused;
use crate::{
    Principal, ProjectId, RouteNeeds, TenantId, TenantKey, Timestamp,
    cache::{CacheVersion, Probe},
    identification::{Hint, HintKeys},
};

/// Who asked for what, as a keyed hash: what a credential says may be long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Question([u64; 2]);

#[derive(Clone)]
struct StrangerEntry {
    refused: Refused,
    version: CacheVersion,
    read_at: Timestamp,
}

pub(super) struct StrangerCache {
    answers: Cache<Question, StrangerEntry>,
    keys: [RandomState; 2],
    ttl: Duration,
}

impl StrangerCache {
    pub(super) fn new(capacity: usize, ttl: Duration) -> Self {
        Self {
            answers: Cache::new((capacity / 8).clamp(16, 4096)),
            keys: [RandomState::new(), RandomState::new()],
            ttl,
        }
    }

    /// The question that a request asks: everything on which the answer depends.
    pub(super) fn question(
        &self,
        principal: Option<&Principal>,
        hints: &[Hint<'_>],
        project: Result<Option<ProjectId>, &'static str>,
        needs: RouteNeeds,
    ) -> Question {
        let who = principal.map(|p| (&p.actor, p.on_behalf_of, &p.allowed_tenants));
        Question(self.hashes(&(who, needs, project, HintKeys(hints))))
    }

    /// What was answered to the same question a moment ago.
    pub(super) fn get(
        &self,
        question: &Question,
        version: CacheVersion,
        now: Timestamp,
    ) -> Probe<Refused> {
        match self.answers.get(question) {
            Some(answer)
                if answer.version == version
                    && now >= answer.read_at
                    && now.since(answer.read_at) < self.ttl =>
            {
                Probe::Found(answer.refused, answer.read_at)
            }
            _ => Probe::Unknown,
        }
    }

    /// Keeps an answer, which was read from this moment on, under this version.
    pub(super) fn keep(
        &self,
        question: Question,
        refused: Refused,
        (read_at, version): (Timestamp, CacheVersion),
    ) {
        let answer = StrangerEntry {
            refused,
            version,
            read_at,
        };
        self.answers.insert(question, answer);
    }

    /// The id under which a membership is looked for where a name is nobody's.
    pub(super) fn nobody(&self, name: &TenantKey) -> TenantId {
        let [high, low] = self.hashes(name);
        TenantId::from_uuid(uuid::Uuid::from_u64_pair(high, low))
    }

    fn hashes(&self, what: &impl Hash) -> [u64; 2] {
        let [one, other] = &self.keys;
        [one.hash_one(what), other.hash_one(what)]
    }
}

impl fmt::Debug for StrangerCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrangerCache").finish_non_exhaustive()
    }
}
