//! `MeterQuota`: what a caller has left of one meter, asked from its context.

use super::{
    GiveBack, LimitUsage, MAX_AMOUNT, Meter, OperationId, QuotaService, Reservation, Scope,
    charging::{Payer, unknown},
};
use crate::{Cost, Refusal, RefusalKind, TenantContext};

/// What a caller has used and left of one meter, and how to take of it. From
/// [`TenantContext::quota`]; a short form of [`QuotaService`].
///
/// ```
/// use tenancy_core::{Refusal, TenantContext};
///
/// async fn create_project(context: &TenantContext) -> Result<(), Refusal> {
///     // Refused with 402 if the plan has no room.
///     let reserved = context.quota("projects").reserve(1).await?;
///     // … insert the project; where that fails, dropping the reservation gives it back …
///     reserved.commit().await
/// }
/// # let _ = create_project;
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct MeterQuota<'a> {
    context: &'a TenantContext,
    meter: &'a str,
}

impl<'a> MeterQuota<'a> {
    pub(crate) const fn new(context: &'a TenantContext, meter: &'a str) -> Self {
        Self { context, meter }
    }

    /// Where the limits of this meter stand that concern the caller: [`QuotaService::usage`].
    ///
    /// # Errors
    /// A [`Refusal`] with status 503 if the counters do not answer, 403 if the tenant's plan is not in the book, and 500
    /// if the engine has no quotas or the meter was never declared; the log then says so.
    pub async fn usage(&self) -> Result<Vec<LimitUsage>, Refusal> {
        let (quotas, meter) = self.known()?;
        let mut usage = quotas.usage(self.context).await?;
        usage.retain(|limit| limit.meter == meter.name());
        Ok(usage)
    }

    /// How much the caller can still take: what is left of the limit that has least. `None` if nothing limits it, and 0
    /// if the plan does not include it. Overage is not counted.
    ///
    /// By the time it is taken there may be less: [`reserve`](Self::reserve) decides.
    ///
    /// # Errors
    /// As [`usage`](Self::usage).
    pub async fn left(&self) -> Result<Option<u64>, Refusal> {
        let (quotas, meter) = self.known()?;
        let now = self.context.tenancy().clock().now();
        if (quotas.0).has_nothing_of(Payer::of(self.context), meter, now)? {
            return Ok(Some(0));
        }
        let usage = self.usage().await?;
        let limited = usage
            .iter()
            .filter(|limit| limit.scope != Scope::System && limit.standing.limit < MAX_AMOUNT);
        Ok(limited.map(|limit| limit.standing.remaining).min())
    }

    /// Takes so much: [`QuotaService::reserve`].
    ///
    /// # Errors
    /// A [`Refusal`] as a route's costs would give, and with status 500 as [`usage`](Self::usage).
    pub async fn reserve(&self, amount: u64) -> Result<Reservation, Refusal> {
        let (quotas, meter) = self.known()?;
        let costs = [Cost::new(meter.name(), amount)];
        quotas.reserve(self.context, &costs).await
    }

    /// Gives back what was kept, once for each id: [`QuotaService::give_back`].
    ///
    /// # Errors
    /// As [`usage`](Self::usage).
    pub async fn give_back(&self, amount: u64, id: OperationId) -> Result<(), Refusal> {
        let (quotas, meter) = self.known()?;
        let kept = Cost::new(meter.name(), amount);
        quotas.give_back(self.context, &kept, id).await
    }

    /// Prepares to give back what was kept, in a transaction of the application: [`QuotaService::prepare_give_back`].
    ///
    /// # Errors
    /// As [`usage`](Self::usage), and with status 503 if the counters are not in the application's database.
    pub async fn prepare_give_back(&self, amount: u64) -> Result<GiveBack, Refusal> {
        let (quotas, meter) = self.known()?;
        let kept = Cost::new(meter.name(), amount);
        quotas.prepare_give_back(self.context, &kept).await
    }

    fn known(&self) -> Result<(&'a QuotaService, &'a Meter), Refusal> {
        let quotas = of(self.context)?;
        let meter = quotas.0.meter(self.meter);
        Ok((quotas, meter.ok_or_else(|| unknown(self.meter))?))
    }
}

/// The quotas of a context's engine.
pub(crate) fn of(context: &TenantContext) -> Result<&QuotaService, Refusal> {
    context.tenancy().quotas().ok_or_else(|| {
        tracing::error!(
            "a handler asks what is left of a limit, and the engine has none; give it some with \
             `TenancyBuilder::quotas`"
        );
        Refusal::new(RefusalKind::Misconfigured, "quotas-missing")
    })
}
