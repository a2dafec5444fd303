//! Which tenants' usage changed most.

use tenancy_core::{TenantId, quota::Window};

use super::{Analytics, Change, reading::different};
use crate::UsageError;

/// A tenant whose usage changed.
///
/// ```
/// use tenancy_usage::analytics::Mover;
///
/// fn shown(mover: &Mover) -> String {
///     format!("{}: {:+}", mover.tenant, mover.change.difference())
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mover {
    /// The tenant.
    pub tenant: TenantId,
    /// What it used, and what it used before.
    pub change: Change,
}

/// The tenants whose usage changed most, in quantity and not in percent: a tenant that went from 1 to 10 moves little.
///
/// ```
/// use tenancy_core::{TenantId, quota::Window};
/// use tenancy_usage::{UsageError, UsageSink, analytics::{Analytics, Movers}};
///
/// async fn of_the_month(
///     sink: &dyn UsageSink,
///     tenants: &[TenantId],
///     [before, month]: [Window; 2],
/// ) -> Result<Movers, UsageError> {
///     Analytics::new(sink).movers(tenants, "requests", month, before, 10).await
/// }
/// # let _ = of_the_month;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Movers {
    /// Who used more, the largest difference first.
    pub up: Vec<Mover>,
    /// Who used less, the largest difference first.
    pub down: Vec<Mover>,
}

impl Analytics<'_> {
    /// The tenants whose usage of a meter in a range differs most from that in another range, at most so many in each direction. Give
    /// ranges of equal length: they are compared as they are.
    ///
    /// # Errors
    /// As [`distribution`](Self::distribution) has them.
    pub async fn movers(
        self,
        tenants: &[TenantId],
        meter: &str,
        range: Window,
        before: Window,
        most: usize,
    ) -> Result<Movers, UsageError> {
        let tenants = different(tenants)?;
        let now = self.used(&tenants, meter, range).await?;
        let before = self.used(&tenants, meter, before).await?;
        let movers = tenants.iter().zip(now.into_iter().zip(before));
        let mut movers: Vec<_> = movers
            .map(|(tenant, (now, before))| Mover {
                tenant: *tenant,
                change: Change::new(now, before),
            })
            .collect();
        // The largest rise first, equal ones by id; the largest fall is the last.
        movers.sort_by_key(|it| (std::cmp::Reverse(it.change.difference()), it.tenant));
        let up = movers.iter().filter(|it| it.change.now > it.change.before);
        let down = movers
            .iter()
            .rev()
            .filter(|it| it.change.now < it.change.before);
        Ok(Movers {
            up: up.take(most).copied().collect(),
            down: down.take(most).copied().collect(),
        })
    }
}
