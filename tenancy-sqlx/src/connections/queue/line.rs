//! Those who wait on one tenant's behalf, in the order in which they came.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tenancy_core::TenantId;

use super::{Allowance, Load, Pace, Way};

/// Where a tenant comes to stand, and at which place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing {
    InRing(u64),
    AsNewcomer(u64),
}

#[derive(Debug)]
pub(super) struct Line<W> {
    /// By number, which only grows.
    waiters: VecDeque<Place<W>>,
    allowance: Allowance,
    /// Connections that are lent on the tenant's behalf.
    held: usize,
    /// Where the tenant stands in the ring.
    turn: Option<u64>,
    /// Where it goes on with a turn in which it has come to hold as many connections as it may.
    kept: Option<u64>,
    /// How many were served in this turn.
    served: u32,
    /// How many were served ahead of this turn.
    ahead: u32,
    is_newcomer: bool,
    /// How often a connection comes back that was lent on the tenant's behalf.
    pace: Pace,
}

#[derive(Debug)]
struct Place<W> {
    number: u64,
    since: Instant,
    waiter: W,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self {
            waiters: VecDeque::new(),
            allowance: Allowance::ALL,
            held: 0,
            turn: None,
            kept: None,
            served: 0,
            ahead: 0,
            is_newcomer: false,
            pace: Pace::default(),
        }
    }
}

impl<W> Line<W> {
    /// Takes note of what the tenant may have from now on.
    pub(super) const fn allow(&mut self, allowance: Allowance) {
        self.allowance = allowance;
    }

    pub(super) fn join(&mut self, number: u64, waiter: W, now: Instant) {
        self.is_newcomer |= self.is_unused();
        self.waiters.push_back(Place {
            number,
            since: now,
            waiter,
        });
    }

    pub(super) fn leave(&mut self, number: u64) -> Option<W> {
        let at = self
            .waiters
            .binary_search_by_key(&number, |place| place.number);
        let place = self.waiters.remove(at.ok()?)?;
        if self.waiters.is_empty() {
            self.end_turn();
        }
        Some(place.waiter)
    }

    /// Takes out the first one, who is lent a connection.
    pub(super) fn serve(&mut self, way: Way) -> Option<W> {
        let place = self.waiters.pop_front()?;
        self.held += 1;
        let served = match way {
            Way::Named => &mut self.ahead,
            _ => &mut self.served,
        };
        *served = served.saturating_add(1);
        Some(place.waiter)
    }

    pub(super) fn lend(&mut self) {
        self.held += 1;
    }

    pub(super) fn give_back(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    pub(super) fn note_return(&mut self, now: Instant) {
        self.pace.note(now);
    }

    pub(super) fn dissolve(&mut self) -> impl Iterator<Item = W> {
        self.turn = None;
        self.end_turn();
        self.waiters.drain(..).map(|place| place.waiter)
    }

    /// Begins another turn.
    pub(super) const fn stand(&mut self, turn: u64) {
        self.served = 0;
        self.ahead = 0;
        self.is_newcomer = false;
        self.turn = Some(turn);
    }

    /// Goes on with the turn that was kept, or begins one: ahead of the ring if it is a newcomer.
    pub(super) fn stand_up(&mut self, next: u64) -> Standing {
        let turn = self.kept.take().unwrap_or(next);
        self.turn = Some(turn);
        if self.is_newcomer {
            Standing::AsNewcomer(turn)
        } else {
            Standing::InRing(turn)
        }
    }

    /// Whether a connection that names it may serve it before its turn.
    pub(super) const fn may_go_ahead(&self) -> bool {
        self.turn.is_some() && !self.is_newcomer && self.ahead < self.allowance.turn
    }

    /// Leaves the ring, and keeps its turn if somebody waits for it.
    pub(super) fn step_aside(&mut self) {
        let turn = self.turn.take();
        if self.waiters.is_empty() {
            self.end_turn();
        } else {
            self.kept = turn;
        }
    }

    /// Keeps nothing of a turn outside of the ring.
    pub(super) const fn end_turn(&mut self) {
        self.served = 0;
        self.ahead = 0;
        self.is_newcomer = false;
        self.kept = None;
    }

    /// How many of them may be served.
    pub(super) fn demand(&self) -> usize {
        let more = self.allowance.most.saturating_sub(self.held);
        self.waiters.len().min(more)
    }

    pub(super) const fn has_had_its_turn(&self) -> bool {
        self.served >= self.allowance.turn
    }

    /// How many of them are served while the turn goes round once: none of a line that stands aside.
    pub(super) fn place_in_round(&self) -> u64 {
        self.turn.map_or(0, |_| u64::from(self.allowance.turn))
    }

    pub(super) fn load(&self, tenant: Option<TenantId>, now: Instant) -> Load {
        let first = self.waiters.front();
        Load {
            tenant,
            held: self.held,
            waiting: self.waiters.len(),
            longest_wait: first.map_or(Duration::ZERO, |place| {
                now.saturating_duration_since(place.since)
            }),
        }
    }

    pub(super) fn is_unused(&self) -> bool {
        self.held == 0 && self.waiters.is_empty()
    }

    pub(super) const fn turn(&self) -> Option<u64> {
        self.turn
    }

    pub(super) const fn allowance(&self) -> Allowance {
        self.allowance
    }

    pub(super) const fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(super) const fn held(&self) -> usize {
        self.held
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }
}
