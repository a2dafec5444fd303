//! Billing periods: open, closing, closed.

use std::time::Duration;

use tenancy_core::{TenantId, Timestamp, quota::Window};

/// Where a billing period stands.
///
/// ```
/// use tenancy_usage::invoice::PeriodState;
///
/// assert_eq!(PeriodState::Closing.as_str(), "closing");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeriodState {
    /// It has not ended.
    Open,
    /// It has ended, and late events still come into its invoice.
    Closing,
    /// Its invoice is made. Late events count for its time as before, and come into the next invoice as an adjustment.
    Closed,
}

impl PeriodState {
    /// Its name: `open`, `closing` or `closed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Closed => "closed",
        }
    }
}

/// Why a period can't be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the period ends at {end}, and late events come into it for another {grace:?}; close it at {closable} or later"
)]
pub struct PeriodError {
    end: Timestamp,
    grace: Duration,
    closable: Timestamp,
}

/// A billing period of a tenant, and for how long late events come into its invoice.
///
/// The states follow from the time alone, but for the last: closing is a decision, made once, by whoever makes the invoice.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{TenantId, Timestamp, quota::{Calendar, Period}};
/// use tenancy_usage::invoice::{BillingPeriod, PeriodState};
///
/// let month = Calendar::utc().window(Period::Month, Timestamp::from_unix_seconds(1_800_000_000));
/// let period = BillingPeriod::new(TenantId::new(), month, Duration::from_secs(12 * 3_600));
/// assert_eq!(period.state(month.start), PeriodState::Open);
/// assert_eq!(period.state(month.end), PeriodState::Closing);
/// assert!(period.close(month.end).is_err());
/// let closed = period.close(month.end + Duration::from_secs(12 * 3_600))?;
/// assert_eq!(closed.window(), month);
/// # Ok::<(), tenancy_usage::invoice::PeriodError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BillingPeriod {
    tenant: TenantId,
    window: Window,
    grace: Duration,
}

impl BillingPeriod {
    /// A period, and how long after its end late events still come into its invoice.
    #[must_use]
    pub const fn new(tenant: TenantId, window: Window, grace: Duration) -> Self {
        Self {
            tenant,
            window,
            grace,
        }
    }

    /// Whose it is.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// From when to when it is.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Open or closing. It is never closed by the time alone: see [`state_in`](Self::state_in).
    #[must_use]
    pub fn state(&self, now: Timestamp) -> PeriodState {
        if now < self.window.end {
            PeriodState::Open
        } else {
            PeriodState::Closing
        }
    }

    /// Closes it, for good. A [store](crate::billing::PeriodStore) keeps that, once for each tenant and period.
    ///
    /// # Errors
    /// A [`PeriodError`] while it is open, or late events still come into it.
    pub fn close(&self, now: Timestamp) -> Result<ClosedPeriod, PeriodError> {
        let closable = self.window.end + self.grace;
        if now < closable {
            return Err(PeriodError {
                end: self.window.end,
                grace: self.grace,
                closable,
            });
        }
        Ok(ClosedPeriod {
            tenant: self.tenant,
            window: self.window,
            closed_at: now,
        })
    }
}

/// A period whose invoice is made: from [`BillingPeriod::close`] alone.
///
/// ```
/// use tenancy_usage::invoice::{ClosedPeriod, PeriodState};
///
/// fn shown(period: &ClosedPeriod) -> String {
///     format!("{} since {}", PeriodState::Closed.as_str(), period.closed_at())
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedPeriod {
    tenant: TenantId,
    window: Window,
    closed_at: Timestamp,
}

impl ClosedPeriod {
    /// Whose it is.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// From when to when it was.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// When it was closed.
    #[must_use]
    pub const fn closed_at(&self) -> Timestamp {
        self.closed_at
    }
}
