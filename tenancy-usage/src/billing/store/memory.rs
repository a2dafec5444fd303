//! Billing in memory: the reference for what a store does.

mod credits;
mod periods;
mod reports;
mod subscriptions;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tenancy_core::{Clock, SystemClock, TenantId, Timestamp};

use self::{reports::Queued, subscriptions::Held};
use super::{BillingStoreError, ClosedInvoice, ThresholdStore, check_text};
use crate::{credit::CreditLedger, threshold::ThresholdKey};

/// Keeps billing in the memory of one process: for tests and first steps, and as the reference for stores. It has no outbox and no
/// trail, and is empty when the process begins.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use tenancy_core::ManualClock;
/// use tenancy_usage::billing::MemoryBilling;
///
/// let billing = MemoryBilling::new().grace(Duration::from_secs(14 * 86_400)).clock(Arc::new(ManualClock::now_frozen()));
/// # let _ = billing;
/// ```
#[derive(Debug)]
#[must_use]
pub struct MemoryBilling {
    clock: Arc<dyn Clock>,
    grace: Duration,
    kept: Mutex<Kept>,
}

/// A billing system, and the id of something there.
type At = (Box<str>, Box<str>);

#[derive(Debug, Default)]
struct Kept {
    told: BTreeSet<ThresholdKey>,
    closed: BTreeMap<(TenantId, Timestamp), ClosedInvoice>,
    ledgers: BTreeMap<TenantId, CreditLedger>,
    /// In the order in which they were bound.
    customers: Vec<(At, TenantId)>,
    subscriptions: BTreeMap<At, Held>,
    /// In the order in which they were queued.
    reports: Vec<Queued>,
}

impl MemoryBilling {
    /// Nothing kept yet.
    pub fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            grace: Duration::from_secs(7 * 86_400),
            kept: Mutex::default(),
        }
    }

    /// For how long after a failed payment a tenant is still served. Default: 7 days.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Where it reads the time. Default: the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryBilling {
    fn default() -> Self {
        Self::new()
    }
}

fn at(provider: &str, id: &str) -> At {
    (provider.into(), id.into())
}

#[async_trait]
impl ThresholdStore for MemoryBilling {
    async fn cross(&self, keys: &[ThresholdKey]) -> Result<Vec<ThresholdKey>, BillingStoreError> {
        for key in keys {
            check_text("the meter of a threshold", &key.meter)?;
        }
        let mut kept = self.kept();
        let new = keys.iter().filter(|key| kept.told.insert((*key).clone()));
        Ok(new.cloned().collect())
    }
}
