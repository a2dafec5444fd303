//! Why an invoice can't be computed.

/// Why an invoice can't be computed, or is not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RatingErrorKind {
    /// No version of the prices is valid when the period begins.
    NoVersion,
    /// The version has no plan of that name.
    UnknownPlan,
    /// The segments leave a part of the period out, or overlap.
    Segments,
    /// A rollup is another tenant's, of another time, or of a meter that is not declared; or there are several of a meter that
    /// does not add up.
    Usage,
    /// Two plans of one period, or an adjustment, are in different currencies.
    MixedCurrency,
    /// A number has more digits than can be computed without rounding.
    Overflow,
    /// Two invoices that should be the same are not.
    Differs,
    /// What should be an invoice as JSON is not.
    Unreadable,
}

/// Why an invoice can't be computed, or is not the same. The message names what is wrong and how to mend it.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp, quota::{Calendar, Period}};
/// use tenancy_usage::{
///     UsageMeters,
///     invoice::{Rating, RatingErrorKind},
///     price::{PlanPrices, PriceBook, PriceVersion},
/// };
///
/// let version = PriceVersion::new("first", Timestamp::EPOCH).plan(PlanPrices::new("pro"));
/// let book = PriceBook::builder("EUR").version(version).build(&UsageMeters::default())?;
/// let month = Calendar::utc().window(Period::Month, Timestamp::from_unix_seconds(1_800_000_000));
/// let error = Rating::new(&book, TenantId::new(), month).plan("prro", []).rate().unwrap_err();
/// assert_eq!(error.kind(), RatingErrorKind::UnknownPlan);
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RatingError {
    kind: RatingErrorKind,
    message: String,
}

impl RatingError {
    pub(crate) fn new(kind: RatingErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Why.
    #[must_use]
    pub const fn kind(&self) -> RatingErrorKind {
        self.kind
    }
}
