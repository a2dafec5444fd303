//! The outbox as a sink of alerts.

use async_trait::async_trait;
use tenancy_core::{
    alert::AlertSink,
    outbox::{NewEvent, OutboxError, OutboxErrorKind},
};

use super::{PgOutbox, add_events, told};

/// Writes each alert as an event, in a transaction of its own.
#[async_trait]
impl AlertSink for PgOutbox {
    async fn deliver(&self, alert: &NewEvent) -> Result<(), OutboxError> {
        let mut tx = self.begin().await?;
        let written = add_events(&mut tx, &[(alert.tenant(), alert)]).await;
        written.map_err(told_of_alert)?;
        tx.commit().await.map_err(told_of_alert)
    }
}

/// What another try would not change – SQLSTATE classes 22, data, and 23, constraints, such as that the event is there
/// already – must not keep later alerts waiting.
fn told_of_alert(error: sqlx::Error) -> OutboxError {
    let code = error.as_database_error().and_then(|said| said.code());
    match code {
        Some(code) if code.starts_with("22") || code.starts_with("23") => OutboxError::new(
            OutboxErrorKind::Invalid,
            format!("the alert was written before, or can't be stored (SQLSTATE {code})"),
        ),
        _ => told(error),
    }
}
