//! When an outage begins and ends, and what was done meanwhile: counted, logged and audited.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use super::Outages;
use crate::{AuditEntry, AuditSink, Clock, Outcome, Timestamp};

/// How long a store has to answer without a failure before an outage has ended.
const QUIET: Duration = Duration::from_secs(1);

/// How a store answered: a store that keeps some counts at hand answers for these at once, also while it is out of
/// reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    AtOnce,
    Later,
}

/// What became of a request that the store did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Uncounted,
    ByShare,
    RefusedByShare,
    Refused,
}

/// The outages of one engine's store.
#[derive(Debug)]
pub(super) struct Record {
    clock: Arc<dyn Clock>,
    audit: Arc<dyn AuditSink>,
    is_out: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    totals: Outages,
    /// The totals when this outage began.
    before: Outages,
    last_failure: Option<(Timestamp, Answered)>,
}

impl Record {
    pub(super) fn new(clock: Arc<dyn Clock>, audit: Arc<dyn AuditSink>) -> Self {
        Self {
            clock,
            audit,
            is_out: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    pub(super) fn totals(&self) -> Outages {
        self.state().totals
    }

    pub(super) fn is_out(&self) -> bool {
        self.is_out.load(Ordering::Relaxed)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store did not answer a request, of which this became.
    pub(super) fn failed(&self, how: Answered, fate: Fate) {
        let now = self.clock.now();
        let begins = {
            let mut state = self.state();
            let begins = state.totals.since.is_none();
            if begins {
                state.before = state.totals;
                state.totals.since = Some(now);
                state.totals.begun += 1;
            }
            // Whatever fails later, the answer of that kind ends it.
            let how = match state.last_failure {
                Some((_, Answered::Later)) if !begins => Answered::Later,
                _ => how,
            };
            state.last_failure = Some((now, how));
            let totals = &mut state.totals;
            *match fate {
                Fate::Uncounted => &mut totals.admitted_uncounted,
                Fate::ByShare => &mut totals.admitted_by_share,
                Fate::RefusedByShare => &mut totals.refused_by_share,
                Fate::Refused => &mut totals.refused,
            } += 1;
            self.is_out.store(true, Ordering::Relaxed);
            begins
        };
        if begins {
            tracing::warn!(
                "the store of the counters does not answer; until it does, requests get what their limits say \
                 with `Limit::on_outage`"
            );
            let entry = AuditEntry::new(now, "quota.outage-begin", Outcome::Failed);
            self.audit.record(entry.reason("counters-unavailable"));
        }
    }

    /// The store has answered a request.
    #[inline]
    pub(super) fn answered(&self, how: Answered) {
        if self.is_out() {
            self.may_end(how);
        }
    }

    #[cold]
    fn may_end(&self, how: Answered) {
        let now = self.clock.now();
        let (since, done) = {
            let mut state = self.state();
            let (Some(since), Some((failed_at, failed))) = (state.totals.since, state.last_failure)
            else {
                return;
            };
            let says_something = how == Answered::Later || failed == Answered::AtOnce;
            if !says_something || now.since(failed_at) < QUIET {
                return;
            }
            let (now, before) = (state.totals, state.before);
            let done = Outages {
                since: None,
                begun: 1,
                admitted_uncounted: now.admitted_uncounted - before.admitted_uncounted,
                admitted_by_share: now.admitted_by_share - before.admitted_by_share,
                refused_by_share: now.refused_by_share - before.refused_by_share,
                refused: now.refused - before.refused,
            };
            state.totals.since = None;
            state.last_failure = None;
            self.is_out.store(false, Ordering::Relaxed);
            (since, done)
        };
        let seconds = now.since(since).as_secs();
        tracing::warn!(
            seconds,
            admitted_uncounted = done.admitted_uncounted,
            admitted_by_share = done.admitted_by_share,
            refused_by_share = done.refused_by_share,
            refused = done.refused,
            "the store of the counters answers again"
        );
        let entry = AuditEntry::new(now, "quota.outage-end", Outcome::Allowed).details(json!({
            "seconds": seconds,
            "admitted_uncounted": done.admitted_uncounted,
            "admitted_by_share": done.admitted_by_share,
            "refused_by_share": done.refused_by_share,
            "refused": done.refused,
        }));
        self.audit.record(entry);
    }
}
