//! Scopes: for whom a limit counts.

use serde::Serialize;

/// For whom a limit counts. One request takes of all scopes at once: key ⊂ project ⊂ tenant ⊂ system.
///
/// A limit counts for the requests that have what its scope names. A limit of [keys](Self::Key) does not count for
/// people, and a limit of [projects](Self::Project) counts where the request names one.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::quota::{Limit, Scope};
///
/// let of_all = Limit::rate("requests", 6_000, Duration::from_secs(60));
/// let of_each_key = Limit::rate("requests", 600, Duration::from_secs(60)).scope(Scope::Key);
/// # let _ = (of_all, of_each_key);
/// ```
/// As JSON it is its name in small letters: `"tenant"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Scope {
    /// Each client address, before anybody asks who calls: an IPv4 address, or an IPv6 /64. Stands in
    /// [`Quotas::per_address`](super::Quotas::per_address) alone.
    Address,
    /// Each caller: a user, a service account or a key within its tenant; without a credential, a network: an
    /// IPv4 address, or an IPv6 /64. The only scope, with [`System`](Self::System), that counts on routes without
    /// a tenant.
    Caller,
    /// Each API key.
    Key,
    /// Each project of a tenant.
    Project,
    /// Each tenant. The default.
    Tenant,
    /// The service as a whole, in this process or over all that share their counters.
    System,
}

impl Scope {
    /// What the names of limits say of it.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Address => "-by-address",
            Self::Caller => "-by-caller",
            Self::Key => "-by-key",
            Self::Project => "-by-project",
            Self::Tenant => "",
            Self::System => "-of-all",
        }
    }
}
