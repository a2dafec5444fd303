//! Those who wait on one tenant's behalf, in the order in which they came.

use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Line<W> {
    /// By number, which only grows.
    waiters: VecDeque<(u64, W)>,
    /// Connections that are lent on the tenant's behalf.
    held: usize,
    /// Where the tenant stands in the ring.
    turn: Option<u64>,
    /// How many were served in this turn.
    served: u32,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self {
            waiters: VecDeque::new(),
            held: 0,
            turn: None,
            served: 0,
        }
    }
}

impl<W> Line<W> {
    pub(super) fn join(&mut self, number: u64, waiter: W) {
        self.waiters.push_back((number, waiter));
    }

    pub(super) fn leave(&mut self, number: u64) -> Option<W> {
        let at = self.waiters.binary_search_by_key(&number, |(own, _)| *own);
        let (_, waiter) = self.waiters.remove(at.ok()?)?;
        Some(waiter)
    }

    /// Takes out the first one, who is lent a connection.
    pub(super) fn serve(&mut self) -> Option<W> {
        let (_, waiter) = self.waiters.pop_front()?;
        self.held += 1;
        self.served = self.served.saturating_add(1);
        Some(waiter)
    }

    pub(super) fn lend(&mut self) {
        self.held += 1;
    }

    pub(super) fn give_back(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    pub(super) fn dissolve(&mut self) -> impl Iterator<Item = W> {
        self.step_aside();
        self.waiters.drain(..).map(|(_, waiter)| waiter)
    }

    /// Begins a turn, and says which one ends.
    pub(super) fn stand(&mut self, turn: u64) -> Option<u64> {
        self.served = 0;
        self.turn.replace(turn)
    }

    pub(super) fn step_aside(&mut self) {
        self.served = 0;
        self.turn = None;
    }

    /// How many of them may be served, where so many connections may be held.
    pub(super) fn demand(&self, most: usize) -> usize {
        self.waiters.len().min(most.saturating_sub(self.held))
    }

    pub(super) fn is_unused(&self) -> bool {
        self.held == 0 && self.waiters.is_empty()
    }

    pub(super) const fn turn(&self) -> Option<u64> {
        self.turn
    }

    pub(super) const fn served(&self) -> u32 {
        self.served
    }

    pub(super) const fn held(&self) -> usize {
        self.held
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }
}
