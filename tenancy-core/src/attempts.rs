//! Attempts at secrets, counted before they cost anything.

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::{
    Timestamp,
    quota::{Counters, Holder, Operation, Rate, Settle, Take, Taken, Throttle, Throttled},
};

/// How many names and addresses are told apart: more than there can be attempts at hashing in a minute, after which
/// each has its own again.
const CALLERS: usize = 1 << 16;

/// Attempts, by what is tried and by address: so many at once, and as many in a time.
#[derive(Debug)]
pub(crate) struct Attempts {
    throttle: Throttle,
    /// Counters that several processes share, beside those of this one.
    shared: Option<Arc<dyn Counters>>,
    /// What is tried, such as `handle`.
    kind: &'static str,
    per_name: Rate,
    per_address: Rate,
}

/// An attempt that counts as failed until it is taken back.
#[derive(Debug)]
pub(crate) struct Begun {
    operation: Operation,
    shared: Option<Operation>,
    name: Take<'static>,
    address: Option<Take<'static>>,
}

impl Attempts {
    pub(crate) fn new(kind: &'static str, per_name: u16, per_address: u16) -> Self {
        Self::in_seconds(kind, per_name, per_address, 60)
    }

    /// The same, which come back in another time than a minute.
    pub(crate) fn in_seconds(
        kind: &'static str,
        per_name: u16,
        per_address: u16,
        seconds: u32,
    ) -> Self {
        Self {
            throttle: Throttle::with_capacity(CALLERS),
            shared: None,
            kind,
            per_name: Rate::in_seconds(per_name.into(), seconds),
            per_address: Rate::in_seconds(per_address.into(), seconds),
        }
    }

    /// The same, which several processes count together.
    pub(crate) fn shared(mut self, counters: Option<Arc<dyn Counters>>) -> Self {
        self.shared = counters;
        self
    }

    /// Counts an attempt in this process, or tells how long there is none left.
    pub(crate) fn begin(
        &self,
        name: &str,
        ip: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Begun, Duration> {
        let name = Holder::named(self.kind, name);
        let mut begun = Begun {
            operation: Operation::once(),
            shared: None,
            name: self.per_name.one(name, self.kind),
            address: ip.map(|ip| {
                let address = Holder::caller(None, None, Some(ip));
                self.per_address.one(address, self.kind)
            }),
        };
        let taken = self.throttle.take(&begun.takes(), now);
        begun.operation = taken.map_err(Throttled::wait)?;
        Ok(begun)
    }

    /// The same, and where all processes count together. While those counters do not answer, this process counts alone.
    pub(crate) async fn begin_everywhere(
        &self,
        name: &str,
        ip: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Begun, Duration> {
        let mut begun = self.begin(name, ip, now)?;
        let Some(shared) = &self.shared else {
            return Ok(begun);
        };
        let operation = Operation::once();
        let takes = begun.takes();
        match shared.take(operation, &takes, now).answer().await {
            Ok(Taken::Granted(_)) => begun.shared = Some(operation),
            Ok(Taken::Denied(denied)) => {
                self.take_back(&begun, now);
                return Err(Throttled::of(&denied).wait());
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "attempts are counted by each process alone: the shared counters did not answer"
            ),
        }
        Ok(begun)
    }

    /// Takes an attempt back that did not fail.
    pub(crate) fn take_back(&self, begun: &Begun, now: Timestamp) {
        self.throttle
            .give_back(begun.operation, &begun.takes(), now);
    }

    /// The same, everywhere. What can't be taken back comes back by itself.
    pub(crate) async fn take_back_everywhere(&self, begun: &Begun, now: Timestamp) {
        self.take_back(begun, now);
        if let (Some(shared), Some(operation)) = (&self.shared, begun.shared) {
            let all: Vec<_> = (begun.takes().into_iter())
                .map(|take| Settle::new(take, 0))
                .collect();
            drop(shared.settle(operation, &all, now).answer().await);
        }
    }
}

impl Begun {
    fn takes(&self) -> Vec<Take<'static>> {
        std::iter::once(self.name).chain(self.address).collect()
    }
}
