//! Corrections of single events, each in a transaction of its own.

use serde_json::Value;
use sqlx::types::Json;
use tenancy_core::{Actor, AuditEntry, Outcome, TenantId, Timestamp};
use tenancy_usage::{
    Aggregation, CorrectionOutcome, Decimal, EventError, EventErrorKind, UsageCorrection,
    UsageError, UsageEvent,
};

use super::{ATTEMPTS, Inner, batch::key_of, column, has_lost, instant::Instant, unavailable};
use crate::{audit, session};

/// The SQLSTATE of a key that is there.
const UNIQUE_VIOLATION: &str = "23505";

impl Inner {
    /// Applies a correction. One that lost against another begins again.
    pub(super) async fn correct(
        &self,
        correction: &UsageCorrection,
    ) -> Result<CorrectionOutcome, UsageError> {
        if let Err(error) = correction.check() {
            return Ok(error.into());
        }
        let mut attempts = 0;
        loop {
            let mut tx = self.begin().await?;
            match self.correct_in(&mut tx, correction).await {
                Ok(CorrectionOutcome::Applied) => {
                    tx.commit().await.map_err(unavailable)?;
                    return Ok(CorrectionOutcome::Applied);
                }
                Ok(outcome) => return Ok(outcome),
                Err(error) if is_too_large(&error) => return Ok(too_large().into()),
                Err(error) if may_begin_again(&error) && attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(unavailable(error)),
            }
        }
    }

    async fn correct_in(
        &self,
        tx: &mut session::Open,
        correction: &UsageCorrection,
    ) -> Result<CorrectionOutcome, sqlx::Error> {
        let tenant = correction.event.tenant;
        let key = key_of(&correction.source, &correction.id);
        let digest = correction.digest();
        let known_meters = self.meters.iter().map(|meter| meter.name().to_owned());
        let row = sqlx::query(
            "SELECT f.known, f.meter, f.quantity, f.events, (extract(epoch FROM f.at) * 1000000)::bigint AS at
             FROM tenancy.find_corrected_usage($1, $2, $3, $4, $5) AS f",
        )
        .bind(tenant.as_uuid())
        .bind(key)
        .bind(&*correction.event.source)
        .bind(&*correction.event.id)
        .bind(known_meters.collect::<Vec<_>>())
        .fetch_one(&mut **tx)
        .await?;
        match column::<Option<Vec<u8>>>(&row, "known")? {
            Some(known) if known == digest.as_bytes() => {
                return Ok(CorrectionOutcome::AlreadyApplied);
            }
            Some(_) => return Ok(CorrectionOutcome::Conflict),
            None => {}
        }
        let name = column::<Option<String>>(&row, "meter")?;
        let Some(meter) = name.and_then(|name| self.meters.get(&name)) else {
            return Ok(CorrectionOutcome::UnknownEvent);
        };
        let Some(quantity_before) = column::<Option<Decimal>>(&row, "quantity")? else {
            return Ok(CorrectionOutcome::Voided);
        };
        let events_before: i64 = column(&row, "events")?;
        let after = correction.apply_to(meter, u64::try_from(events_before).unwrap_or(u64::MAX));
        let after = match after {
            Ok(after) => after,
            Err(error) => return Ok(error.into()),
        };
        let (by, reason) = (&correction.by, &*correction.reason);
        let entry = entry(self.clock.now(), tenant, "usage.correct", by, reason).about(
            "usage-event",
            format!("{}/{}", correction.event.source, correction.event.id),
        );
        sqlx::query(
            "SELECT tenancy.correct_usage($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind(tenant.as_uuid())
        .bind(key)
        .bind(digest.as_bytes().to_vec())
        .bind(&*correction.source)
        .bind(&*correction.id)
        .bind(&*correction.event.source)
        .bind(&*correction.event.id)
        .bind(meter.name())
        .bind(meter.aggregation() == Aggregation::Latest)
        .bind(Instant(Timestamp::from_unix_micros(column(&row, "at")?)))
        .bind(quantity_before)
        .bind(events_before)
        .bind(after.map(|(quantity, _)| quantity))
        .bind(after.map(|(_, events)| i64::try_from(events).unwrap_or(i64::MAX)))
        .bind(reason)
        .bind(by.to_string())
        .bind(Json(entry_row(&entry)))
        .execute(&mut **tx)
        .await?;
        Ok(CorrectionOutcome::Applied)
    }
}

/// The entry of the trail that says who did what to a tenant's usage, and why.
pub(crate) fn entry(
    now: Timestamp,
    tenant: TenantId,
    action: &'static str,
    by: &Actor,
    reason: &str,
) -> AuditEntry {
    AuditEntry::new(now, action, Outcome::Allowed)
        .tenant(tenant)
        .actor(by.clone())
        .reason(reason.to_owned())
}

pub(crate) fn entry_row(entry: &AuditEntry) -> Value {
    audit::as_json(entry)
}

/// Whether a sum would be too large.
pub(super) fn is_too_large(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.constraint() == Some("usage_sum"))
}

pub(super) fn too_large() -> EventError {
    EventError::new(
        EventErrorKind::Overflow,
        format!(
            "with this a window would add up to more than {}; count in a larger unit",
            UsageEvent::MAX_TOTAL
        ),
    )
}

/// Whether it may succeed if it begins again: also where another one has just written under the same key.
pub(super) fn may_begin_again(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    has_lost(error) || code.is_some_and(|code| &*code == UNIQUE_VIOLATION)
}
