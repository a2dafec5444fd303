//! Backfills, and what was corrected, told.

use async_trait::async_trait;
use sqlx::{postgres::PgRow, types::Json};
use tenancy_core::{Actor, TenantId, Timestamp, quota::Window};
use tenancy_usage::{
    Aggregation, AppliedBackfill, AppliedCorrection, BackfillOutcome, Decimal, EventError,
    EventErrorKind, EventKey, EventOutcome, Resolution, RevertOutcome, UsageBackfill,
    UsageBackfills, UsageError,
};

use super::{
    ATTEMPTS, Inner, MOST, PgUsage, Written, column,
    correcting::{entry, entry_row, is_too_large, may_begin_again, too_large},
    instant::Instant,
    unavailable,
};
use crate::session;

/// Why a backfill ends without a change.
enum Ended {
    /// This became of it.
    As(BackfillOutcome),
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Ended {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<EventError> for Ended {
    fn from(error: EventError) -> Self {
        Self::As(BackfillOutcome::Refused(error))
    }
}

impl Inner {
    async fn backfill_in(
        &self,
        tx: &mut session::Open,
        backfill: &UsageBackfill,
    ) -> Result<BackfillOutcome, Ended> {
        let now = self.clock.now();
        let range = backfill.replaces;
        let moments = || backfill.events.iter().map(|event| event.at);
        let added = backfill.events.len() as u64;
        let row = sqlx::query(
            "SELECT b.known, b.is_reverted, (extract(epoch FROM b.pruned_before) * 1000000)::bigint AS pruned
             FROM tenancy.begin_backfill($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS b",
        )
        .bind(backfill.tenant.as_uuid())
        .bind(&*backfill.name)
        .bind(backfill.digest().as_bytes().to_vec())
        .bind(&*backfill.meter)
        .bind(range.map(|range| Instant(range.start)))
        .bind(range.map(|range| Instant(range.end)))
        .bind(moments().min().map(Instant))
        .bind(moments().max().map(Instant))
        .bind(i64::try_from(added).unwrap_or(i64::MAX))
        .bind(&*backfill.reason)
        .bind(backfill.by.to_string())
        .fetch_one(&mut **tx)
        .await?;
        if let Some(known) = column::<Option<Vec<u8>>>(&row, "known")? {
            return Err(Ended::As(if known != backfill.digest().as_bytes() {
                BackfillOutcome::Conflict
            } else if column(&row, "is_reverted")? {
                BackfillOutcome::Reverted
            } else {
                BackfillOutcome::AlreadyApplied
            }));
        }
        backfill.check(&self.meters, now, &self.times)?;
        // What is left of a billing period of which events were removed does not add up to it.
        let begins = moments().chain(range.map(|range| range.start)).min();
        let begins = begins.map(|at| {
            let calendar = &self.calendar;
            calendar.window(backfill.tenant, Resolution::Period, at)
        });
        if let Some(pruned) =
            column::<Option<i64>>(&row, "pruned")?.map(Timestamp::from_unix_micros)
            && begins.is_some_and(|period| period.start < pruned)
        {
            return Err(EventError::new(
                EventErrorKind::TooLate,
                format!(
                    "usage before {pruned} was removed; fill up billing periods that begin after that"
                ),
            )
            .into());
        }
        let entry = entry(
            now,
            backfill.tenant,
            "usage.backfill",
            &backfill.by,
            &backfill.reason,
        )
        .about("usage-backfill", &backfill.name);
        let entry = entry_row(&entry);
        let mut voided = 0;
        if range.is_some() {
            let gone: i64 = sqlx::query_scalar("SELECT tenancy.replace_usage($1, $2, $3, $4)")
                .bind(backfill.tenant.as_uuid())
                .bind(&*backfill.name)
                .bind(self.is_latest(&backfill.meter))
                .bind(Json(&entry))
                .fetch_one(&mut **tx)
                .await?;
            voided = u64::try_from(gone).unwrap_or(u64::MAX);
            backfill.check_replaced(voided)?;
        }
        for part in backfill.events.chunks(MOST) {
            let outcomes = self.record(tx, part, Written::LongAgo).await?;
            for (event, outcome) in part.iter().zip(outcomes) {
                match outcome {
                    EventOutcome::Counted => {}
                    EventOutcome::Unmatched(error)
                    | EventOutcome::TooLate(error)
                    | EventOutcome::Refused(error) => return Err(error.into()),
                    _ => {
                        let text =
                            format!("the event `{}` was counted before; leave it out", event.id);
                        return Err(EventError::new(EventErrorKind::Misfit, text).into());
                    }
                }
            }
        }
        sqlx::query("SELECT tenancy.tell_backfill($1, $2, $3)")
            .bind(backfill.tenant.as_uuid())
            .bind(&*backfill.name)
            .bind(Json(&entry))
            .execute(&mut **tx)
            .await?;
        Ok(BackfillOutcome::Applied { added, voided })
    }

    fn is_latest(&self, meter: &str) -> bool {
        let meter = self.meters.get(meter);
        meter.is_some_and(|meter| meter.aggregation() == Aggregation::Latest)
    }

    async fn revert_in(
        &self,
        tx: &mut session::Open,
        (tenant, name): (TenantId, &str),
        by: &Actor,
        reason: &str,
    ) -> Result<RevertOutcome, sqlx::Error> {
        let latest = self.meters.iter().map(|meter| meter.name());
        let latest = latest.filter(|meter| self.is_latest(meter));
        let latest: Vec<_> = latest.map(str::to_owned).collect();
        let entry = entry(self.clock.now(), tenant, "usage.revert", by, reason)
            .about("usage-backfill", name);
        let row = sqlx::query(
            "SELECT r.outcome, r.voided, r.restored, r.other
             FROM tenancy.revert_usage($1, $2, $3, $4, $5, $6) AS r",
        )
        .bind(tenant.as_uuid())
        .bind(name)
        .bind(latest)
        .bind(reason)
        .bind(by.to_string())
        .bind(Json(entry_row(&entry)))
        .fetch_one(&mut **tx)
        .await?;
        let count = |name| column::<i64>(&row, name).map(|it| u64::try_from(it).unwrap_or(0));
        Ok(match column::<i16>(&row, "outcome")? {
            0 => RevertOutcome::Reverted {
                voided: count("voided")?,
                restored: count("restored")?,
            },
            1 => RevertOutcome::AlreadyReverted,
            2 => RevertOutcome::Unknown,
            why => {
                let other: Option<String> = column(&row, "other")?;
                let other = other.unwrap_or_default();
                RevertOutcome::Refused(if why == 4 {
                    UsageBackfill::removed(name, &other)
                } else {
                    UsageBackfill::replaced_by(name, &other)
                })
            }
        })
    }
}

#[async_trait]
impl UsageBackfills for PgUsage {
    async fn backfill(&self, backfill: &UsageBackfill) -> Result<BackfillOutcome, UsageError> {
        // PostgreSQL can't even be asked for it.
        let texts = [&backfill.name, &backfill.meter, &backfill.reason];
        if texts.iter().any(|text| text.contains('\0')) {
            let now = self.inner.clock.now();
            let checked = backfill.check(&self.inner.meters, now, &self.inner.times);
            if let Err(error) = checked {
                return Ok(BackfillOutcome::Refused(error));
            }
        }
        let mut attempts = 0;
        loop {
            let mut tx = self.inner.begin().await?;
            match self.inner.backfill_in(&mut tx, backfill).await {
                Ok(outcome) => {
                    tx.commit().await.map_err(unavailable)?;
                    return Ok(outcome);
                }
                // What the transaction has written ends with it.
                Err(Ended::As(outcome)) => return Ok(outcome),
                Err(Ended::Failed(error)) if is_too_large(&error) => {
                    return Ok(BackfillOutcome::Refused(too_large()));
                }
                Err(Ended::Failed(error)) if may_begin_again(&error) && attempts < ATTEMPTS => {
                    attempts += 1;
                }
                Err(Ended::Failed(error)) => return Err(unavailable(error)),
            }
        }
    }

    async fn revert_backfill(
        &self,
        tenant: TenantId,
        name: &str,
        by: &Actor,
        reason: &str,
    ) -> Result<RevertOutcome, UsageError> {
        if let Err(error) = UsageBackfill::check_revert(name, reason) {
            return Ok(RevertOutcome::Refused(error));
        }
        let mut attempts = 0;
        loop {
            let mut tx = self.inner.begin().await?;
            match self
                .inner
                .revert_in(&mut tx, (tenant, name), by, reason)
                .await
            {
                Ok(outcome) => {
                    tx.commit().await.map_err(unavailable)?;
                    return Ok(outcome);
                }
                Err(error) if is_too_large(&error) => {
                    return Ok(RevertOutcome::Refused(too_large()));
                }
                Err(error) if may_begin_again(&error) && attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(unavailable(error)),
            }
        }
    }

    async fn list_corrections(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<AppliedCorrection>, UsageError> {
        let rows = self.inner.list(
            "SELECT c.*, (extract(epoch FROM c.at) * 1000000)::bigint AS happened,
                 (extract(epoch FROM c.corrected_at) * 1000000)::bigint AS done
             FROM tenancy.list_usage_corrections($1, $2, $3) AS c ORDER BY c.number",
            (tenant, after, limit),
        );
        let rows = rows.await?;
        let told = rows
            .iter()
            .map(|row| correction(tenant, row).map_err(unavailable));
        told.collect()
    }

    async fn list_backfills(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<AppliedBackfill>, UsageError> {
        let rows = self.inner.list(
            "SELECT b.*, (extract(epoch FROM b.replaced_since) * 1000000)::bigint AS low,
                 (extract(epoch FROM b.replaced_until) * 1000000)::bigint AS high,
                 (extract(epoch FROM b.applied_at) * 1000000)::bigint AS done,
                 (extract(epoch FROM b.reverted_at) * 1000000)::bigint AS undone
             FROM tenancy.list_usage_backfills($1, $2, $3) AS b ORDER BY b.number",
            (tenant, after, limit),
        );
        let rows = rows.await?;
        let told = rows.iter().map(|row| backfill(row).map_err(unavailable));
        told.collect()
    }
}

impl Inner {
    async fn list(
        &self,
        sql: &'static str,
        (tenant, after, limit): (TenantId, u64, u32),
    ) -> Result<Vec<PgRow>, UsageError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(sql)
            .bind(tenant.as_uuid())
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(i32::try_from(limit).unwrap_or(i32::MAX))
            .fetch_all(&mut *tx)
            .await
            .map_err(unavailable)?;
        tx.give_back();
        Ok(rows)
    }
}

fn text(row: &PgRow, name: &str) -> Result<Box<str>, sqlx::Error> {
    column::<String>(row, name).map(Into::into)
}

fn number(row: &PgRow, name: &str) -> Result<u64, sqlx::Error> {
    column::<i64>(row, name).map(|number| u64::try_from(number).unwrap_or(0))
}

fn moment(row: &PgRow, name: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    column::<Option<i64>>(row, name).map(|at| at.map(Timestamp::from_unix_micros))
}

fn correction(tenant: TenantId, row: &PgRow) -> Result<AppliedCorrection, sqlx::Error> {
    let quantity =
        |name| column::<Option<Decimal>>(row, name).map(|it| it.map(|it| it.normalize()));
    let key = EventKey::new(tenant, text(row, "event_source")?, text(row, "event_id")?);
    let at = moment(row, "happened")?.unwrap_or(Timestamp::EPOCH);
    let mut told = AppliedCorrection::new(number(row, "number")?, key, text(row, "meter")?, at);
    (told.source, told.id) = (text(row, "source")?, text(row, "id")?);
    (told.before, told.after) = (quantity("quantity_before")?, quantity("quantity")?);
    (told.by, told.reason) = (text(row, "by_whom")?, text(row, "reason")?);
    told.corrected_at = moment(row, "done")?.unwrap_or(Timestamp::EPOCH);
    Ok(told)
}

fn backfill(row: &PgRow) -> Result<AppliedBackfill, sqlx::Error> {
    let range = moment(row, "low")?.zip(moment(row, "high")?);
    let mut told = AppliedBackfill::new(
        number(row, "number")?,
        text(row, "name")?,
        text(row, "meter")?,
    );
    told.replaces = range.map(|(start, end)| Window::new(start, end));
    (told.added, told.voided) = (number(row, "added")?, number(row, "voided")?);
    (told.by, told.reason) = (text(row, "by_whom")?, text(row, "reason")?);
    told.applied_at = moment(row, "done")?.unwrap_or(Timestamp::EPOCH);
    told.reverted_at = moment(row, "undone")?;
    Ok(told)
}
