//! Which periods are closed, and with which invoice.

use std::fmt::Debug;

use async_trait::async_trait;
use tenancy_core::{TenantId, Timestamp, quota::Window};

use super::{BillingStoreError, BillingStoreErrorKind};
use crate::{
    credit::CreditLedger,
    invoice::{BillingPeriod, ClosedPeriod, DraftInvoice, PeriodState},
};

/// The invoice with which a period was closed, as it is kept: with the credits that paid for it.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::billing::{BillingStoreError, PeriodStore};
///
/// /// What was billed for a period, to adjust the next one.
/// async fn billed(billing: &dyn PeriodStore, tenant: TenantId, start: Timestamp) -> Result<(), BillingStoreError> {
///     if let Some(closed) = billing.closed(tenant, start).await? {
///         println!("{} for {}, since {}", closed.invoice.total(), closed.invoice.id(), closed.closed_at);
///     }
///     Ok(())
/// }
/// # let _ = billed;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClosedInvoice {
    /// The invoice.
    pub invoice: DraftInvoice,
    /// When the period was closed.
    pub closed_at: Timestamp,
}

/// What became of an attempt to close a period. Each has the invoice that holds.
///
/// ```
/// use tenancy_usage::billing::CloseOutcome;
///
/// fn shown(outcome: &CloseOutcome) -> String {
///     match outcome {
///         CloseOutcome::Differs(kept) => format!("{} was billed before; adjust the next invoice", kept.invoice.total()),
///         kept => format!("{} is billed", kept.invoice().total()),
///     }
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseOutcome {
    /// It is closed now.
    Closed(ClosedInvoice),
    /// It was closed before, with the same invoice.
    AlreadyClosed(ClosedInvoice),
    /// It was closed before, and this is another invoice. The first stands: [adjust](crate::invoice::Rating::adjust) the next one.
    Differs(ClosedInvoice),
}

impl CloseOutcome {
    /// The invoice that holds.
    pub const fn invoice(&self) -> &DraftInvoice {
        match self {
            Self::Closed(kept) | Self::AlreadyClosed(kept) | Self::Differs(kept) => &kept.invoice,
        }
    }
}

impl ClosedInvoice {
    /// An invoice that was kept.
    #[must_use]
    pub const fn new(invoice: DraftInvoice, closed_at: Timestamp) -> Self {
        Self { invoice, closed_at }
    }

    /// What a store does to close a period, under a lock of the tenant: it keeps the invoice and what is new in the ledger if, and only
    /// if, the outcome is [`Closed`](CloseOutcome::Closed). `known` are the tenant's invoices whose periods overlap.
    ///
    /// # Errors
    /// As [`PeriodStore::close_period`].
    pub fn close(
        period: &ClosedPeriod,
        invoice: &DraftInvoice,
        known: &[Self],
        ledger: &mut CreditLedger,
    ) -> Result<CloseOutcome, BillingStoreError> {
        let window = period.window();
        if (invoice.tenant, invoice.period) != (period.tenant(), window) {
            return Err(BillingStoreError::refused(format!(
                "the invoice {} is not of the period that begins at {}; give the one that was computed for it",
                invoice.id(),
                window.start
            )));
        }
        if window.end <= window.start {
            return Err(BillingStoreError::refused(format!(
                "the period begins at {} and ends at {}; give one that ends later",
                window.start, window.end
            )));
        }
        let overlaps = |of: Window| of.start < window.end && window.start < of.end;
        let of_tenant = known
            .iter()
            .filter(|it| it.invoice.tenant == invoice.tenant);
        match of_tenant.clone().find(|it| overlaps(it.invoice.period)) {
            Some(kept) if kept.invoice.period == window => {
                return Ok(match kept.invoice.check_same(invoice) {
                    Ok(()) => CloseOutcome::AlreadyClosed(kept.clone()),
                    Err(_) => CloseOutcome::Differs(kept.clone()),
                });
            }
            Some(kept) => {
                return Err(BillingStoreError::new(
                    BillingStoreErrorKind::Conflict,
                    format!(
                        "the period from {} to {} has time in common with {}, which is closed; bill each time once",
                        window.start,
                        window.end,
                        kept.invoice.id()
                    ),
                ));
            }
            None => {}
        }
        let mut paid = invoice.clone();
        paid.apply_credits(ledger, period.closed_at())?;
        Ok(CloseOutcome::Closed(Self::new(paid, period.closed_at())))
    }
}

/// Keeps which periods are closed, and with which invoice: one for each tenant and period, for good.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{TenantId, Timestamp, quota::{Calendar, Period}};
/// use tenancy_usage::{
///     UsageMeters,
///     billing::{CloseOutcome, MemoryBilling, PeriodStore as _},
///     invoice::{BillingPeriod, PeriodState, Rating},
///     price::{PlanPrices, PriceBook, PriceVersion},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let version = PriceVersion::new("first", Timestamp::EPOCH).plan(PlanPrices::new("pro").flat("base fee", 29));
/// let book = PriceBook::builder("EUR").version(version).build(&UsageMeters::default())?;
/// let (billing, acme, grace) = (MemoryBilling::new(), TenantId::new(), Duration::from_secs(12 * 3_600));
/// let month = Calendar::utc().window(Period::Month, Timestamp::from_unix_seconds(1_800_000_000));
/// let period = BillingPeriod::new(acme, month, grace);
///
/// let invoice = Rating::new(&book, acme, month).plan("pro", []).rate()?;
/// let closed = period.close(month.end + grace)?;
/// assert!(matches!(billing.close_period(&closed, &invoice).await?, CloseOutcome::Closed(_)));
/// assert!(matches!(billing.close_period(&closed, &invoice).await?, CloseOutcome::AlreadyClosed(_)));
/// assert_eq!(period.state_in(&billing, month.start).await?, PeriodState::Closed);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait PeriodStore: Send + Sync + Debug {
    /// Closes a period with its invoice. Credits of the tenant pay for it in the same transaction, as
    /// [`DraftInvoice::apply_credits`] does, at the time when the period was closed. So give it the invoice without credits.
    ///
    /// A store with an outbox writes the event `billing.period-closed` in that transaction.
    ///
    /// # Errors
    /// A [`BillingStoreError`]: of the kind [`Refused`](BillingStoreErrorKind::Refused) if the invoice is of another tenant or period;
    /// [`Conflict`](BillingStoreErrorKind::Conflict) if another period that is closed has time in common with it, or credits
    /// were drawn for this invoice when another amount was due.
    async fn close_period(
        &self,
        period: &ClosedPeriod,
        invoice: &DraftInvoice,
    ) -> Result<CloseOutcome, BillingStoreError>;

    /// The invoice of the period that begins at this moment; `None` if it is not closed.
    ///
    /// # Errors
    /// A [`BillingStoreError`] if the store does not answer, or what it has can't be read.
    async fn closed(
        &self,
        tenant: TenantId,
        start: Timestamp,
    ) -> Result<Option<ClosedInvoice>, BillingStoreError>;

    /// The invoices of a tenant whose periods begin after a moment, the oldest first, and so many at most.
    ///
    /// # Errors
    /// As [`closed`](Self::closed).
    async fn list_closed(
        &self,
        tenant: TenantId,
        after: Option<Timestamp>,
        most: u32,
    ) -> Result<Vec<ClosedInvoice>, BillingStoreError>;
}

impl BillingPeriod {
    /// Where it stands: closed if a store has it so, and else by the [time](Self::state).
    ///
    /// # Errors
    /// As [`PeriodStore::closed`].
    pub async fn state_in(
        &self,
        store: &dyn PeriodStore,
        now: Timestamp,
    ) -> Result<PeriodState, BillingStoreError> {
        let closed = store.closed(self.tenant(), self.window().start).await?;
        Ok(closed.map_or_else(|| self.state(now), |_| PeriodState::Closed))
    }
}
