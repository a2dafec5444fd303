//! Attempts at links, counted before anything is looked up.

use std::{net::IpAddr, time::Duration};

use crate::{
    Actor, Timestamp, UserId,
    quota::{Holder, Operation, Rate, Take, Throttle},
};

/// How many callers are told apart.
const CALLERS: usize = 1 << 16;

/// How many links that are none a caller may try at once, and as many a minute.
const A_MINUTE: u32 = 20;

/// Failed attempts, by user and by address.
#[derive(Debug)]
pub(super) struct Attempts {
    throttle: Throttle,
    rate: Rate,
}

/// An attempt that counts as failed until it is taken back.
pub(super) struct Begun<'a> {
    attempts: &'a Attempts,
    operation: Operation,
    holder: Holder,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self {
            throttle: Throttle::with_capacity(CALLERS),
            rate: Rate::in_seconds(A_MINUTE, 60),
        }
    }

    /// Counts an attempt of a user.
    pub(super) fn by_user(&self, user: UserId, now: Timestamp) -> Result<Begun<'_>, Duration> {
        self.begin(Holder::caller(None, Some(&Actor::User(user)), None), now)
    }

    /// Counts an attempt from an address. Where it is not known, all callers share one count.
    pub(super) fn from(&self, ip: Option<IpAddr>, now: Timestamp) -> Result<Begun<'_>, Duration> {
        self.begin(Holder::caller(None, None, ip), now)
    }

    fn begin(&self, holder: Holder, now: Timestamp) -> Result<Begun<'_>, Duration> {
        let take = self.take(holder);
        match self.throttle.take(&[take], now) {
            Ok(operation) => Ok(Begun {
                attempts: self,
                operation,
                holder,
            }),
            Err(throttled) => Err(throttled.wait()),
        }
    }

    const fn take(&self, holder: Holder) -> Take<'_> {
        self.rate.one(holder, "invitations")
    }
}

impl Begun<'_> {
    /// Takes it back: the link was one.
    pub(super) fn take_back(&self, now: Timestamp) {
        let take = self.attempts.take(self.holder);
        self.attempts
            .throttle
            .give_back(self.operation, &[take], now);
    }
}
