//! What is kept in memory: every event, what was said of it later, and what stands adds up to.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use rust_decimal::Decimal;
use tenancy_core::{TenantId, Timestamp};

use super::{Cell, MemoryUsage, corrected::Corrected, tally::Tally};
use crate::{EventError, EventKey, EventOutcome, Resolution, UsageDigest, UsageEvent, UsageStatus};

#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) events: HashMap<EventKey, Counted>,
    pub(super) tallies: BTreeMap<Cell, Tally>,
    pub(super) status: HashMap<TenantId, UsageStatus>,
    pub(super) corrected: Corrected,
}

/// An event that was counted.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    digest: UsageDigest,
    pub(super) event: UsageEvent,
    /// The quantity, and the number of events that it stands for; `None` if it is voided.
    pub(super) stands: Option<(Decimal, u64)>,
}

impl Counted {
    /// As it counts now.
    fn standing(&self) -> Option<UsageEvent> {
        let (quantity, events) = self.stands?;
        Some(UsageEvent {
            quantity,
            events,
            ..self.event.clone()
        })
    }
}

impl Kept {
    /// Counts an event if it is new, and if it is in time, where a moment is given.
    pub(super) fn count(
        &mut self,
        sink: &MemoryUsage,
        event: &UsageEvent,
        now: Option<Timestamp>,
    ) -> Result<EventOutcome, EventError> {
        let (key, digest) = (event.event_key(), event.digest());
        match self.events.entry(key) {
            Entry::Occupied(counted) if counted.get().digest == digest => {
                return Ok(EventOutcome::AlreadyCounted);
            }
            Entry::Occupied(_) => return Ok(EventOutcome::Conflict),
            Entry::Vacant(free) => {
                if let Some(now) = now {
                    sink.times.check(event.at, now)?;
                }
                add(&mut self.tallies, sink, event)?;
                free.insert(Counted {
                    digest,
                    event: event.clone(),
                    stands: Some((event.quantity, event.events)),
                });
            }
        }
        Ok(EventOutcome::Counted)
    }

    /// Adds what became of an event to the status of its tenant.
    pub(super) fn note(&mut self, event: &UsageEvent, outcome: &EventOutcome, now: Timestamp) {
        let status = self.status.entry(event.tenant).or_default();
        status.note(outcome);
        if *outcome == EventOutcome::Counted {
            status.newest_event = status.newest_event.max(Some(event.at));
            status.rolled_up_until = status.rolled_up_until.max(Some(now));
        }
    }

    /// Makes events stand otherwise, and adds up again each window that one of them is in; all of them or none.
    pub(super) fn restate(
        &mut self,
        sink: &MemoryUsage,
        to: &[(EventKey, Option<(Decimal, u64)>)],
    ) -> Result<(), EventError> {
        let mut before = Vec::with_capacity(to.len());
        let mut cells = BTreeMap::new();
        for (key, stands) in to {
            if let Some(counted) = self.events.get_mut(key) {
                before.push((key.clone(), std::mem::replace(&mut counted.stands, *stands)));
                cells.extend(cells_of(sink, &counted.event).map(|cell| (cell, Tally::default())));
            }
        }
        let added_up = self.add_up(sink, &mut cells);
        if let Err(error) = added_up {
            for (key, stands) in before {
                if let Some(counted) = self.events.get_mut(&key) {
                    counted.stands = stands;
                }
            }
            return Err(error);
        }
        for (cell, tally) in cells {
            // What has no event has no rollup.
            if tally.events() == 0 {
                self.tallies.remove(&cell);
            } else {
                self.tallies.insert(cell, tally);
            }
        }
        Ok(())
    }

    /// Adds every event that stands to those of these windows that it is in.
    fn add_up(
        &self,
        sink: &MemoryUsage,
        cells: &mut BTreeMap<Cell, Tally>,
    ) -> Result<(), EventError> {
        for event in self.events.values().filter_map(Counted::standing) {
            for cell in cells_of(sink, &event) {
                if let Some(tally) = cells.get_mut(&cell) {
                    tally.add(&event)?;
                }
            }
        }
        Ok(())
    }
}

/// The windows that an event is in.
fn cells_of(sink: &MemoryUsage, event: &UsageEvent) -> [Cell; 4] {
    Resolution::ALL.map(|resolution| {
        let window = sink.calendar.window(event.tenant, resolution, event.at);
        Cell::of(event, resolution, window)
    })
}

/// Adds an event to each window that it is in, or to none.
fn add(
    tallies: &mut BTreeMap<Cell, Tally>,
    sink: &MemoryUsage,
    event: &UsageEvent,
) -> Result<(), EventError> {
    let mut after = Vec::new();
    for cell in cells_of(sink, event) {
        let mut tally = tallies.get(&cell).cloned().unwrap_or_default();
        tally.add(event)?;
        after.push((cell, tally));
    }
    tallies.extend(after);
    Ok(())
}
