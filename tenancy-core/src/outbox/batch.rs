//! The events of a page, in the order in which they may be handled while some of them fail.

use std::collections::{HashSet, VecDeque};

use super::{Event, EventPage};
use crate::TenantId;

pub(super) struct Batch {
    parked: VecDeque<Event>,
    new: VecDeque<Event>,
    /// The tenants of which an event has failed.
    failed: HashSet<Option<TenantId>>,
}

impl Batch {
    pub(super) fn new(page: EventPage) -> Self {
        Self {
            parked: page.parked.into(),
            new: page.new.into(),
            failed: HashSet::new(),
        }
    }

    /// Leaves out what waits behind an event of this tenant from now on.
    pub(super) fn fail(&mut self, tenant: Option<TenantId>) {
        self.failed.insert(tenant);
    }

    /// The next one.
    ///
    /// A parked event that has to wait is left out. A new one ends the batch: the position must not pass it
    /// before the store has parked it.
    pub(super) fn peek(&mut self) -> Option<&Event> {
        while let Some(event) = self.parked.front() {
            if !self.failed.contains(&event.tenant) {
                return self.parked.front();
            }
            self.parked.pop_front();
        }
        if self.failed.contains(&self.new.front()?.tenant) {
            self.new.clear();
        }
        self.new.front()
    }

    pub(super) fn take(&mut self) -> Option<Event> {
        self.peek()?;
        self.parked.pop_front().or_else(|| self.new.pop_front())
    }
}
