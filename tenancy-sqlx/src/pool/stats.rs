//! How busy a pool is, and with whom.

use std::time::Duration;

use tenancy_core::TenantId;

use crate::{
    connections::{Connections, Load},
    replicas::ReplicaStats,
};

/// How busy a pool is: see [`TenantPool::stats`](crate::TenantPool::stats).
///
/// ```
/// use tenancy_sqlx::TenantPool;
///
/// /// For the log of a service that is slow.
/// fn say(pool: &TenantPool) {
///     let stats = pool.stats();
///     println!("{} of {} connections in use, {} callers wait", stats.in_use, stats.size, stats.waiting);
///     for tenant in &stats.busiest {
///         println!("{}: {} in use, {} wait", tenant.tenant, tenant.in_use, tenant.waiting);
///     }
///     for replica in &stats.replicas {
///         println!("{}: {:?} bytes behind", replica.address, replica.lag);
///     }
/// }
/// # let _ = say;
/// ```
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
    /// Statements in autocommit that found their session named, since the pool was made.
    pub pinned: u64,
    /// Statements in autocommit whose session had to be named first.
    pub switched: u64,
    /// How long the caller has waited who has waited longest; zero if nobody waits.
    pub longest_wait: Duration,
    /// How often a caller was lent a connection since the pool was made.
    pub acquired: u64,
    /// How often a caller has waited in vain for the whole
    /// [acquire timeout](crate::TenantPoolOptions::acquire_timeout) since the pool was made.
    pub timed_out: u64,
    /// The tenants with the most connections and waiters, the busiest first; five at most.
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
    /// How long the first of them has waited; zero if nobody waits.
    pub longest_wait: Duration,
}

impl TenantLoad {
    fn of((tenant, load): (TenantId, Load)) -> Self {
        Self {
            tenant,
            in_use: load.held,
            waiting: load.waiting,
            longest_wait: load.longest_wait,
        }
    }
}

impl PoolStats {
    pub(super) fn of(pool: &Connections, replicas: Vec<ReplicaStats>) -> Self {
        let level = pool.level();
        let (pinned, switched) = pool.statements();
        let (acquired, timed_out) = pool.totals();
        Self {
            size: level.open,
            idle: level.idle,
            in_use: level.in_use(),
            waiting: level.waiting,
            longest_wait: level.longest_wait(),
            acquired,
            timed_out,
            pinned,
            switched,
            busiest: level.busiest().map(TenantLoad::of).collect(),
            replicas,
        }
    }
}
