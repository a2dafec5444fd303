//! The log of refusals: counted always, recorded without waiting, sampled by who causes them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    TenantContext,
    alerts::{Alerts, RefusalSeen},
    facts::ClientInfo,
};
use crate::{
    Actor, AuditEntry, AuditSink, Clock, Outcome, Principal, Refusal, RefusalKind, TenantId,
    UserId, audit::Sampler, cors::OriginFault,
};

/// A refusal with what the audit trail wants to know of it.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    refusal: Refusal,
    by: Option<Box<RefusedCaller>>,
    pub(super) tenant: Option<TenantId>,
    /// The tenant of others that was asked for, where it is not the one above.
    against: Option<TenantId>,
    target: Option<Box<str>>,
}

/// Who was refused.
#[derive(Debug, Clone)]
struct RefusedCaller {
    actor: Actor,
    /// The user with whose rights the actor acts, where it is no user itself.
    on_behalf_of: Option<UserId>,
}

impl RefusedCaller {
    fn of(principal: &Principal) -> Box<Self> {
        Box::new(Self {
            actor: principal.actor.clone(),
            on_behalf_of: principal.on_behalf_of,
        })
    }
}

impl Refused {
    pub(super) fn new(kind: RefusalKind, reason: &'static str) -> Self {
        Self::of(Refusal::new(kind, reason))
    }

    pub(super) fn of(refusal: Refusal) -> Self {
        Self {
            refusal,
            by: None,
            tenant: None,
            against: None,
            target: None,
        }
    }

    pub(super) const fn kind(&self) -> RefusalKind {
        self.refusal.kind()
    }

    pub(super) fn actor(&self) -> Option<&Actor> {
        self.by.as_ref().map(|by| &by.actor)
    }

    pub(super) fn note_actor(&mut self, actor: Actor) {
        self.by = Some(Box::new(RefusedCaller {
            actor,
            on_behalf_of: None,
        }));
    }

    pub(super) fn note_caller(&mut self, principal: &Principal) {
        self.by = Some(RefusedCaller::of(principal));
    }

    pub(super) fn target(mut self, target: String) -> Self {
        self.target = Some(target.into());
        self
    }

    /// A refusal of somebody who asked for a tenant of others: it becomes no entry of that tenant.
    pub(super) fn against(mut self, tenant: TenantId) -> Self {
        self.against = Some(tenant);
        self.target(format!("tenant={tenant}"))
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

/// Counts what is refused, and records it in the audit trail without waiting, sampled by who causes it.
#[derive(Debug)]
pub(super) struct RefusalLog {
    audit: Arc<dyn AuditSink>,
    clock: Arc<dyn Clock>,
    sampler: Sampler,
    alerts: Arc<Alerts>,
    counts: [AtomicU64; RefusalKind::ALL.len()],
    /// How callers of this engine authenticate; `None` for `Bearer` alone.
    challenge: Option<Arc<String>>,
}

impl RefusalLog {
    pub(super) fn new(
        audit: Arc<dyn AuditSink>,
        clock: Arc<dyn Clock>,
        alerts: Arc<Alerts>,
        challenge: Option<Arc<String>>,
    ) -> Self {
        Self {
            audit,
            clock,
            sampler: Sampler::new(),
            alerts,
            counts: Default::default(),
            challenge,
        }
    }

    fn counter(&self, kind: RefusalKind) -> Option<&AtomicU64> {
        let position = RefusalKind::ALL.iter().position(|other| *other == kind)?;
        self.counts.get(position)
    }

    /// How many requests were refused with this answer.
    pub(super) fn count(&self, kind: RefusalKind) -> u64 {
        let counter = self.counter(kind);
        counter.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Counts a request that failed because a store did not answer; no business of the audit trail.
    pub(super) fn add(&self, refusal: Refusal) -> Refusal {
        if let Some(count) = self.counter(refusal.kind()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        refusal
    }

    /// Counts and records a request that was not admitted, and returns what to answer.
    pub(super) fn record_admission(&self, refused: Refused, client: &ClientInfo) -> Refusal {
        self.record("request.admit", refused, client)
    }

    /// The same of something else than an admission.
    pub(super) fn record(
        &self,
        action: &'static str,
        refused: Refused,
        client: &ClientInfo,
    ) -> Refusal {
        let Refused {
            refusal,
            by,
            tenant,
            against,
            target,
        } = refused;
        let refusal = self.add(refusal);
        // Whatever the sink is: whoever develops a service looks into its log. The target may hold what a caller sent.
        tracing::debug!(
            action,
            kind = refusal.kind().as_str(),
            reason = refusal.reason(),
            "a request was refused"
        );
        let now = self.clock.now();
        // Before it is sampled: what is counted has to be true.
        let seen = RefusalSeen {
            reason: refusal.reason(),
            actor: by.as_ref().map(|by| &by.actor),
            tenant: tenant.or(against),
        };
        self.alerts.refused(seen, now);
        // Whoever is refused chooses how often this happens.
        let sampled = (self.sampler).admit(
            by.as_ref().map(|by| &by.actor),
            client.ip,
            refusal.reason(),
            now,
        );
        if let Some(suppressed) = sampled {
            let mut entry = AuditEntry::new(now, action, Outcome::Refused).reason(refusal.reason());
            if let Some(by) = by {
                entry.actor = Some(by.actor);
                entry.on_behalf_of = by.on_behalf_of;
            }
            entry.tenant = tenant;
            entry.target = target.map(String::from);
            client.sign(&mut entry);
            entry.suppressed = suppressed;
            self.audit.record(entry);
        }
        self.challenged(refusal)
    }

    /// Records that an admitted caller lacked a permission, or its tenant a feature.
    pub(super) fn record_denied(
        &self,
        action: &'static str,
        refusal: Refusal,
        context: &TenantContext,
        target: &str,
    ) -> Refusal {
        let refused = Refused {
            refusal,
            by: Some(RefusedCaller::of(context.principal())),
            tenant: Some(context.tenant_id()),
            against: None,
            target: Some(target.into()),
        };
        self.record(action, refused, context.client())
    }

    /// The same refusal; status 401 says how this engine's callers authenticate.
    pub(super) fn challenged(&self, refusal: Refusal) -> Refusal {
        match refusal.kind() {
            RefusalKind::Unauthenticated => refusal.with_challenge(self.challenge.clone()),
            _ => refusal,
        }
    }
}
