//! What alerts there are.

use std::fmt;

/// What an alert is about.
///
/// ```
/// use tenancy_core::alert::AlertKind;
///
/// assert_eq!(AlertKind::NewNetwork.event(), "alert.new-network");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlertKind {
    /// One caller was refused in several tenants that are not its own.
    CrossTenant,
    /// An API key was used from a network from which it was not used before.
    NewNetwork,
    /// Many more requests were refused than before.
    Refusals,
    /// An operator became a user without consent, or somebody crossed tenants by `danger`.
    BreakGlass,
    /// The audit trail was altered.
    ChainBroken,
}

impl AlertKind {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::CrossTenant,
        Self::NewNetwork,
        Self::Refusals,
        Self::BreakGlass,
        Self::ChainBroken,
    ];

    /// The name, such as `cross-tenant`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CrossTenant => "cross-tenant",
            Self::NewNetwork => "new-network",
            Self::Refusals => "refusals",
            Self::BreakGlass => "break-glass",
            Self::ChainBroken => "chain-broken",
        }
    }

    /// The kind of the event that tells of it, such as `alert.cross-tenant`.
    #[must_use]
    pub const fn event(self) -> &'static str {
        match self {
            Self::CrossTenant => "alert.cross-tenant",
            Self::NewNetwork => "alert.new-network",
            Self::Refusals => "alert.refusals",
            Self::BreakGlass => "alert.break-glass",
            Self::ChainBroken => "alert.chain-broken",
        }
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
