//! Attempts at secrets, counted before they cost anything.

use std::{net::IpAddr, time::Duration};

use crate::{
    Timestamp,
    key::KeyHandle,
    quota::{Holder, Operation, Rate, Take, Throttle},
};

/// How many handles and addresses are told apart: more than there can be attempts at hashing in a minute, after which
/// each has its own again.
const CALLERS: usize = 1 << 16;

/// Failed attempts, by handle and by address: so many at once, and as many a minute.
#[derive(Debug)]
pub(super) struct Attempts {
    throttle: Throttle,
    per_handle: Rate,
    per_address: Rate,
}

/// An attempt that counts as failed until it is taken back.
pub(super) struct Begun<'a> {
    operation: Operation,
    handle: Take<'a>,
    address: Option<Take<'a>>,
}

impl Attempts {
    pub(super) fn new(per_handle: u16, per_address: u16) -> Self {
        Self {
            throttle: Throttle::with_capacity(CALLERS),
            per_handle: Rate::in_seconds(per_handle.into(), 60),
            per_address: Rate::in_seconds(per_address.into(), 60),
        }
    }

    /// Counts an attempt, or tells how long there is none left.
    pub(super) fn begin(
        &self,
        handle: &KeyHandle,
        ip: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Begun<'static>, Duration> {
        let handle = Holder::named("handle", handle.as_str());
        let handle = self.per_handle.one(handle, "attempts");
        let of_address = |ip| {
            let address = Holder::caller(None, None, Some(ip));
            self.per_address.one(address, "attempts")
        };
        let address = ip.map(of_address);
        let taken = match address {
            Some(address) => self.throttle.take(&[handle, address], now),
            None => self.throttle.take(&[handle], now),
        };
        match taken {
            Ok(operation) => Ok(Begun {
                operation,
                handle,
                address,
            }),
            Err(throttled) => Err(throttled.wait()),
        }
    }

    /// Takes an attempt back that did not fail.
    pub(super) fn take_back(&self, begun: &Begun<'_>, now: Timestamp) {
        let takes: Vec<_> = std::iter::once(begun.handle).chain(begun.address).collect();
        self.throttle.give_back(begun.operation, &takes, now);
    }
}
