//! A batch of events as the function `record_usage` takes it: an array of each field.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use sqlx::types::{Json, Uuid};
use tenancy_core::{TenantId, Timestamp};
use tenancy_usage::{
    Aggregation, Decimal, EventError, EventErrorKind, EventOutcome, Resolution, UsageCalendar,
    UsageEvent, UsageMeter,
};

use super::instant::Instant;
use crate::session;

#[derive(Debug, Default)]
pub(super) struct Batch {
    tenants: Vec<Uuid>,
    keys: Vec<Uuid>,
    digests: Vec<Vec<u8>>,
    meters: Vec<String>,
    ats: Vec<Instant>,
    sources: Vec<String>,
    ids: Vec<String>,
    quantities: Vec<Decimal>,
    counts: Vec<i64>,
    uniques: Vec<Option<String>>,
    projects: Vec<Option<Uuid>>,
    api_keys: Vec<Option<Uuid>>,
    users: Vec<Option<Uuid>>,
    jobs: Vec<Option<String>>,
    dimensions: Vec<Json<serde_json::Map<String, serde_json::Value>>>,
    groups: Vec<Uuid>,
    of_latest: Vec<bool>,
    late: Vec<i16>,
    /// Of hours, days and periods: where they begin, and where they end.
    windows: [(Vec<Instant>, Vec<Instant>); 3],
    /// Of each event that it was told of, whether it is sent.
    places: Vec<bool>,
    /// How many events of a tenant no meter matched, and how many were refused.
    bad: HashMap<TenantId, (i64, i64)>,
}

impl Batch {
    /// Nothing but that an event of a tenant was refused.
    pub(super) fn refused(tenant: TenantId) -> Self {
        let mut batch = Self::default();
        batch.bad.insert(tenant, (0, 1));
        batch
    }

    pub(super) fn add(
        &mut self,
        event: &UsageEvent,
        meter: &UsageMeter,
        calendar: &UsageCalendar,
        untimely: Option<&EventError>,
    ) {
        self.places.push(true);
        self.tenants.push(event.tenant.as_uuid());
        self.keys.push(key_of(&event.source, &event.id));
        self.digests.push(event.digest().as_bytes().to_vec());
        self.meters.push(event.meter.to_string());
        self.ats.push(Instant(event.at));
        self.sources.push(event.source.to_string());
        self.ids.push(event.id.to_string());
        self.quantities.push(event.quantity);
        self.counts
            .push(i64::try_from(event.events).unwrap_or(i64::MAX));
        self.uniques
            .push(event.unique_value.as_deref().map(str::to_owned));
        self.projects.push(event.project.map(|id| id.as_uuid()));
        self.api_keys.push(event.key.map(|id| id.as_uuid()));
        self.users.push(event.user.map(|id| id.as_uuid()));
        self.jobs.push(event.job.as_deref().map(str::to_owned));
        let dimensions = event.dimensions.iter();
        let dimensions = dimensions.map(|(name, value)| (name.to_string(), (&**value).into()));
        self.dimensions.push(Json(dimensions.collect()));
        self.groups.push(group_of(event));
        self.of_latest
            .push(meter.aggregation() == Aggregation::Latest);
        self.late.push(match untimely.map(EventError::kind) {
            None => 0,
            Some(EventErrorKind::TooLate) => 1,
            Some(_) => 2,
        });
        let resolutions = [Resolution::Hour, Resolution::Day, Resolution::Period];
        for (resolution, (starts, ends)) in resolutions.into_iter().zip(&mut self.windows) {
            let window = calendar.window(event.tenant, resolution, event.at);
            starts.push(Instant(window.start));
            ends.push(Instant(window.end));
        }
    }

    /// An event that is not sent, for what became of it.
    pub(super) fn note_bad(&mut self, tenant: TenantId, outcome: &EventOutcome) {
        self.places.push(false);
        let (unmatched, refused) = self.bad.entry(tenant).or_default();
        match outcome {
            EventOutcome::Unmatched(_) => *unmatched += 1,
            _ => *refused += 1,
        }
    }

    /// Of each event in their order, whether it is sent.
    pub(super) fn places(&mut self) -> Vec<bool> {
        std::mem::take(&mut self.places)
    }

    /// What became of each event that was sent, as the function tells it.
    pub(super) async fn send(
        self,
        tx: &mut session::Open,
        now: Timestamp,
    ) -> Result<Vec<i16>, sqlx::Error> {
        let [(hours, hour_ends), (days, day_ends), (periods, period_ends)] = self.windows;
        let (mut tenants, mut unmatched, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (tenant, counts) in self.bad {
            tenants.push(tenant.as_uuid());
            unmatched.push(counts.0);
            refused.push(counts.1);
        }
        sqlx::query_scalar(
            "SELECT tenancy.record_usage($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                 $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)",
        )
        .bind(self.tenants)
        .bind(self.keys)
        .bind(self.digests)
        .bind(self.meters)
        .bind(self.ats)
        .bind(self.sources)
        .bind(self.ids)
        .bind(self.quantities)
        .bind(self.counts)
        .bind(self.uniques)
        .bind(self.projects)
        .bind(self.api_keys)
        .bind(self.users)
        .bind(self.jobs)
        .bind(self.dimensions)
        .bind(self.groups)
        .bind(self.of_latest)
        .bind(self.late)
        .bind(hours)
        .bind(hour_ends)
        .bind(days)
        .bind(day_ends)
        .bind(periods)
        .bind(period_ends)
        .bind(tenants)
        .bind(unmatched)
        .bind(refused)
        .bind(Instant(now))
        .fetch_one(&mut **tx)
        .await
    }
}

/// Of source and id, each with its length, so that no two pairs have the same bytes.
pub(super) fn key_of(source: &str, id: &str) -> Uuid {
    short(Sha256::new_with_prefix("usage-key-1"), [source, id])
}

/// Of project, key and dimensions.
fn group_of(event: &UsageEvent) -> Uuid {
    let mut hash = Sha256::new_with_prefix("usage-group-1");
    for id in [
        event.project.map(|id| id.as_uuid()),
        event.key.map(|id| id.as_uuid()),
    ] {
        hash.update([u8::from(id.is_some())]);
        hash.update(id.unwrap_or(Uuid::nil()).as_bytes());
    }
    let dimensions = event.dimensions.iter();
    short(
        hash,
        dimensions.flat_map(|(name, value)| [&**name, &**value]),
    )
}

/// The first half of a digest, to which texts are added.
fn short<'t>(mut hash: Sha256, texts: impl IntoIterator<Item = &'t str>) -> Uuid {
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let (half, _) = digest.split_at(16);
    Uuid::from_slice(half).unwrap_or_default()
}
