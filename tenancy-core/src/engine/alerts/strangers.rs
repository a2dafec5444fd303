//! Callers who are refused in tenants that are not their own: in how many of late.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;

use crate::{Actor, TenantId, Timestamp, alert::CrossTenant};

/// How many callers are told apart.
const CALLERS: usize = 1 << 14;

type Attempts = Arc<Mutex<Vec<(TenantId, Timestamp)>>>;

pub(super) struct Strangers {
    rule: CrossTenant,
    callers: Cache<Actor, Attempts>,
}

impl Strangers {
    pub(super) fn new(rule: CrossTenant) -> Self {
        Self {
            rule,
            callers: Cache::new(CALLERS),
        }
    }

    pub(super) const fn within(&self) -> Duration {
        self.rule.within
    }

    /// Notes an attempt. Returns the tenants of late, if they are so many that somebody should look.
    pub(super) fn attempt(
        &self,
        actor: &Actor,
        tenant: Option<TenantId>,
        now: Timestamp,
    ) -> Option<Vec<TenantId>> {
        let attempts = match self
            .callers
            .get_or_insert_with(actor, || Ok::<_, ()>(Attempts::default()))
        {
            Ok(attempts) => attempts,
            Err(()) => return None,
        };
        let mut attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner);
        // One that seems to come from the future was made before the clock was set back.
        attempts.retain(|(_, at)| now.since(*at) < self.rule.within && *at <= now);
        let tenant = tenant?;
        match attempts.iter_mut().find(|(known, _)| *known == tenant) {
            Some((_, at)) => *at = now,
            None => attempts.push((tenant, now)),
        }
        if attempts.len() < self.rule.tenants {
            return None;
        }
        let tenants = attempts.iter().map(|(tenant, _)| *tenant).collect();
        if attempts.len() > self.rule.tenants {
            // No more than the rule needs, whatever is tried.
            attempts.remove(0);
        }
        Some(tenants)
    }
}
