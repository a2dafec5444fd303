//! Records of statements as entries of the audit trail.

use std::{fmt, sync::Arc};

use serde_json::json;
use tenancy_core::{AuditEntry, AuditSink, Outcome};
use tokio::runtime::Handle;

use super::{StatementOutcome, StatementRecord, StatementSink};

/// Writes each record as an entry of the audit trail.
///
/// | action | of what |
/// |---|---|
/// | `statement.outside` | protected tables were touched outside of a tenant's context |
/// | `statement.refuse` | the database refused it |
/// | `statement.slow` | it was slow |
/// | `statement.run` | any other in the sample |
///
/// The details have the shape, the rows, the duration in microseconds and what else the record says.
///
/// Entries are stored one after the other, each durably: they wait in the log's queue and never in the trail's own,
/// where they could push out what was done. A trail holds what is kept for years: sample few, or none.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use tenancy_core::AuditSink;
/// use tenancy_sqlx::statement_log::{AuditedStatements, StatementLog};
///
/// /// The sink is the one that the engine has too.
/// fn log(trail: Arc<dyn AuditSink>) -> std::io::Result<StatementLog> {
///     StatementLog::builder().sink("trail", AuditedStatements::new(trail)).build()
/// }
/// ```
pub struct AuditedStatements {
    trail: Arc<dyn AuditSink>,
    /// Where an entry is stored; `None` where there was no runtime.
    runtime: Option<Handle>,
}

impl AuditedStatements {
    /// Into this trail. Call it in the tokio runtime that outlives the server, as the trail's own sink is made there:
    /// one that was made outside of a runtime fails with each record.
    #[must_use]
    pub fn new(trail: Arc<dyn AuditSink>) -> Self {
        Self {
            trail,
            runtime: Handle::try_current().ok(),
        }
    }
}

impl StatementSink for AuditedStatements {
    fn record(
        &self,
        record: &StatementRecord,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Some(runtime) = &self.runtime else {
            return Err("there is no tokio runtime; make `AuditedStatements` inside of one".into());
        };
        runtime.block_on(self.trail.record_durably(entry(record)))?;
        Ok(())
    }
}

fn entry(record: &StatementRecord) -> AuditEntry {
    let action = if record.outside {
        "statement.outside"
    } else if record.outcome == StatementOutcome::Refused {
        "statement.refuse"
    } else if record.slow {
        "statement.slow"
    } else {
        "statement.run"
    };
    let outcome = match record.outcome {
        StatementOutcome::Done | StatementOutcome::Unseen => Outcome::Allowed,
        StatementOutcome::Refused => Outcome::Refused,
        StatementOutcome::Failed | StatementOutcome::Cancelled => Outcome::Failed,
    };
    let mut entry = AuditEntry::new(record.at, action, outcome);
    entry.tenant = record.tenant;
    entry.project = record.project;
    entry.actor = record.actor.clone();
    entry.on_behalf_of = record.on_behalf_of;
    entry.request_id = record.request_id.clone();
    entry.trace_id = record.trace_id;
    for table in record.protected_tables.iter() {
        entry = entry.about("table", table);
    }
    entry.details(json!({
        "shape": &*record.shape,
        "rows": record.rows,
        "micros": u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX),
        "outcome": record.outcome.as_str(),
        "sql_state": record.sql_state,
        "sampled": record.sampled,
        "slow": record.slow,
        "place": record.place.map(ToString::to_string),
    }))
}

impl fmt::Debug for AuditedStatements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedStatements")
            .field("trail", &self.trail)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tenancy_core::MemoryAuditSink;

    use super::*;
    use crate::statement_log::testing::a_record;

    #[test]
    fn each_record_is_an_entry_by_what_is_most_remarkable_about_it() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let trail = Arc::new(MemoryAuditSink::new(10));
        let sink = {
            let _inside = runtime.enter();
            AuditedStatements::new(trail.clone())
        };
        let mut record = a_record();
        record.rows = 3;
        sink.record(&record).unwrap();
        record.slow = true;
        sink.record(&record).unwrap();
        record.outcome = StatementOutcome::Refused;
        record.sql_state = Some("42501".to_owned());
        sink.record(&record).unwrap();
        record.outside = true;
        record.protected_tables = Arc::new(["public.notes".into()]);
        sink.record(&record).unwrap();

        let entries = trail.entries();
        let actions: Vec<_> = entries.iter().map(|entry| &*entry.action).collect();
        let expected = [
            "statement.run",
            "statement.slow",
            "statement.refuse",
            "statement.outside",
        ];
        assert_eq!(actions, expected);
        let details = entries[0].details.as_ref().unwrap();
        assert_eq!(
            (&details["rows"], &details["shape"]),
            (&json!(3), &json!("select ?"))
        );
        assert_eq!(entries[0].tenant, record.tenant);
        assert_eq!(entries[0].actor, record.actor);
        assert_eq!(entries[2].outcome, Outcome::Refused);
        assert_eq!(entries[3].targets[0].id, "public.notes");
    }
}
