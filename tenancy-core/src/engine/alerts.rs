//! Alerts in the engine: what the rules look at, and what becomes of an alert.

mod networks;
mod outlet;
mod strangers;
mod surges;

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use networks::Networks;
use outlet::Outlet;
use serde_json::json;
use strangers::Strangers;
use surges::Surges;

use super::keys::CachedKey;
use crate::{
    Actor, AuditEntry, AuditSink, ChangeAction, Clock, Outcome, TenantId, Timestamp,
    alert::{Alert, AlertKind, AlertRules, AlertSink, TracingAlertSink},
    quota::{Holder, Rate, Throttle, Throttled},
};

/// How many subjects of alerts are told apart.
const SUBJECTS: usize = 1 << 16;

/// Why a caller whose credential is good was refused in a tenant that is there and not its own.
const NOT_ITS_OWN: &[&str] = &[
    "not-a-member",
    "membership-not-active",
    "credential-of-another-tenant",
    "tenant-not-in-credential",
];

/// The alerts of one engine.
pub(super) struct Alerts {
    strangers: Option<Strangers>,
    networks: Option<Networks>,
    surges: Option<Surges>,
    break_glass: bool,
    cool_down: Rate,
    raised: Throttle,
    audit: Arc<dyn AuditSink>,
    clock: Arc<dyn Clock>,
    outlet: Arc<Outlet>,
}

/// What the rules want to know of a refusal.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusalSeen<'a> {
    pub(super) reason: &'static str,
    pub(super) actor: Option<&'a Actor>,
    pub(super) tenant: Option<TenantId>,
}

impl Alerts {
    /// By these rules, which were checked; without any, alerts are raised by call alone, and logged.
    pub(super) fn new(
        rules: Option<(AlertRules, Arc<dyn AlertSink>)>,
        audit: Arc<dyn AuditSink>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (rules, sink) = match rules {
            Some((rules, sink)) => (Some(rules), sink),
            None => (None, Arc::new(TracingAlertSink) as Arc<dyn AlertSink>),
        };
        let cool_down = rules
            .as_ref()
            .map_or(Duration::from_secs(900), |rules| rules.cool_down);
        let seconds = u32::try_from(cool_down.as_secs()).unwrap_or(u32::MAX);
        let of = rules.as_ref();
        Self {
            strangers: of.and_then(|of| of.cross_tenant).map(Strangers::new),
            networks: of.and_then(|of| of.learning).map(Networks::new),
            surges: of.and_then(|of| of.refusals).map(Surges::new),
            break_glass: of.is_some_and(|of| of.break_glass),
            cool_down: Rate::in_seconds(1, seconds),
            raised: Throttle::with_capacity(SUBJECTS),
            audit,
            clock,
            outlet: Arc::new(Outlet::new(sink)),
        }
    }

    /// Looks at a refusal, before it is sampled.
    pub(super) fn refused(&self, seen: RefusalSeen<'_>, now: Timestamp) {
        if let Some(surges) = &self.surges
            && let Some(surge) = surges.count(seen.tenant, now)
        {
            let alert = Alert::new(AlertKind::Refusals)
                .details(json!({ "refusals": surge.count, "base": surge.base }));
            self.raise_at(
                Alert {
                    tenant: seen.tenant,
                    ..alert
                },
                now,
            );
        }
        if let Some(actor) = seen.actor {
            let is_own = !NOT_ITS_OWN.contains(&seen.reason);
            self.stranger(actor, seen.tenant.filter(|_| !is_own), now);
        }
    }

    /// A caller was refused in this tenant, which is not its own. `None` of a tenant takes as much time, so that time does
    /// not tell a tenant of others from one that is not there.
    pub(super) fn stranger(&self, actor: &Actor, tenant: Option<TenantId>, now: Timestamp) {
        let Some(strangers) = &self.strangers else {
            return;
        };
        // Nobody is held to account for what a visitor does, and the service itself is no caller.
        if actor.id().is_none() {
            return;
        }
        if let Some(tenants) = strangers.attempt(actor, tenant, now) {
            let alert = Alert::new(AlertKind::CrossTenant)
                .actor(actor.clone())
                .details(
                    json!({ "tenants": tenants, "within_seconds": strangers.within().as_secs() }),
                );
            self.raise_at(alert, now);
        }
    }

    /// A key whose text was right is used from this address. Costs one load of an atomic where it was used from the same
    /// network before.
    pub(super) fn key_used(&self, known: &CachedKey, ip: Option<IpAddr>, now: Timestamp) {
        let (Some(networks), Some(ip)) = (&self.networks, ip) else {
            return;
        };
        let network = networks::Network::of(ip);
        if known.was_last_in(network.bits()) {
            return;
        }
        let is_new = |network: networks::Network| {
            let alert = Alert::new(AlertKind::NewNetwork)
                .tenant(known.record.tenant)
                .actor(Actor::Key(known.record.id))
                .details(json!({ "network": network.to_string() }));
            self.raise_at(alert, now)
        };
        // One that could not be told yet is new again.
        if networks.is_known(known.record.id, network, now, is_new) {
            known.is_in(network.bits());
        }
    }

    /// The alert that an entry is, if it is one.
    pub(super) fn of_entry(&self, entry: &AuditEntry) -> Option<Alert> {
        if !self.break_glass || entry.outcome != Outcome::Allowed || !breaks_glass(entry) {
            return None;
        }
        let alert = Alert::new(AlertKind::BreakGlass)
            .details(json!({ "action": entry.action, "entry": entry.id }));
        Some(Alert {
            tenant: entry.tenant,
            actor: entry.actor.clone(),
            ..alert
        })
    }

    /// Raises an alert, unless the same was raised a while ago.
    pub(super) fn raise(&self, alert: Alert) -> bool {
        self.raise_at(alert, self.clock.now())
    }

    fn raise_at(&self, alert: Alert, now: Timestamp) -> bool {
        let holder = Holder::named("alert", &alert.subject());
        let one = self.cool_down.one(holder, alert.kind.as_str());
        // About whom there is no room to remember, it is told each time.
        if let Err(Throttled::For(_)) = self.raised.take(&[one], now) {
            return false;
        }
        let entry = alert.entry(now);
        match alert.event(now, entry.id) {
            Ok(event) => self.outlet.push(event),
            Err(error) => tracing::error!(%error, "an alert could not be told as an event"),
        }
        self.audit.record(entry);
        true
    }

    /// Returns when every alert was delivered.
    pub(super) async fn delivered(&self) {
        self.outlet.emptied().await;
    }

    /// How many alerts wait.
    pub(super) fn waiting(&self) -> usize {
        self.outlet.len()
    }

    /// How many alerts were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.outlet.dropped()
    }
}

/// Whether an entry tells of a way past what keeps tenants apart, taken by somebody. A named job crosses by its design.
fn breaks_glass(entry: &AuditEntry) -> bool {
    if entry.action == ChangeAction::ImpersonationStart.as_str() {
        let details = entry.details.as_ref();
        let said = details.and_then(|details| details.get("break_glass"));
        return said == Some(&json!(true));
    }
    entry.action.starts_with("danger.") && !matches!(entry.actor, Some(Actor::Job(_)))
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
