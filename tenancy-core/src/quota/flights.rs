//! Charges with an id of the client's that are under way: two of one id at once pay once, however either ends.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Operation, OperationId};

/// How many charges of each id are under way, and whether there was more than one at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<OperationId, (usize, bool)>>>);

/// A charge that is under way, until it is settled or dropped.
#[derive(Debug)]
pub(super) struct Flight {
    of: Flights,
    operation: OperationId,
    has_ended: AtomicBool,
}

impl Flights {
    /// `None` for an operation that nobody can repeat.
    pub(super) fn begin(&self, operation: Operation) -> Option<Flight> {
        if !operation.is_repeatable() {
            return None;
        }
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, is_shared) = flights.entry(operation.id()).or_default();
        *is_shared |= *count > 0;
        *count += 1;
        Some(Flight {
            of: self.clone(),
            operation: operation.id(),
            has_ended: AtomicBool::new(false),
        })
    }
}

impl Flight {
    /// Ends it. Whether another one of the same id has been under way meanwhile, and may have been admitted with what
    /// this one took.
    pub(super) fn end(&self) -> bool {
        if self.has_ended.swap(true, Ordering::AcqRel) {
            return false;
        }
        let mut flights = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((count, is_shared)) = flights.get_mut(&self.operation) else {
            return false;
        };
        let is_shared = *is_shared;
        *count -= 1;
        if *count == 0 {
            flights.remove(&self.operation);
        }
        is_shared
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.end();
    }
}
