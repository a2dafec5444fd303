//! Recording refusals: counted always, audited without waiting, sampled by who causes them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Tenancy, facts::ClientInfo};
use crate::{Actor, AuditEntry, Outcome, Refusal, RefusalKind, TenantId, cors::OriginFault};

/// A refusal with what the audit trail wants to know of it.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    refusal: Refusal,
    pub(super) actor: Option<Actor>,
    pub(super) tenant: Option<TenantId>,
    target: Option<Box<str>>,
}

impl Refused {
    pub(super) fn new(kind: RefusalKind, reason: &'static str) -> Self {
        Self::of(Refusal::new(kind, reason))
    }

    pub(super) fn of(refusal: Refusal) -> Self {
        Self {
            refusal,
            actor: None,
            tenant: None,
            target: None,
        }
    }

    pub(super) const fn kind(&self) -> RefusalKind {
        self.refusal.kind()
    }

    pub(super) fn target(mut self, target: String) -> Self {
        self.target = Some(target.into());
        self
    }

    /// A refusal of the page that sent a request.
    pub(super) fn of_page(fault: &OriginFault) -> Self {
        let refused = Self::new(RefusalKind::OriginNotAllowed, fault.reason);
        match &fault.sent {
            Some(sent) => refused.target(format!("origin={sent}")),
            None => refused,
        }
    }

    /// What to answer, without recording anything.
    pub(super) fn into_refusal(self) -> Refusal {
        self.refusal
    }
}

/// How many requests were refused, by answer.
#[derive(Debug, Default)]
pub(super) struct RefusalCounts([AtomicU64; RefusalKind::ALL.len()]);

impl RefusalCounts {
    fn slot(&self, kind: RefusalKind) -> Option<&AtomicU64> {
        self.0
            .get(RefusalKind::ALL.iter().position(|k| *k == kind)?)
    }

    pub(super) fn get(&self, kind: RefusalKind) -> u64 {
        self.slot(kind)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn add(&self, kind: RefusalKind) {
        if let Some(count) = self.slot(kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Tenancy {
    /// Counts and records a refused request, and returns what to answer.
    pub(super) fn record_refusal(&self, refused: Refused, caller: &ClientInfo) -> Refusal {
        self.record_refused("request.admit", refused, caller)
    }

    /// The same of something else than an admission.
    pub(super) fn record_refused(
        &self,
        action: &'static str,
        refused: Refused,
        caller: &ClientInfo,
    ) -> Refusal {
        let inner = self.inner();
        let Refused {
            refusal,
            actor,
            tenant,
            target,
        } = refused;
        inner.refusals.add(refusal.kind());
        let now = inner.clock.now();
        // Whoever is refused chooses how often this happens.
        let sampler = &inner.sampler;
        let sampled = sampler.admit(actor.as_ref(), caller.ip, refusal.reason(), now);
        if let Some(suppressed) = sampled {
            let mut entry = AuditEntry::new(now, action, Outcome::Refused).reason(refusal.reason());
            entry.actor = actor;
            entry.tenant = tenant;
            entry.target = target.map(String::from);
            entry.ip = caller.ip;
            entry.user_agent.clone_from(&caller.user_agent);
            entry.suppressed = suppressed;
            inner.audit.record(entry);
        }
        self.challenged(refusal)
    }

    /// The same refusal; status 401 says how this engine's callers authenticate.
    fn challenged(&self, refusal: Refusal) -> Refusal {
        match refusal.kind() {
            RefusalKind::Unauthenticated => {
                refusal.with_challenge(self.inner().sources.challenge())
            }
            _ => refusal,
        }
    }

    /// A refusal of a caller that has yet to say who it is, with the `WWW-Authenticate` of this engine:
    /// for adapters. Counts and records nothing.
    pub fn unauthenticated(&self, reason: &'static str) -> Refusal {
        self.challenged(Refusal::new(RefusalKind::Unauthenticated, reason))
    }

    /// Counts a request that failed because a store did not answer; no business of the audit trail.
    pub(super) fn count_failure(&self, refusal: Refusal) -> Refusal {
        self.inner().refusals.add(refusal.kind());
        refusal
    }

    /// Records that an admitted caller lacked a permission, or its tenant a feature.
    pub(crate) fn record_denied(
        &self,
        action: &'static str,
        refusal: Refusal,
        tenant: TenantId,
        actor: Actor,
        ip: Option<std::net::IpAddr>,
        target: &str,
    ) -> Refusal {
        let refused = Refused {
            refusal,
            actor: Some(actor),
            tenant: Some(tenant),
            target: Some(target.into()),
        };
        let caller = ClientInfo {
            ip,
            user_agent: None,
        };
        self.record_refused(action, refused, &caller)
    }
}
