//! What each tenant has written last, as far as this process knows.

use std::collections::HashMap;

use tenancy_core::TenantId;

use super::position::{History, Lsn, Position, Running};

/// The most tenants that are told apart. Beyond, all of them wait for the latest write of any.
const MOST: usize = 10_000;

/// Up to where a replica must have replayed, for each tenant.
#[derive(Debug)]
pub(super) struct Marks {
    tenants: HashMap<TenantId, Mark>,
    /// Holds for every tenant.
    all: Mark,
    history: History,
    /// The primary's latest position that is known.
    latest: Lsn,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    lsn: Lsn,
    doubt: Option<Doubt>,
}

/// A write of which it is not known whether and where it is in the log. In the order of how long it
/// takes to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    /// It is known once all transactions below this number have ended: its own is one of them.
    Until(u64),
    /// The primary is being asked.
    Asked,
    /// The primary has not been asked yet.
    New,
}

impl Mark {
    fn and(self, other: Self) -> Self {
        Self {
            lsn: self.lsn.max(other.lsn),
            doubt: self.doubt.max(other.doubt),
        }
    }

    fn settle(&mut self, running: &Running) {
        if self.doubt == Some(Doubt::Asked) {
            self.doubt = Some(Doubt::Until(running.xmax));
        }
        if let Some(Doubt::Until(xmax)) = self.doubt
            && running.xmin >= xmax
        {
            self.doubt = None;
            self.lsn = self.lsn.max(running.position.lsn);
        }
    }
}

impl Marks {
    /// Every tenant needs what the primary has written by now.
    pub(super) fn new(now: Position) -> Self {
        Self {
            tenants: HashMap::new(),
            // What an earlier process wrote, too.
            all: Mark {
                lsn: now.lsn,
                doubt: None,
            },
            history: now.history,
            latest: now.lsn,
        }
    }

    /// Whose log the positions are in.
    pub(super) fn history(&self) -> History {
        self.history
    }

    /// The primary's latest position that is known.
    pub(super) fn latest(&self) -> Lsn {
        self.latest
    }

    /// Up to where a replica must have replayed; `None` if nobody knows.
    pub(super) fn needed(&self, tenant: TenantId) -> Option<Lsn> {
        let mark = self.of(tenant);
        mark.doubt.is_none().then_some(mark.lsn)
    }

    /// The tenant's last write that is known.
    pub(super) fn last(&self, tenant: TenantId) -> Position {
        Position {
            history: self.history,
            lsn: self.of(tenant).lsn,
        }
    }

    /// A commit was acknowledged, and this is a position at or behind it.
    pub(super) fn committed(&mut self, tenant: TenantId, at: Position) {
        self.heard_of(at);
        if at.history == self.history {
            self.add(tenant, at.lsn, None);
        } else {
            // By a primary that has been replaced.
            self.doubt(tenant);
        }
    }

    /// Another process has written up to here, it says.
    ///
    /// # Security
    /// What is said may be made up. A position that the primary has not been seen at raises a doubt,
    /// which the primary's own position settles.
    pub(super) fn told(&mut self, tenant: TenantId, at: Position) {
        if at.history == self.history && at.lsn <= self.latest {
            self.add(tenant, at.lsn, None);
        } else {
            self.doubt(tenant);
        }
    }

    /// A tenant may have written.
    pub(super) fn doubt(&mut self, tenant: TenantId) {
        self.add(tenant, Lsn::default(), Some(Doubt::New));
    }

    /// The primary is about to be asked. Doubts that are raised from now on are not settled by its
    /// answer.
    pub(super) fn asking(&mut self) {
        for mark in self.tenants.values_mut().chain([&mut self.all]) {
            if mark.doubt == Some(Doubt::New) {
                mark.doubt = Some(Doubt::Asked);
            }
        }
    }

    /// The primary has answered.
    pub(super) fn answered(&mut self, running: &Running) {
        if !self.heard_of(running.position) {
            for mark in self.tenants.values_mut().chain([&mut self.all]) {
                mark.settle(running);
            }
        }
    }

    /// Every replica that is read from has replayed up to here. One that comes later has to, too.
    pub(super) fn reached(&mut self, lsn: Lsn) {
        let all = &mut self.all;
        self.tenants.retain(|_, mark| {
            let keep = mark.doubt.is_some() || mark.lsn > lsn;
            if !keep {
                all.lsn = all.lsn.max(mark.lsn);
            }
            keep
        });
    }

    /// Takes note of where the primary is, and whether its history has become another one. Then
    /// nothing is known of anybody.
    fn heard_of(&mut self, at: Position) -> bool {
        if at.history == self.history {
            self.latest = self.latest.max(at.lsn);
            return false;
        }
        if at.history.is_before(self.history) {
            return true;
        }
        *self = Self::new(at);
        self.all.doubt = Some(Doubt::New);
        true
    }

    fn of(&self, tenant: TenantId) -> Mark {
        let own = self.tenants.get(&tenant).copied().unwrap_or_default();
        own.and(self.all)
    }

    fn add(&mut self, tenant: TenantId, lsn: Lsn, doubt: Option<Doubt>) {
        if self.tenants.len() >= MOST && !self.tenants.contains_key(&tenant) {
            let everybody = self.tenants.drain().map(|(_, mark)| mark);
            self.all = everybody.fold(self.all, Mark::and);
        }
        let mark = self.tenants.entry(tenant).or_default();
        *mark = mark.and(Mark { lsn, doubt });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: History = History {
        system: 7,
        timeline: 1,
    };

    fn at(lsn: u64) -> Position {
        Position {
            history: FIRST,
            lsn: Lsn(lsn),
        }
    }

    fn running(lsn: u64, xmin: u64, xmax: u64) -> Running {
        Running {
            position: at(lsn),
            xmin,
            xmax,
        }
    }

    fn marks() -> (Marks, TenantId, TenantId) {
        (Marks::new(at(0)), TenantId::new(), TenantId::new())
    }

    #[test]
    fn a_tenant_needs_its_own_last_write_and_no_other() {
        let (mut marks, acme, globex) = marks();
        marks.committed(acme, at(20));
        marks.committed(acme, at(10));
        assert_eq!(marks.needed(acme), Some(Lsn(20)));
        assert_eq!(marks.needed(globex), Some(Lsn(0)));
    }

    #[test]
    fn a_doubt_lasts_until_what_was_under_way_has_ended() {
        let (mut marks, acme, globex) = marks();
        marks.doubt(acme);
        // Asked before it was raised.
        marks.answered(&running(30, 5, 5));
        assert_eq!(marks.needed(acme), None);

        marks.asking();
        marks.answered(&running(40, 5, 9));
        assert_eq!(marks.needed(acme), None);
        marks.asking();
        marks.answered(&running(50, 8, 12));
        assert_eq!(marks.needed(acme), None);
        marks.asking();
        marks.answered(&running(60, 9, 12));
        assert_eq!(marks.needed(acme), Some(Lsn(60)));
        assert_eq!(marks.needed(globex), Some(Lsn(0)));
    }

    #[test]
    fn a_later_commit_does_not_settle_a_doubt() {
        let (mut marks, acme, _) = marks();
        marks.doubt(acme);
        marks.committed(acme, at(20));
        assert_eq!(marks.needed(acme), None);
    }

    #[test]
    fn a_doubt_that_is_raised_while_the_primary_is_asked_stays() {
        let (mut marks, acme, _) = marks();
        marks.doubt(acme);
        marks.asking();
        marks.doubt(acme);
        marks.answered(&running(40, 9, 9));
        assert_eq!(marks.needed(acme), None);
    }

    #[test]
    fn what_was_reached_is_forgotten_by_tenant_and_not_altogether() {
        let (mut marks, acme, globex) = marks();
        marks.committed(acme, at(20));
        marks.committed(globex, at(40));
        marks.reached(Lsn(30));
        assert_eq!(marks.tenants.len(), 1);
        // A replica that was rebuilt from an old copy is behind this.
        assert_eq!(marks.needed(acme), Some(Lsn(20)));
        assert_eq!(marks.needed(globex), Some(Lsn(40)));
    }

    #[test]
    fn more_tenants_than_are_told_apart_all_need_the_latest_write() {
        let (mut marks, acme, globex) = marks();
        marks.committed(acme, at(1_000_000));
        for lsn in 1..MOST {
            marks.committed(TenantId::new(), at(u64::try_from(lsn).unwrap()));
        }
        assert_eq!(marks.tenants.len(), MOST);
        assert_eq!(marks.needed(globex), Some(Lsn(0)));
        marks.doubt(TenantId::new());
        assert_eq!(marks.tenants.len(), 1);
        assert_eq!(marks.needed(globex), Some(Lsn(1_000_000)));
    }

    #[test]
    fn a_doubt_is_not_lost_among_too_many_tenants() {
        let (mut marks, acme, globex) = marks();
        marks.doubt(acme);
        for lsn in 1..=MOST {
            marks.committed(TenantId::new(), at(u64::try_from(lsn).unwrap()));
        }
        assert_eq!(marks.needed(acme), None);
        assert_eq!(marks.needed(globex), None);
        marks.asking();
        marks.answered(&running(60_000, 9, 9));
        assert_eq!(marks.needed(acme), Some(Lsn(60_000)));
    }

    #[test]
    fn in_another_history_nothing_is_known_until_the_primary_is_asked() {
        let (mut marks, acme, globex) = marks();
        marks.committed(acme, at(90));
        let timeline = |timeline, lsn| Position {
            history: History { timeline, ..FIRST },
            lsn: Lsn(lsn),
        };
        marks.committed(globex, timeline(2, 50));
        assert_eq!((marks.needed(acme), marks.needed(globex)), (None, None));
        marks.asking();
        marks.answered(&Running {
            position: timeline(2, 60),
            xmin: 9,
            xmax: 9,
        });
        assert_eq!(marks.needed(acme), Some(Lsn(60)));

        // The former primary has not noticed.
        marks.committed(acme, at(95));
        assert_eq!(marks.needed(acme), None);
        assert_eq!(marks.history().timeline, 2);
    }

    #[test]
    fn a_position_that_the_primary_was_not_seen_at_is_a_doubt() {
        let (mut marks, acme, globex) = marks();
        marks.committed(globex, at(50));
        marks.told(acme, at(50));
        assert_eq!(marks.needed(acme), Some(Lsn(50)));
        marks.told(acme, at(u64::MAX));
        assert_eq!(marks.needed(acme), None);
        marks.asking();
        marks.answered(&running(70, 9, 9));
        assert_eq!(marks.needed(acme), Some(Lsn(70)));
    }
}
