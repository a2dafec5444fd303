//! The ledgers of credits.

use std::fmt::Debug;

use async_trait::async_trait;
use rust_decimal::Decimal;
use tenancy_core::{Actor, TenantId, Timestamp};

use super::{BillingStoreError, check_text};
use crate::{
    correction::check_reason,
    credit::{CreditLedger, Draw, Grant, GrantUnit},
};

/// What became of a grant.
///
/// ```
/// use tenancy_usage::billing::GrantOutcome;
///
/// assert_ne!(GrantOutcome::Granted, GrantOutcome::AlreadyGranted);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GrantOutcome {
    /// It is granted now.
    Granted,
    /// It was granted before, and counts once.
    AlreadyGranted,
}

impl GrantOutcome {
    /// For stores: what became of a grant, by how many entries the ledger had before.
    #[must_use]
    pub const fn of(before: usize, ledger: &CreditLedger) -> Self {
        if ledger.entries().len() > before {
            Self::Granted
        } else {
            Self::AlreadyGranted
        }
    }
}

impl Grant {
    /// Whether its id and a reason can be kept; for stores.
    ///
    /// # Errors
    /// A [`BillingStoreError`] of the kind [`Refused`](super::BillingStoreErrorKind::Refused).
    pub fn check_stored(&self, reason: &str) -> Result<(), BillingStoreError> {
        check_reason(reason).map_err(|error| BillingStoreError::refused(error.to_string()))?;
        check_text("the id of a grant", &self.id)?;
        match &self.unit {
            GrantUnit::Money(_) => Ok(()),
            GrantUnit::Meter(meter) => check_text("the meter of a grant", meter),
        }
    }
}

/// Keeps the [ledger](CreditLedger) of each tenant, to which entries are added one after the other.
///
/// ```
/// use tenancy_core::{Actor, TenantId, Timestamp};
/// use tenancy_usage::{
///     billing::{CreditStore as _, MemoryBilling},
///     credit::{Grant, GrantUnit},
///     price::Currency,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (billing, acme, euro) = (MemoryBilling::new(), TenantId::new(), Currency::new("EUR")?);
/// let (unit, now) = (GrantUnit::Money(euro), Timestamp::from_unix_seconds(1_800_000_000));
/// billing.grant(acme, &Grant::money("welcome", euro, 20, now), &Actor::System, "a promotion").await?;
/// let draws = billing.draw(acme, &unit, 15.into(), now, "invoice-1").await?;
/// assert_eq!(billing.draw(acme, &unit, 15.into(), now, "invoice-1").await?, draws); // once
/// assert_eq!(billing.ledger(acme).await?.balance(&unit, now), 5.into());
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait CreditStore: Send + Sync + Debug {
    /// Grants something to a tenant. The same grant again changes nothing. A store with a trail has an entry there of who did it
    /// and why.
    ///
    /// # Errors
    /// A [`BillingStoreError`]: of the kind [`Refused`](super::BillingStoreErrorKind::Refused) for a grant that can't be meant, and for
    /// no reason; [`Conflict`](super::BillingStoreErrorKind::Conflict) for one with the id of another.
    async fn grant(
        &self,
        tenant: TenantId,
        grant: &Grant,
        by: &Actor,
        reason: &str,
    ) -> Result<GrantOutcome, BillingStoreError>;

    /// Takes up to so much, as [`CreditLedger::draw`] does. Two that draw at once take one after the other, so that no grant is
    /// taken twice; the same purpose again takes nothing more, and says what was taken at first. An invoice draws when its period
    /// is [closed](super::PeriodStore::close_period).
    ///
    /// # Errors
    /// A [`BillingStoreError`]: of the kind [`Refused`](super::BillingStoreErrorKind::Refused) if less than 0 is wanted;
    /// [`Conflict`](super::BillingStoreErrorKind::Conflict) if another amount was wanted for this purpose before.
    async fn draw(
        &self,
        tenant: TenantId,
        unit: &GrantUnit,
        wanted: Decimal,
        at: Timestamp,
        purpose: &str,
    ) -> Result<Vec<Draw>, BillingStoreError>;

    /// The ledger of a tenant, replayed from its entries.
    ///
    /// # Errors
    /// A [`BillingStoreError`]: of the kind [`Unreadable`](super::BillingStoreErrorKind::Unreadable) if the entries are no history of a
    /// ledger.
    async fn ledger(&self, tenant: TenantId) -> Result<CreditLedger, BillingStoreError>;
}
