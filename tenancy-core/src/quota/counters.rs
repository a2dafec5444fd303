//! `Counters`: where it is kept what is used.

use std::{fmt, net::IpAddr, time::Duration};

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::{Ceiling, Concurrency, Denial, OnOutage, Operation, Rate, Scope, Standing, Window};
use crate::{Actor, KeyId, ProjectId, TenantId, Timestamp, network::Source};

/// Whose use is counted: a tenant's, a project's, a key's, a caller's, an address's, or everybody's.
///
/// Those of one tenant have one [home](Self::home): a store that is divided keeps them together, so that one request's
/// limits are in one part of it.
///
/// ```
/// use tenancy_core::{KeyId, TenantId, quota::Holder};
///
/// let acme = TenantId::new();
/// let key = Holder::key(acme, KeyId::new());
/// assert_eq!(key.home(), Holder::tenant(acme).home());
/// assert_eq!(Holder::tenant(acme).to_string(), format!("{acme}/tenant"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder {
    scope: Scope,
    tenant: Option<TenantId>,
    within: Within,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Within {
    Whole,
    Id(&'static str, Uuid),
    Network(Source),
}

impl Holder {
    const fn new(scope: Scope, tenant: Option<TenantId>, within: Within) -> Self {
        Self {
            scope,
            tenant,
            within,
        }
    }

    /// Everybody together.
    #[must_use]
    pub const fn system() -> Self {
        Self::new(Scope::System, None, Within::Whole)
    }

    /// A tenant.
    #[must_use]
    pub const fn tenant(tenant: TenantId) -> Self {
        Self::new(Scope::Tenant, Some(tenant), Within::Whole)
    }

    /// A project of a tenant.
    #[must_use]
    pub const fn project(tenant: TenantId, project: ProjectId) -> Self {
        let within = Within::Id("project", project.as_uuid());
        Self::new(Scope::Project, Some(tenant), within)
    }

    /// An API key of a tenant.
    #[must_use]
    pub const fn key(tenant: TenantId, key: KeyId) -> Self {
        Self::new(Scope::Key, Some(tenant), Within::Id("key", key.as_uuid()))
    }

    /// An API key of a tenant, for the limits of its own: what it takes of them is counted apart from what it takes of a
    /// plan's limits of keys, whatever their names.
    #[must_use]
    pub const fn own_of_key(tenant: TenantId, key: KeyId) -> Self {
        Self::new(
            Scope::Key,
            Some(tenant),
            Within::Id("own-of-key", key.as_uuid()),
        )
    }

    /// The same, for its periods on routes without a tenant, where the tenant's calendar is not known: they are those of
    /// UTC, and counted apart.
    #[must_use]
    pub const fn own_of_key_by_utc(tenant: TenantId, key: KeyId) -> Self {
        Self::new(
            Scope::Key,
            Some(tenant),
            Within::Id("own-of-key-by-utc", key.as_uuid()),
        )
    }

    /// A caller, in a tenant or on a route without one: by who it is, else by its network.
    #[must_use]
    pub fn caller(tenant: Option<TenantId>, actor: Option<&Actor>, ip: Option<IpAddr>) -> Self {
        let id = actor.and_then(|actor| Some((actor.kind(), actor.id()?)));
        let within = match id {
            Some((kind, id)) => Within::Id(kind, id),
            None => Within::Network(Source::from(ip)),
        };
        Self::new(Scope::Caller, tenant, within)
    }

    /// A client address: of IPv6, its /64. Addresses that nobody knows are one.
    #[must_use]
    pub fn address(ip: Option<IpAddr>) -> Self {
        Self::new(Scope::Address, None, Within::Network(Source::from(ip)))
    }

    /// Somebody who is known by a text alone: by half of its SHA-256.
    pub(crate) fn named(kind: &'static str, name: &str) -> Self {
        let id = Uuid::from_u128(super::OperationId::of([name]).as_u128());
        Self::new(Scope::Caller, None, Within::Id(kind, id))
    }

    /// Its scope.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// The tenant that it belongs to, if it does.
    #[must_use]
    pub const fn home(&self) -> Option<TenantId> {
        self.tenant
    }

    /// What kind of id it has within its scope, and its ids: the tenant that it belongs to, and its own within that.
    #[inline]
    pub(super) fn parts(&self) -> (u8, Option<u128>, Option<u128>) {
        let tenant = self.tenant.map(|tenant| tenant.as_uuid().as_u128());
        let (kind, id) = match self.within {
            Within::Whole => (0, None),
            Within::Id(kind, id) => {
                let kind = kind.as_bytes().first().copied().unwrap_or(0);
                (kind, Some(id.as_u128()))
            }
            Within::Network(Source::Unknown) => (1, None),
            Within::Network(Source::V4(ip)) => (4, Some(u128::from(u32::from_be_bytes(ip)))),
            Within::Network(Source::V6(ip)) => (6, Some(u128::from(u64::from_be_bytes(ip)))),
        };
        (kind, tenant, id)
    }

    /// Some bits that are spread over homes.
    pub(super) fn spread(&self) -> u64 {
        let id = match (self.tenant, self.within) {
            (Some(tenant), _) => tenant.as_uuid(),
            (None, Within::Id(_, id)) => id,
            (None, Within::Network(Source::V4(ip))) => {
                return u64::from(u32::from_be_bytes(ip)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            }
            (None, Within::Network(Source::V6(ip))) => {
                return u64::from_be_bytes(ip).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            }
            (None, Within::Whole | Within::Network(Source::Unknown)) => return 0,
        };
        id.as_u64_pair().1
    }
}

/// A text without spaces, by which stores may keep it: `<tenant>/key/<id>`.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenant {
            Some(tenant) => write!(f, "{tenant}/")?,
            None => f.write_str("-/")?,
        }
        match (self.scope, self.within) {
            (Scope::System, _) => f.write_str("system"),
            (Scope::Tenant, _) => f.write_str("tenant"),
            (Scope::Caller, Within::Id(kind, id)) => write!(f, "caller/{kind}/{id}"),
            (_, Within::Id(kind, id)) => write!(f, "{kind}/{id}"),
            (scope, within) => {
                f.write_str(match scope {
                    Scope::Address => "address/",
                    _ => "caller/",
                })?;
                match within {
                    Within::Network(Source::V4(ip)) => {
                        write!(f, "{}", std::net::Ipv4Addr::from(ip))
                    }
                    Within::Network(Source::V6(ip)) => {
                        write!(f, "{:016x}", u64::from_be_bytes(ip))
                    }
                    _ => f.write_str("unknown"),
                }
            }
        }
    }
}

/// How something is counted: the pure decision of each kind of limit, with its numbers.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::quota::{Algorithm, Rate};
///
/// let minute = Algorithm::Rate(Rate::new(60, Duration::from_secs(60), 10)?);
/// assert_eq!(minute.capacity(), Some(10));
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// By a [`Bucket`](super::Bucket).
    Rate(Rate),
    /// By a [`Count`](super::Count) of this period.
    Period(Ceiling, Window),
    /// By [`Leases`](super::Leases).
    Concurrent(Concurrency),
    /// By [`Holdings`](super::Holdings); a reservation waits this long for its commit.
    Held(Ceiling, Duration),
}

impl Algorithm {
    /// What one operation can take at most; `None` for no end.
    #[must_use]
    pub const fn capacity(&self) -> Option<u64> {
        match self {
            Self::Rate(rate) => Some(rate.burst()),
            Self::Period(ceiling, _) | Self::Held(ceiling, _) => ceiling.most(),
            Self::Concurrent(concurrency) => Some(concurrency.amount()),
        }
    }
}

/// What an operation takes of one limit.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{TenantId, quota::{Algorithm, Holder, Rate, Take}};
///
/// let minute = Algorithm::Rate(Rate::new(60, Duration::from_secs(60), 10)?);
/// let take = Take::new(Holder::tenant(TenantId::new()), "requests-per-minute", minute, 1);
/// assert_eq!(take.amount, 1);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Take<'a> {
    /// Whose use it is.
    pub holder: Holder,
    /// The name of the limit. Holder and name are what a counter is found by.
    pub limit: &'a str,
    /// How it is counted.
    pub algorithm: Algorithm,
    /// How much is taken.
    pub amount: u64,
    /// At how many percent of the limit somebody wants to hear of it.
    pub warn_at: &'a [u8],
    /// What it gets where the store does not answer.
    pub(super) on_outage: OnOutage,
    /// Whether its settlement may say that it was another amount.
    pub(super) is_estimate: bool,
}

impl<'a> Take<'a> {
    /// So much of a limit.
    #[must_use]
    pub const fn new(holder: Holder, limit: &'a str, algorithm: Algorithm, amount: u64) -> Self {
        Self {
            holder,
            limit,
            algorithm,
            amount,
            warn_at: &[],
            on_outage: OnOutage::Closed,
            is_estimate: false,
        }
    }

    /// Whether it is of a limit by period.
    #[must_use]
    pub const fn is_by_period(&self) -> bool {
        matches!(self.algorithm, Algorithm::Period(..))
    }

    /// The same, with thresholds in percent.
    #[must_use]
    pub const fn warning_at(mut self, percents: &'a [u8]) -> Self {
        self.warn_at = percents;
        self
    }

    /// The same, of which the settlement may say that it was another amount than this: an estimate.
    #[must_use]
    pub const fn estimated(mut self) -> Self {
        self.is_estimate = true;
        self
    }
}

/// What has become of an operation: all of it was taken, or nothing.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{Timestamp, TenantId};
/// use tenancy_core::quota::{Algorithm, Counters as _, Counting, Holder, MemoryCounters, Operation, Rate, Take, Taken};
///
/// let counters = MemoryCounters::new();
/// let rate = Algorithm::Rate(Rate::new(2, Duration::from_secs(1), 2)?);
/// let take = Take::new(Holder::tenant(TenantId::new()), "requests-per-second", rate, 2);
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let Counting::Ready(Ok(Taken::Granted(granted))) = counters.take(Operation::once(), &[take], now) else {
///     panic!("two pass");
/// };
/// assert_eq!(granted.standings.iter().next().unwrap().remaining, 0);
/// let Counting::Ready(Ok(Taken::Denied(denied))) = counters.take(Operation::once(), &[take], now) else {
///     panic!("two more do not");
/// };
/// assert_eq!(denied[0].take, 0);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an operation is granted or denied; callers match on both"
)]
pub enum Taken {
    /// Everything was taken.
    Granted(Granted),
    /// Nothing was taken: these limits refuse.
    Denied(Vec<Denied>),
}

/// An operation that was granted.
///
/// ```
/// # use std::time::Duration;
/// # use tenancy_core::{Timestamp, TenantId};
/// use tenancy_core::quota::{Counters as _, Counting, Granted, Taken};
/// # use tenancy_core::quota::{Algorithm, Holder, MemoryCounters, Operation, OperationId, Rate, Take};
/// # let counters = MemoryCounters::new();
/// # let rate = Algorithm::Rate(Rate::new(2, Duration::from_secs(1), 2)?);
/// # let take = Take::new(Holder::tenant(TenantId::new()), "requests-per-second", rate, 2);
/// # let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let by_the_client = Operation::repeatable(OperationId::of(["their-id"]));
/// for is_repeated in [false, true] {
///     let taken = counters.take(by_the_client, &[take], now);
///     assert!(matches!(taken, Counting::Ready(Ok(Taken::Granted(Granted { repeated, .. }))) if repeated == is_repeated));
/// }
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Granted {
    /// Where each limit stands now, in the order of the takes.
    pub standings: Standings,
    /// Thresholds that this operation has reached.
    pub crossed: Vec<Crossed>,
    /// Whether it had been granted before, so that nothing was taken now.
    pub repeated: bool,
    /// Whether shares have granted it, while the store did not answer.
    pub(super) by_share: bool,
}

impl Granted {
    /// For stores.
    #[must_use]
    pub const fn new(standings: Standings, crossed: Vec<Crossed>, repeated: bool) -> Self {
        Self {
            standings,
            crossed,
            repeated,
            by_share: false,
        }
    }

    pub(super) const fn by_share(mut self) -> Self {
        self.by_share = true;
        self
    }
}

/// A threshold that was reached: see [`Limit::warn_at`](super::Limit::warn_at).
///
/// ```
/// use tenancy_core::{TenantId, Timestamp, quota::*};
///
/// let ten = Algorithm::Held(Ceiling::new(10, Overage::Denied)?, std::time::Duration::from_secs(60));
/// let take = Take::new(Holder::tenant(TenantId::new()), "projects-held", ten, 8).warning_at(&[80, 100]);
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let taken = MemoryCounters::new().take(Operation::once(), &[take], now);
/// let Counting::Ready(Ok(Taken::Granted(granted))) = taken else { panic!("eight pass") };
/// assert_eq!(granted.crossed, [Crossed::new(0, 80)]);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Crossed {
    /// Which of the takes has reached it.
    pub take: usize,
    /// In percent of the limit.
    pub percent: u8,
}

impl Crossed {
    /// For stores.
    #[must_use]
    pub const fn new(take: usize, percent: u8) -> Self {
        Self { take, percent }
    }
}

/// A limit that refuses an operation.
///
/// ```
/// use tenancy_core::quota::{Denial, Denied, Standing, Wait};
///
/// let denied = Denied::new(1, Denial::new(Standing::new(3, 3, None), Wait::Unknown));
/// assert_eq!((denied.take, denied.denial.standing.remaining), (1, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denied {
    /// Which of the takes it is about.
    pub take: usize,
    /// Where it stands, and whether waiting helps.
    pub denial: Denial,
}

impl Denied {
    /// For stores.
    #[must_use]
    pub const fn new(take: usize, denial: Denial) -> Self {
        Self { take, denial }
    }
}

/// Where several limits stand, in the order in which they were asked for. One takes no memory of its own.
///
/// ```
/// use tenancy_core::quota::{Standing, Standings};
///
/// let standings: Standings = [Standing::new(10, 4, None), Standing::new(3, 3, None)].into_iter().collect();
/// assert_eq!(standings.iter().map(|one| one.remaining).min(), Some(0));
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Standings {
    // Most requests take of one limit, and an answer is moved several times.
    first: Option<Standing>,
    more: Vec<Standing>,
}

impl Standings {
    /// Adds one.
    pub fn push(&mut self, standing: Standing) {
        match self.first {
            None => self.first = Some(standing),
            Some(_) => self.more.push(standing),
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Standing> {
        self.first.iter().chain(&self.more)
    }
}

impl From<Standing> for Standings {
    #[inline]
    fn from(one: Standing) -> Self {
        Self {
            first: Some(one),
            more: Vec::new(),
        }
    }
}

impl FromIterator<Standing> for Standings {
    fn from_iter<I: IntoIterator<Item = Standing>>(each: I) -> Self {
        let mut standings = Self::default();
        each.into_iter().for_each(|one| standings.push(one));
        standings
    }
}

impl fmt::Debug for Standings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What was taken, and what it turned out to be.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{TenantId, quota::{Algorithm, Holder, Rate, Settle, Take}};
///
/// let minute = Algorithm::Rate(Rate::new(1_000, Duration::from_secs(60), 1_000)?);
/// let take = Take::new(Holder::tenant(TenantId::new()), "tokens-per-minute", minute, 800);
/// let (the_truth, nothing) = (Settle::new(take, 663), Settle::new(take, 0));
/// # let _ = (the_truth, nothing);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settle<'a> {
    /// What was taken.
    pub take: Take<'a>,
    /// What it really was; 0 to give all of it back.
    pub actual: u64,
}

impl<'a> Settle<'a> {
    /// What was taken turned out to be so much.
    #[must_use]
    pub const fn new(take: Take<'a>, actual: u64) -> Self {
        Self { take, actual }
    }
}

/// What has become of a settlement, a release or a renewal.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_core::quota::{
///     Algorithm, Concurrency, Counters as _, Counting, Holder, MemoryCounters, Operation, Settled, Take,
/// };
///
/// let counters = MemoryCounters::new();
/// let jobs = Algorithm::Concurrent(Concurrency::new(1, Duration::from_secs(60))?);
/// let take = Take::new(Holder::tenant(TenantId::new()), "jobs-at-once", jobs, 1);
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let job = Operation::once();
/// drop(counters.take(job, &[take], now));
/// let renewed = |at| matches!(counters.renew(job.id(), &[take], at), Counting::Ready(Ok(Settled::Done)));
/// assert!(renewed(now + Duration::from_secs(30)));
/// assert!(renewed(now + Duration::from_secs(80)));
/// // Nobody renewed it for a minute: it is gone.
/// assert!(!renewed(now + Duration::from_secs(140)));
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// Done.
    Done,
    /// It had been done before, or a repetition was granted with what it would give back. Nothing was changed now.
    Repeated,
    /// What it is about had ended by itself. What was committed counts all the same; what was to be renewed is gone.
    Late,
}

/// Why counters have no answer.
///
/// ```
/// use tenancy_core::quota::CountersError;
///
/// let down = CountersError::unavailable("the connection was refused");
/// assert!(down.to_string().contains("refused"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CountersError {
    /// There is no room for one more counter, and none that is kept may be forgotten.
    #[error("no room for another counter; raise `MemoryCounters::with_capacity`")]
    Full,
    /// An operation takes of too many limits at once, or of one twice.
    #[error("an operation takes of at most {MAX_TAKES} different limits")]
    Malformed,
    /// The store does not answer.
    #[error("the store of the counters does not answer: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CountersError {
    /// A store that does not answer, and why.
    #[must_use]
    pub fn unavailable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(why.into())
    }
}

/// Of how many limits one operation may take.
pub const MAX_TAKES: usize = 16;

/// The answer of [`Counters`], at once or after I/O.
///
/// ```
/// use tenancy_core::quota::{Counting, Settled};
///
/// let at_once = Counting::ready(Settled::Done);
/// let later: Counting<Settled> = Counting::Pending(Box::pin(async { Ok(Settled::Done) }));
/// # let _ = (at_once, later);
/// ```
#[must_use]
#[allow(
    clippy::exhaustive_enums,
    reason = "an answer is there or is not; callers match on both"
)]
pub enum Counting<T> {
    /// The answer.
    Ready(Result<T, CountersError>),
    /// A store has to be asked first. The future may be dropped at any point.
    Pending(BoxFuture<'static, Result<T, CountersError>>),
}

impl<T> Counting<T> {
    /// An answer at once.
    pub const fn ready(answer: T) -> Self {
        Self::Ready(Ok(answer))
    }

    /// Waits for the answer, if it has to be waited for.
    ///
    /// # Errors
    /// A [`CountersError`] if the counters have none.
    pub async fn answer(self) -> Result<T, CountersError> {
        match self {
            Self::Ready(answer) => answer,
            Self::Pending(answer) => answer.await,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Counting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(answer) => f.debug_tuple("Ready").field(answer).finish(),
            Self::Pending(_) => f.debug_tuple("Pending").finish_non_exhaustive(),
        }
    }
}

/// Where it is kept what is used: [`MemoryCounters`](super::MemoryCounters) in one process.
///
/// A store decides by the types that [`Algorithm`] names, or exactly as they do. What every store promises:
///
/// * An operation takes everything or nothing, and a denial takes nothing. All limits that refuse are told.
/// * An operation that is [repeatable](Operation::repeatable), and was granted, is granted again and takes nothing;
///   one that was denied may be tried again. Its settlement counts once, as does what is [given back](Self::give_back).
/// * An operation that takes [of periods](Take::is_by_period) alone is not given back any more once it was granted again:
///   it is what the repetition was admitted with. Either the settlement comes first, or the repetition, also where they
///   come from two processes.
/// * What was granted is not lost while it can change an answer. A store without room for one more counter says so
///   ([`CountersError::Full`]).
/// * Counters are never negative, and a clock that is set back neither frees nor blocks anything.
///
/// [`conformance`](super::conformance) checks them.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_core::quota::{
///     Algorithm, Calendar, Ceiling, Counters, Counting, Holder, Operation, Overage, Period, Settle, Take, Taken,
/// };
///
/// /// Five exports a month, of which a failed one is given back.
/// fn export(counters: &dyn Counters, acme: TenantId, now: Timestamp) -> bool {
///     let month = Calendar::utc().window(Period::Month, now);
///     let five = Ceiling::new(5, Overage::Denied).unwrap();
///     let take = Take::new(Holder::tenant(acme), "exports-monthly", Algorithm::Period(five, month), 1);
///     let operation = Operation::once();
///     match counters.take(operation, &[take], now) {
///         Counting::Ready(Ok(Taken::Granted(_))) => {
///             drop(counters.settle(operation, &[Settle::new(take, 0)], now));
///             true
///         }
///         _ => false,
///     }
/// }
/// # let counters = tenancy_core::quota::MemoryCounters::new();
/// # let now = Timestamp::from_unix_seconds(1_800_000_000);
/// # let acme = TenantId::new();
/// # for _ in 0..6 { assert!(export(&counters, acme, now)); }
/// ```
pub trait Counters: Send + Sync + fmt::Debug + 'static {
    /// Takes all of this, or nothing.
    fn take(&self, operation: Operation, takes: &[Take<'_>], now: Timestamp) -> Counting<Taken>;

    /// Settles what an operation has taken, once: what was used up becomes what it really was, what runs at once ends,
    /// and what was reserved is kept in this amount. An actual amount of 0 gives everything back.
    ///
    /// A store that may lose its answer remembers that it has settled. One in the same process need not, unless the
    /// operation is [repeatable](Operation::repeatable).
    fn settle(
        &self,
        operation: Operation,
        settles: &[Settle<'_>],
        now: Timestamp,
    ) -> Counting<Settled>;

    /// Gives leases and reservations of an operation their full time again. [`Settled::Late`] if one has ended.
    fn renew(
        &self,
        operation: super::OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled>;

    /// Gives back what was kept, once for each operation: a project that is removed.
    fn give_back(
        &self,
        operation: super::OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled>;

    /// Prepares to give back what was kept, in a transaction of the application: nothing is given back yet.
    ///
    /// For stores in the application's database. Default: there is no such transaction.
    fn prepare_give_back(
        &self,
        _operation: super::OperationId,
        _takes: &[Take<'_>],
        _now: Timestamp,
    ) -> Counting<()> {
        Counting::Ready(Err(CountersError::unavailable(
            "these counters are not in the application's database; use `QuotaService::give_back`",
        )))
    }

    /// Where these limits stand, in this order. Amounts are ignored.
    fn standings(&self, takes: &[Take<'_>], now: Timestamp) -> Counting<Standings>;
}
