//! Limits: how much of a meter is there, for whom, and what happens beyond it.

use std::time::Duration;

use super::{OnOutage, Period, Scope};

/// The largest amount that a limit or a cost can have: what header fields can say (RFC 9651 §3.3.1).
pub const MAX_AMOUNT: u64 = 999_999_999_999_999;

/// How long a lease of something concurrent holds when nobody renews it, unless the limit says otherwise.
const LEASE: Duration = Duration::from_secs(600);

/// How long a reservation of something held waits for its commit, unless the limit says otherwise.
pub(super) const RESERVATION: Duration = Duration::from_secs(60);

/// What happens to a request that would go beyond a limit.
///
/// ```
/// use tenancy_core::quota::{Limit, Overage, Period};
///
/// // 10,000 a month are included, 2,000 more are billed, and then it ends.
/// let events = Limit::per_period("events", 10_000, Period::Month).overage(Overage::AllowedUpTo(2_000));
/// # let _ = events;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overage {
    /// It is refused. The default.
    #[default]
    Denied,
    /// It is admitted, and counted beyond the limit.
    Allowed,
    /// It is admitted and counted up to so much beyond the limit.
    AllowedUpTo(u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Rate {
        amount: u64,
        per: Duration,
        burst: Option<u64>,
    },
    Period {
        amount: u64,
        period: Period,
    },
    Concurrent {
        amount: u64,
        lease: Duration,
    },
    Held {
        amount: u64,
        reservation: Duration,
    },
    Unlimited,
    NotIncluded,
}

/// How much of a meter there is. In a plan: [`PlanBook::limits`](crate::PlanBook::limits).
///
/// | made by | counts | what a caller beyond it is told |
/// |---|---|---|
/// | [`rate`](Self::rate) | so many in a time, with a burst (GCRA) | 429, and when to come back |
/// | [`per_period`](Self::per_period) | so many in an hour, day, month, year of a calendar | 429 for hours and days, 402 for months and years of a plan |
/// | [`concurrent`](Self::concurrent) | so many at once | 429 |
/// | [`held`](Self::held) | so many kept | 402 |
/// | [`unlimited`](Self::unlimited) | nothing | – |
/// | [`not_included`](Self::not_included), and an amount of 0 | nothing | 403 |
///
/// A limit of the whole [system](Scope::System) is nobody's fault: beyond it a caller is told 503.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{PlanBook, quota::{Limit, Period}};
///
/// let minute = Duration::from_secs(60);
/// let plans = PlanBook::new()
///     .plan("free", ["notes:*"])
///     .limits("free", [
///         Limit::rate("requests", 60, minute).burst(10),
///         Limit::per_period("exports", 5, Period::Month).warn_at([80, 100]),
///         Limit::concurrent("jobs", 1),
///         Limit::held("projects", 3),
///     ])
///     .plan("enterprise", ["*"])
///     .limits("enterprise", [
///         Limit::rate("requests", 6_000, minute),
///         Limit::unlimited("exports"),
///         Limit::concurrent("jobs", 50),
///         Limit::unlimited("projects"),
///     ]);
/// # let _ = plans;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Limit {
    pub(super) meter: Box<str>,
    pub(super) name: Option<Box<str>>,
    pub(super) scope: Scope,
    pub(super) shape: Shape,
    pub(super) overage: Overage,
    pub(super) warn_at: Vec<u8>,
    pub(super) on_outage: OnOutage,
    /// An option that this shape does not have.
    pub(super) misfit: Option<&'static str>,
}

impl Limit {
    fn of(meter: impl Into<Box<str>>, shape: Shape) -> Self {
        Self {
            meter: meter.into(),
            name: None,
            scope: Scope::Tenant,
            shape,
            overage: Overage::Denied,
            warn_at: Vec::new(),
            on_outage: OnOutage::Closed,
            misfit: None,
        }
    }

    /// So many in this time, evenly: the generic cell rate algorithm (GCRA), which is a token bucket. No window
    /// begins or ends, so that nobody gets twice the limit around an edge.
    ///
    /// As many as the amount may come at once, unless [`burst`](Self::burst) says otherwise.
    pub fn rate(meter: impl Into<Box<str>>, amount: u64, per: Duration) -> Self {
        let burst = None;
        Self::of(meter, Shape::Rate { amount, per, burst })
    }

    /// So many in each period of the tenant's calendar.
    pub fn per_period(meter: impl Into<Box<str>>, amount: u64, period: Period) -> Self {
        Self::of(meter, Shape::Period { amount, period })
    }

    /// So many at once. Each holder has a lease of its own, which ends with its request, or by itself after
    /// [`expires_after`](Self::expires_after) when nobody renews it.
    pub fn concurrent(meter: impl Into<Box<str>>, amount: u64) -> Self {
        let lease = LEASE;
        Self::of(meter, Shape::Concurrent { amount, lease })
    }

    /// So many kept. What is to be kept is reserved first, and counts from then on. The reservation is committed or
    /// released; it ends by itself after [`expires_after`](Self::expires_after).
    pub fn held(meter: impl Into<Box<str>>, amount: u64) -> Self {
        let reservation = RESERVATION;
        Self::of(
            meter,
            Shape::Held {
                amount,
                reservation,
            },
        )
    }

    /// As much as one likes. Nothing is counted, apart from what is [held](Self::held), which a tenant still holds when
    /// it changes its plan. To count the rest without a limit, allow [overage](Overage::Allowed).
    pub fn unlimited(meter: impl Into<Box<str>>) -> Self {
        Self::of(meter, Shape::Unlimited)
    }

    /// Nothing: the plan does not include this meter.
    pub fn not_included(meter: impl Into<Box<str>>) -> Self {
        Self::of(meter, Shape::NotIncluded)
    }

    /// How many may come at once. For [rates](Self::rate).
    pub fn burst(mut self, most: u64) -> Self {
        match &mut self.shape {
            Shape::Rate { burst, .. } => *burst = Some(most),
            _ => self.misfit = Some("`burst`"),
        }
        self
    }

    /// How long a lease or a reservation holds when nobody ends or renews it. Default: 10 minutes for what is
    /// [concurrent](Self::concurrent), 1 minute for the reservation of what is [held](Self::held).
    pub fn expires_after(mut self, span: Duration) -> Self {
        match &mut self.shape {
            Shape::Concurrent { lease, .. } => *lease = span,
            Shape::Held { reservation, .. } => *reservation = span,
            _ => self.misfit = Some("`expires_after`"),
        }
        self
    }

    /// For whom it counts. Default: [`Scope::Tenant`].
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// What happens beyond it. Default: [`Overage::Denied`]. For [periods](Self::per_period) and what is
    /// [held](Self::held).
    pub fn overage(mut self, overage: Overage) -> Self {
        self.overage = overage;
        self
    }

    /// At how many percent of it the service hears that it is nearly used up: see
    /// [`Quotas::on_threshold`](super::Quotas::on_threshold). Each is told once in a period. Default: never.
    /// For [periods](Self::per_period) and what is [held](Self::held).
    pub fn warn_at(mut self, percents: impl IntoIterator<Item = u8>) -> Self {
        self.warn_at = percents.into_iter().collect();
        self
    }

    /// What a request gets of it while the counters do not answer. Default: [`OnOutage::Closed`], a refusal with 503.
    /// For [rates](Self::rate), [periods](Self::per_period) and what runs [at once](Self::concurrent): what is kept
    /// is always closed, because nobody could take it back.
    pub fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.on_outage = on_outage;
        self
    }

    /// Its name, by which counters keep it, callers are told of it, and an [override](super::LimitOverride) replaces
    /// it: lower-case letters, digits and hyphens. A tenant's use is kept by this name, so a limit that keeps its
    /// name in another plan goes on with what is used.
    ///
    /// Default: from the meter, the shape and the scope: `requests-per-minute`, `exports-monthly`, `jobs-at-once`,
    /// `projects-held`, `requests-per-minute-by-key`.
    pub fn named(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The name that it has, by itself or by default.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => format!(
                "{}{}{}",
                self.meter,
                self.shape.suffix(),
                self.scope.suffix()
            ),
        }
    }

    /// The meter that it limits.
    #[must_use]
    pub fn meter(&self) -> &str {
        &self.meter
    }
}

impl Shape {
    fn suffix(&self) -> String {
        match self {
            Self::Rate { per, .. } => match per.as_secs() {
                _ if per.subsec_nanos() > 0 => format!("-per-{}ms", per.as_millis()),
                1 => "-per-second".to_owned(),
                60 => "-per-minute".to_owned(),
                3_600 => "-per-hour".to_owned(),
                86_400 => "-per-day".to_owned(),
                seconds => format!("-per-{seconds}s"),
            },
            Self::Period { period, .. } => format!("-{}", period.adverb()),
            Self::Concurrent { .. } => "-at-once".to_owned(),
            Self::Held { .. } => "-held".to_owned(),
            Self::Unlimited => "-unlimited".to_owned(),
            Self::NotIncluded => "-not-included".to_owned(),
        }
    }
}
