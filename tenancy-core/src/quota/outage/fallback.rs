//! `Fallback`: an engine's counters, and what decides while they do not answer.

use std::{fmt, sync::Arc};

use super::{
    OnOutage, Outages, ShareUsedUp,
    record::{Answered, Fate, Record},
    share,
};
use crate::{
    AuditSink, Clock, Timestamp,
    quota::{
        Counters, CountersError, Counting, Granted, MAX_AMOUNT, MemoryCounters, Operation,
        OwnedTake, Settle, Settled, Standing, Standings, Take, Taken,
    },
};

/// The counters of an engine. While they do not answer, each limit gets what it says.
pub(in crate::quota) struct Fallback {
    counters: Arc<dyn Counters>,
    shares: Arc<Shares>,
}

/// What this process counts by itself.
struct Shares {
    record: Record,
    /// Kept for good: what a share has counted of a period stays counted when the store comes and goes.
    counters: MemoryCounters,
}

impl Fallback {
    pub(in crate::quota) fn new(
        counters: Arc<dyn Counters>,
        clock: Arc<dyn Clock>,
        audit: Arc<dyn AuditSink>,
    ) -> Self {
        let shares = Shares {
            record: Record::new(clock, audit),
            counters: MemoryCounters::new(),
        };
        Self {
            counters,
            shares: Arc::new(shares),
        }
    }

    /// The counters themselves, for what no share can answer.
    pub(in crate::quota) fn store(&self) -> &dyn Counters {
        &*self.counters
    }

    pub(in crate::quota) fn outages(&self) -> Outages {
        self.shares.record.totals()
    }

    pub(in crate::quota) fn is_out(&self) -> bool {
        self.shares.record.is_out()
    }

    /// Takes all of this, or nothing, of the store or of this process's shares.
    pub(in crate::quota) fn take(
        &self,
        operation: Operation,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Taken> {
        match self.counters.take(operation, takes, now) {
            Counting::Ready(Ok(taken)) => {
                self.shares.record.answered(Answered::AtOnce);
                Counting::Ready(Ok(taken))
            }
            Counting::Ready(Err(error)) => Counting::Ready(self.shares.take_after(
                error,
                Answered::AtOnce,
                operation,
                takes,
                now,
            )),
            Counting::Pending(answer) => {
                let shares = Arc::clone(&self.shares);
                let is_closed = |take: &Take<'_>| take.on_outage == OnOutage::Closed;
                let owned = (!takes.iter().any(is_closed)).then(|| OwnedTake::all_of(takes));
                Counting::Pending(Box::pin(async move {
                    match answer.await {
                        Ok(taken) => {
                            shares.record.answered(Answered::Later);
                            Ok(taken)
                        }
                        Err(error) => match owned {
                            Some(owned) => {
                                let takes: Vec<_> = owned.iter().map(OwnedTake::take).collect();
                                shares.take_after(error, Answered::Later, operation, &takes, now)
                            }
                            None => Err(shares.closed(error, Answered::Later)),
                        },
                    }
                }))
            }
        }
    }

    /// Settles an operation where it was taken.
    pub(in crate::quota) fn settle(
        &self,
        operation: Operation,
        settles: &[Settle<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        if !operation.is_of_share() {
            return self.counters.settle(operation, settles, now);
        }
        let each = settles.iter().filter_map(|settle| {
            let take = share::of_take(&settle.take)?;
            Some(Settle::new(take, settle.actual))
        });
        let of_shares: Vec<_> = each.collect();
        self.shares.counters.settle(operation, &of_shares, now)
    }

    /// Renews an operation where it was taken.
    pub(in crate::quota) fn renew(
        &self,
        operation: Operation,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        if !operation.is_of_share() {
            return self.counters.renew(operation.id(), takes, now);
        }
        let of_shares: Vec<_> = takes.iter().filter_map(share::of_take).collect();
        self.shares.counters.renew(operation.id(), &of_shares, now)
    }
}

impl Shares {
    /// What an operation gets that the store did not answer.
    fn take_after(
        &self,
        error: CountersError,
        how: Answered,
        operation: Operation,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Result<Taken, CountersError> {
        if !matches!(error, CountersError::Unavailable(_)) {
            return Err(error);
        }
        if takes.iter().any(|take| take.on_outage == OnOutage::Closed) {
            return Err(self.closed(error, how));
        }
        let (fate, answer) = self.decide(operation, takes, now);
        self.record.failed(how, fate);
        answer
    }

    /// What is refused because a limit is closed.
    fn closed(&self, error: CountersError, how: Answered) -> CountersError {
        if matches!(error, CountersError::Unavailable(_)) {
            self.record.failed(how, Fate::Refused);
        }
        error
    }

    /// What limits decide of which none is closed.
    fn decide(
        &self,
        operation: Operation,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> (Fate, Result<Taken, CountersError>) {
        let of_share = |take: &&Take<'_>| take.on_outage != OnOutage::Open;
        let whole: Vec<_> = takes.iter().filter(of_share).collect();
        if whole.is_empty() {
            let standings = takes.iter().map(|_| UNCOUNTED).collect();
            let granted = Granted::new(standings, Vec::new(), false);
            return (Fate::Uncounted, Ok(Taken::Granted(granted.by_share())));
        }
        let parts: Vec<_> = whole
            .iter()
            .filter_map(|take| share::of_take(take))
            .collect();
        if parts.len() < whole.len() {
            let has_none = whole.iter().filter(|take| share::of_take(take).is_none());
            return used_up(has_none.map(|take| take.limit));
        }
        let taken = match self.counters.take(operation, &parts, now) {
            Counting::Ready(taken) => taken,
            Counting::Pending(_) => Err(CountersError::unavailable("memory has no answer")),
        };
        match taken {
            Ok(Taken::Granted(granted)) => {
                let mut counted = granted.standings.iter();
                let standings: Standings = takes
                    .iter()
                    .map(|take| match take.on_outage {
                        OnOutage::Open => UNCOUNTED,
                        _ => counted.next().copied().unwrap_or(UNCOUNTED),
                    })
                    .collect();
                let granted = Granted::new(standings, Vec::new(), granted.repeated);
                (Fate::ByShare, Ok(Taken::Granted(granted.by_share())))
            }
            Ok(Taken::Denied(denied)) => used_up(
                denied
                    .iter()
                    .filter_map(|one| Some(parts.get(one.take)?.limit)),
            ),
            Err(full) => (Fate::RefusedByShare, Err(full)),
        }
    }
}

/// Where a limit stands that nobody counts: it has no number, and no field tells of it.
const UNCOUNTED: Standing = Standing::new(MAX_AMOUNT, 0, None);

fn used_up<'a>(limits: impl Iterator<Item = &'a str>) -> (Fate, Result<Taken, CountersError>) {
    let limits = limits.map(Box::from).collect();
    let error = CountersError::unavailable(ShareUsedUp { limits });
    (Fate::RefusedByShare, Err(error))
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counters.fmt(f)
    }
}
