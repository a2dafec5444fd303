//! A request that is metered: what the layers tell of it, and its end.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tenancy_core::TenantContext;
use tenancy_usage::{FinishedRequest, RequestUsage};

use crate::AdmissionDecision;

/// The status of a request whose client went before there was an answer. No standard has it; servers log it so.
const CLIENT_GONE: u16 = 499;

/// That a request is metered already, for it to carry: the layers inside tell what they find out.
#[derive(Clone)]
pub struct MeteredRequest(Arc<Seen>);

#[derive(Default)]
struct Seen {
    known: Mutex<Known>,
    received: AtomicU64,
}

#[derive(Default)]
struct Known {
    context: Option<TenantContext>,
    route: Option<Box<str>>,
}

impl MeteredRequest {
    /// Takes note of whose request it is. What is decided last holds.
    pub fn decided(&self, decision: &AdmissionDecision) {
        self.known().context = decision.context().cloned();
    }

    /// Takes note of the pattern that the path matched.
    pub fn matched(&self, route: &str) {
        let mut known = self.known();
        if known.route.as_deref() != Some(route) {
            known.route = Some(route.into());
        }
    }

    /// Takes note of so many bytes of the request's body that were read.
    pub fn received(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.0.received.fetch_add(bytes, Ordering::Relaxed);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MeteredRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredRequest").finish_non_exhaustive()
    }
}

/// A request that is metered when this is dropped: an adapter's future holds it until there is an answer, and then the body
/// of that, until its end or until the client goes.
#[derive(Debug)]
#[must_use = "a request is metered when this is dropped"]
pub struct RequestMeter {
    usage: RequestUsage,
    seen: MeteredRequest,
    method: Box<str>,
    began: Instant,
    status: Option<u16>,
    sent: u64,
}

impl RequestMeter {
    /// A request that begins, and may have been decided about.
    pub fn begin(usage: &RequestUsage, method: &str, decision: Option<&AdmissionDecision>) -> Self {
        let seen = MeteredRequest(Arc::default());
        if let Some(decision) = decision {
            seen.decided(decision);
        }
        Self {
            usage: usage.clone(),
            seen,
            method: method.into(),
            began: Instant::now(),
            status: None,
            sent: 0,
        }
    }

    /// What the request carries.
    #[must_use]
    pub fn carried(&self) -> MeteredRequest {
        self.seen.clone()
    }

    /// Takes note of the answer's status.
    pub fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// Takes note of so many bytes of the answer's body that were handed to the server.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += u64::try_from(bytes).unwrap_or(u64::MAX);
    }
}

impl Drop for RequestMeter {
    fn drop(&mut self) {
        let known = std::mem::take(&mut *self.seen.known());
        let Some(context) = known.context else { return };
        let without_answer = if std::thread::panicking() {
            500
        } else {
            CLIENT_GONE
        };
        self.usage.finished(
            &context,
            &FinishedRequest {
                route: known.route.as_deref(),
                method: &self.method,
                status: self.status.unwrap_or(without_answer),
                request_bytes: self.seen.0.received.load(Ordering::Relaxed),
                // Some servers read the body of an answer to HEAD, and none sends it.
                response_bytes: if &*self.method == "HEAD" {
                    0
                } else {
                    self.sent
                },
                took: self.began.elapsed(),
            },
        );
    }
}
