//! Sending what was added up.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{
    Inner,
    held::{Slot, Sum},
};
use crate::{Aggregation, EventErrorKind, EventOutcome, UsageError, UsageEvent, UsageSink};

/// How many events are sent at a time.
const BATCH: usize = 1_000;

/// The longest pause after the sink gave no answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What is sent, and to whom.
pub(super) struct Flusher {
    sink: Arc<dyn UsageSink>,
    /// This recorder, as the source of its events.
    source: Box<str>,
    unsent: Mutex<Unsent>,
}

/// What was taken to be sent, until the sink has answered: it is sent again as it is.
#[derive(Debug, Default)]
struct Unsent {
    events: Vec<UsageEvent>,
    /// How many events there were so far, from which their ids are made.
    count: u64,
}

impl Flusher {
    pub(super) fn new(sink: Arc<dyn UsageSink>) -> Self {
        Self {
            sink,
            source: format!("recorder-{}", uuid::Uuid::now_v7()).into(),
            unsent: Mutex::default(),
        }
    }
}

impl Inner {
    pub(super) async fn flush(&self) -> Result<(), UsageError> {
        let mut unsent = self.flusher.unsent.lock().await;
        // What an answer is missing for comes first: its sums are not added to any more.
        self.send(&mut unsent).await?;
        for (slot, sum) in self.held.take() {
            unsent.count += 1;
            match self.event(slot, &sum, unsent.count) {
                Some(event) => unsent.events.push(event),
                None => self.held.freed(1),
            }
        }
        self.send(&mut unsent).await
    }

    async fn send(&self, unsent: &mut Unsent) -> Result<(), UsageError> {
        let mut ahead = Vec::new();
        let sent = self.send_all(&mut unsent.events, &mut ahead).await;
        // Where a clock was set back, they are in time when it has caught up.
        unsent.events.append(&mut ahead);
        sent
    }

    /// Sends events until there are none, and puts aside those that the sink finds ahead of its clock.
    async fn send_all(
        &self,
        events: &mut Vec<UsageEvent>,
        ahead: &mut Vec<UsageEvent>,
    ) -> Result<(), UsageError> {
        while !events.is_empty() {
            let count = events.len().min(BATCH);
            let batch = events.get(..count).unwrap_or_default();
            let kept = ahead.len();
            let outcomes = self.flusher.sink.record(batch).await?;
            if outcomes.len() != count {
                return Err(UsageError::unavailable(format!(
                    "the sink has answered for {} of {count} events",
                    outcomes.len()
                )));
            }
            for (outcome, event) in outcomes.iter().zip(batch) {
                match outcome {
                    EventOutcome::Counted | EventOutcome::AlreadyCounted => {}
                    EventOutcome::Refused(error) if error.kind() == EventErrorKind::InFuture => {
                        ahead.push(event.clone());
                    }
                    other => self.note_uncounted(event, other),
                }
            }
            let kept = ahead.len() - kept;
            events.drain(..count);
            self.held.freed(count - kept);
        }
        Ok(())
    }

    /// Whether the sink has taken all that it was sent.
    async fn check_sent(&self) -> Result<(), UsageError> {
        let left = self.flusher.unsent.lock().await.events.len();
        if left == 0 {
            return Ok(());
        }
        Err(UsageError::unavailable(format!(
            "{left} events are ahead of the sink's clock, and wait until it has caught up"
        )))
    }

    fn note_uncounted(&self, event: &UsageEvent, outcome: &EventOutcome) {
        self.uncounted.fetch_add(1, Ordering::Relaxed);
        tracing::error!(tenant = %event.tenant, meter = %event.meter, quantity = %event.quantity, source = %event.source,
            id = %event.id, ?outcome, "usage was not counted");
    }

    fn event(&self, slot: Slot, sum: &Sum, number: u64) -> Option<UsageEvent> {
        let meaning = self.series.meaning(slot.series)?;
        let quantity = match meaning.aggregation {
            Aggregation::Count => sum.events.into(),
            Aggregation::Max => sum.max,
            Aggregation::Min => sum.min,
            Aggregation::Latest => sum.latest,
            Aggregation::Unique => rust_decimal::Decimal::ONE,
            Aggregation::Sum => sum.sum,
        };
        let source = self.flusher.source.clone();
        let event = UsageEvent::new(
            slot.tenant,
            meaning.meter,
            source,
            number.to_string(),
            sum.at,
        );
        let mut event = event.quantity(quantity).standing_for(sum.events);
        (event.project, event.key, event.user) = (slot.project, slot.key, slot.user);
        (event.job, event.unique_value) = (slot.job, slot.value);
        event.dimensions = meaning.dimensions;
        Some(event)
    }
}

pub(super) async fn run(inner: Weak<Inner>, interval: Duration) {
    let mut pause = interval;
    loop {
        tokio::time::sleep(pause).await;
        let Some(inner) = inner.upgrade() else { return };
        match inner.flush().await {
            Ok(()) => pause = interval,
            Err(error) => {
                tracing::warn!(%error, "usage waits to be sent");
                pause = (pause * 2).min(LONGEST_PAUSE.max(interval));
            }
        }
    }
}

/// Sends until nothing is left, or the time is over.
pub(super) async fn drain(inner: &Inner, limit: Duration) -> Result<(), UsageError> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(10);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let told = match tokio::time::timeout(left, inner.flush()).await {
            Ok(Ok(())) => inner.check_sent().await,
            Ok(Err(error)) => Err(error),
            Err(elapsed) => Err(UsageError::unavailable(elapsed)),
        };
        if told.is_ok() || Instant::now() + pause >= end {
            return told;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
