//! The phases of an adoption.

use std::fmt;

use clap::ValueEnum;

/// What an adoption is done in, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(in crate::adopt) enum Phase {
    /// The plan is checked, tenants are registered, checksums computed
    Prepare,
    /// Each table gets its column, empty
    Columns,
    /// Triggers give new rows their tenant
    NewRows,
    /// The rows that are there get theirs
    Backfill,
    /// What the data has against the plan is told
    Check,
    /// Keys with the tenant are built beside the old ones
    Indexes,
    /// References with the tenant are made, and hold for new rows
    Constraints,
    /// And for those that are there
    Validate,
    /// Row security lets everything through, and records what it would have denied
    Observe,
    /// The cut-over: row security denies
    Enforce,
    /// Checksums are computed again, and everything is reported
    Report,
    /// What the adoption has kept goes; it can't be taken back any more
    Finish,
}

impl Phase {
    /// All, in order.
    pub(in crate::adopt) const ALL: [Self; 12] = [
        Self::Prepare,
        Self::Columns,
        Self::NewRows,
        Self::Backfill,
        Self::Check,
        Self::Indexes,
        Self::Constraints,
        Self::Validate,
        Self::Observe,
        Self::Enforce,
        Self::Report,
        Self::Finish,
    ];

    /// As the command line and `tenancy_adopt.phases` have it.
    pub(in crate::adopt) const fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Columns => "columns",
            Self::NewRows => "new-rows",
            Self::Backfill => "backfill",
            Self::Check => "check",
            Self::Indexes => "indexes",
            Self::Constraints => "constraints",
            Self::Validate => "validate",
            Self::Observe => "observe",
            Self::Enforce => "enforce",
            Self::Report => "report",
            Self::Finish => "finish",
        }
    }

    /// Its place among them.
    pub(in crate::adopt) fn number(self) -> i32 {
        let place = Self::ALL.iter().position(|phase| *phase == self);
        place
            .and_then(|place| i32::try_from(place).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
