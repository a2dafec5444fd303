//! Leasing: units are debited ahead, and what is not used is returned.

use std::sync::{Arc, Weak};

use tenancy_core::{
    Timestamp,
    quota::{Algorithm, Ceiling, CountersError, Denial, Holder, MAX_AMOUNT, OwnedTake, Window},
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Inner,
    cells::{Cell, Verdict},
    store::Report,
};

/// A limit's period: what is counted, and up to where.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfPeriod<'a> {
    pub(super) holder: &'a Holder,
    pub(super) limit: &'a str,
    pub(super) ceiling: Ceiling,
    pub(super) window: Window,
    pub(super) warn_at: &'a [u8],
}

impl<'a> OfPeriod<'a> {
    /// `None` if it is not one per period.
    pub(super) fn of(take: &'a OwnedTake) -> Option<Self> {
        match take.algorithm {
            Algorithm::Period(ceiling, window) => Some(Self {
                holder: &take.holder,
                limit: &take.limit,
                ceiling,
                window,
                warn_at: &take.warn_at,
            }),
            _ => None,
        }
    }
}

/// What one report is to do beside telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Lease what those who wait need.
    Lease,
    /// Return all that is in hand.
    Return,
}

/// One of those who wait for units. Waits no more when it is dropped.
struct Waiter<'a> {
    inner: &'a Inner,
    of: OfPeriod<'a>,
    id: u64,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut cells = self.inner.cells();
        if let Some(cell) = cells.get(self.of.holder, self.of.limit, &self.of.window) {
            cell.wait_no_more(self.id);
        }
    }
}

fn closed() -> CountersError {
    CountersError::unavailable("the counters of this process are closed")
}

impl Inner {
    /// Waits until so much is in hand, or it is known that it can't be; then why. Others of this process may be quicker
    /// to use it.
    pub(super) async fn have_in_hand(
        self: &Arc<Self>,
        of: OfPeriod<'_>,
        amount: u64,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Option<Denial>, CountersError> {
        let mut waiter = None;
        loop {
            let mut changed = {
                let mut cells = self.cells();
                if cells.is_closed {
                    return Err(closed());
                }
                let id = match &waiter {
                    None => cells.new_waiter(),
                    Some(Waiter { id, .. }) => *id,
                };
                let cell = cells.get_or_make(of.holder, of.limit, &of.window)?;
                match cell.verdict(&of.ceiling, amount, now) {
                    Verdict::Enough => return Ok(None),
                    Verdict::Denied(denial) => return Ok(Some(denial)),
                    Verdict::Unknown => {}
                }
                if amount <= of.ceiling.most().unwrap_or(MAX_AMOUNT) {
                    cell.wait(id, amount);
                }
                // Not made twice: it waits no more when it is dropped.
                waiter.get_or_insert_with(|| Waiter {
                    inner: self,
                    of,
                    id,
                });
                if !cell.is_asking {
                    self.report(of.holder, cell, Purpose::Lease, Some(of), now);
                }
                let changed = cell.changed();
                self.tend(&mut cells);
                changed
            };
            if timeout_at(deadline, changed.changed()).await.is_err() {
                return Err(CountersError::unavailable("the database does not answer"));
            }
            let mut cells = self.cells();
            let cell = cells.get(of.holder, of.limit, &of.window);
            if let Some(why) = cell.and_then(|cell| cell.error.clone()) {
                return Err(CountersError::unavailable(why.to_string()));
            }
        }
    }

    /// Begins a report, which a task ends, whoever goes away.
    pub(super) fn report(
        self: &Arc<Self>,
        holder: &Holder,
        cell: &mut Cell,
        purpose: Purpose,
        of: Option<OfPeriod<'_>>,
        now: Timestamp,
    ) {
        cell.is_asking = true;
        cell.error = None;
        if purpose == Purpose::Return {
            cell.returning = cell.left;
            cell.left = 0;
            cell.batch = 0;
        }
        let (wanted, smallest) = match purpose {
            Purpose::Lease => cell.wanted(),
            Purpose::Return => (0, 1),
        };
        let report = Report {
            holder: *holder,
            limit: cell.limit.clone(),
            window: cell.window,
            is_fresh: cell.is_fresh(),
            in_hand: cell.left,
            consumed: cell.consumed,
            wanted,
            smallest,
            batch: cell.batch.min(self.lease_at_most),
            included: of.map_or(0, |of| of.ceiling.amount()),
            most: of.and_then(|of| of.ceiling.most()),
            warn_at: of.map_or_else(Box::default, |of| of.warn_at.into()),
        };
        let inner = Arc::clone(self);
        self.runtime.spawn(async move {
            let answer = inner.store.lease(&report).await;
            {
                let mut cells = inner.cells();
                let cell = cells.get(&report.holder, &report.limit, &report.window);
                if let Some(cell) = cell {
                    match answer {
                        Ok(lease) => {
                            cell.answered(
                                report.in_hand,
                                report.consumed,
                                lease.granted,
                                lease.debited,
                                now,
                            );
                            cell.crossed = cell.crossed.max(lease.crossed);
                            if report.wanted > 0 {
                                cell.batch = lease.granted.saturating_mul(2);
                            }
                        }
                        Err(error) => cell.unanswered(error.to_string().into()),
                    }
                }
            }
            inner.clean_if_due();
        });
    }

    /// Reports what is dirty of some periods, and waits for it. What can't be told now is told later.
    pub(super) async fn report_dirty(self: &Arc<Self>, takes: &[OwnedTake], now: Timestamp) {
        let deadline = Instant::now() + self.patience;
        for of in takes.iter().filter_map(OfPeriod::of) {
            loop {
                let mut changed = {
                    let mut cells = self.cells();
                    let is_closed = cells.is_closed;
                    let Some(cell) = cells.get(of.holder, of.limit, &of.window) else {
                        break;
                    };
                    if !cell.is_asking {
                        let is_done = if is_closed {
                            cell.is_clean()
                        } else {
                            !cell.is_dirty()
                        };
                        if is_done {
                            break;
                        }
                        let purpose = if cell.has_waiters() {
                            Purpose::Lease
                        } else {
                            Purpose::Return
                        };
                        self.report(of.holder, cell, purpose, Some(of), now);
                    }
                    cell.changed()
                };
                if !matches!(timeout_at(deadline, changed.changed()).await, Ok(Ok(()))) {
                    break;
                }
                let mut cells = self.cells();
                let cell = cells.get(of.holder, of.limit, &of.window);
                if cell.is_none_or(|cell| cell.error.is_some()) {
                    break;
                }
            }
        }
    }

    /// Sees to it that a task looks after what is in hand.
    pub(super) fn tend(self: &Arc<Self>, cells: &mut super::Cells) {
        if cells.is_tended {
            return;
        }
        cells.is_tended = true;
        let (inner, each) = (Arc::downgrade(self), self.return_after);
        self.runtime.spawn(async move {
            loop {
                sleep(each).await;
                match Weak::upgrade(&inner) {
                    Some(inner) if inner.look_after() => {}
                    _ => break,
                }
            }
        });
    }

    /// Returns what was not used since the last time, and forgets what is nothing. Whether anything is left to look
    /// after.
    fn look_after(self: &Arc<Self>) -> bool {
        let mut cells = self.cells();
        cells.forget_all_seen();
        cells.retain(|holder, cell| {
            let is_idle = !cell.is_used && !cell.is_asking && !cell.has_waiters();
            cell.is_used = false;
            if is_idle && cell.is_clean() {
                return false;
            }
            if is_idle {
                let moment = cell.window.start;
                self.report(holder, cell, Purpose::Return, None, moment);
            }
            true
        });
        cells.is_tended = cells.len() > 0;
        cells.is_tended
    }

    /// Returns all that is in hand, and leases no more.
    pub(super) async fn return_everything(self: &Arc<Self>) {
        {
            let mut cells = self.cells();
            cells.is_closed = true;
            // What could not be told before is tried once more.
            cells.retain(|_, cell| {
                cell.error = None;
                true
            });
        }
        let deadline = Instant::now() + self.patience;
        loop {
            let under_way = {
                let mut under_way = None;
                let mut cells = self.cells();
                cells.retain(|holder, cell| {
                    if cell.is_clean() {
                        return false;
                    }
                    if !cell.is_asking && cell.error.is_none() {
                        let moment = cell.window.start;
                        self.report(holder, cell, Purpose::Return, None, moment);
                    }
                    if cell.is_asking {
                        under_way = Some(cell.changed());
                    }
                    true
                });
                under_way
            };
            let Some(mut changed) = under_way else {
                break;
            };
            if timeout_at(deadline, changed.changed()).await.is_err() {
                break;
            }
        }
    }

    /// Has a task remove rows that change no answer, now and then.
    pub(super) fn clean_if_due(self: &Arc<Self>) {
        if !self.store.is_to_be_cleaned() {
            return;
        }
        let inner = Arc::clone(self);
        self.runtime.spawn(async move {
            loop {
                match inner.store.clean().await {
                    // As many as there can be: there may be more.
                    Ok(1_000..) => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::debug!(%error, "rows of counters could not be removed now");
                        break;
                    }
                }
            }
        });
    }
}
