//! What a billing system is told.

use async_trait::async_trait;
use rust_decimal::Decimal;
use tenancy_core::{TenantId, Timestamp};

use super::BillingError;
use crate::{Rollup, digest::Canonical};

/// A tenant, as a billing system should know it.
///
/// ```
/// use tenancy_core::TenantId;
/// use tenancy_usage::billing::Customer;
///
/// let customer = Customer::new(TenantId::new(), "Acme Ltd").email("billing@acme.example");
/// # let _ = customer;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Customer {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: Box<str>,
    /// Where invoices go.
    pub email: Option<Box<str>>,
}

impl Customer {
    /// The customer that a tenant is.
    pub fn new(tenant: TenantId, name: impl Into<Box<str>>) -> Self {
        Self {
            tenant,
            name: name.into(),
            email: None,
        }
    }

    /// Where invoices go.
    pub fn email(mut self, address: impl Into<Box<str>>) -> Self {
        self.email = Some(address.into());
        self
    }
}

/// The id of a customer at a billing system: `cus_…` at Stripe.
///
/// ```
/// use tenancy_usage::billing::CustomerId;
///
/// let stored = CustomerId::new("cus_NciAYcXfLnqBoz");
/// assert_eq!(stored.as_str(), "cus_NciAYcXfLnqBoz");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId(Box<str>);

impl CustomerId {
    /// An id that a billing system gave.
    #[must_use]
    pub fn new(id: impl Into<Box<str>>) -> Self {
        Self(id.into())
    }

    /// As the billing system writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// That a customer used so much of a meter.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp, quota::{Calendar, Period}};
/// use tenancy_usage::{Rollup, billing::{CustomerId, UsageReport}};
///
/// let day = Calendar::utc().window(Period::Day, Timestamp::from_unix_seconds(1_800_000_000));
/// let rollup = Rollup::new(TenantId::new(), "tokens", day, 4_711, 12);
/// let customer = CustomerId::new("cus_1");
/// let report = UsageReport::of(customer.clone(), &rollup, 0);
/// assert_eq!(report, UsageReport::of(customer, &rollup, 0), "the same id, however often it is made");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct UsageReport {
    /// Who used it.
    pub customer: CustomerId,
    /// The meter's name.
    pub meter: Box<str>,
    /// How much.
    pub quantity: Decimal,
    /// When.
    pub at: Timestamp,
    /// By what the billing system knows it again.
    pub id: Box<str>,
}

impl UsageReport {
    /// So much of a meter, with an id that no other report has.
    pub fn new(
        customer: CustomerId,
        meter: impl Into<Box<str>>,
        quantity: impl Into<Decimal>,
        at: Timestamp,
        id: impl Into<Box<str>>,
    ) -> Self {
        Self {
            customer,
            meter: meter.into(),
            quantity: quantity.into(),
            at,
            id: id.into(),
        }
    }

    /// The usage of a window, at its last second. The id follows from tenant, meter, project, key, dimensions, window and part, and
    /// not from the quantity.
    ///
    /// Billing systems add reports up. What comes into a window after it was reported is reported as a further part: the number of the
    /// part, from 0, and only the difference. Store the part with the sum that was reported so far, before it is sent.
    pub fn of(customer: CustomerId, rollup: &Rollup, part: u32) -> Self {
        let window = rollup.window;
        let uuid = |it: Canonical, id: uuid::Uuid| it.bytes(id.as_bytes());
        let canonical = Canonical::of("usage-report-1")
            .bytes(rollup.tenant.as_uuid().as_bytes())
            .text(&rollup.meter)
            .maybe(rollup.project.map(Into::into), uuid)
            .maybe(rollup.key.map(Into::into), uuid)
            .decimal(window.start.as_unix_micros().into())
            .decimal(window.end.as_unix_micros().into())
            .decimal(part.into());
        let dimensions = rollup.dimensions.iter();
        let canonical = dimensions.fold(canonical, |it, (name, value)| it.text(name).text(value));
        let at = window.end - std::time::Duration::from_secs(1);
        Self::new(
            customer,
            rollup.meter.clone(),
            rollup.quantity,
            at,
            canonical.end().to_string(),
        )
    }
}

/// What became of a report.
///
/// ```
/// use tenancy_usage::billing::ReportOutcome;
///
/// fn is_settled(outcome: &ReportOutcome) -> bool {
///     matches!(outcome, ReportOutcome::Taken | ReportOutcome::AlreadyTaken)
/// }
/// assert!(is_settled(&ReportOutcome::AlreadyTaken));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportOutcome {
    /// The billing system has taken it.
    Taken,
    /// It had taken it before.
    AlreadyTaken,
    /// It will not take it, for this reason. Somebody has to look.
    Refused(Box<str>),
}

/// A billing system that is told who the customers are and what they used.
///
/// An implementation promises that a report with one id counts once, for as long as the billing system remembers ids, and that an error
/// leaves no report of which it is not safe to send it again.
///
/// ```
/// use tenancy_usage::billing::{BillingError, BillingProvider, ReportOutcome, UsageReport};
///
/// async fn report(provider: &dyn BillingProvider, reports: &[UsageReport]) -> Result<(), BillingError> {
///     for (report, outcome) in reports.iter().zip(provider.report_usage(reports).await?) {
///         if let ReportOutcome::Refused(reason) = outcome {
///             eprintln!("{} of {} is not billed: {reason}", report.quantity, report.meter);
///         }
///     }
///     Ok(())
/// }
/// # let _ = report;
/// ```
#[async_trait]
pub trait BillingProvider: Send + Sync + std::fmt::Debug {
    /// Makes the customer of a tenant, or brings it up to date. There is one for each tenant.
    ///
    /// # Errors
    /// A [`BillingError`].
    async fn upsert_customer(&self, customer: &Customer) -> Result<CustomerId, BillingError>;

    /// Reports usage, and says what became of each report, in their order.
    ///
    /// # Errors
    /// A [`BillingError`] if it is not known what became of them: send the same batch again.
    async fn report_usage(
        &self,
        reports: &[UsageReport],
    ) -> Result<Vec<ReportOutcome>, BillingError>;
}
