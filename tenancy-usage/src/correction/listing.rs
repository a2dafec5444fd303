//! What was corrected, told; and the trait of sinks that take backfills.

use async_trait::async_trait;
use rust_decimal::Decimal;
use tenancy_core::{Actor, TenantId, Timestamp, quota::Window};

use super::{BackfillOutcome, RevertOutcome, UsageBackfill};
use crate::{EventKey, UsageError, UsageSink};

/// A correction that was applied, or what a backfill or its revert did to one event.
///
/// ```
/// use tenancy_usage::AppliedCorrection;
///
/// /// How much less or more it made.
/// fn difference(of: &AppliedCorrection) -> rust_decimal::Decimal {
///     of.after.unwrap_or_default() - of.before.unwrap_or_default()
/// }
/// # let _ = difference;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppliedCorrection {
    /// Its number. Later ones have larger numbers.
    pub number: u64,
    /// The event.
    pub event: EventKey,
    /// The meter of the event.
    pub meter: Box<str>,
    /// When the event happened.
    pub at: Timestamp,
    /// The source of the correction; of what a backfill did, [the backfill's](UsageBackfill::source_of).
    pub source: Box<str>,
    /// The id of the correction; of what a backfill did, the event's.
    pub id: Box<str>,
    /// The event's quantity before; `None` if it did not count.
    pub before: Option<Decimal>,
    /// The event's quantity afterwards; `None` if it counts no more.
    pub after: Option<Decimal>,
    /// Who corrected, such as `user:…` or `system`.
    pub by: Box<str>,
    /// Why.
    pub reason: Box<str>,
    /// When.
    pub corrected_at: Timestamp,
}

impl AppliedCorrection {
    /// With this number, of this event of a meter, which happened then; for sinks, which fill in the rest.
    #[must_use]
    pub fn new(number: u64, event: EventKey, meter: impl Into<Box<str>>, at: Timestamp) -> Self {
        Self {
            number,
            event,
            meter: meter.into(),
            at,
            source: "".into(),
            id: "".into(),
            before: None,
            after: None,
            by: "".into(),
            reason: "".into(),
            corrected_at: Timestamp::EPOCH,
        }
    }
}

/// A backfill that was applied.
///
/// ```
/// use tenancy_usage::AppliedBackfill;
///
/// fn is_in_force(backfill: &AppliedBackfill) -> bool {
///     backfill.reverted_at.is_none()
/// }
/// # let _ = is_in_force;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppliedBackfill {
    /// Its number. Later ones have larger numbers.
    pub number: u64,
    /// Its name.
    pub name: Box<str>,
    /// The meter's name.
    pub meter: Box<str>,
    /// What it replaced.
    pub replaces: Option<Window>,
    /// How many events it added.
    pub added: u64,
    /// How many events it voided.
    pub voided: u64,
    /// Who applied it.
    pub by: Box<str>,
    /// Why.
    pub reason: Box<str>,
    /// When it was applied.
    pub applied_at: Timestamp,
    /// When it was reverted, if it was.
    pub reverted_at: Option<Timestamp>,
}

impl AppliedBackfill {
    /// With this number and name, of this meter; for sinks, which fill in the rest.
    #[must_use]
    pub fn new(number: u64, name: impl Into<Box<str>>, meter: impl Into<Box<str>>) -> Self {
        Self {
            number,
            name: name.into(),
            meter: meter.into(),
            replaces: None,
            added: 0,
            voided: 0,
            by: "".into(),
            reason: "".into(),
            applied_at: Timestamp::EPOCH,
            reverted_at: None,
        }
    }
}

/// A sink that takes [backfills](UsageBackfill), and tells what was corrected.
///
/// ```
/// use tenancy_core::TenantId;
/// use tenancy_usage::{UsageBackfills, UsageError};
///
/// async fn print_corrections(usage: &dyn UsageBackfills, tenant: TenantId) -> Result<(), UsageError> {
///     let mut after = 0;
///     loop {
///         let page = usage.list_corrections(tenant, after, 100).await?;
///         let Some(last) = page.last() else { return Ok(()) };
///         after = last.number;
///         for one in &page {
///             println!("{} {} {:?} -> {:?}: {}", one.corrected_at, one.meter, one.before, one.after, one.reason);
///         }
///     }
/// }
/// # let _ = print_corrections;
/// ```
#[async_trait]
pub trait UsageBackfills: UsageSink {
    /// Applies a backfill, as a whole or not at all.
    ///
    /// # Errors
    /// A [`UsageError`] if it is not known what became of it; send it again.
    async fn backfill(&self, backfill: &UsageBackfill) -> Result<BackfillOutcome, UsageError>;

    /// Reverts a backfill: what it added counts no more, and what it replaced counts again.
    ///
    /// # Errors
    /// As [`backfill`](Self::backfill).
    async fn revert_backfill(
        &self,
        tenant: TenantId,
        name: &str,
        by: &Actor,
        reason: &str,
    ) -> Result<RevertOutcome, UsageError>;

    /// What was corrected of a tenant's usage, the oldest first, after the one of this number; 0 begins.
    ///
    /// # Errors
    /// A [`UsageError`] of the kind [`Unavailable`](crate::UsageErrorKind::Unavailable).
    async fn list_corrections(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<AppliedCorrection>, UsageError>;

    /// A tenant's backfills, the oldest first, after the one of this number; 0 begins.
    ///
    /// # Errors
    /// As [`list_corrections`](Self::list_corrections).
    async fn list_backfills(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<AppliedBackfill>, UsageError>;
}
