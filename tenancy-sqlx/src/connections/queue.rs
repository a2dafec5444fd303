//! Whose turn it is: connections that are idle, callers who wait for one, and rights to open more.
//!
//! Pure data: who holds the queue opens, lends and wakes.

mod level;
mod line;
mod pace;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use tenancy_core::TenantId;

pub(crate) use level::{Level, Load};
use line::{Line, Standing};
use pace::Pace;

/// On whose behalf a connection is wanted, and what they may have of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    /// Nobody for the house: the library's own questions, such as a readiness check.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) allowance: Allowance,
}

impl Lane {
    pub(crate) const HOUSE: Self = Self {
        tenant: None,
        allowance: Allowance::ALL,
    };
}

/// What a tenant may have of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// The most connections that are lent at a time.
    pub(crate) most: usize,
    /// How many waiters are served in a row while other tenants wait.
    pub(crate) turn: u32,
}

impl Allowance {
    const ALL: Self = Self {
        most: usize::MAX,
        turn: u32::MAX,
    };
}

/// The turns go round by tenant: whoever has waiters stands in the ring once, is served up to
/// the length of its turn, and goes to its end. A tenant that holds as many connections as it may
/// stands aside until one comes back, and goes on with its turn then. What a tenant may have is what
/// the last one said who came on its behalf.
///
/// Two go ahead of the ring, each for every second turn at most while others wait: the house, and a
/// tenant that holds no connection and comes to wait, for one caller. So a quiet tenant does not wait
/// for the turns of busy ones.
///
/// A connection whose session names a tenant of the ring goes to that one ahead of its turn, for as many
/// callers as a turn has until it has had its own. Naming another one costs more than waiting.
///
/// Nothing is idle while somebody waits who may be served: each change settles at most one of both.
/// Only an [arrival](Self::wait) that says more of a tenant's allowance may settle several.
#[derive(Debug)]
pub(super) struct Queue<C, W> {
    /// The most connections that are open, or being opened, at a time.
    most: usize,
    /// In the order in which they came back.
    idle: Vec<C>,
    /// Rights in use: idle, lent, on their way back, or being opened.
    open: usize,
    opening: usize,
    /// Of those who wait or hold a connection, and of nobody else.
    lines: HashMap<Option<TenantId>, Line<W>>,
    /// Tenants with waiters who may be served, by the number of their turn.
    ring: BTreeMap<u64, Option<TenantId>>,
    /// Tenants that held nothing when they came to wait, in the same way.
    newcomers: BTreeMap<u64, Option<TenantId>>,
    /// Whom the session of a connection names.
    names: fn(&C) -> Option<TenantId>,
    /// The callers who are served while the turn goes round once.
    round: u64,
    /// The last number that was given to a turn or a waiter.
    number: u64,
    waiting: usize,
    /// Waiters who may be served.
    demand: usize,
    house_was_last: bool,
    newcomer_was_last: bool,
    /// How often a connection comes back.
    pace: Pace,
    closed: bool,
}

/// A waiter whose turn it is, and a connection.
#[derive(Debug)]
pub(super) struct Grant<C, W> {
    pub(super) lane: Lane,
    pub(super) waiter: W,
    pub(super) connection: C,
}

/// How somebody came to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    House,
    Newcomer,
    /// In its turn.
    Turn,
    /// Ahead of it, by a connection that names it.
    Named,
}

/// A waiter's place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    tenant: Option<TenantId>,
    number: u64,
}

impl<C, W> Queue<C, W> {
    pub(super) fn new(most: usize, names: fn(&C) -> Option<TenantId>) -> Self {
        Self {
            most,
            idle: Vec::new(),
            open: 0,
            opening: 0,
            lines: HashMap::new(),
            ring: BTreeMap::new(),
            newcomers: BTreeMap::new(),
            names,
            round: 0,
            number: 0,
            waiting: 0,
            demand: 0,
            house_was_last: false,
            newcomer_was_last: false,
            pace: Pace::default(),
            closed: false,
        }
    }

    /// An idle connection if there is one and the lane may have it: of those that suit, or else of those
    /// that name nobody, the one used last; else the one that was not used for longest.
    pub(super) fn take(&mut self, lane: Lane, suits: impl Fn(&C) -> bool) -> Option<C> {
        let line = self.lines.get(&lane.tenant);
        // Whoever has waited goes first where more is allowed than a moment ago.
        if self.is_at_its_most(lane) || line.is_some_and(|line| line.waiting() > 0) {
            return None;
        }
        let names_nobody = |connection: &C| (self.names)(connection).is_none();
        let suiting = self.idle.iter().rposition(suits);
        let at = suiting.or_else(|| self.idle.iter().rposition(names_nobody));
        if self.idle.is_empty() {
            return None;
        }
        let connection = self.idle.remove(at.unwrap_or(0));
        self.change(lane.tenant, |line| {
            line.allow(lane.allowance);
            line.lend();
        });
        self.house_was_last = lane.tenant.is_none();
        Some(connection)
    }

    /// Puts a waiter in the lane's line, after [`take`](Self::take) had nothing. Whoever may be served
    /// for what the lane is allowed now is to be [settled](Self::settle).
    pub(super) fn wait(&mut self, lane: Lane, waiter: W, now: Instant) -> Ticket {
        self.number += 1;
        let number = self.number;
        self.waiting += 1;
        self.change(lane.tenant, |line| {
            line.allow(lane.allowance);
            line.join(number, waiter, now);
        });
        Ticket {
            tenant: lane.tenant,
            number,
        }
    }

    /// Takes a waiter out who has not been served.
    pub(super) fn give_up(&mut self, ticket: Ticket) -> Option<W> {
        if !self.lines.contains_key(&ticket.tenant) {
            return None;
        }
        let gone = self.change(ticket.tenant, |line| line.leave(ticket.number));
        self.waiting -= usize::from(gone.is_some());
        gone
    }

    /// A connection comes back that was lent to a lane, or taken out of the idle ones.
    pub(super) fn back(
        &mut self,
        lane: Option<Lane>,
        connection: C,
        now: Instant,
    ) -> Option<Grant<C, W>> {
        if let Some(lane) = lane {
            self.comes_back(lane, now);
        }
        self.idle.push(connection);
        self.settle()
    }

    /// A connection is closed: one that was lent to a lane, or one that was taken out of the idle ones.
    pub(super) fn gone(&mut self, lane: Option<Lane>, now: Instant) -> Option<Grant<C, W>> {
        if let Some(lane) = lane {
            self.comes_back(lane, now);
        }
        self.open = self.open.saturating_sub(1);
        self.settle()
    }

    /// A right to open a connection, while there is none for each waiter who may be served, and for
    /// so many more who may come.
    pub(super) fn take_right(&mut self, ahead: usize) -> bool {
        let wanted = self.idle.len() + self.opening < self.demand + ahead;
        wanted && self.take_right_below(self.most)
    }

    /// A right to open a connection that nobody waits for, while fewer are open.
    pub(super) fn take_right_below(&mut self, least: usize) -> bool {
        let free = !self.closed && self.open < least.min(self.most);
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
        let (lane, waiter) = self.next(None)?;
        self.change(lane.tenant, Line::give_back);
        Some(waiter)
    }

    /// Takes out idle connections that are to be closed or tidied up. Each keeps its right until it is
    /// [`gone`](Self::gone) or [`back`](Self::back).
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
        self.newcomers.clear();
        self.round = 0;
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
        let held = self.lines.get(&lane.tenant).map_or(0, Line::held);
        held >= lane.allowance.most
    }

    /// How long one more caller would wait, if connections come back as they have lately.
    ///
    /// A lane that holds as many as it may waits for itself. Any other waits for whoever is ahead in
    /// its line, and for the turns that others have meanwhile.
    pub(super) fn wait_of_one_more(&self, lane: Lane, now: Instant) -> Duration {
        let line = self.lines.get(&lane.tenant);
        let own = line.map_or(0, Line::waiting);
        match line {
            Some(line) if self.is_at_its_most(lane) => line.pace().time_for(own + 1, now),
            _ => self
                .pace
                .time_for(own + self.others_ahead(lane, own) + 1, now),
        }
    }

    /// How many of others are served before one who has so many of the lane's own ahead.
    fn others_ahead(&self, lane: Lane, own: usize) -> usize {
        let line = self.lines.get(&lane.tenant);
        let others = self.demand - line.map_or(0, Line::demand).min(self.demand);
        if lane.tenant.is_none() {
            return others.min(own + 1);
        }
        let turn = u64::from(lane.allowance.turn.max(1));
        let own_turn = line.map_or(0, Line::place_in_round);
        let rounds = u64::try_from(own).unwrap_or(u64::MAX) / turn + 1;
        let in_turns = rounds.saturating_mul(self.round.saturating_sub(own_turn));
        others.min(usize::try_from(in_turns).unwrap_or(usize::MAX))
    }

    /// How busy it is.
    pub(super) fn level(&self, now: Instant) -> Level {
        let lines = self.lines.iter();
        Level {
            open: self.open,
            opening: self.opening,
            idle: self.idle.len(),
            waiting: self.waiting,
            loads: lines
                .map(|(tenant, line)| line.load(*tenant, now))
                .collect(),
        }
    }

    fn comes_back(&mut self, lane: Lane, now: Instant) {
        self.pace.note(now);
        self.change(lane.tenant, |line| {
            line.give_back();
            line.note_return(now);
        });
    }

    /// Lends what is idle to whoever's turn it is.
    pub(super) fn settle(&mut self) -> Option<Grant<C, W>> {
        let named = (self.names)(self.idle.last()?);
        let (lane, waiter) = self.next(named)?;
        Some(Grant {
            lane,
            waiter,
            connection: self.idle.pop()?,
        })
    }

    /// The waiter whose turn it is, where there is a connection that names somebody.
    fn next(&mut self, named: Option<TenantId>) -> Option<(Lane, W)> {
        let (tenant, way) = self.whose_turn(named)?;
        let allowance = self.lines.get(&tenant)?.allowance();
        let goes_ahead = way == Way::Newcomer && !self.ring.is_empty();
        if way == Way::Newcomer {
            self.stay(tenant);
        }
        let waiter = self.change(tenant, |line| line.serve(way))?;
        self.waiting -= 1;
        self.house_was_last = way == Way::House;
        if way != Way::House {
            self.newcomer_was_last = goes_ahead;
            self.pass_on(tenant);
        }
        Some((Lane { tenant, allowance }, waiter))
    }

    fn whose_turn(&self, named: Option<TenantId>) -> Option<(Option<TenantId>, Way)> {
        if self.demand == 0 {
            return None;
        }
        let first = |ring: &BTreeMap<u64, _>| ring.first_key_value().map(|(_, tenant)| *tenant);
        let (newcomer, turn) = (first(&self.newcomers), first(&self.ring));
        let house = self.lines.get(&None);
        let house_waits = house.is_some_and(|line| line.waiting() > 0);
        let tenants_wait = newcomer.is_some() || turn.is_some();
        if house_waits && !(self.house_was_last && tenants_wait) {
            return Some((None, Way::House));
        }
        if let Some(newcomer) = newcomer
            && !(self.newcomer_was_last && turn.is_some())
        {
            return Some((newcomer, Way::Newcomer));
        }
        if named.is_some()
            && named != turn?
            && self.lines.get(&named).is_some_and(Line::may_go_ahead)
        {
            return Some((named, Way::Named));
        }
        Some((turn?, Way::Turn))
    }

    /// Puts a newcomer that is served at the end of the ring.
    fn stay(&mut self, tenant: Option<TenantId>) {
        if let Some(line) = self.lines.get_mut(&tenant)
            && let Some(place) = line.turn()
        {
            self.newcomers.remove(&place);
            self.number += 1;
            line.stand(self.number);
            self.ring.insert(self.number, tenant);
        }
    }

    /// Puts a tenant that has had its turn at the end of the ring.
    fn pass_on(&mut self, tenant: Option<TenantId>) {
        let Some(line) = self.lines.get_mut(&tenant) else {
            return;
        };
        if !line.has_had_its_turn() {
            return;
        }
        match line.turn() {
            Some(turn) if self.ring.len() > 1 => {
                self.number += 1;
                line.stand(self.number);
                self.ring.remove(&turn);
                self.ring.insert(self.number, tenant);
            }
            Some(_) => {}
            None => line.end_turn(),
        }
    }

    /// Changes a line, and what follows from it.
    fn change<T>(&mut self, tenant: Option<TenantId>, change: impl FnOnce(&mut Line<W>) -> T) -> T {
        let line = self.lines.entry(tenant).or_default();
        let (before, place_before) = (line.demand(), line.place_in_round());
        let changed = change(line);
        let after = line.demand();
        self.demand = (self.demand + after).saturating_sub(before);
        match (line.turn(), after) {
            (Some(turn), 0) => {
                self.ring.remove(&turn);
                self.newcomers.remove(&turn);
                line.step_aside();
            }
            (None, 1..) if tenant.is_some() => {
                self.number += 1;
                let (ring, place) = match line.stand_up(self.number) {
                    Standing::InRing(place) => (&mut self.ring, place),
                    Standing::AsNewcomer(place) => (&mut self.newcomers, place),
                };
                ring.insert(place, tenant);
            }
            _ => {}
        }
        self.round = (self.round + line.place_in_round()).saturating_sub(place_before);
        if line.is_unused() {
            self.lines.remove(&tenant);
            if self.lines.len() < self.lines.capacity() / 8 {
                self.lines.shrink_to(self.lines.len() * 2 + 64);
            }
        }
        changed
    }
}
