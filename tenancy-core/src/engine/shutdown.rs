//! The end of a service: what is queued is stored, and what is lost is said.

use std::time::Duration;

use futures_util::future::join3;
use tokio::time::{Instant, timeout_at};

use super::Tenancy;

/// What became of what was queued when a service stopped; made by [`Tenancy::shutdown`].
///
/// ```
/// use std::time::Duration;
///
/// # use tenancy_core::Tenancy;
/// async fn stop(tenancy: &Tenancy) {
///     // After the server has answered its last request.
///     let report = tenancy.shutdown(Duration::from_secs(10)).await;
///     if !report.is_complete() {
///         eprintln!("not all was stored: {report:?}");
///     }
/// }
/// # let _ = stop;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Whether each entry of the audit trail that was recorded before is stored, or is among
    /// [`audit_dropped`](Self::audit_dropped). If not, what is queued is lost with the process.
    pub audit_is_stored: bool,
    /// How many entries the audit sink has dropped since the service began.
    pub audit_dropped: u64,
    /// Whether it is written when each API key was last used. If not, the latest uses are not known.
    pub key_uses_are_written: bool,
    /// How many alerts were not delivered. The audit trail has them, if it is stored.
    pub alerts_waiting: usize,
    /// How many alerts were dropped since the service began.
    pub alerts_dropped: u64,
}

impl ShutdownReport {
    /// Whether all that was queued is stored, and nothing was dropped since the service began.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.audit_is_stored
            && self.audit_dropped == 0
            && self.key_uses_are_written
            && self.alerts_waiting == 0
            && self.alerts_dropped == 0
    }
}

impl Tenancy {
    /// Stores what is queued, for the end of a service: entries of the audit trail, when API keys were last used, and
    /// alerts. Returns within the limit, with what was not stored by then. Call it when the server has answered its last
    /// request, and before pools are closed. What is recorded after that may be lost.
    ///
    /// What is not complete is also logged. The engine goes on: a call more stores what has come since.
    ///
    /// In axum it follows `with_graceful_shutdown`, in actix-web the future of `HttpServer::run`:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # use tenancy_core::Tenancy;
    /// # async fn serve(tenancy: Tenancy, server: impl Future<Output = std::io::Result<()>>) -> std::io::Result<()> {
    /// server.await?; // `axum::serve(…).with_graceful_shutdown(…)`, or `HttpServer::new(…).run()`
    /// let report = tenancy.shutdown(Duration::from_secs(10)).await;
    /// println!("{} audit entries were dropped", report.audit_dropped);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self, limit: Duration) -> ShutdownReport {
        let inner = self.inner();
        let end = Instant::now() + limit;
        let audit = timeout_at(end, inner.audit.flush());
        let uses = timeout_at(end, async {
            match &inner.keys {
                Some(keys) => keys.write_uses().await,
                None => Ok(()),
            }
        });
        let alerts = timeout_at(end, inner.alerts.delivered());
        let (audit, uses, _) = join3(audit, uses, alerts).await;
        if let Ok(Err(error)) = &audit {
            tracing::error!(%error, "the audit trail could not be stored to its end");
        }
        if let Ok(Err(error)) = &uses {
            tracing::warn!(%error, "could not write when API keys were last used");
        }
        let report = ShutdownReport {
            audit_is_stored: matches!(audit, Ok(Ok(()))),
            audit_dropped: inner.audit.dropped(),
            key_uses_are_written: matches!(uses, Ok(Ok(()))),
            alerts_waiting: inner.alerts.waiting(),
            alerts_dropped: inner.alerts.dropped(),
        };
        if report.is_complete() {
            tracing::debug!("what was queued is stored");
        } else {
            tracing::error!(?report, "the service ends, and not all was stored");
        }
        report
    }
}
