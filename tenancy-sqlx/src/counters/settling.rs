//! Settling, renewing and giving back.

use std::sync::Arc;

use tenancy_core::{
    Timestamp,
    quota::{CountersError, Counting, Operation, OperationId, OwnedTake, Settle, Settled, Take},
};

use super::{
    Inner,
    lease::OfPeriod,
    parts::{Part, Parts},
    store::GivesBack,
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
                return self.others.settle(operation, settles, now);
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
            let is_to_be_told = self.settle_periods(&split.period);
            if !is_to_be_told && matches!(settled, Counting::Ready(_)) {
                return settled;
            }
            let inner = Arc::clone(self);
            return self.in_a_task(async move {
                let settled = settled.answer().await;
                if is_to_be_told {
                    inner.report_dirty(&only_takes(split.period), now).await;
                }
                settled
            });
        }
        let inner = Arc::clone(self);
        self.in_a_task(async move {
            let store = &inner.store;
            // The others remember such an operation too. They go first, so that a settlement that failed in the
            // database can be made again.
            let first = match operation.is_repeatable() {
                true => {
                    let settled = inner.settle_local(operation, &split.local, now);
                    Some(settled.answer().await?)
                }
                false => None,
            };
            let of_held = store.settle(operation, &split.held, gives_back, now).await;
            inner.forget_seen(&split.held);
            let of_held = of_held?;
            if of_held == Settled::Repeated {
                return Ok(of_held);
            }
            let of_local = match first {
                Some(settled) => settled,
                None => {
                    let settled = inner.settle_local(operation, &split.local, now);
                    settled.answer().await?
                }
            };
            if inner.settle_periods(&split.period) {
                inner.report_dirty(&only_takes(split.period), now).await;
            }
            // The others may have come back empty, and know of nothing.
            Ok(if of_local == Settled::Late {
                of_local
            } else {
                of_held
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
                return self.others.give_back(operation, takes, now);
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
                let given_back = {
                    let local = split.local.iter().map(|(take, _)| take.take());
                    let local: Vec<_> = local.collect();
                    inner.others.give_back(operation, &local, now)
                };
                given_back.answer().await?;
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
            true => Counting::ready(Settled::Done),
            false => self.others.renew(operation, &local, now),
        };
        if split.held.is_empty() {
            return of_local;
        }
        let inner = Arc::clone(self);
        self.in_a_task(async move {
            let held = only_takes(split.held);
            let of_held = inner.store.renew(operation, &held, now).await?;
            let of_local = of_local.answer().await?;
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
    ) -> Counting<Settled> {
        if local.is_empty() {
            return Counting::ready(Settled::Done);
        }
        let settles: Vec<_> = (local.iter())
            .map(|(take, actual)| Settle::new(take.take(), *actual))
            .collect();
        self.others.settle(operation, &settles, now)
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
