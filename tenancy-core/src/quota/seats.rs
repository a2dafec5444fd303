//! Seats: a limit of what is held whose use is not counted up and down, but is the rows that there are.

use std::{fmt, sync::Arc};

use super::{
    Algorithm, Denial, Denied, LimitUsage, MAX_AMOUNT, MeterKind, QuotaService, Scope, Standing,
    Wait,
    charging::{Due, Dues, Known, Payer},
    service::Inner,
    tenant_usage::Measure,
};
use crate::{
    ConfigError, Refusal, RefusalKind, TenantId, TenantRecord, Timestamp, invitation::SeatDirectory,
};

/// Which meter is that of seats, and who counts them.
pub(crate) struct Seats {
    meter: Box<str>,
    directory: Arc<dyn SeatDirectory>,
}

impl Seats {
    pub(crate) fn new(meter: &str, directory: Arc<dyn SeatDirectory>) -> Self {
        Self {
            meter: meter.into(),
            directory,
        }
    }

    /// Whether a meter is the one.
    pub(super) fn are(&self, meter: &str) -> bool {
        *self.meter == *meter
    }

    /// Whether there is such a meter, of what is held.
    pub(super) fn check(&self, inner: &Inner) -> Result<(), ConfigError> {
        match inner.meter(&self.meter).map(super::Meter::kind) {
            Some(MeterKind::Held) => Ok(()),
            Some(_) => Err(ConfigError::new(format!(
                "seats are held, and the meter `{}` is not; declare it with `Meter::held`",
                self.meter
            ))),
            None => Err(ConfigError::new(format!(
                "there is no meter `{}` that could count seats; declare it with `Quotas::meter` and `Meter::held`",
                self.meter
            ))),
        }
    }
}

impl fmt::Debug for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seats")
            .field("meter", &self.meter)
            .finish_non_exhaustive()
    }
}

/// What limits the seats of one tenant.
pub(crate) struct SeatsDue {
    quotas: QuotaService,
    dues: Dues,
    plan: Option<String>,
}

impl QuotaService {
    /// Whether there is a meter of seats.
    pub(crate) fn counts_seats(&self) -> bool {
        self.0.seats.is_some()
    }

    /// What limits a tenant's seats. Refused where its plan includes none.
    pub(crate) fn seats_of(
        &self,
        record: &TenantRecord,
        by: &Measure,
        now: Timestamp,
    ) -> Result<SeatsDue, Refusal> {
        let inner = &self.0;
        let missing = || Refusal::new(RefusalKind::Misconfigured, "seats-not-counted");
        let seats = inner.seats.as_ref().ok_or_else(missing)?;
        let meter = inner.meter(&seats.meter).ok_or_else(missing)?;
        let payer = Payer {
            tenant: Some(record.id),
            known: Known::Of(record, by),
            has_plans: by.has_plans,
            ..Payer::nobody()
        };
        let mut dues: Vec<Due> = Vec::new();
        inner.each_due(payer, meter, 1, now, |due, rule| {
            dues.extend(due.filter(|_| rule.scope == Scope::Tenant));
            Ok(())
        })?;
        if dues.is_empty() {
            return Err(inner.not_included(meter.name(), by.plan_name.as_deref()));
        }
        Ok(SeatsDue {
            quotas: self.clone(),
            dues: Dues {
                dues,
                tenant: Some(record.id),
            },
            plan: by.plan_name.clone(),
        })
    }
}

impl SeatsDue {
    /// The most seats that may be taken.
    pub(crate) fn most(&self) -> u64 {
        let most = self.dues.dues.iter().map(most_of);
        most.min().unwrap_or(0)
    }

    /// What is told where so many are taken, and one more is asked for.
    pub(crate) fn refusal(&self, taken: u64) -> Refusal {
        let dues = self.dues.dues.iter().enumerate();
        let full = dues.filter(|(_, due)| most_of(due) <= taken);
        let denied: Vec<_> = full
            .map(|(at, due)| {
                let standing = Standing::new(included(due), taken, None);
                Denied::new(at, Denial::new(standing, Wait::Unknown))
            })
            .collect();
        (self.quotas.0).refusal(&denied, &self.dues, self.plan.as_deref())
    }
}

impl Inner {
    /// Puts the rows that there are in the place of what was counted.
    pub(super) async fn with_seats(
        &self,
        tenant: Option<TenantId>,
        mut usage: Vec<LimitUsage>,
        now: Timestamp,
    ) -> Result<Vec<LimitUsage>, Refusal> {
        let (Some(seats), Some(tenant)) = (&self.seats, tenant) else {
            return Ok(usage);
        };
        let mut own: Vec<_> = (usage.iter_mut())
            .filter(|limit| limit.scope == Scope::Tenant && seats.are(&limit.meter))
            .collect();
        if own.is_empty() {
            return Ok(usage);
        }
        let taken = seats.directory.count_seats(tenant, now).await;
        let taken = taken.map_err(|error| {
            tracing::warn!(%error, "the seats of a tenant were not counted");
            Refusal::new(RefusalKind::Unavailable, "directory-unavailable")
        })?;
        for limit in &mut own {
            limit.standing = Standing::new(limit.standing.limit, taken, None);
        }
        Ok(usage)
    }
}

/// What the plan includes.
fn included(due: &Due) -> u64 {
    match due.algorithm {
        Algorithm::Held(ceiling, _) => ceiling.amount(),
        _ => most_of(due),
    }
}

/// The same, with the overage that it allows.
fn most_of(due: &Due) -> u64 {
    due.algorithm.capacity().unwrap_or(MAX_AMOUNT)
}
