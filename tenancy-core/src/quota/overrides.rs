//! Overrides: what one tenant has instead of a limit of its plan, and until when.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;

use super::{Limit, rule::Rule};
use crate::{ConfigError, TenantId, Timestamp};

/// A limit that one tenant has in the place of the one of the same [name](Limit::name), for a time or for good.
///
/// Given to [`Admin::put_limit_override`](crate::Admin::put_limit_override), which stores it, or to
/// [`QuotaService::put_override`](super::QuotaService::put_override), which keeps it in this process.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{Clock as _, SystemClock, quota::{Limit, LimitOverride, Period}};
///
/// // A good will of 100 exports more, for a week.
/// let more = Limit::per_period("exports", 200, Period::Month);
/// let week = SystemClock.now() + Duration::from_secs(7 * 24 * 3_600);
/// let good_will = LimitOverride::new(more).until(week);
/// # let _ = good_will;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct LimitOverride {
    pub(super) limit: Limit,
    pub(super) until: Option<Timestamp>,
}

impl LimitOverride {
    /// This limit in the place of the one with its name.
    pub const fn new(limit: Limit) -> Self {
        Self { limit, until: None }
    }

    /// From this moment on, the plan's own limit counts again. Default: the override stays.
    pub const fn until(mut self, moment: Timestamp) -> Self {
        self.until = Some(moment);
        self
    }

    /// One that is or was stored: the meter, and the JSON that [`definition`](Self::definition) gave.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is no limit.
    pub fn from_stored(
        meter: &str,
        definition: &Value,
        until: Option<Timestamp>,
    ) -> Result<Self, ConfigError> {
        let limit = crate::plan::limit_from_json("a stored override", meter, definition)?;
        Ok(Self { limit, until })
    }

    /// The name of the limit whose place it takes.
    #[must_use]
    pub fn limit_name(&self) -> String {
        self.limit.name()
    }

    /// The meter of its limit.
    #[must_use]
    pub fn meter(&self) -> &str {
        self.limit.meter()
    }

    /// When it ends, if it does.
    #[must_use]
    pub const fn ends_at(&self) -> Option<Timestamp> {
        self.until
    }

    /// Its limit as JSON, to be stored beside the name of its meter.
    ///
    /// # Errors
    /// A [`ConfigError`] if a time in it has a part of a millisecond.
    pub fn definition(&self) -> Result<Value, ConfigError> {
        self.limit.to_json(&self.limit.name())
    }
}

/// The overrides of all tenants.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    are_any: AtomicBool,
    of: RwLock<HashMap<TenantId, OfTenant>>,
}

/// The overrides of one tenant: each with the moment at which it ends.
pub(crate) type OfTenant = Arc<[(Arc<Rule>, Option<Timestamp>)]>;

impl Overrides {
    /// Those of a tenant, in effect or not.
    pub(super) fn of(&self, tenant: TenantId) -> Option<OfTenant> {
        if !self.are_any.load(Ordering::Acquire) {
            return None;
        }
        let of = self.of.read().unwrap_or_else(PoisonError::into_inner);
        of.get(&tenant).cloned()
    }

    pub(super) fn put(&self, tenant: TenantId, rule: Arc<Rule>, until: Option<Timestamp>) {
        self.change(tenant, |rules| {
            rules.retain(|(other, _)| other.name != rule.name);
            rules.push((rule, until));
        });
    }

    pub(super) fn remove(&self, tenant: TenantId, limit: &str) {
        self.change(tenant, |rules| {
            rules.retain(|(rule, _)| &*rule.name != limit)
        });
    }

    fn change(
        &self,
        tenant: TenantId,
        change: impl FnOnce(&mut Vec<(Arc<Rule>, Option<Timestamp>)>),
    ) {
        let mut of = self.of.write().unwrap_or_else(PoisonError::into_inner);
        let mut rules = of
            .remove(&tenant)
            .map_or(Vec::new(), |rules| rules.to_vec());
        change(&mut rules);
        if !rules.is_empty() {
            of.insert(tenant, rules.into());
        }
        self.are_any.store(!of.is_empty(), Ordering::Release);
    }
}

/// The override of a limit that is in effect.
pub(super) fn in_effect<'a>(
    overrides: Option<&'a OfTenant>,
    limit: &str,
    now: Timestamp,
) -> Option<&'a Arc<Rule>> {
    let mut overrides = overrides?.iter();
    let one = overrides.find(|(rule, _)| &*rule.name == limit)?;
    one.1.is_none_or(|until| now < until).then_some(&one.0)
}
