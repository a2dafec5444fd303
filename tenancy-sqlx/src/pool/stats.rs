//! How busy a pool is, and with whom.

use tenancy_core::TenantId;

use crate::{
    connections::{Connections, Lane},
    replicas::ReplicaStats,
};

/// How many tenants are named.
const BUSIEST: usize = 5;

/// How busy a pool is: see [`TenantPool::stats`](crate::TenantPool::stats).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Connections that are open or being opened.
    pub size: usize,
    /// Connections that nobody uses.
    pub idle: usize,
    /// Connections that somebody uses, or that are on their way back.
    pub in_use: usize,
    /// Callers who wait for a connection.
    pub waiting: usize,
    /// The tenants with the most of both, the busiest first; five at most.
    pub busiest: Vec<TenantLoad>,
    /// The [replicas](crate::TenantPoolOptions::replica). What is above is of the primary alone.
    pub replicas: Vec<ReplicaStats>,
}

/// How busy a pool is with one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantLoad {
    /// The tenant.
    pub tenant: TenantId,
    /// Connections that are used on the tenant's behalf.
    pub in_use: usize,
    /// Callers who wait on the tenant's behalf.
    pub waiting: usize,
}

impl PoolStats {
    pub(super) fn of(pool: &Connections, replicas: Vec<ReplicaStats>) -> Self {
        let level = pool.level();
        let tenants = level.loads.into_iter().filter_map(|load| match load.0 {
            Lane::House => None,
            Lane::Tenant(tenant) => Some(TenantLoad {
                tenant,
                in_use: load.1,
                waiting: load.2,
            }),
        });
        let mut busiest: Vec<_> = tenants.collect();
        busiest.sort_unstable_by_key(|load| {
            std::cmp::Reverse((load.in_use + load.waiting, load.tenant))
        });
        busiest.truncate(BUSIEST);
        Self {
            size: level.open,
            idle: level.idle,
            in_use: level.open.saturating_sub(level.idle + level.opening),
            waiting: level.waiting,
            busiest,
            replicas,
        }
    }
}
