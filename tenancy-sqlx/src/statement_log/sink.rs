//! Where records of statements go.

use super::StatementRecord;

/// Takes records of statements.
///
/// A sink is called on a thread of its own, one record after the other: it may wait, for a disk or a network, and no
/// statement waits for it. What it has not taken yet waits in a bounded queue. What finds that full is left out, counted
/// in [`StatementLog::stats`](super::StatementLog::stats) and logged.
///
/// ```
/// use std::{fs::File, io::Write, sync::Mutex};
///
/// use tenancy_sqlx::statement_log::{StatementLog, StatementRecord, StatementSink};
///
/// /// One line for each statement.
/// struct Lines(Mutex<File>);
///
/// impl StatementSink for Lines {
///     fn record(&self, record: &StatementRecord) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///         let mut file = self.0.lock().map_err(|_| "a writer has panicked")?;
///         writeln!(file, "{} {:?} {}", record.at, record.tenant, record.shape)?;
///         Ok(())
///     }
/// }
///
/// fn log(file: File) -> std::io::Result<StatementLog> {
///     StatementLog::builder().sample_one_in(100).sink("lines", Lines(Mutex::new(file))).build()
/// }
/// # let _ = log;
/// ```
pub trait StatementSink: Send + Sync + 'static {
    /// Takes a record.
    ///
    /// Whoever wants to try again after a failure does so in here; records wait meanwhile, as far as there is room.
    ///
    /// # Errors
    /// Why it was not taken. That is counted and logged, and the record is gone. A panic counts as an error.
    fn record(
        &self,
        record: &StatementRecord,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

impl<S: StatementSink + ?Sized> StatementSink for std::sync::Arc<S> {
    fn record(
        &self,
        record: &StatementRecord,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        (**self).record(record)
    }
}
