//! Whose turn it is: connections that are idle, callers who wait for one, and rights to open more.
//!
//! Pure data: who holds the queue opens, lends and wakes.

mod line;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use tenancy_core::TenantId;

use line::Line;

/// On whose behalf a connection is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// The library's own questions, such as a readiness check.
    House,
    /// A tenant's work.
    Tenant(TenantId),
}

/// What a queue keeps to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The most connections that are open, or being opened, at a time.
    pub(super) most: usize,
    /// The most connections that one tenant holds at a time.
    pub(super) per_tenant: usize,
    /// How many waiters of one tenant are served in a row while others wait.
    pub(super) quantum: u32,
}

/// The turns go round by tenant: whoever has waiters stands in the ring once, is served up to
/// the quantum, and goes to its end. A tenant that holds as many connections as it may stands
/// aside until one comes back. The house goes first, but for every second turn at most while
/// tenants wait.
///
/// Nothing is idle while somebody waits who may be served: each change settles at most one of both.
#[derive(Debug)]
pub(super) struct Queue<C, W> {
    bounds: Bounds,
    /// In the order in which they came back.
    idle: Vec<C>,
    /// Rights in use: idle, lent, on their way back, or being opened.
    open: usize,
    opening: usize,
    /// Of those who wait or hold a connection, and of nobody else.
    lines: HashMap<Lane, Line<W>>,
    /// Tenants with waiters who may be served, by the number of their turn.
    ring: BTreeMap<u64, Lane>,
    /// The last number that was given to a turn or a waiter.
    number: u64,
    waiting: usize,
    /// Waiters who may be served.
    demand: usize,
    house_was_last: bool,
    closed: bool,
}

/// A waiter whose turn it is, and a connection.
#[derive(Debug)]
pub(super) struct Grant<C, W> {
    pub(super) lane: Lane,
    pub(super) waiter: W,
    pub(super) connection: C,
}

/// How busy a queue is.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) open: usize,
    pub(crate) opening: usize,
    pub(crate) idle: usize,
    pub(crate) waiting: usize,
    /// What each lane holds, and how many wait in it.
    pub(crate) loads: Vec<(Lane, usize, usize)>,
}

/// A waiter's place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    lane: Lane,
    number: u64,
}

impl<C, W> Queue<C, W> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            idle: Vec::new(),
            open: 0,
            opening: 0,
            lines: HashMap::new(),
            ring: BTreeMap::new(),
            number: 0,
            waiting: 0,
            demand: 0,
            house_was_last: false,
            closed: false,
        }
    }

    /// An idle connection if there is one and the lane may have it: of those that suit, if any do, the
    /// one used last.
    pub(super) fn take(&mut self, lane: Lane, suits: impl Fn(&C) -> bool) -> Option<C> {
        if self.is_at_its_most(lane) {
            return None;
        }
        let connection = match self.idle.iter().rposition(suits) {
            Some(at) => self.idle.remove(at),
            None => self.idle.pop()?,
        };
        self.change(lane, Line::lend);
        self.house_was_last = lane == Lane::House;
        Some(connection)
    }

    /// Puts a waiter in the lane's line, after [`take`](Self::take) had nothing.
    pub(super) fn wait(&mut self, lane: Lane, waiter: W) -> Ticket {
        self.number += 1;
        let number = self.number;
        self.waiting += 1;
        self.change(lane, |line| line.join(number, waiter));
        Ticket { lane, number }
    }

    /// Takes a waiter out who has not been served.
    pub(super) fn give_up(&mut self, ticket: Ticket) -> Option<W> {
        if !self.lines.contains_key(&ticket.lane) {
            return None;
        }
        let gone = self.change(ticket.lane, |line| line.leave(ticket.number));
        self.waiting -= usize::from(gone.is_some());
        gone
    }

    /// A connection that was lent comes back.
    pub(super) fn back(&mut self, lane: Lane, connection: C) -> Option<Grant<C, W>> {
        self.change(lane, Line::give_back);
        self.idle.push(connection);
        self.settle()
    }

    /// A connection is closed: one that was lent to a lane, or one that was taken out of the idle ones.
    pub(super) fn gone(&mut self, lane: Option<Lane>) -> Option<Grant<C, W>> {
        if let Some(lane) = lane {
            self.change(lane, Line::give_back);
        }
        self.open = self.open.saturating_sub(1);
        self.settle()
    }

    /// A right to open a connection, as long as more waiters may be served than are being opened for.
    pub(super) fn take_right(&mut self) -> bool {
        let wanted = self.opening < self.demand;
        wanted && self.take_right_below(self.bounds.most)
    }

    /// A right to open a connection that nobody waits for, while fewer are open.
    pub(super) fn take_right_below(&mut self, least: usize) -> bool {
        let free = !self.closed && self.open < least.min(self.bounds.most);
        if free {
            self.open += 1;
            self.opening += 1;
        }
        free
    }

    /// The right was used.
    pub(super) fn opened(&mut self, connection: C) -> Option<Grant<C, W>> {
        self.opening = self.opening.saturating_sub(1);
        self.idle.push(connection);
        self.settle()
    }

    /// The right was of no use.
    pub(super) fn not_opened(&mut self) {
        self.opening = self.opening.saturating_sub(1);
        self.open = self.open.saturating_sub(1);
    }

    /// The waiter whose turn it is, to be told something else than that there is a connection.
    pub(super) fn refuse(&mut self) -> Option<W> {
        let (lane, waiter) = self.next()?;
        self.change(lane, Line::give_back);
        Some(waiter)
    }

    /// Takes out idle connections that are to be closed. Each keeps its right until it is
    /// [`gone`](Self::gone).
    pub(super) fn expire(&mut self, is_due: impl Fn(&C) -> bool) -> Vec<C> {
        self.idle
            .extract_if(.., |connection| is_due(connection))
            .collect()
    }

    /// Lends nothing from now on. What was idle keeps its right until it is [`gone`](Self::gone).
    pub(super) fn close(&mut self) -> (Vec<C>, Vec<W>) {
        self.closed = true;
        let mut waiters = Vec::with_capacity(self.waiting);
        for line in self.lines.values_mut() {
            waiters.extend(line.dissolve());
        }
        self.lines.retain(|_, line| !line.is_unused());
        self.ring.clear();
        self.waiting = 0;
        self.demand = 0;
        (std::mem::take(&mut self.idle), waiters)
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) const fn open(&self) -> usize {
        self.open
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Whether somebody waits who may be served.
    pub(super) const fn is_wanted(&self) -> bool {
        self.demand > 0
    }

    /// Whether a lane holds as many connections as it may.
    pub(super) fn is_at_its_most(&self, lane: Lane) -> bool {
        let held = self.lines.get(&lane).map_or(0, Line::held);
        held >= self.most_of(lane)
    }

    /// How busy it is.
    pub(super) fn level(&self) -> Level {
        let lines = self.lines.iter();
        Level {
            open: self.open,
            opening: self.opening,
            idle: self.idle.len(),
            waiting: self.waiting,
            loads: lines
                .map(|(lane, line)| (*lane, line.held(), line.waiting()))
                .collect(),
        }
    }

    fn most_of(&self, lane: Lane) -> usize {
        match lane {
            Lane::House => usize::MAX,
            Lane::Tenant(_) => self.bounds.per_tenant,
        }
    }

    fn settle(&mut self) -> Option<Grant<C, W>> {
        if self.idle.is_empty() {
            return None;
        }
        let (lane, waiter) = self.next()?;
        Some(Grant {
            lane,
            waiter,
            connection: self.idle.pop()?,
        })
    }

    fn next(&mut self) -> Option<(Lane, W)> {
        let lane = self.whose_turn()?;
        let waiter = self.change(lane, Line::serve)?;
        self.waiting -= 1;
        self.house_was_last = lane == Lane::House;
        if !self.house_was_last {
            self.pass_on(lane);
        }
        Some((lane, waiter))
    }

    fn whose_turn(&self) -> Option<Lane> {
        if self.demand == 0 {
            return None;
        }
        let tenant = self.ring.first_key_value().map(|(_, lane)| *lane);
        let house = self.lines.get(&Lane::House);
        let house_waits = house.is_some_and(|line| line.waiting() > 0);
        if house_waits && !(self.house_was_last && tenant.is_some()) {
            return Some(Lane::House);
        }
        tenant
    }

    /// Puts a lane that was served its quantum at the end of the ring.
    fn pass_on(&mut self, lane: Lane) {
        let Some(line) = self.lines.get_mut(&lane) else {
            return;
        };
        if line.served() >= self.bounds.quantum && self.ring.len() > 1 {
            self.number += 1;
            if let Some(before) = line.stand(self.number) {
                self.ring.remove(&before);
                self.ring.insert(self.number, lane);
            }
        }
    }

    /// Changes a lane's line, and what follows from it.
    fn change<T>(&mut self, lane: Lane, change: impl FnOnce(&mut Line<W>) -> T) -> T {
        let most = self.most_of(lane);
        let line = self.lines.entry(lane).or_default();
        let before = line.demand(most);
        let changed = change(line);
        let after = line.demand(most);
        self.demand = (self.demand + after).saturating_sub(before);
        match (line.turn(), after) {
            (Some(turn), 0) => {
                self.ring.remove(&turn);
                line.step_aside();
            }
            (None, 1..) if lane != Lane::House => {
                self.number += 1;
                line.stand(self.number);
                self.ring.insert(self.number, lane);
            }
            _ => {}
        }
        if line.is_unused() {
            self.lines.remove(&lane);
            if self.lines.len() < self.lines.capacity() / 8 {
                self.lines.shrink_to(self.lines.len() * 2 + 64);
            }
        }
        changed
    }
}
