//! Asking: one script, or one for each home where homes are in several places.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tenancy_core::{
    Timestamp,
    quota::{
        CountersError, Granted, Operation, OperationId, Settled, Standing, Standings, Take, Taken,
    },
};

use super::{
    answer,
    home::Home,
    request::{Change, Header, Request, check},
    scripts,
};
use crate::{RedisError, link::Link, script::Script};

/// A Redis, and how it is counted there.
pub(super) struct Inner {
    pub(super) link: Link,
    pub(super) remembered: Duration,
    pub(super) resend: Duration,
    pub(super) slack: Duration,
    pub(super) by_callers: bool,
    pub(super) is_divided: bool,
    pub(super) is_closed: AtomicBool,
}

/// The digest of a script, its keys, and its arguments.
pub(super) type Asks = (&'static str, Vec<String>, Vec<Vec<u8>>);

/// What is to be done with each take.
pub(super) type Each<'a> = Vec<(Take<'a>, Change)>;

/// The scripts that undo what was taken of a home, beside the one that takes it.
pub(super) struct Taking {
    take: Request,
    undo: Option<Request>,
}

impl Inner {
    fn header(&self, now: Timestamp, remembered: bool) -> Header {
        Header {
            now,
            by_caller: self.by_callers,
            remember: if remembered {
                self.remembered
            } else {
                self.resend
            },
            resend: self.resend,
            slack: self.slack,
            once: !remembered,
            flag: 0,
        }
    }

    /// The calls for these takes: one, or one for each home, in an order that is always the same.
    fn calls<'a>(
        &self,
        header: Header,
        operation: OperationId,
        each: &Each<'a>,
    ) -> Result<Vec<Request>, CountersError> {
        let takes: Vec<_> = each.iter().map(|(take, _)| *take).collect();
        check(&takes)?;
        if takes.is_empty() {
            return Ok(Vec::new());
        }
        let placed =
            |(place, (take, change)): (usize, &(Take<'a>, Change))| (place, *take, *change);
        let mut homes: Vec<_> = takes.iter().map(|take| Home::of(&take.holder)).collect();
        homes.sort_unstable();
        homes.dedup();
        if !self.is_divided || homes.len() < 2 {
            let all = each.iter().enumerate().map(placed);
            return Ok(vec![Request::new(header, operation, all)?]);
        }
        let of_home = |home| {
            let those = each.iter().enumerate().map(placed);
            let those = those.filter(move |(_, take, _)| Home::of(&take.holder) == home);
            Request::new(header, operation, those)
        };
        homes.into_iter().map(of_home).collect()
    }

    async fn ask(&self, script: &Script, request: &Request) -> Result<redis::Value, CountersError> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(CountersError::unavailable("these counters are closed"));
        }
        let answer = self
            .link
            .eval(script, &request.keys, &request.arguments)
            .await;
        answer.map_err(refused)
    }

    /// What [`take`](Self::take) asks.
    pub(super) fn to_take(
        &self,
        operation: Operation,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Result<Vec<Taking>, CountersError> {
        let header = self.header(now, operation.is_repeatable());
        let all = |change| takes.iter().map(|take| (*take, change)).collect();
        let calls = self.calls(header, operation.id(), &all(Change::Take))?;
        let mut undo = Vec::new();
        if calls.len() > 1 {
            // Only what is known to be taken.
            let header = self.header(now, true);
            let settles = self.calls(header, operation.id(), &all(Change::Settle(0)))?;
            undo.extend(settles.into_iter().map(Request::flagged));
        }
        let mut undo = undo.into_iter();
        let taking = |take| Taking {
            take,
            undo: undo.next(),
        };
        Ok(calls.into_iter().map(taking).collect())
    }

    /// The one script that takes of one limit.
    pub(super) fn what_is_asked(
        &self,
        operation: Operation,
        take: &Take<'_>,
        now: Timestamp,
    ) -> Option<Asks> {
        let mut calls = self.to_take(operation, &[*take], now).ok()?;
        let Taking { take, .. } = calls.pop()?;
        let script = scripts::taking(take.has_several);
        Some((script.digest(), take.keys, take.arguments))
    }

    /// Takes home by home; where one refuses, gives back what was taken of those before, and asks those after.
    pub(super) async fn take(
        &self,
        calls: Vec<Taking>,
        count: usize,
        now: Timestamp,
    ) -> Result<Taken, CountersError> {
        let (mut denied, mut done) = (Vec::new(), Vec::new());
        let mut granted = Granted::default();
        let mut standings = vec![Standing::default(); count];
        let mut is_repeated = true;
        for Taking { take, undo } in calls {
            let take = if denied.is_empty() {
                take
            } else {
                take.flagged()
            };
            let answer = self.ask(scripts::taking(take.has_several), &take).await;
            let taken =
                answer.and_then(|answer| answer::taken(&take, answer, now).map_err(refused));
            match taken {
                Err(error) => {
                    // Whether it was taken is not known.
                    done.extend(undo);
                    self.undo(done).await;
                    return Err(error);
                }
                Ok(Taken::Denied(more)) => denied.extend(more),
                Ok(Taken::Granted(more)) if denied.is_empty() => {
                    is_repeated &= more.repeated;
                    if !more.repeated {
                        done.extend(undo);
                    }
                    for (place, standing) in take.places.iter().zip(more.standings.iter()) {
                        if let Some(slot) = standings.get_mut(*place) {
                            *slot = *standing;
                        }
                    }
                    granted.crossed.extend(more.crossed);
                }
                Ok(Taken::Granted(_)) => {}
            }
        }
        if !denied.is_empty() {
            self.undo(done).await;
            denied.sort_by_key(|one| one.take);
            return Ok(Taken::Denied(denied));
        }
        granted.standings = standings.into_iter().collect();
        granted.crossed.sort_by_key(|one| one.take);
        granted.repeated = is_repeated && count > 0;
        Ok(Taken::Granted(granted))
    }

    /// Gives back what was taken of some homes.
    async fn undo(&self, done: Vec<Request>) {
        for request in done {
            if let Err(error) = self.ask(&scripts::SETTLE, &request).await {
                tracing::warn!(%error, "what was taken in one part of Redis stays taken, because another part refuses");
            }
        }
    }

    /// What [`change`](Self::change) asks.
    pub(super) fn to_change(
        &self,
        operation: OperationId,
        each: &Each<'_>,
        now: Timestamp,
        remembered: bool,
        gives_all_back: bool,
    ) -> Result<Vec<Request>, CountersError> {
        let by_period = each.iter().all(|(take, _)| take.is_by_period());
        let header = Header {
            flag: match gives_all_back {
                true if by_period => 2,
                all => u8::from(all),
            },
            ..self.header(now, remembered)
        };
        self.calls(header, operation, each)
    }

    /// Settles, renews or gives back, home by home.
    pub(super) async fn change(
        &self,
        script: &Script,
        calls: Vec<Request>,
    ) -> Result<Settled, CountersError> {
        let mut all = None;
        for request in calls {
            let answer = self.ask(script, &request).await?;
            let one = answer::settled(answer).map_err(refused)?;
            all = match (all, one) {
                (Some(Settled::Late), _) | (_, Settled::Late) => Some(Settled::Late),
                (Some(Settled::Done), _) | (_, Settled::Done) => Some(Settled::Done),
                _ => Some(one),
            };
        }
        Ok(all.unwrap_or(Settled::Done))
    }

    /// What [`look`](Self::look) asks.
    pub(super) fn to_look(
        &self,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Result<Vec<Request>, CountersError> {
        let each = takes.iter().map(|take| (*take, Change::Look)).collect();
        let nobody = OperationId::from(uuid::Uuid::nil());
        self.calls(self.header(now, false), nobody, &each)
    }

    pub(super) async fn look(
        &self,
        calls: Vec<Request>,
        count: usize,
        now: Timestamp,
    ) -> Result<Standings, CountersError> {
        let mut all = vec![Standing::default(); count];
        for request in calls {
            let answer = self.ask(&scripts::STANDINGS, &request).await?;
            let standings = answer::standings(&request, answer, now).map_err(refused)?;
            for (place, standing) in request.places.iter().zip(standings) {
                if let Some(slot) = all.get_mut(*place) {
                    *slot = standing;
                }
            }
        }
        Ok(all.into_iter().collect())
    }
}

fn refused(error: RedisError) -> CountersError {
    CountersError::unavailable(error)
}
