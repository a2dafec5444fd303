//! `ChangeAnnouncer`: tells other processes that something has changed.

use std::fmt;

use crate::TenantId;

/// Tells other processes that this one has changed something, so that they ask their directory at once and not with their
/// next poll.
///
/// Given to [`TenancyBuilder::announcer`](crate::TenancyBuilder::announcer). `RedisNews` of `tenancy-redis` is one. A
/// directory in PostgreSQL tells by itself, and needs none.
///
/// ```
/// use std::sync::mpsc::Sender;
///
/// use tenancy_core::{ChangeAnnouncer, TenantId};
///
/// #[derive(Debug)]
/// struct Queue(Sender<Option<TenantId>>);
///
/// impl ChangeAnnouncer for Queue {
///     fn announce(&self, tenant: Option<TenantId>) {
///         // Whoever does not hear of it polls.
///         let _ = self.0.send(tenant);
///     }
/// }
/// ```
pub trait ChangeAnnouncer: Send + Sync + fmt::Debug {
    /// Called after each change that the engine makes, of whichever store, once the store has answered: whatever came of
    /// it, because also a change that failed, or whose caller gave up on it, may have been made. `None` for what concerns
    /// no tenant, or more than one.
    ///
    /// Must not block: it is called by whoever makes the change. What it tells may get lost; polling goes on.
    fn announce(&self, tenant: Option<TenantId>);
}
