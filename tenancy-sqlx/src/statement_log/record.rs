//! What is told of one statement.

use std::{panic::Location, sync::Arc, time::Duration};

use tenancy_core::{Actor, ProjectId, TenantId, Timestamp, TraceId, UserId};

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatementOutcome {
    /// It was done.
    Done,
    /// The database refused it: SQLSTATE 42501. It would have written a row of another tenant, or the login may not do
    /// that at all.
    Refused,
    /// It failed.
    Failed,
    /// Its caller left before its end: a request that was cancelled, or a stream that was dropped.
    Cancelled,
    /// Nothing is known but that there may have been statements: the connection was borrowed from its transaction as
    /// sqlx's own, [past the log](super#what-is-not-in-it).
    Unseen,
}

impl StatementOutcome {
    /// The name under which it is logged.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Unseen => "unseen",
        }
    }
}

/// What is told of one statement: who ran what shape of a statement, for whom, and how it went.
///
/// ```
/// use tenancy_sqlx::statement_log::StatementRecord;
///
/// fn line(record: &StatementRecord) -> String {
///     let tenant = record.tenant.map_or_else(|| "nobody".to_owned(), |tenant| tenant.to_string());
///     let outcome = record.outcome.as_str();
///     format!("{tenant}: {outcome}, {} rows in {:?}: {}", record.rows, record.duration, record.shape)
/// }
/// # let _ = line;
/// ```
///
/// # Security
/// It has neither parameters nor literals. Names are shown as the statement has them: those of tables and columns, and
/// names in double quotes that a service makes of somebody's data.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StatementRecord {
    /// When it ended.
    pub at: Timestamp,
    /// For which tenant it ran; `None` where it ran outside of a tenant's context.
    pub tenant: Option<TenantId>,
    /// In which project.
    pub project: Option<ProjectId>,
    /// Who ran it, where that is known.
    pub actor: Option<Actor>,
    /// The user with whose rights it ran, where the actor is no user itself.
    pub on_behalf_of: Option<UserId>,
    /// The id of the request that it belongs to.
    pub request_id: Option<String>,
    /// The trace that it is a part of.
    pub trace_id: Option<TraceId>,
    /// The text with `?` in the place of each literal, in small letters; lists of values are `…`. Cut after 1,000 bytes.
    /// Of a text that the server could not read, or that may be read in two ways, only the first word.
    pub shape: Arc<str>,
    /// How many rows were returned or changed.
    pub rows: u64,
    /// From when it was sent until its last row was taken; the wait for a connection does not count. What a caller does
    /// between the rows of a stream counts.
    pub duration: Duration,
    /// How it ended.
    pub outcome: StatementOutcome,
    /// What the database said, where it failed: five letters and digits.
    pub sql_state: Option<String>,
    /// Whether it is one of those that the [sample](super::StatementLogBuilder::sample_one_in) took.
    pub sampled: bool,
    /// Whether it took as long as [a slow one](super::StatementLogBuilder::slower_than), or longer.
    pub slow: bool,
    /// Whether it has touched protected tables outside of a tenant's context, or may have: see
    /// [`protected_tables`](Self::protected_tables).
    pub outside: bool,
    /// The protected tables that its text names, with their schemas; views over such tables too. Looked for where it ran
    /// outside of a tenant's context. Empty with [`outside`](Self::outside) means that its text does not tell.
    pub protected_tables: Arc<[Arc<str>]>,
    /// Where in the source the connection was borrowed, for [`StatementOutcome::Unseen`].
    pub place: Option<&'static Location<'static>>,
}

impl StatementRecord {
    /// Whether somebody should look at it: it touched protected tables outside of a tenant's context, or the database
    /// refused it.
    ///
    /// Such records are always made, and have room of their own in the queue of a sink.
    #[must_use]
    pub fn is_flagged(&self) -> bool {
        self.outside || self.outcome == StatementOutcome::Refused
    }
}
