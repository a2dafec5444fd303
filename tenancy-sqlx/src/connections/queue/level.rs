//! How busy a queue is, and with whom.

use std::{cmp::Reverse, time::Duration};

use tenancy_core::TenantId;

/// How many tenants are named.
const BUSIEST: usize = 5;

/// How busy a queue is.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) open: usize,
    pub(crate) opening: usize,
    pub(crate) idle: usize,
    pub(crate) waiting: usize,
    /// Of everybody who waits or holds something.
    pub(crate) loads: Vec<Load>,
}

/// How busy a queue is on somebody's behalf.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Nobody for the house.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) held: usize,
    pub(crate) waiting: usize,
    /// How long the first of those who wait has waited.
    pub(crate) longest_wait: Duration,
}

impl Level {
    /// Connections that are neither idle nor being opened.
    pub(crate) const fn in_use(&self) -> usize {
        self.open.saturating_sub(self.idle + self.opening)
    }

    /// How long the one has waited who has waited longest.
    pub(crate) fn longest_wait(&self) -> Duration {
        let waits = self.loads.iter().map(|load| load.longest_wait);
        waits.max().unwrap_or_default()
    }

    /// The tenants that wait and hold most, the busiest first.
    pub(crate) fn busiest(&self) -> impl Iterator<Item = (TenantId, Load)> + use<> {
        let loads = self.loads.iter();
        let mut tenants: Vec<_> = loads
            .filter_map(|load| Some((load.tenant?, *load)))
            .collect();
        tenants.sort_unstable_by_key(|(tenant, load)| Reverse((load.held + load.waiting, *tenant)));
        tenants.into_iter().take(BUSIEST)
    }
}
