//! A statement while it runs.

use std::{
    panic::Location,
    sync::Arc,
    time::{Duration, Instant},
};

use async_stream::try_stream;
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::{
    Either, Error, Execute, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow},
};
use tenancy_core::{Actor, TenantContext, TenantId, Timestamp};

use super::{StatementLog, StatementOutcome, StatementRecord};
use crate::statement::Statement;

/// A log, and on whose behalf statements run.
#[derive(Debug)]
pub(crate) struct Attribution {
    log: StatementLog,
    who: Who,
}

#[derive(Debug)]
pub(super) enum Who {
    Tenant(TenantContext),
    /// Outside of a tenant's context; who it is, where that is known.
    Nobody(Option<Actor>),
}

impl Attribution {
    pub(crate) fn tenant(log: &StatementLog, context: &TenantContext) -> Self {
        Self {
            log: log.clone(),
            who: Who::Tenant(context.clone()),
        }
    }

    pub(crate) fn nobody(log: &StatementLog, actor: Option<Actor>) -> Self {
        Self {
            log: log.clone(),
            who: Who::Nobody(actor),
        }
    }

    /// Takes note of a connection that was borrowed past the log.
    pub(crate) fn past(&self, place: &'static Location<'static>) {
        self.log.note_past(&self.who, place);
    }
}

impl Who {
    pub(super) fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Tenant(context) => Some(context.tenant_id()),
            Self::Nobody(_) => None,
        }
    }

    /// A record of a statement of which nothing else is known yet.
    pub(super) fn record(&self, at: Timestamp, shape: Arc<str>) -> StatementRecord {
        let context = match self {
            Self::Tenant(context) => Some(context),
            Self::Nobody(_) => None,
        };
        let actor = match self {
            Self::Tenant(context) => Some(&context.principal().actor),
            Self::Nobody(actor) => actor.as_ref(),
        };
        StatementRecord {
            at,
            tenant: self.tenant(),
            project: context.and_then(TenantContext::project_id),
            actor: actor.cloned(),
            on_behalf_of: context.and_then(|context| context.principal().on_behalf_of),
            request_id: context
                .and_then(TenantContext::request_id)
                .map(str::to_owned),
            trace_id: context.and_then(TenantContext::trace_id),
            shape,
            rows: 0,
            duration: Duration::ZERO,
            outcome: StatementOutcome::Done,
            sql_state: None,
            sampled: false,
            slow: false,
            outside: false,
            protected_tables: Arc::new([]),
            place: None,
        }
    }
}

/// How a statement has ended.
pub(super) struct Ended<'s> {
    pub(super) sql: &'s str,
    pub(super) rows: u64,
    pub(super) duration: Duration,
    pub(super) outcome: StatementOutcome,
    pub(super) sql_state: Option<String>,
}

impl Ended<'_> {
    /// Whether the server could read the text.
    ///
    /// # Security
    /// It refuses with a code of class 42 what it can't read, and texts that name what is not there. Then words of the
    /// text may be parts of a value, which a quote in the value has let out.
    pub(super) fn was_read(&self) -> bool {
        let is_about_text =
            |state: &String| state.starts_with("42") && self.outcome != StatementOutcome::Refused;
        !self.sql_state.as_ref().is_some_and(is_about_text)
    }
}

/// A statement that runs. Where there is no log, nothing.
///
/// Dropped before it was told how the statement ended, it takes note of one that was cancelled.
pub(crate) struct Watched<'a>(Option<Running<'a>>);

struct Running<'a> {
    of: &'a Attribution,
    sql: SqlStr,
    since: Instant,
    /// What it took, once its last row was taken.
    took: Option<Duration>,
    /// Rows that have come, and rows that the server says it has returned or changed.
    received: u64,
    counted: u64,
}

impl<'a> Watched<'a> {
    /// A statement that is about to be sent.
    fn begin(of: Option<&'a Attribution>, sql: &SqlStr) -> Self {
        Self(of.map(|of| Running {
            of,
            sql: sql.clone(),
            since: Instant::now(),
            took: None,
            received: 0,
            counted: 0,
        }))
    }

    /// It is sent now, for the first time or once more.
    pub(crate) fn sent<'w>(
        watched: &'w mut Option<Self>,
        of: Option<&'a Attribution>,
        sql: &SqlStr,
    ) -> &'w mut Self {
        let watched = watched.get_or_insert_with(|| Self::begin(of, sql));
        watched.again();
        watched
    }

    /// Hands on what came of taking a connection. If it is an error, it ends a statement that was sent before; one that
    /// was never sent has not run.
    pub(crate) fn ready<T>(
        watched: &mut Option<Self>,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        match watched {
            Some(watched) => watched.unless(outcome),
            None => outcome,
        }
    }

    /// It is sent once more.
    pub(crate) fn again(&mut self) {
        if let Some(running) = &mut self.0 {
            running.since = Instant::now();
            (running.received, running.counted) = (0, 0);
        }
    }

    pub(crate) fn saw(&mut self, step: &Either<PgQueryResult, PgRow>) {
        let Some(running) = &mut self.0 else { return };
        match step {
            Either::Left(result) => running.counted += result.rows_affected(),
            Either::Right(_) => running.received += 1,
        }
    }

    pub(crate) fn saw_one(&mut self, row: Option<&PgRow>) {
        if let Some(running) = &mut self.0 {
            running.received += u64::from(row.is_some());
        }
    }

    /// Its last row was taken. What comes now is a commit.
    pub(crate) fn stop(&mut self) {
        if let Some(running) = &mut self.0 {
            running.took = Some(running.since.elapsed());
        }
    }

    pub(crate) fn done(&mut self) {
        self.end(StatementOutcome::Done, None);
    }

    pub(crate) fn failed(&mut self, error: &Error) {
        self.failed_by(Some(error));
    }

    /// Hands an outcome on. If it is an error, that is how the statement ended.
    pub(crate) fn unless<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        outcome.inspect_err(|error| self.failed(error))
    }

    /// How the commit that followed went.
    pub(crate) fn settled(&mut self, outcome: &Result<(), crate::Error>) {
        match outcome {
            Ok(()) => self.done(),
            Err(error) => self.failed_by(error.driver_error()),
        }
    }

    fn failed_by(&mut self, error: Option<&Error>) {
        let said = error.and_then(Error::as_database_error);
        let state = said.and_then(|said| said.code()).map(String::from);
        let outcome = if state.as_deref() == Some("42501") {
            StatementOutcome::Refused
        } else {
            StatementOutcome::Failed
        };
        self.end(outcome, state);
    }

    fn end(&mut self, outcome: StatementOutcome, sql_state: Option<String>) {
        let Some(running) = self.0.take() else { return };
        let ended = Ended {
            sql: running.sql.as_str(),
            rows: running.received.max(running.counted),
            duration: running.took.unwrap_or_else(|| running.since.elapsed()),
            outcome,
            sql_state,
        };
        running.of.log.note(&running.of.who, ended);
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.end(StatementOutcome::Cancelled, None);
    }
}

/// Runs a statement, with a note when its stream ends.
pub(crate) fn watched_many<'e, 'q>(
    of: &'e Attribution,
    query: impl Execute<'q, Postgres>,
    run: impl FnOnce(Statement) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>,
) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>> {
    let statement = match Statement::of(query) {
        Ok(statement) => statement,
        Err(error) => return stream::once(async { Err(error) }).boxed(),
    };
    let sql = statement.sql.clone();
    let mut rows = run(statement);
    Box::pin(try_stream! {
        let mut watched = Watched::begin(Some(of), &sql);
        while let Some(step) = watched.unless(rows.try_next().await)? {
            watched.saw(&step);
            yield step;
        }
        watched.done();
    })
}

/// The same for a statement of which one row is wanted.
pub(crate) fn watched_one<'e, 'q>(
    of: &'e Attribution,
    query: impl Execute<'q, Postgres>,
    run: impl FnOnce(Statement) -> BoxFuture<'e, Result<Option<PgRow>, Error>>,
) -> BoxFuture<'e, Result<Option<PgRow>, Error>> {
    let statement = match Statement::of(query) {
        Ok(statement) => statement,
        Err(error) => return Box::pin(async { Err(error) }),
    };
    let sql = statement.sql.clone();
    let row = run(statement);
    Box::pin(async move {
        let mut watched = Watched::begin(Some(of), &sql);
        let row = watched.unless(row.await)?;
        watched.saw_one(row.as_ref());
        watched.done();
        Ok(row)
    })
}
