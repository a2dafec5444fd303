//! Retention: what is old goes, by the administrator alone, and the trail says so.

use serde_json::Value;
use sqlx::types::{Json, Uuid};
use tenancy_core::{Actor, AuditEntry, Outcome, TenantId, Timestamp};
use tenancy_usage::{UsageError, UsageRetention};

use super::{PgUsage, column, correcting::entry_row, instant::Instant, unavailable};
use crate::{danger::SystemPool, options::Timeouts, session};

/// How many rows one transaction removes at most.
const BATCH: i32 = 20_000;

/// How many tenants are read at once.
const PAGE: i32 = 1_000;

/// What [`PgUsage::prune`] has removed.
///
/// ```
/// use tenancy_sqlx::PrunedUsage;
///
/// fn print(pruned: &PrunedUsage) {
///     for (month, rows) in &pruned.months {
///         println!("{month} is dropped, with {rows} rows");
///     }
///     println!("{} other rows are gone", pruned.rows);
/// }
/// # print(&PrunedUsage::default());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PrunedUsage {
    /// The partitions that were dropped, such as `usage_events_2026_01`, and how many rows each still had.
    pub months: Vec<(String, u64)>,
    /// How many rows were deleted one by one: windows, values, keys, and events of tenants that keep less than others.
    pub rows: u64,
}

/// Who removes something, in which name.
struct Pruning<'p> {
    system: &'p SystemPool,
    by: &'p Actor,
    reason: &'p str,
    now: Timestamp,
}

impl PgUsage {
    /// Removes usage that is older than the retention says, and tells what it has removed. It is for a job that runs once a
    /// day.
    ///
    /// Months of events that no tenant needs any more are dropped as they are; all else is deleted, 20,000 rows at a time.
    /// Each step that removes something is an entry `usage.prune` in the trail, in its transaction. Events that were removed
    /// can't be corrected or filled up any more.
    ///
    /// ```no_run
    /// use tenancy_core::{Actor, Retention};
    /// use tenancy_sqlx::{PgUsage, danger::SystemPool};
    /// use tenancy_usage::UsageRetention;
    ///
    /// # async fn example(usage: PgUsage) -> Result<(), Box<dyn std::error::Error>> {
    /// let system = SystemPool::connect("postgres://tenancy_system@localhost/notes").await?;
    /// let retention = UsageRetention::default().minutes(Retention::Days(120));
    /// let pruned = usage.prune(&system, &retention, &Actor::System, "retention of usage").await?;
    /// println!("{} months are dropped", pruned.months.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A [`UsageError`] of the kind [`Refused`](tenancy_usage::UsageErrorKind::Refused) if something would be removed that late
    /// events, corrections or open periods need; nothing is removed then. Of the kind
    /// [`Unavailable`](tenancy_usage::UsageErrorKind::Unavailable) if the database did not answer; what was removed
    /// before stays removed.
    ///
    /// # Security
    /// It needs the login of the administrator. Neither the service nor the process that counts can remove usage.
    pub async fn prune(
        &self,
        system: &SystemPool,
        retention: &UsageRetention,
        by: &Actor,
        reason: &str,
    ) -> Result<PrunedUsage, UsageError> {
        let inner = &self.inner;
        retention.check(&inner.times, &inner.calendar)?;
        if reason.trim().is_empty() {
            return Err(UsageError::refused(
                "there is no reason; say why usage is removed, such as the rule that asks for it",
            ));
        }
        let now = inner.clock.now();
        let pruning = Pruning {
            system,
            by,
            reason,
            now,
        };
        let cuts = retention.cuts(&inner.times, &inner.calendar, now);
        let floor = UsageRetention::floor(&inner.times, &inner.calendar);
        // All that is asked is checked before anything goes.
        let mut own = Vec::new();
        for tenant in pruning.tenants().await? {
            if let Some(kept) = retention.own_events(tenant, floor)? {
                own.push((tenant, kept.as_duration().map(|kept| now - kept)));
            }
        }
        let others: Vec<_> = own.iter().map(|(tenant, _)| tenant.as_uuid()).collect();
        // What somebody keeps for good keeps its months.
        let of_all = own.iter().map(|(_, before)| *before).chain([cuts.events]);
        let oldest = of_all.min().flatten();
        let mut pruned = PrunedUsage::default();
        // Whole months first, so that their rows are not deleted one by one.
        while let Some(month) = pruning.drop_month(oldest).await? {
            pruned.months.push(month);
        }
        // Also of what is kept for good, so that the cut of all others does not hold for it.
        for (tenant, before) in own {
            pruned.rows += pruning.delete("events", before, Some(tenant), &[]).await?;
        }
        for (what, before, but) in [
            ("events", cuts.events, &*others),
            ("minutes", cuts.minutes, &[]),
            ("hours", cuts.hours, &[]),
            ("days", cuts.days, &[]),
            ("periods", cuts.periods, &[]),
            ("values", cuts.values, &[]),
        ] {
            if before.is_some() {
                pruned.rows += pruning.delete(what, before, None, but).await?;
            }
        }
        // And those that are empty now.
        while let Some(month) = pruning.drop_month(oldest).await? {
            pruned.months.push(month);
        }
        Ok(pruned)
    }
}

impl Pruning<'_> {
    async fn begin(&self) -> Result<session::Open, UsageError> {
        let batch = session::nobodys_batch("BEGIN", &Timeouts::ACROSS_TENANTS);
        session::begin(self.system.raw(), batch)
            .await
            .map_err(unavailable)
    }

    /// All tenants that have usage.
    async fn tenants(&self) -> Result<Vec<TenantId>, UsageError> {
        let mut tx = self.begin().await?;
        let (mut tenants, mut after) = (Vec::new(), None::<Uuid>);
        loop {
            let page: Vec<Uuid> =
                sqlx::query_scalar("SELECT t FROM tenancy.list_used_tenants($1, $2) AS t")
                    .bind(after)
                    .bind(PAGE)
                    .fetch_all(&mut *tx)
                    .await
                    .map_err(unavailable)?;
            after = page.last().copied();
            if after.is_none() {
                tx.give_back();
                return Ok(tenants);
            }
            tenants.extend(page.into_iter().map(TenantId::from_uuid));
        }
    }

    /// Deletes rows that are older, of one tenant, or of all but these; how many. None are where a tenant's are kept for good.
    async fn delete(
        &self,
        what: &'static str,
        before: Option<Timestamp>,
        tenant: Option<TenantId>,
        but: &[Uuid],
    ) -> Result<u64, UsageError> {
        let mut whole = 0;
        loop {
            let mut tx = self.begin().await?;
            let removed: i64 =
                sqlx::query_scalar("SELECT tenancy.prune_usage($1, $2, $3, $4, $5, $6)")
                    .bind(what)
                    .bind(before.map(Instant))
                    .bind(tenant.map(|tenant| tenant.as_uuid()))
                    .bind(but.to_vec())
                    .bind(BATCH)
                    .bind(self.entry())
                    .fetch_one(&mut *tx)
                    .await
                    .map_err(unavailable)?;
            tx.commit().await.map_err(unavailable)?;
            whole += u64::try_from(removed).unwrap_or(0);
            if removed < i64::from(BATCH) {
                return Ok(whole);
            }
        }
    }

    /// Drops one month that has ended before a moment, or that is empty: its name, and how many rows it had.
    async fn drop_month(
        &self,
        before: Option<Timestamp>,
    ) -> Result<Option<(String, u64)>, UsageError> {
        let mut tx = self.begin().await?;
        let row =
            sqlx::query("SELECT d.month, d.removed FROM tenancy.drop_usage_month($1, $2) AS d")
                .bind(Instant(before.unwrap_or(Timestamp::EPOCH)))
                .bind(self.entry())
                .fetch_optional(&mut *tx)
                .await
                .map_err(unavailable)?;
        let Some(row) = row else {
            tx.give_back();
            return Ok(None);
        };
        let month: String = column(&row, "month").map_err(unavailable)?;
        let rows: i64 = column(&row, "removed").map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)?;
        Ok(Some((month, u64::try_from(rows).unwrap_or(0))))
    }

    /// Who removes, and why. The functions add what, and write it if they have removed something.
    fn entry(&self) -> Json<Value> {
        let entry = AuditEntry::new(self.now, "usage.prune", Outcome::Allowed)
            .actor(self.by.clone())
            .reason(self.reason.to_owned());
        Json(entry_row(&entry))
    }
}
