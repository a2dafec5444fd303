//! Settling, renewing and giving back.

use std::sync::Arc;

use tenancy_core::{
    Timestamp,
    quota::{
        Counters as _, CountersError, Counting, Operation, OperationId, Settle, Settled, Take,
    },
};

use super::{
    Inner,
    lease::OfPeriod,
    owned::OwnedTake,
    parts::{Part, Parts},
    store::GivesBack,
    taking::at_once,
};

/// What is to be settled, by where it is counted.
#[derive(Default)]
struct Split {
    local: Vec<(OwnedTake, u64)>,
    period: Vec<(OwnedTake, u64)>,
    held: Vec<(OwnedTake, u64)>,
}

impl Split {
    fn of<'a>(each: impl Iterator<Item = (Take<'a>, u64)>) -> Self {
        let mut split = Self::default();
        for (take, actual) in each {
            let part = match Part::of(&take.algorithm) {
                Some(Part::Period) => &mut split.period,
                Some(Part::Held) => &mut split.held,
                _ => &mut split.local,
            };
            part.push((OwnedTake::of(&take), actual));
        }
        split
    }
}

impl Inner {
    pub(super) fn settle(
        self: &Arc<Self>,
        operation: Operation,
        settles: &[Settle<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        let takes: Vec<_> = settles.iter().map(|settle| settle.take).collect();
        match Parts::of(&takes) {
            Ok(parts) if parts.are_all_local() => {
                return self.memory.settle(operation, settles, now);
            }
            Ok(_) => {}
            Err(error) => return Counting::Ready(Err(error)),
        }
        let gives_back = match settles.iter().all(|settle| settle.actual == 0) {
            false => GivesBack::NotAll,
            true if takes.iter().all(Take::is_by_period) => GivesBack::AllUnlessShared,
            true => GivesBack::All,
        };
        let split = Split::of(settles.iter().map(|settle| (settle.take, settle.actual)));
        if split.held.is_empty() && !operation.is_repeatable() {
            let settled = self.settle_local(operation, &split.local, now);
            if !self.settle_periods(&split.period) {
                return Counting::Ready(settled);
            }
            let inner = Arc::clone(self);
            return self.in_a_task(async move {
                inner.report_dirty(&only_takes(split.period), now).await;
                settled
            });
        }
        let inner = Arc::clone(self);
        self.in_a_task(async move {
            let store = &inner.store;
            let of_held = store.settle(operation, &split.held, gives_back, now).await;
            inner.forget_seen(&split.held);
            let of_held = of_held?;
            if of_held == Settled::Repeated {
                return Ok(of_held);
            }
            let of_local = inner.settle_local(operation, &split.local, now)?;
            if inner.settle_periods(&split.period) {
                inner.report_dirty(&only_takes(split.period), now).await;
            }
            Ok(if of_held == Settled::Late {
                of_held
            } else {
                of_local
            })
        })
    }

    pub(super) fn give_back(
        self: &Arc<Self>,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        match Parts::of(takes) {
            Ok(parts) if parts.are_all_local() => {
                return self.memory.give_back(operation, takes, now);
            }
            Ok(_) => {}
            Err(error) => return Counting::Ready(Err(error)),
        }
        let split = Split::of(takes.iter().map(|take| (*take, 0)));
        let inner = Arc::clone(self);
        self.in_a_task(async move {
            let held: Vec<_> = split.held.iter().map(|(take, _)| take.clone()).collect();
            let of_held = inner.store.give_back(operation, &held, now).await;
            inner.forget_seen(&split.held);
            let of_held = of_held?;
            if of_held == Settled::Repeated {
                return Ok(of_held);
            }
            if !split.local.is_empty() {
                let local: Vec<_> = split.local.iter().map(|(take, _)| take.take()).collect();
                at_once(inner.memory.give_back(operation, &local, now))?;
            }
            if inner.settle_periods(&split.period) {
                inner.report_dirty(&only_takes(split.period), now).await;
            }
            Ok(of_held)
        })
    }

    pub(super) fn renew(
        self: &Arc<Self>,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        if let Err(error) = Parts::of(takes) {
            return Counting::Ready(Err(error));
        }
        let split = Split::of(takes.iter().map(|take| (*take, 0)));
        let local: Vec<_> = split.local.iter().map(|(take, _)| take.take()).collect();
        let of_local = match local.is_empty() {
            true => Ok(Settled::Done),
            false => at_once(self.memory.renew(operation, &local, now)),
        };
        if split.held.is_empty() {
            return Counting::Ready(of_local);
        }
        let inner = Arc::clone(self);
        self.in_a_task(async move {
            let held = only_takes(split.held);
            let of_held = inner.store.renew(operation, &held, now).await?;
            let of_local = of_local?;
            Ok(if of_held == Settled::Late {
                of_held
            } else {
                of_local
            })
        })
    }

    /// Does something to its end, whether somebody waits for it or not.
    fn in_a_task(
        &self,
        work: impl Future<Output = Result<Settled, CountersError>> + Send + 'static,
    ) -> Counting<Settled> {
        let task = self.runtime.spawn(work);
        Counting::Pending(Box::pin(async move {
            match task.await {
                Ok(settled) => settled,
                Err(_) => Err(CountersError::unavailable(
                    "the runtime of the counters has ended",
                )),
            }
        }))
    }

    fn settle_local(
        &self,
        operation: Operation,
        local: &[(OwnedTake, u64)],
        now: Timestamp,
    ) -> Result<Settled, CountersError> {
        if local.is_empty() {
            return Ok(Settled::Done);
        }
        let settles: Vec<_> = (local.iter())
            .map(|(take, actual)| Settle::new(take.take(), *actual))
            .collect();
        at_once(self.memory.settle(operation, &settles, now))
    }

    /// Settles what was used of periods. Whether the database has to be told.
    pub(super) fn settle_periods(self: &Arc<Self>, period: &[(OwnedTake, u64)]) -> bool {
        let mut cells = self.cells();
        let mut is_dirty = false;
        for (take, actual) in period {
            let Some(of) = OfPeriod::of(take) else {
                continue;
            };
            let cell = match cells.get_or_make(of.holder, of.limit, &of.window) {
                Ok(cell) => cell,
                Err(error) => {
                    tracing::error!(%error, limit = of.limit, "what a request has used was not settled");
                    continue;
                }
            };
            match actual.checked_sub(take.amount) {
                Some(more) => cell.add(more),
                None => cell.give_back(take.amount - actual),
            }
            is_dirty |= cell.is_dirty();
        }
        let is_closed = cells.is_closed;
        self.tend(&mut cells);
        is_dirty || is_closed
    }

    fn forget_seen(&self, held: &[(OwnedTake, u64)]) {
        let mut cells = self.cells();
        held.iter()
            .for_each(|(take, _)| cells.forget_seen(&take.holder));
    }
}

fn only_takes(each: Vec<(OwnedTake, u64)>) -> Vec<OwnedTake> {
    each.into_iter().map(|(take, _)| take).collect()
}
