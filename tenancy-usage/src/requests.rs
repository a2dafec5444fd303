//! Requests over HTTP, metered.

mod series;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rust_decimal::Decimal;
use tenancy_core::{ConfigError, TenantContext};

use self::series::{RouteSeries, Routes};
use crate::{Aggregation, UsageMeters, UsageRecorder};

/// Meters requests over HTTP with [`UsageMeters::http`]: how many there were, their bytes, and how long they took, for each
/// route. An adapter tells it of each request that has ended; nothing waits for it.
///
/// A request without a tenant is nobody's usage and is not metered. Neither is one of an
/// [impersonation](TenantContext::impersonation): what an operator does is no usage of the tenant's, though it is done in
/// the user's place.
///
/// Routes, methods and codes are few, because a service chooses them: a method that the standards do not know is `other`.
/// 0 bytes record nothing.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use tenancy_core::TenantContext;
/// use tenancy_usage::{FinishedRequest, MemoryUsage, RequestUsage, UsageMeters, UsageRecorder};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let meters = UsageMeters::new(UsageMeters::http())?;
/// let sink = Arc::new(MemoryUsage::new(meters.clone()));
/// let recorder = UsageRecorder::builder(sink, meters).build();
/// let usage = RequestUsage::new(&recorder)?;
///
/// // What an adapter does after each response:
/// fn ended(usage: &RequestUsage, context: &TenantContext) {
///     usage.finished(context, &FinishedRequest {
///         route: Some("/notes/{id}"),
///         method: "GET",
///         status: 200,
///         request_bytes: 0,
///         response_bytes: 1_200,
///         took: Duration::from_millis(7),
///     });
/// }
/// # let _ = ended;
/// // When the service ends, after its server:
/// recorder.close(Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RequestUsage(Arc<Inner>);

struct Inner {
    recorder: UsageRecorder,
    routes: Routes,
    lost: AtomicU64,
}

/// A request that has ended, as an adapter has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinishedRequest<'a> {
    /// The pattern that matched, such as `/notes/{id}`; `None` where none did.
    pub route: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The status code.
    pub status: u16,
    /// How many bytes of the request's body were read.
    pub request_bytes: u64,
    /// How many bytes of the response's body were handed to the server.
    pub response_bytes: u64,
    /// From the first line of the request to the last byte of the response.
    pub took: Duration,
}

impl RequestUsage {
    /// Meters with this recorder.
    ///
    /// # Errors
    /// A [`ConfigError`] if one of [`UsageMeters::http`] is not declared, or otherwise.
    pub fn new(recorder: &UsageRecorder) -> Result<Self, ConfigError> {
        for wanted in UsageMeters::http() {
            let name = wanted.name();
            let known = recorder.meters().get(name);
            let fits = known.is_some_and(|known| {
                known.aggregation() == wanted.aggregation()
                    && wanted
                        .dimensions()
                        .all(|dimension| known.has_dimension(dimension))
            });
            if !fits {
                let what = match known {
                    None => "is not declared",
                    Some(_) => "adds up otherwise or lacks a dimension",
                };
                return Err(ConfigError::new(format!(
                    "requests can't be metered: the usage meter `{name}` {what}; give `UsageMeters::http()` to \
                     `UsageMeters::new`, and leave out meters of the same names"
                )));
            }
        }
        Ok(Self(Arc::new(Inner {
            recorder: recorder.clone(),
            routes: Routes::default(),
            lost: AtomicU64::new(0),
        })))
    }

    /// Meters a request of a tenant.
    pub fn finished(&self, context: &TenantContext, request: &FinishedRequest<'_>) {
        if context.impersonation().is_some() {
            return;
        }
        let route = self.0.routes.get(request.route);
        if self.record(&route, context, request).is_none()
            && self.0.lost.fetch_add(1, Ordering::Relaxed) == 0
        {
            tracing::error!(
                route = route.name(),
                "a request is not metered, or not whole: the recorder has ended, or has no room for another sum or series"
            );
        }
    }

    /// How many requests were not metered or not whole, because the recorder had no room or had ended. The first one is
    /// logged.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    fn record(
        &self,
        route: &RouteSeries,
        context: &TenantContext,
        request: &FinishedRequest<'_>,
    ) -> Option<()> {
        let recorder = &self.0.recorder;
        // What one meter has no room for keeps no other out.
        let counted = route.requests(recorder, request.method, request.status);
        let took = route.took(recorder, request.took);
        let [bytes_in, bytes_out, seconds] = route.sums(recorder);
        let seconds_taken = seconds_of(request.took);
        let recorded = [
            (counted, Decimal::ONE),
            (took, Decimal::ONE),
            (seconds, seconds_taken),
            (bytes_in, request.request_bytes.into()),
            (bytes_out, request.response_bytes.into()),
        ]
        .map(|(series, quantity)| {
            let series = series?;
            if quantity.is_zero() && series.aggregation() != Aggregation::Count {
                return Some(());
            }
            series.record(context, quantity).ok()
        });
        recorded.into_iter().collect()
    }
}

/// In seconds, to the microsecond.
fn seconds_of(took: Duration) -> Decimal {
    let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
    Decimal::new(micros, 6)
}

impl fmt::Debug for RequestUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestUsage")
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}
