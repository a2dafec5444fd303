//! Running a consumer: claims it, hands events over, notes what has become of them.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout};

use super::{
    Claim, ClaimRequest, ConsumerName, Event, EventHandler, EventPage, Failure, HandlerError,
    InvalidConsumerName, Outbox, OutboxError, OutboxErrorKind, Start, batch::Batch,
    shutdown::Shutdown,
};
use crate::ConfigError;

/// The longest pause after a store that did not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Hands the events of an outbox to a handler, one at a time: see the [module](super).
///
/// ```no_run
/// # use tenancy_core::outbox::{EventHandler, MemoryOutbox, OutboxConsumer};
/// # async fn example(webhooks: impl EventHandler + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// # let outbox = MemoryOutbox::new();
/// let consumer = OutboxConsumer::builder("webhooks", outbox, webhooks).build()?;
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let running = tokio::spawn(async move {
///     consumer.run(async { drop(stopped.await) }).await;
/// });
/// // … and when the service ends:
/// drop(stop);
/// running.await?;
/// # Ok(())
/// # }
/// ```
///
/// It handles one event after the other. If you need more, make several consumers, each with a name of its
/// own and a handler that takes a part of the tenants or kinds.
#[derive(Clone)]
pub struct OutboxConsumer {
    outbox: Arc<dyn Outbox>,
    handler: Arc<dyn EventHandler>,
    request: ClaimRequest,
    options: Options,
}

/// Sets up an [`OutboxConsumer`].
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::outbox::{OutboxConsumer, Start};
/// # use tenancy_core::outbox::{EventHandler, MemoryOutbox};
/// # fn example(webhooks: impl EventHandler + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// # let outbox = MemoryOutbox::new();
///
/// let consumer = OutboxConsumer::builder("webhooks", outbox, webhooks)
///     .start(Start::Now)
///     .most_tries(5)
///     .handler_timeout(Duration::from_secs(10))
///     .build()?;
/// # drop(consumer);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct OutboxConsumerBuilder {
    name: String,
    outbox: Arc<dyn Outbox>,
    handler: Arc<dyn EventHandler>,
    options: Options,
}

#[derive(Clone)]
struct Options {
    start: Start,
    page_size: usize,
    most_tries: u32,
    first_backoff: Duration,
    longest_backoff: Duration,
    lease: Duration,
    handler_timeout: Duration,
    poll_interval: Duration,
}

impl OutboxConsumer {
    /// A consumer under a name, over an outbox, with what handles the events.
    ///
    /// The position is stored under the name. All processes of a service use the same one.
    pub fn builder(
        name: &str,
        outbox: impl Outbox + 'static,
        handler: impl EventHandler + 'static,
    ) -> OutboxConsumerBuilder {
        OutboxConsumerBuilder {
            name: name.to_owned(),
            outbox: Arc::new(outbox),
            handler: Arc::new(handler),
            options: Options {
                start: Start::default(),
                page_size: 100,
                most_tries: 10,
                first_backoff: Duration::from_secs(1),
                longest_backoff: Duration::from_secs(3600),
                lease: Duration::from_secs(30),
                handler_timeout: Duration::from_secs(60),
                poll_interval: Duration::from_secs(1),
            },
        }
    }
}

impl OutboxConsumerBuilder {
    /// Where the consumer begins if the outbox does not know it yet. Default: [`Start::Oldest`].
    pub fn start(mut self, start: Start) -> Self {
        self.options.start = start;
        self
    }

    /// How many events are read at a time. Default: 100.
    pub fn page_size(mut self, events: usize) -> Self {
        self.options.page_size = events;
        self
    }

    /// After how many tries an event is set aside. Default: 10, which with the default backoff is after about
    /// 8½ minutes.
    pub fn most_tries(mut self, tries: u32) -> Self {
        self.options.most_tries = tries;
        self
    }

    /// How long an event waits after its first failure, and at most: the pause doubles with each failure.
    /// Default: 1 second, and 1 hour.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.options.first_backoff = first;
        self.options.longest_backoff = longest;
        self
    }

    /// How long after a process was last heard of another one takes the consumer over. Default: 30 seconds.
    ///
    /// A process that lives renews its lease, however long a handler takes.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.options.lease = lease;
        self
    }

    /// How long a handler may take for one event; then its future is dropped, and that is a failure. Default: 60
    /// seconds.
    pub fn handler_timeout(mut self, limit: Duration) -> Self {
        self.options.handler_timeout = limit;
        self
    }

    /// How long to wait before asking again where there was nothing to do. Default: 1 second.
    pub fn poll_interval(mut self, pause: Duration) -> Self {
        self.options.poll_interval = pause;
        self
    }

    /// Checks the options.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option and what it may be.
    pub fn build(self) -> Result<OutboxConsumer, ConfigError> {
        let name: ConsumerName = self
            .name
            .parse()
            .map_err(|error: InvalidConsumerName| ConfigError::new(error.to_string()))?;
        if let Some(fault) = self.options.fault() {
            return Err(ConfigError::new(format!("consumer `{name}`: {fault}")));
        }
        let options = self.options;
        let mut request = ClaimRequest::new(name);
        request.start = options.start;
        request.lease = options.lease;
        request.most_tries = options.most_tries;
        request.pause = options.first_backoff;
        Ok(OutboxConsumer {
            outbox: self.outbox,
            handler: self.handler,
            request,
            options,
        })
    }
}

impl Options {
    /// What is wrong with them.
    fn fault(&self) -> Option<&'static str> {
        const DAY: Duration = Duration::from_secs(86_400);
        if !(1..=1000).contains(&self.page_size) {
            Some("`page_size` must be 1 to 1000")
        } else if !(1..=1000).contains(&self.most_tries) {
            Some("`most_tries` must be 1 to 1000")
        } else if !(Duration::from_secs(1)..=DAY).contains(&self.lease) {
            Some("`lease` must be 1 second to 1 day")
        } else if self.first_backoff > self.longest_backoff || self.longest_backoff > 30 * DAY {
            Some("`backoff` must have the shorter pause first, and 30 days at most")
        } else if self.handler_timeout.is_zero() || self.poll_interval.is_zero() {
            Some("neither `handler_timeout` nor `poll_interval` may be zero")
        } else {
            None
        }
    }
}

impl OutboxConsumer {
    /// The consumer's name.
    #[must_use]
    pub fn name(&self) -> &ConsumerName {
        &self.request.consumer
    }

    /// Runs until `shutdown` ends.
    ///
    /// The event that is being handled then is finished and noted, and the lease is given back. Nothing is lost if
    /// the future is dropped instead: the event comes again, to whichever process takes over after the lease.
    ///
    /// A store that does not answer is asked again after a pause, and logged.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = Shutdown::new(shutdown);
        let mut failures = 0_u32;
        while !shutdown.is_called() {
            let worked = match self.outbox.claim(&self.request).await {
                Ok(Some(claim)) => {
                    failures = 0;
                    self.work(&claim, &mut shutdown, false).await.map(drop)
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            let pause = match worked {
                Ok(()) => self.options.poll_interval,
                Err(error) if error.kind() == OutboxErrorKind::LeaseLost => {
                    tracing::warn!(consumer = %self.name(), "another process has taken the consumer over");
                    self.options.poll_interval
                }
                Err(error) => self.pause_after(&error, &mut failures),
            };
            shutdown.within(pause).await;
        }
    }

    /// Handles what is there and due, gives the lease back, and returns how many events were handled with success.
    /// For tests, and for jobs that run from time to time.
    ///
    /// # Errors
    /// What the store says; [`OutboxErrorKind::LeaseLost`] also where another process has the lease.
    pub async fn run_until_idle(&self) -> Result<u64, OutboxError> {
        let Some(claim) = self.outbox.claim(&self.request).await? else {
            return Err(OutboxError::lease_lost(self.name()));
        };
        let mut shutdown = Shutdown::new(std::future::pending());
        self.work(&claim, &mut shutdown, true).await
    }

    fn pause_after(&self, error: &OutboxError, failures: &mut u32) -> Duration {
        tracing::error!(consumer = %self.name(), %error, "the outbox did not answer");
        *failures = failures.saturating_add(1);
        doubled(self.options.poll_interval, *failures, LONGEST_PAUSE)
    }

    /// Works under a claim until the shutdown, or until there is nothing to do.
    async fn work(
        &self,
        claim: &Claim,
        shutdown: &mut Shutdown<'_>,
        until_idle: bool,
    ) -> Result<u64, OutboxError> {
        let mut handled = 0;
        while !shutdown.is_called() {
            let page = self.outbox.next_page(claim, self.options.page_size).await?;
            if page.is_empty() {
                if until_idle {
                    break;
                }
                // Others leave the consumer alone for as long as it renews its lease.
                let pause = self.options.poll_interval.min(claim.lease / 3);
                shutdown.within(pause).await;
                continue;
            }
            handled += self.handle_page(claim, page, shutdown).await?;
        }
        self.outbox.release(claim).await?;
        Ok(handled)
    }

    /// Hands a page over, event by event, for as far as that keeps each tenant's order.
    async fn handle_page(
        &self,
        claim: &Claim,
        page: EventPage,
        shutdown: &mut Shutdown<'_>,
    ) -> Result<u64, OutboxError> {
        let mut handled = 0;
        let mut batch = Batch::new(page);
        while let Some(event) = batch.take() {
            let tried = self.try_event(claim, &event).await?;
            match &tried {
                Ok(()) => handled += 1,
                Err(_) => batch.fail(event.tenant),
            }
            let next = match shutdown.is_called() {
                true => None,
                false => batch.peek().map(|next| next.place),
            };
            self.note(claim, &event, tried, next).await?;
            if next.is_none() {
                break;
            }
        }
        Ok(handled)
    }

    /// Hands one event over. Renews the lease while the handler takes its time.
    async fn try_event(
        &self,
        claim: &Claim,
        event: &Event,
    ) -> Result<Result<(), HandlerError>, OutboxError> {
        let began = Instant::now();
        let mut renewed = began;
        let handling = AssertUnwindSafe(self.handler.handle(event)).catch_unwind();
        let mut handling = std::pin::pin!(handling);
        loop {
            let left = self.options.handler_timeout.saturating_sub(began.elapsed());
            let step = left.min(claim.lease / 3);
            if let Ok(ended) = timeout(step, &mut handling).await {
                return Ok(ended.unwrap_or_else(|_| Err(HandlerError::new("the handler panicked"))));
            }
            if began.elapsed() >= self.options.handler_timeout {
                let limit = self.options.handler_timeout;
                return Ok(Err(HandlerError::new(format!(
                    "the handler took longer than {limit:?}"
                ))));
            }
            match self.outbox.renew(claim).await {
                Ok(()) => renewed = Instant::now(),
                // Another process may have the consumer by now.
                Err(error) if error.kind() == OutboxErrorKind::LeaseLost => return Err(error),
                Err(error) if renewed.elapsed() >= claim.lease => return Err(error),
                Err(error) => {
                    tracing::warn!(consumer = %self.name(), %error, "the lease could not be renewed");
                }
            }
        }
    }

    /// Notes what has become of an event.
    async fn note(
        &self,
        claim: &Claim,
        event: &Event,
        tried: Result<(), HandlerError>,
        next: Option<u64>,
    ) -> Result<(), OutboxError> {
        let error = match tried {
            Ok(()) => return self.outbox.note_success(claim, event.place, next).await,
            Err(error) => error,
        };
        let is_last = event.try_number >= self.options.most_tries;
        let failure = if error.is_permanent() || is_last {
            tracing::error!(
                consumer = %self.name(), event = %event.id, place = event.place, kind = event.kind,
                tries = event.try_number, ?error, "an event was set aside"
            );
            Failure::set_aside(error.message())
        } else {
            let pause = doubled(
                self.options.first_backoff,
                event.try_number,
                self.options.longest_backoff,
            );
            tracing::warn!(
                consumer = %self.name(), event = %event.id, place = event.place, kind = event.kind,
                tries = event.try_number, ?pause, ?error, "an event was not handled"
            );
            Failure::retry(error.message(), pause)
        };
        self.outbox.park(claim, event.place, &failure, next).await
    }
}

/// A pause after so many failures, of which the first has the first pause.
fn doubled(first: Duration, failures: u32, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    first.saturating_mul(1 << doublings).min(longest)
}

impl fmt::Debug for OutboxConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxConsumer")
            .field("name", self.name())
            .field("outbox", &self.outbox)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OutboxConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxConsumerBuilder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
