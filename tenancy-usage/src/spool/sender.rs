//! The way from the files to the sink.

use std::{
    io,
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::Mutex;

use super::{
    Inner,
    format::{self, Records},
    lock,
    segments::Segment,
};
use crate::{EventOutcome, UsageError, UsageEvent, UsageSink};

/// How many events are sent at a time.
const BATCH: usize = 1_000;

/// The longest pause after the sink gave no answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Sender {
    sink: Arc<dyn UsageSink>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reading: Option<Reading>,
    /// What the sink has not answered for: it is sent again as it is.
    batch: Vec<UsageEvent>,
}

/// The file that is sent.
#[derive(Debug)]
struct Reading {
    number: u64,
    /// Up to where it was read.
    read_to: u64,
    records: Records,
    /// Whether it stays, for people.
    is_kept: bool,
    /// Whether another release has written it.
    is_foreign: bool,
}

/// A line of the file of refused events.
#[derive(Debug, Serialize)]
struct RefusedLine<'a> {
    event: &'a UsageEvent,
    outcome: &'static str,
    why: String,
}

impl Sender {
    pub(super) fn new(sink: Arc<dyn UsageSink>) -> Self {
        Self {
            sink,
            state: Mutex::default(),
        }
    }
}

/// Sends what the disk has by now, until the sink has answered for all of it.
pub(super) async fn send_all(inner: &Arc<Inner>) -> Result<(), UsageError> {
    let end = inner.segments.end();
    let mut state = inner.sender.state.lock().await;
    let sent = async {
        loop {
            if state.batch.is_empty() && !next(inner, &mut state, end).await? {
                return Ok(());
            }
            send(inner, &mut state).await?;
        }
    };
    let sent: Result<(), UsageError> = sent.await;
    *lock(&inner.sink_fault) = sent.as_ref().err().map(cause);
    sent
}

/// What an error says and why.
fn cause(error: &UsageError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Reads the next batch, or says that there is none before `end`.
async fn next(inner: &Arc<Inner>, state: &mut State, end: (u64, u64)) -> Result<bool, UsageError> {
    loop {
        let Some((number, segment)) = inner.segments.oldest() else {
            return Ok(false);
        };
        let reading = match &mut state.reading {
            Some(reading) if reading.number == number => reading,
            other => other.insert(Reading {
                number,
                read_to: 0,
                records: Records::default(),
                is_kept: false,
                is_foreign: false,
            }),
        };
        if !reading.records.is_empty() {
            let read = reading.records.read(BATCH);
            if read.damaged > 0 {
                damaged(inner, reading, read.damaged);
            }
            state.batch = read.events;
            if !state.batch.is_empty() {
                return Ok(true);
            }
        } else if reading.read_to < segment.length {
            if (number, reading.read_to) >= end {
                return Ok(false);
            }
            read(inner, reading, segment).await?;
        } else if segment.is_sealed {
            let (is_kept, is_foreign) = (reading.is_kept, reading.is_foreign);
            state.reading = None;
            if is_foreign {
                inner.segments.done(number, false);
            } else {
                finish(inner, number, is_kept);
            }
        } else {
            return Ok(false);
        }
    }
}

/// Reads what the disk has of a file and was not read. One that can't be read is set aside, if it is complete.
async fn read(
    inner: &Arc<Inner>,
    reading: &mut Reading,
    segment: Segment,
) -> Result<(), UsageError> {
    let (number, from) = (reading.number, reading.read_to);
    let read = on_disk(inner, move |inner| {
        inner.directory.read(number, from, segment.length)
    });
    let bytes = match read.await {
        Ok(bytes) => bytes,
        Err(error) if segment.is_sealed => {
            tracing::error!(%error, number, "a file of the usage spool can't be read");
            damaged(inner, reading, 1);
            reading.read_to = segment.length;
            return Ok(());
        }
        Err(error) => return Err(UsageError::unavailable(error)),
    };
    reading.read_to = segment.length;
    if from == 0 && format::is_foreign(&bytes) {
        tracing::error!(
            number,
            "a file of the usage spool is of another release of this crate, and stays for it"
        );
        inner.counts.damaged.fetch_add(1, Ordering::Relaxed);
        reading.is_foreign = true;
        return Ok(());
    }
    reading.records = Records::new(bytes, from == 0, segment.is_left);
    Ok(())
}

fn damaged(inner: &Inner, reading: &mut Reading, stretches: u64) {
    reading.is_kept = true;
    inner.counts.damaged.fetch_add(stretches, Ordering::Relaxed);
    tracing::error!(
        number = reading.number,
        stretches,
        "a file of the usage spool is damaged; the rest of it counts, and the file stays under another name"
    );
}

/// Removes a file, or gives it another name. Waits for nothing, so that both are done or none.
fn finish(inner: &Inner, number: u64, is_kept: bool) {
    let done = if is_kept {
        inner.directory.set_aside(number)
    } else {
        inner.directory.remove(number)
    };
    match done {
        Ok(()) => inner.segments.done(number, !is_kept),
        Err(error) => {
            // Not sent again before the next start, where it counts once.
            tracing::warn!(%error, number, "a file of the usage spool that was sent stays");
            (inner.segments).done(number, error.kind() == io::ErrorKind::NotFound);
        }
    }
}

/// Sends a batch, and notes what became of each event.
async fn send(inner: &Arc<Inner>, state: &mut State) -> Result<(), UsageError> {
    let outcomes = inner.sender.sink.record(&state.batch).await?;
    if outcomes.len() != state.batch.len() {
        return Err(UsageError::unavailable(format!(
            "the sink has answered for {} of {} events",
            outcomes.len(),
            state.batch.len()
        )));
    }
    let mut lines = Vec::new();
    let mut refused = 0;
    for (outcome, event) in outcomes.iter().zip(&state.batch) {
        let Some((outcome, why)) = refusal(outcome) else {
            continue;
        };
        refused += 1;
        tracing::error!(tenant = %event.tenant, meter = %event.meter, outcome, %why, "usage was not counted");
        let line = RefusedLine {
            event,
            outcome,
            why,
        };
        serde_json::to_writer(&mut lines, &line).map_err(UsageError::unavailable)?;
        lines.push(b'\n');
    }
    let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    if length > 0 {
        let written = on_disk(inner, move |inner| inner.directory.refuse(&lines));
        written.await.map_err(UsageError::unavailable)?;
    }
    let all = u64::try_from(state.batch.len()).unwrap_or(u64::MAX);
    inner.counts.refused.fetch_add(refused, Ordering::Relaxed);
    inner
        .counts
        .counted
        .fetch_add(all - refused, Ordering::Relaxed);
    inner.segments.kept(length);
    state.batch.clear();
    Ok(())
}

/// Why an event is not counted; `None` if it is.
fn refusal(outcome: &EventOutcome) -> Option<(&'static str, String)> {
    match outcome {
        EventOutcome::Counted | EventOutcome::AlreadyCounted => None,
        EventOutcome::Conflict => Some((
            "conflict",
            "another event was counted under its source and id".to_owned(),
        )),
        EventOutcome::Unmatched(error) => Some(("unmatched", error.to_string())),
        EventOutcome::TooLate(error) => Some(("too late", error.to_string())),
        EventOutcome::Refused(error) => Some(("refused", error.to_string())),
    }
}

/// Works with files where it may take its time.
async fn on_disk<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let inner = Arc::clone(inner);
    let done = tokio::task::spawn_blocking(move || work(&inner)).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Sends again and again, until the spool ends.
pub(super) async fn run(inner: Weak<Inner>, interval: Duration) {
    let mut pause = interval;
    loop {
        let Some(spool) = inner.upgrade() else { return };
        match send_all(&spool).await {
            Ok(()) => pause = interval,
            Err(error) => {
                tracing::warn!(error = cause(&error), "usage waits in the spool to be sent");
                pause = (pause * 2).min(LONGEST_PAUSE.max(interval));
            }
        }
        drop(spool);
        tokio::time::sleep(pause).await;
    }
}

/// Sends until nothing is left, or the time is over.
pub(super) async fn drain(inner: &Arc<Inner>, end: Instant) -> Result<(), UsageError> {
    let mut pause = Duration::from_millis(10);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let told = match tokio::time::timeout(left, send_all(inner)).await {
            Ok(told) => told,
            Err(elapsed) => Err(UsageError::unavailable(elapsed)),
        };
        if told.is_ok() || Instant::now() + pause >= end {
            return told;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
