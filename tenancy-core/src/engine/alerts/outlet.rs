//! The way out of alerts: a bounded queue, and a task that empties it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    alert::{AlertSink, is_final},
    outbox::NewEvent,
};

/// How many alerts wait for the sink at most. Beyond it they are counted and dropped; the audit trail has them.
const MOST: usize = 1_024;

/// How long a delivery may take, in real time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Outlet {
    sink: Arc<dyn AlertSink>,
    waiting: Mutex<VecDeque<NewEvent>>,
    is_running: AtomicBool,
    dropped: AtomicU64,
    emptied: Notify,
}

impl Outlet {
    pub(super) fn new(sink: Arc<dyn AlertSink>) -> Self {
        Self {
            sink,
            waiting: Mutex::default(),
            is_running: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            emptied: Notify::new(),
        }
    }

    /// Adds an alert, or counts it as dropped. Never waits.
    pub(super) fn push(self: &Arc<Self>, event: NewEvent) {
        let is_full = {
            let mut waiting = self.waiting();
            let is_full = waiting.len() >= MOST;
            if !is_full {
                waiting.push_back(event);
            }
            is_full
        };
        if is_full {
            let lost = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::error!(lost, "alerts were dropped: their sink does not keep up");
            }
        }
        self.run();
    }

    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Returns when nothing waits.
    pub(super) async fn emptied(self: &Arc<Self>) {
        loop {
            let emptied = self.emptied.notified();
            let mut emptied = std::pin::pin!(emptied);
            emptied.as_mut().enable();
            if self.len() == 0 {
                return;
            }
            self.run();
            emptied.await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<NewEvent>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spawns the task that delivers, if there is none. Outside of a runtime alerts wait for the next call within one.
    fn run(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if !self.is_running.swap(true, Ordering::AcqRel) {
            runtime.spawn(deliver(Running(Arc::clone(self))));
        }
    }
}

/// The task that delivers. However it ends, another one may begin: its runtime may end before the engine does.
struct Running(Arc<Outlet>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::Release);
        self.0.emptied.notify_waiters();
    }
}

async fn deliver(running: Running) {
    let outlet = Arc::clone(&running.0);
    let mut pause = Duration::from_secs(1);
    loop {
        let next = outlet.waiting().front().cloned();
        let Some(event) = next else {
            drop(running);
            // What was added before that has found a task that ends.
            if outlet.len() > 0 {
                outlet.run();
            }
            return;
        };
        let told = tokio::time::timeout(TIMEOUT, outlet.sink.deliver(&event)).await;
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) if is_final(&error) => {
                // Also one that was taken before, and whose answer was lost.
                tracing::warn!(%error, alert = event.kind(), "an alert is not delivered again");
            }
            failed => {
                let error = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => "it did not answer in time".to_owned(),
                };
                tracing::warn!(error, alert = event.kind(), "alerts wait for their sink");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
        }
        pause = Duration::from_secs(1);
        outlet.waiting().pop_front();
    }
}
