//! `Quotas`: the meters of a service, the limits that everybody has, and how they are counted.

use std::{fmt, sync::Arc};

use super::{Calendar, Counters, Limit, MemoryCounters, Meter, Standing, rule::Rule};
use crate::{ConfigError, TenantId, TenantRecord, request::is_field_name};

/// What a service counts, and where. Given to [`TenancyBuilder::quotas`](crate::TenancyBuilder::quotas), which then
/// charges the [costs of routes](crate::RoutePolicy::cost) against the limits of the tenant's
/// [plan](crate::PlanBook::limits) and against those that everybody has.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{
///     MemoryDirectory, PlanBook, RouteNeeds, RoutePolicy, Tenancy,
///     quota::{Limit, Meter, Period, Quotas, Scope},
/// };
/// # use tenancy_core::jwt::{Algorithm, JwtAuthenticator, VerificationKey};
///
/// let minute = Duration::from_secs(60);
/// let plans = PlanBook::new()
///     .plan("free", ["*"])
///     .limits("free", [
///         Limit::rate("requests", 60, minute).burst(10),
///         Limit::per_period("exports", 5, Period::Month),
///     ])
///     .plan("pro", ["*"])
///     .limits("pro", [
///         Limit::rate("requests", 600, minute),
///         Limit::unlimited("exports"),
///     ])
///     .for_tenants_without_plan("free");
/// let quotas = Quotas::new()
///     .meter(Meter::consumed("requests"))
///     .meter(Meter::consumed("exports"))
///     // What the service can stand, whoever calls.
///     .limit(Limit::rate("requests", 2_000, Duration::from_secs(1)).scope(Scope::System))
///     .upgrade_url("https://notes.example/plans");
/// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
/// let tenancy = Tenancy::builder(MemoryDirectory::new())
///     .authenticator(tokens)
///     .plans(plans)
///     .quotas(quotas)
///     .build()?;
/// let policy = RoutePolicy::new(RouteNeeds::tenant()).cost("requests", 1).cost("exports", 1);
/// # let _ = (tenancy, policy);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct Quotas {
    pub(super) meters: Vec<Meter>,
    pub(super) limits: Vec<Limit>,
    pub(super) per_address: Vec<Limit>,
    pub(super) counters: Arc<dyn Counters>,
    pub(super) calendar: Option<CalendarOf>,
    pub(super) upgrade_url: Option<Box<str>>,
    pub(super) on_threshold: Option<OnThreshold>,
    pub(super) idempotency_key_header: Option<Box<str>>,
    pub(super) tells_fields: bool,
}

pub(super) type CalendarOf = Box<dyn Fn(&TenantRecord) -> Calendar + Send + Sync>;
pub(super) type OnThreshold = Box<dyn Fn(&ThresholdReached<'_>) + Send + Sync>;

/// A limit of which much is used: see [`Quotas::on_threshold`].
///
/// ```
/// use std::sync::mpsc;
///
/// use tenancy_core::quota::{Quotas, ThresholdReached};
///
/// let (mails, _outgoing) = mpsc::channel();
/// let quotas = Quotas::new().on_threshold(move |reached: &ThresholdReached<'_>| {
///     drop(mails.send(format!("{} percent of {} are used", reached.percent, reached.limit)));
/// });
/// # let _ = quotas;
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ThresholdReached<'a> {
    /// Whose limit it is; `None` on a route without a tenant.
    pub tenant: Option<TenantId>,
    /// The meter.
    pub meter: &'a str,
    /// The name of the limit.
    pub limit: &'a str,
    /// The threshold, in percent of the limit; the highest, where one request reaches several.
    pub percent: u8,
    /// How much is used.
    pub standing: Standing,
}

impl Quotas {
    /// No meter yet, counted in [memory](MemoryCounters).
    pub fn new() -> Self {
        Self {
            meters: Vec::new(),
            limits: Vec::new(),
            per_address: Vec::new(),
            counters: Arc::new(MemoryCounters::new()),
            calendar: None,
            upgrade_url: None,
            on_threshold: None,
            idempotency_key_header: None,
            tells_fields: false,
        }
    }

    /// Declares a meter.
    pub fn meter(mut self, meter: Meter) -> Self {
        self.meters.push(meter);
        self
    }

    /// Adds a limit that holds whatever the plan: of the whole service, of each caller, of each tenant. It counts
    /// beside the plan's limits.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// Adds a limit of each client address, of which each request takes 1 before anybody looks at its credential. So
    /// whoever guesses tokens, keys or passwords, or has signatures checked, is stopped before that costs anything.
    /// A [rate](Limit::rate), or a number [per period](Limit::per_period) of UTC. Its meter need not be declared: routes
    /// cost nothing of it. Default: none.
    ///
    /// An address is an IPv4 address, or an IPv6 /64; behind a [trusted proxy](crate::TrustedProxies) it is the one that
    /// the proxy was called from. Beyond the limit a caller is told 429, and no tenant is named. Answers to those within it
    /// do not tell what is left.
    ///
    /// The layers of the adapters take it, once for each request. A preflight that a layer for CORS answers costs
    /// nothing. What a router has no route for is given back, if the answer is 404: what was refused before, such as a
    /// wrong token, stays taken.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tenancy_core::quota::{Limit, Quotas};
    ///
    /// let minute = Duration::from_secs(60);
    /// let quotas = Quotas::new().per_address(Limit::rate("requests", 600, minute).burst(100));
    /// # let _ = quotas;
    /// ```
    ///
    /// # Security
    /// Many people may share one address: an office, a mobile network. Give it room for all of them, and limit each
    /// caller and tenant by [`limit`](Self::limit) and plans. Requests whose address nobody knows share one: in axum,
    /// serve with `into_make_service_with_connect_info`.
    pub fn per_address(mut self, limit: Limit) -> Self {
        self.per_address.push(limit);
        self
    }

    /// Where it is kept what is used. Default: [`MemoryCounters`] of this engine alone.
    pub fn counters(mut self, counters: impl Counters) -> Self {
        self.counters = Arc::new(counters);
        self
    }

    /// The same, shared with the application or with another engine.
    pub fn shared_counters(mut self, counters: Arc<dyn Counters>) -> Self {
        self.counters = counters;
        self
    }

    /// The calendar of each tenant, by which the periods of its limits begin: its zone and its billing anchor.
    /// Default: UTC for all, and months from the first.
    ///
    /// It is called for each request that has a cost, and must be quick: keep calendars and clone them, because clones
    /// share what was computed last. Routes without a tenant count in UTC.
    ///
    /// # Security
    /// Each change of a tenant's calendar begins a period with nothing used. Take it from what operators or the billing
    /// say, and not from settings that members of the tenant can change: they would get each amount once more.
    pub fn calendar(
        mut self,
        of: impl Fn(&TenantRecord) -> Calendar + Send + Sync + 'static,
    ) -> Self {
        self.calendar = Some(Box::new(of));
        self
    }

    /// Where a tenant can choose another plan: told with status 402. Default: nothing is told.
    pub fn upgrade_url(mut self, url: impl Into<Box<str>>) -> Self {
        self.upgrade_url = Some(url.into());
        self
    }

    /// Told when a request reaches a [threshold](Limit::warn_at). Default: the log is told.
    ///
    /// It is called while the request waits, and must not block: hand over to a task.
    pub fn on_threshold(
        mut self,
        told: impl Fn(&ThresholdReached<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_threshold = Some(Box::new(told));
        self
    }

    /// The header field by which clients say that a request is a repetition: `idempotency-key`. What is limited by
    /// period is then charged once for each id that a caller sends to a path. Rates, and what runs at once, are charged
    /// each time. Default: none is read.
    ///
    /// # Security
    /// A caller who sends one id with all requests pays once. Name the field only if your handlers answer a repetition
    /// with what they answered first, and do the work once.
    pub fn idempotency_key_header(mut self, name: &str) -> Self {
        self.idempotency_key_header = Some(name.to_ascii_lowercase().into());
        self
    }

    /// Tells clients what there is and what is left, in the fields `RateLimit-Policy` and `RateLimit` of each response to
    /// a request that has a cost: `"requests-per-minute";r=59;t=1;pk=:…:`. Default: nothing is told but on a refusal.
    ///
    /// As the draft draft-ietf-httpapi-ratelimit-headers has them since its version 9; it may still change. Where layers
    /// within layers charge, the innermost one's fields count. Limits of the [whole service](super::Scope::System) are
    /// not told. Pages of other origins that a [`CorsPolicy`](crate::CorsPolicy) lets in may read the fields; with another
    /// layer for CORS, have it expose them.
    pub const fn rate_limit_fields(mut self) -> Self {
        self.tells_fields = true;
        self
    }

    /// The limits that everybody has.
    pub(crate) fn checked(&self) -> Result<Vec<Arc<Rule>>, ConfigError> {
        for (index, meter) in self.meters.iter().enumerate() {
            let name = meter.name();
            if self
                .meters
                .iter()
                .take(index)
                .any(|other| other.name() == name)
            {
                return Err(ConfigError::new(format!(
                    "the meter `{name}` is declared twice; keep one of them"
                )));
            }
            if meter.settlement().is_some() && meter.kind() != super::MeterKind::Consumed {
                return Err(ConfigError::new(format!(
                    "the meter `{name}` is settled by a function, and counts what is {}; only what is \
                     consumed is estimated",
                    meter.kind().as_str()
                )));
            }
        }
        if let Some(name) = &self.idempotency_key_header
            && !is_field_name(name)
        {
            return Err(ConfigError::new(format!(
                "no header field can be called `{name}`; use letters, digits and hyphens"
            )));
        }
        let limits = self.limits.iter().cloned().map(Into::into).collect();
        Rule::all_of(limits, &self.meters, "quotas", false)
    }

    pub(crate) fn meters(&self) -> &[Meter] {
        &self.meters
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quotas")
            .field("meters", &self.meters)
            .field("limits", &self.limits)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
