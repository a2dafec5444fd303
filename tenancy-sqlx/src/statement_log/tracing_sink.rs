//! Records of statements as `tracing` events.

use super::{StatementRecord, StatementSink};

/// Writes each record as a `tracing` event with the target `tenancy::statements`: at `WARN` what is slow or flagged,
/// the others at `INFO`.
///
/// The events come from a thread of the log's own: they are in no span of a request, and have its id and its trace as
/// fields.
///
/// ```
/// use tenancy_sqlx::statement_log::{StatementLog, TracingStatements};
///
/// let log = StatementLog::builder().sink("log", TracingStatements).build()?;
/// # drop(log);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingStatements;

impl StatementSink for TracingStatements {
    fn record(
        &self,
        record: &StatementRecord,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let micros = u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX);
        let tables = record.protected_tables.join(", ");
        macro_rules! emit {
            ($level:expr) => {
                tracing::event!(
                    target: "tenancy::statements",
                    $level,
                    statement.at = %record.at,
                    statement.shape = &*record.shape,
                    statement.rows = record.rows,
                    statement.micros = micros,
                    statement.outcome = record.outcome.as_str(),
                    statement.sql_state = record.sql_state.as_deref(),
                    statement.sampled = record.sampled,
                    statement.slow = record.slow,
                    statement.outside = record.outside,
                    statement.protected_tables = tables,
                    statement.place = record.place.map(tracing::field::display),
                    tenant.id = record.tenant.map(tracing::field::display),
                    project.id = record.project.map(tracing::field::display),
                    principal = record.actor.as_ref().map(tracing::field::display),
                    on_behalf_of = record.on_behalf_of.map(tracing::field::display),
                    request.id = record.request_id.as_deref(),
                    trace.id = record.trace_id.map(tracing::field::display),
                    "statement"
                )
            };
        }
        if record.slow || record.is_flagged() {
            emit!(tracing::Level::WARN);
        } else {
            emit!(tracing::Level::INFO);
        }
        Ok(())
    }
}
