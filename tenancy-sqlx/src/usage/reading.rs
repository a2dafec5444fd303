//! What usage adds up to, read.

use std::collections::BTreeMap;

use sqlx::{
    postgres::PgRow,
    types::{Json, Uuid},
};
use tenancy_core::{KeyId, ProjectId, Timestamp, quota::Window};
use tenancy_usage::{
    Aggregation, Decimal, Resolution, Rollup, RollupQuery, UsageError, UsageStatus,
};

use super::{Inner, column, instant::Instant, unavailable};

/// As retention names the windows.
const fn windows(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Hour => "hours",
        Resolution::Day => "days",
        Resolution::Period => "periods",
        _ => "minutes",
    }
}

/// As the function and the table have them.
const fn number(resolution: Resolution) -> i16 {
    match resolution {
        Resolution::Hour => 1,
        Resolution::Day => 2,
        Resolution::Period => 3,
        // `Minute`, and what may be added to it.
        _ => 0,
    }
}

impl Inner {
    pub(super) async fn rollups(&self, query: &RollupQuery) -> Result<Vec<Rollup>, UsageError> {
        query.check(&self.meters)?;
        let Some(meter) = self.meters.get(&query.meter) else {
            return Ok(Vec::new());
        };
        let aggregation = query.aggregation.unwrap_or(meter.aggregation());
        let by_dimensions = query.by_dimensions.iter();
        let by_dimensions: Vec<_> = by_dimensions.map(|name| name.to_string()).collect();
        let resolution = query.resolution.unwrap_or_else(|| self.longest(query));
        let mut tx = self.begin().await?;
        // At least one row, which says up to when windows were removed.
        let rows = sqlx::query(
            "SELECT (extract(epoch FROM p.pruned) * 1000000)::bigint AS pruned, (extract(epoch FROM u.since) * 1000000)::bigint AS since,
                 (extract(epoch FROM u.until) * 1000000)::bigint AS until, u.project_id, u.key_id, u.dimensions,
                 u.events, u.sum::text AS sum, u.max, u.min, u.latest, u.different
             FROM tenancy.usage_pruned_before($1, $13) AS p (pruned)
                 LEFT JOIN tenancy.read_usage($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $14) AS u ON true",
        )
        .bind(query.tenant.as_uuid())
        .bind(&*query.meter)
        .bind(number(resolution))
        .bind(Instant(query.range.start))
        .bind(Instant(query.range.end))
        .bind(query.project.map(|id| id.as_uuid()))
        .bind(query.key.map(|id| id.as_uuid()))
        .bind(query.by_project)
        .bind(query.by_key)
        .bind(by_dimensions)
        .bind(query.resolution.is_none())
        .bind(aggregation == Aggregation::Unique)
        .bind(windows(resolution))
        .bind(Json(&query.only))
        .fetch_all(&mut *tx)
        .await
        .map_err(unavailable)?;
        tx.give_back();
        if let Some(row) = rows.first()
            && let Some(pruned) = column::<Option<i64>>(row, "pruned").map_err(unavailable)?
        {
            self.check_kept(query, resolution, Timestamp::from_unix_micros(pruned))?;
        }
        let mut told = Vec::with_capacity(rows.len());
        for row in &rows {
            // There is no window, or nothing that was in it stands any more.
            let events = column::<Option<Decimal>>(row, "events").map_err(unavailable)?;
            if events.is_some_and(|events| !events.is_zero()) {
                told.push(row);
            }
        }
        let rollups = told.into_iter().map(|row| rollup(row, query, aggregation));
        let mut rollups: Vec<_> = rollups.collect::<Result<_, _>>()?;
        // In the order in which every sink tells them.
        rollups.sort_by(|one, other| {
            let (of, with) = (&one.window, &other.window);
            (of.start, of.end, one.project, one.key, &one.dimensions).cmp(&(
                with.start,
                with.end,
                other.project,
                other.key,
                &other.dimensions,
            ))
        });
        Ok(rollups)
    }

    /// The longest windows into which the range of a total can be divided: of a month these are days, and not 43,200 minutes. Not
    /// billing periods, of which two overlap where a tenant is billed from another day on.
    fn longest(&self, query: &RollupQuery) -> Resolution {
        let fits = |resolution| {
            let begins = |at| self.calendar.window(query.tenant, resolution, at).start == at;
            begins(query.range.start) && begins(query.range.end)
        };
        let longer = [Resolution::Day, Resolution::Hour];
        longer
            .into_iter()
            .find(|it| fits(*it))
            .unwrap_or(Resolution::Minute)
    }

    /// Whether the first window of the range is not among those that ended before what was removed.
    fn check_kept(
        &self,
        query: &RollupQuery,
        resolution: Resolution,
        pruned: Timestamp,
    ) -> Result<(), UsageError> {
        let window = |at| self.calendar.window(query.tenant, resolution, at);
        let mut first = window(query.range.start);
        if first.start < query.range.start {
            first = window(first.end);
        }
        if first.end >= pruned {
            return Ok(());
        }
        let (what, begins) = (windows(resolution), query.range.start);
        Err(UsageError::invalid_query(format!(
            "usage by {what} before {pruned} was removed, and the range begins at {begins}; begin it after that, or ask for \
             longer windows, which may be kept longer"
        )))
    }
}

fn rollup(
    row: &PgRow,
    query: &RollupQuery,
    aggregation: Aggregation,
) -> Result<Rollup, UsageError> {
    let (rollup, sum) = told(row, query, aggregation).map_err(unavailable)?;
    let Some(sum) = sum else { return Ok(rollup) };
    // PostgreSQL adds what a `Decimal` has no digits for.
    let Ok(quantity) = Decimal::from_str_exact(&sum) else {
        return Err(UsageError::invalid_query(format!(
            "`{}` adds up to {sum}, more than can be told without rounding; ask for a shorter time",
            query.meter
        )));
    };
    Ok(Rollup {
        quantity: quantity.normalize(),
        ..rollup
    })
}

/// A rollup, and the sum where that is its quantity.
fn told(
    row: &PgRow,
    query: &RollupQuery,
    aggregation: Aggregation,
) -> Result<(Rollup, Option<String>), sqlx::Error> {
    let moment = |name| column(row, name).map(Timestamp::from_unix_micros);
    let window = Window::new(moment("since")?, moment("until")?);
    let events: Decimal = column(row, "events")?;
    let quantity = match aggregation {
        Aggregation::Count => events,
        Aggregation::Max => column::<Option<Decimal>>(row, "max")?.unwrap_or_default(),
        Aggregation::Min => column::<Option<Decimal>>(row, "min")?.unwrap_or_default(),
        Aggregation::Latest => column::<Option<Decimal>>(row, "latest")?.unwrap_or_default(),
        Aggregation::Unique => column::<Option<i64>>(row, "different")?.unwrap_or(0).into(),
        // `Sum`, and what may be added to it.
        _ => Decimal::ZERO,
    };
    let events = u64::try_from(events).unwrap_or(u64::MAX);
    let mut rollup = Rollup::new(
        query.tenant,
        &*query.meter,
        window,
        quantity.normalize(),
        events,
    );
    rollup.project = column::<Option<Uuid>>(row, "project_id")?.map(ProjectId::from_uuid);
    rollup.key = column::<Option<Uuid>>(row, "key_id")?.map(KeyId::from_uuid);
    let Json(dimensions) = column::<Json<BTreeMap<Box<str>, Box<str>>>>(row, "dimensions")?;
    rollup.dimensions = dimensions;
    let is_sum = matches!(aggregation, Aggregation::Sum);
    let sum = is_sum.then(|| column(row, "sum")).transpose()?;
    Ok((rollup, sum))
}

pub(super) fn status(row: &PgRow, status: &mut UsageStatus) -> Result<(), sqlx::Error> {
    for (name, count) in [
        ("counted", &mut status.counted),
        ("already_counted", &mut status.already_counted),
        ("conflicts", &mut status.conflicts),
        ("unmatched", &mut status.unmatched),
        ("too_late", &mut status.too_late),
        ("refused", &mut status.refused),
        ("pending", &mut status.pending),
    ] {
        let told = column::<Option<i64>>(row, name)?;
        *count = told.and_then(|told| u64::try_from(told).ok()).unwrap_or(0);
    }
    for (name, moment) in [
        ("newest_event", &mut status.newest_event),
        ("rolled_up_until", &mut status.rolled_up_until),
        ("pending_since", &mut status.pending_since),
    ] {
        *moment = column::<Option<i64>>(row, name)?.map(Timestamp::from_unix_micros);
    }
    Ok(())
}
