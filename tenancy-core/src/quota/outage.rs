//! Outages: what a request gets of a limit while the store of the counters does not answer.

mod fallback;
mod record;
mod share;

pub(super) use fallback::Fallback;
pub(super) use share::ShareUsedUp;

use crate::Timestamp;

/// What a request gets of a limit while its counters do not answer. Given to
/// [`Limit::on_outage`](super::Limit::on_outage).
///
/// | | a request | how much passes, in all processes together |
/// |---|---|---|
/// | [`Closed`](Self::Closed) | is refused with 503 | nothing |
/// | [`LocalShare`](Self::LocalShare) | is counted by this process against its share of the limit | the limit at most, if there are no more processes than it says |
/// | [`Open`](Self::Open) | is admitted, and nobody counts it | everything |
///
/// A request that takes of several limits is refused if one of them is closed. Otherwise each share decides, and
/// limits that are open do not.
///
/// # What a share is
/// Of a [rate](super::Limit::rate), the burst is divided, rounded down, and the pace. Of a limit [per
/// period](super::Limit::per_period), the amount and its overage are divided, each rounded down; of what runs [at
/// once](super::Limit::concurrent), the number. A limit that is smaller than the number of processes has no share,
/// because one unit in each process would be more than the limit: a request is then refused as if it was closed. So
/// is one that costs more than the share. What is estimated is not cut down to the share.
///
/// A share knows nothing of what was used before the outage, and nothing of it is carried back: once the store
/// answers, the store's counts alone decide. So at most twice the limit passes in a period in which an outage begins
/// or ends: the limit by the store, and the limit by all shares. What a share has counted stays counted in this
/// process until the period ends, so that a store that comes and goes gives no share twice. A process that is
/// restarted has a new share.
///
/// What a share has admitted is settled in the share, also after the outage. What the store has admitted before is
/// settled in the store. If the store does not hear that, it stays taken until it ends by itself.
///
/// What a client repeats with its own id is charged again where the store has charged it, and the repetition meets
/// the outage, or the other way round.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::quota::{Limit, OnOutage};
///
/// // Ten processes serve. Each goes on with a tenth of the limit.
/// let requests = Limit::rate("requests", 6_000, Duration::from_secs(60)).on_outage(OnOutage::LocalShare { of: 10 });
/// # let _ = requests;
/// ```
///
/// # Security
/// Whoever can keep the store from answering, chooses when this counts. Leave limits closed that protect something
/// costly or something secret, such as guesses of passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnOutage {
    /// It is refused with 503 and `Retry-After`. The default.
    #[default]
    Closed,
    /// It is admitted, and nobody counts it.
    Open,
    /// Each process counts by itself, up to its share of the limit.
    LocalShare {
        /// How many processes serve at most. With more, more than the limit passes.
        of: u32,
    },
}

/// What outages of the store of the counters have done, since the engine was built: from
/// [`QuotaService::outages`](super::QuotaService::outages).
///
/// An outage begins with the first request that the store does not answer. It ends with the first one that the store
/// answers after a second without a failure.
///
/// ```
/// use tenancy_core::Tenancy;
///
/// /// For the metrics of a service.
/// fn uncounted(tenancy: &Tenancy) -> u64 {
///     tenancy.quotas().map_or(0, |quotas| quotas.outages().admitted_uncounted)
/// }
/// # let _ = uncounted;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Outages {
    /// Since when the store does not answer; `None` if it does.
    pub since: Option<Timestamp>,
    /// How many outages have begun.
    pub begun: u64,
    /// How many requests were admitted without being counted: by limits that are [open](OnOutage::Open) alone.
    pub admitted_uncounted: u64,
    /// How many requests were admitted by [shares](OnOutage::LocalShare).
    pub admitted_by_share: u64,
    /// How many requests were refused because a share had no more, or was too small.
    pub refused_by_share: u64,
    /// How many requests were refused because a limit is [closed](OnOutage::Closed).
    pub refused: u64,
}
