//! Meters: what is counted.

use std::fmt;

use crate::Ending;

/// How what a meter counts comes to an end, and so which limits it can have.
///
/// ```
/// use tenancy_core::quota::{Meter, MeterKind};
///
/// assert_eq!(Meter::consumed("requests").kind(), MeterKind::Consumed);
/// assert_eq!(Meter::held("projects").kind(), MeterKind::Held);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MeterKind {
    /// Used up: requests, exports, tokens. Limited by rates and by periods of a calendar, several at once if needed.
    Consumed,
    /// In use while a request runs: running jobs, open streams. Limited by how many run at once.
    Concurrent,
    /// Kept until it is given back: projects, seats, stored bytes. Limited by how much is kept.
    Held,
}

impl MeterKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Consumed => "consumed",
            Self::Concurrent => "concurrent",
            Self::Held => "held",
        }
    }
}

/// Computes what a request really cost from how it ended and from what it was charged at first.
type Settle = fn(Ending, u64) -> u64;

/// Something that a service counts: requests, exports, bytes, running jobs, seats.
///
/// A route takes of a meter with [`RoutePolicy::cost`](crate::RoutePolicy::cost).
///
/// ```
/// use tenancy_core::{Ending, quota::Meter};
///
/// let exports = Meter::consumed("exports");
/// let jobs = Meter::concurrent("jobs");
/// let storage = Meter::held("storage").unit("bytes");
/// // A route says how much it may be, and the response says how much it was.
/// let egress = Meter::consumed("egress").unit("bytes").settled_by(|ending, charged| match ending {
///     Ending::Answered { bytes, .. } | Ending::CutOff { bytes, .. } => bytes,
///     _ => charged,
/// });
/// assert_eq!(egress.name(), "egress");
/// # let _ = (exports, jobs, storage);
/// ```
#[derive(Clone)]
#[must_use]
pub struct Meter {
    name: Box<str>,
    unit: Box<str>,
    kind: MeterKind,
    settle: Option<Settle>,
}

impl Meter {
    fn new(name: impl Into<Box<str>>, kind: MeterKind) -> Self {
        let name = name.into();
        Self {
            unit: name.clone(),
            name,
            kind,
            settle: None,
        }
    }

    /// A meter of what is used up.
    pub fn consumed(name: impl Into<Box<str>>) -> Self {
        Self::new(name, MeterKind::Consumed)
    }

    /// A meter of what runs at once.
    pub fn concurrent(name: impl Into<Box<str>>) -> Self {
        Self::new(name, MeterKind::Concurrent)
    }

    /// A meter of what is kept until it is given back.
    pub fn held(name: impl Into<Box<str>>) -> Self {
        Self::new(name, MeterKind::Held)
    }

    /// The unit in which it counts. Default: the meter's own name.
    pub fn unit(mut self, unit: impl Into<Box<str>>) -> Self {
        self.unit = unit.into();
        self
    }

    /// Makes what a route costs an estimate: this function computes the truth from how the request ended and from
    /// what was charged for it. Default: a route's cost is the truth.
    ///
    /// An estimate that is larger than the smallest of its limits is charged as that limit, because the truth may
    /// well be less. If the truth is more than the estimate, the difference is charged too, also above the limit:
    /// the overshoot is at most what one request costs, and later requests pay for it.
    ///
    /// For [consumed](Self::consumed) meters. It runs where the request ends, and must not block.
    pub fn settled_by(mut self, settle: fn(Ending, u64) -> u64) -> Self {
        self.settle = Some(settle);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The unit in which it counts.
    #[must_use]
    pub fn unit_name(&self) -> &str {
        &self.unit
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> MeterKind {
        self.kind
    }

    pub(super) const fn settlement(&self) -> Option<Settle> {
        self.settle
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("name", &self.name)
            .field("unit", &self.unit)
            .field("kind", &self.kind)
            .field("is_estimated", &self.settle.is_some())
            .finish()
    }
}
