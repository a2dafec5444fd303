//! Reservations: what a handler or a job has taken, until it says what it was.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;

use super::{
    CountersError, Counting, MeterKind, Operation, OperationId, Settle, Settled,
    charging::{Due, finish},
    service::Inner,
};
use crate::Refusal;

/// What was taken with [`QuotaService::reserve`](super::QuotaService::reserve). Dropped, it gives everything back.
///
/// ```
/// use tenancy_core::{Cost, Refusal, TenantContext};
///
/// async fn complete(context: &TenantContext, prompt: &str) -> Result<(), Refusal> {
///     let Some(quotas) = context.tenancy().quotas() else { return Ok(()) };
///     let estimate = 1_024;
///     let reserved = quotas.reserve(context, &[Cost::new("tokens", estimate)]).await?;
///     // … ask the model; it says how much it was …
///     let tokens = prompt.len() as u64;
///     reserved.commit_as(tokens).await
/// }
/// # let _ = complete;
/// ```
#[must_use = "a reservation that is dropped gives everything back"]
pub struct Reservation {
    inner: Arc<Inner>,
    operation: Operation,
    /// Empty once it is settled.
    dues: Vec<Due>,
}

impl Reservation {
    pub(super) const fn new(inner: Arc<Inner>, operation: Operation, dues: Vec<Due>) -> Self {
        Self {
            inner,
            operation,
            dues,
        }
    }

    /// Keeps what was reserved, as it was reserved. What runs at once ends.
    ///
    /// # Errors
    /// A [`Refusal`] with status 503 if the counters do not answer.
    pub async fn commit(mut self) -> Result<(), Refusal> {
        self.settle(None).await
    }

    /// Keeps what it turned out to be: of each meter this amount. More than was reserved counts too, also above the
    /// limit.
    ///
    /// # Errors
    /// A [`Refusal`] with status 503 if the counters do not answer.
    pub async fn commit_as(mut self, actual: u64) -> Result<(), Refusal> {
        self.settle(Some(actual)).await
    }

    /// Gives everything back, and waits for that.
    ///
    /// # Errors
    /// A [`Refusal`] with status 503 if the counters do not answer.
    pub async fn release(mut self) -> Result<(), Refusal> {
        self.settle(Some(0)).await
    }

    /// By what id the counters know it, for stores in the application's database, which count what is held with the rows
    /// of a transaction. `None` if it is not of what is held alone: the rest has no rows.
    #[must_use]
    pub fn held_alone(&self) -> Option<OperationId> {
        let is_held = |due: &Due| due.kind == MeterKind::Held;
        self.dues.iter().all(is_held).then(|| self.operation.id())
    }

    /// Of how many limits something is reserved.
    #[must_use]
    pub fn limits(&self) -> usize {
        let amounts = self.dues.iter().map(|due| due.take().amount);
        amounts.filter(|amount| *amount > 0).count()
    }

    /// Forgets it, because a transaction of the application has kept what was reserved. For stores.
    pub fn kept(mut self) {
        self.dues.clear();
    }

    /// Gives leases and reservations their full time again: for a job that runs longer than
    /// [`Limit::expires_after`](super::Limit::expires_after) says. `false` if one has ended by itself; then another may
    /// have its place.
    ///
    /// # Errors
    /// A [`Refusal`] with status 503 if the counters do not answer.
    pub async fn renew(&self) -> Result<bool, Refusal> {
        let takes: Vec<_> = self.dues.iter().map(Due::take).collect();
        let now = self.inner.clock.now();
        let answer = self.inner.counters.renew(self.operation, &takes, now);
        match answer.answer().await {
            Ok(settled) => Ok(settled != Settled::Late),
            Err(error) => Err(self.inner.no_answer(&error)),
        }
    }

    async fn settle(&mut self, actual: Option<u64>) -> Result<(), Refusal> {
        let asked = {
            let settles: Vec<_> = self.settles(actual);
            let now = self.inner.clock.now();
            self.inner.counters.settle(self.operation, &settles, now)
        };
        // What was asked may be done already, and goes on if this future is dropped.
        self.dues.clear();
        let answer = match asked {
            Counting::Ready(answer) => answer,
            Counting::Pending(answer) => Settling(Some(answer)).await,
        };
        answer
            .map(drop)
            .map_err(|error| self.inner.no_answer(&error))
    }

    fn settles(&self, actual: Option<u64>) -> Vec<Settle<'_>> {
        let each = self.dues.iter().map(|due| {
            let take = due.take();
            let actual = match due.kind {
                MeterKind::Concurrent => 0,
                _ => actual.unwrap_or(take.amount),
            };
            Settle::new(take, actual)
        });
        each.collect()
    }
}

/// A settlement that was asked for: a task waits for it if nobody else does any more.
struct Settling(Option<BoxFuture<'static, Result<Settled, CountersError>>>);

impl Future for Settling {
    type Output = Result<Settled, CountersError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.0 {
            Some(asked) => ready!(asked.as_mut().poll(cx)),
            None => Err(CountersError::unavailable("it was asked and has answered")),
        };
        self.0 = None;
        Poll::Ready(answer)
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if let Some(asked) = self.0.take() {
            finish(Counting::Pending(asked));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.dues.is_empty() {
            return;
        }
        let settles = self.settles(Some(0));
        let now = self.inner.clock.now();
        finish(self.inner.counters.settle(self.operation, &settles, now));
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = self.dues.iter().map(|due| &due.rule.name);
        f.debug_list().entries(limits).finish()
    }
}
