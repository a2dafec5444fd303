//! Rows of the outbox, read.

use serde_json::Value;
use sqlx::{Row as _, postgres::PgRow, types::Uuid};
use tenancy_core::{
    EventId, TenantId, Timestamp,
    outbox::{ConsumerLag, Event, ParkedEvent},
};

fn unreadable(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    }
}

fn count(row: &PgRow, column: &str) -> Result<u64, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|error| unreadable(column, error))
}

fn moment(row: &PgRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    let micros: Option<i64> = row.try_get(column)?;
    Ok(micros.map(Timestamp::from_unix_micros))
}

fn tries(row: &PgRow) -> Result<u32, sqlx::Error> {
    let tries: i32 = row.try_get("tries")?;
    u32::try_from(tries).map_err(|error| unreadable("tries", error))
}

pub(super) fn event(row: &PgRow) -> Result<Event, sqlx::Error> {
    let tenant: Option<Uuid> = row.try_get("tenant_id")?;
    let created_at: i64 = row.try_get("created_at")?;
    let payload: Value = row.try_get("payload")?;
    Ok(Event::stored(
        EventId::from_uuid(row.try_get("event")?),
        count(row, "place")?,
        row.try_get("kind")?,
        payload,
        Timestamp::from_unix_micros(created_at),
    )
    .of_tenant(tenant.map(TenantId::from_uuid))
    .caused_by(row.try_get("caused_by")?)
    .at_try(tries(row)?.saturating_add(1)))
}

pub(super) fn parked(row: &PgRow) -> Result<ParkedEvent, sqlx::Error> {
    let mut parked = ParkedEvent::new(event(row)?);
    parked.tries = tries(row)?;
    parked.due_at = moment(row, "due_at")?;
    parked.last_error = row.try_get("last_error")?;
    parked.set_aside_at = moment(row, "set_aside_at")?;
    Ok(parked)
}

pub(super) fn lag(row: &PgRow) -> Result<ConsumerLag, sqlx::Error> {
    let name: &str = row.try_get("name")?;
    let name = name.parse().map_err(|error| unreadable("name", error))?;
    let mut lag = ConsumerLag::new(name, count(row, "place")?);
    lag.waiting = count(row, "waiting")?;
    lag.oldest_waiting = moment(row, "oldest_waiting")?;
    lag.parked = count(row, "parked")?;
    lag.set_aside = count(row, "set_aside")?;
    lag.held_until = moment(row, "held_until")?;
    Ok(lag)
}
