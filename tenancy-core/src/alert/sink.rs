//! Where alerts go.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::outbox::{MemoryOutbox, NewEvent, OutboxError, OutboxErrorKind};

/// How many alerts [`MemoryAlertSink`] keeps.
const MOST: usize = 1_024;

/// Takes alerts as events. The engine calls it one alert at a time, off the request's path.
///
/// [`TracingAlertSink`] logs them. An outbox stores them for its consumers: `PgOutbox` of `tenancy-sqlx`, and
/// [`MemoryOutbox`].
///
/// ```
/// use tenancy_core::{async_trait, alert::AlertSink, outbox::{NewEvent, OutboxError}};
///
/// /// Tells whoever is on call.
/// #[derive(Debug)]
/// struct Pager;
///
/// #[async_trait]
/// impl AlertSink for Pager {
///     async fn deliver(&self, alert: &NewEvent) -> Result<(), OutboxError> {
///         println!("{}: {}", alert.kind(), alert.payload());
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait AlertSink: Send + Sync + fmt::Debug {
    /// Takes an alert, and returns when it is kept.
    ///
    /// # Errors
    /// An [`OutboxError`]: then it is tried again, after a pause. With [`OutboxErrorKind::Invalid`] it is not: the event
    /// was taken before, or never will be.
    async fn deliver(&self, alert: &NewEvent) -> Result<(), OutboxError>;
}

/// Logs each alert as a warning with the target `tenancy::alert`.
///
/// ```
/// use tenancy_core::{MemoryDirectory, Tenancy, alert::{AlertRules, TracingAlertSink}};
///
/// let builder = Tenancy::builder(MemoryDirectory::new()).alerts(AlertRules::new(), TracingAlertSink);
/// # drop(builder);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingAlertSink;

#[async_trait]
impl AlertSink for TracingAlertSink {
    async fn deliver(&self, alert: &NewEvent) -> Result<(), OutboxError> {
        tracing::event!(
            target: "tenancy::alert",
            tracing::Level::WARN,
            alert.kind = alert.kind(),
            alert.details = %alert.payload(),
            tenant.id = alert.tenant().as_ref().map(tracing::field::display),
            "alert"
        );
        Ok(())
    }
}

/// Keeps the newest 1,024 alerts in memory, for tests; clones share them.
///
/// ```
/// use tenancy_core::{MemoryDirectory, Tenancy, alert::{AlertRules, MemoryAlertSink}};
///
/// let alerts = MemoryAlertSink::new();
/// let builder = Tenancy::builder(MemoryDirectory::new()).alerts(AlertRules::new(), alerts.clone());
/// assert!(alerts.events().is_empty());
/// # drop(builder);
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryAlertSink(Arc<Mutex<VecDeque<NewEvent>>>);

impl MemoryAlertSink {
    /// A sink without alerts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The alerts, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<NewEvent> {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().cloned().collect()
    }
}

#[async_trait]
impl AlertSink for MemoryAlertSink {
    async fn deliver(&self, alert: &NewEvent) -> Result<(), OutboxError> {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == MOST {
            events.pop_front();
        }
        events.push_back(alert.clone());
        Ok(())
    }
}

#[async_trait]
impl AlertSink for MemoryOutbox {
    async fn deliver(&self, alert: &NewEvent) -> Result<(), OutboxError> {
        self.emit(alert)
    }
}

/// Whether another try would end the same.
pub(crate) fn is_final(error: &OutboxError) -> bool {
    error.kind() == OutboxErrorKind::Invalid
}
