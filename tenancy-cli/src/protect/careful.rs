//! How tables are changed while a service runs: in one transaction, which gives up where others would wait behind it.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, postgres::types::Oid};
use tokio::time::sleep;

use crate::{
    arguments::Administrator,
    connect,
    failure::{Failure, Verdict, code, refused},
    output::{Output, plain},
};

/// How long one attempt waits for the next, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Where, and how carefully.
#[derive(Debug, Clone, Args)]
pub(crate) struct Careful {
    #[command(flatten)]
    administrator: Administrator,
    /// Print the statements that would run, in order, and change nothing
    ///
    /// They are run and rolled back: it takes the same locks, and as long.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long an attempt waits for its locks, all together, in milliseconds; whoever comes later waits behind
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    lock_timeout: u32,
    /// How often it is tried in all, where a lock is not got
    #[arg(long, value_name = "TIMES", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// Whether the owner role acts, and all is rolled back.
    #[arg(skip)]
    emits: bool,
}

/// Tables by their ids and names.
#[derive(Debug, Default)]
pub(crate) struct Tables(Vec<(Oid, String)>);

impl Tables {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(_, name)| name.as_str()).collect()
    }

    fn oids(&self) -> Vec<Oid> {
        self.0.iter().map(|(oid, _)| *oid).collect()
    }
}

/// What was run.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) statements: Vec<String>,
    /// What locks the tables before the first of them, in this order.
    locks: Vec<String>,
    /// How long each of these waits where somebody else runs them, in milliseconds.
    lock_timeout: u32,
    /// What is run after them where somebody else runs them: it finds nothing to do, or refuses.
    pub(crate) check: Option<String>,
}

impl Done {
    /// What comes before a change: one at a time, and no lock is waited for long, since whoever comes later waits behind.
    fn beginning(&self) -> String {
        let mut sql = format!(
            "SELECT tenancy.one_at_a_time();\nSET LOCAL lock_timeout = '{}ms';\n",
            self.lock_timeout
        );
        for lock in &self.locks {
            let _ = writeln!(sql, "{lock};");
        }
        sql
    }

    /// As SQL, each statement from the beginning of a line.
    pub(crate) fn sql(&self) -> String {
        let mut sql = self.beginning();
        for statement in self.statements.iter().chain(&self.check) {
            let _ = writeln!(sql, "{};", statement.trim_end_matches(';'));
        }
        sql
    }

    /// The call that takes it back, in the same way.
    pub(crate) fn back_sql(&self, back: &str) -> String {
        format!("{}{back};\n", self.beginning())
    }

    /// Prints it as a script for psql.
    ///
    /// # Errors
    /// What the reader's end says.
    pub(crate) async fn print(&self, output: &mut Output) -> Result<Verdict, Failure> {
        if self.statements.is_empty() {
            output.remark("nothing to do");
            return Ok(Verdict::Done);
        }
        let text = format!("BEGIN;\n{}COMMIT;", self.sql());
        output
            .result(
                &text,
                &json!({ "statements": self.statements, "check": self.check }),
            )
            .await?;
        Ok(Verdict::Done)
    }
}

/// A connection to a database whose schema has what is needed.
#[derive(Debug)]
pub(crate) struct Database {
    connection: PgConnection,
    /// Who is logged in.
    role: String,
}

impl Careful {
    /// The same by the owner role, as a migration runs, and without any change.
    pub(crate) fn as_owner(&self) -> Self {
        Self {
            emits: true,
            dry_run: true,
            ..self.clone()
        }
    }

    /// # Errors
    /// That there is no connection, or no such schema.
    pub(crate) async fn connect(&self) -> Result<Database, Failure> {
        let mut connection = connect::as_administrator(&self.administrator).await?;
        let (role, may): (String, Option<bool>) = sqlx::query_as(
            "SELECT current_user::text, has_function_privilege(
                 to_regprocedure('tenancy.unprotect(regclass[], boolean, boolean)'), 'EXECUTE')",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(Failure::told)?;
        match may {
            Some(true) => return Ok(Database { connection, role }),
            Some(false) => {
                return Err(Failure::Told(format!(
                    "the role `{}` may not call `tenancy.protect` and `tenancy.unprotect`: {GIVE}",
                    plain(&role)
                )));
            }
            None => {}
        }
        Err(Failure::told(
            "the schema `tenancy` is not installed in this database, or by an older release: run `tenancy install`",
        ))
    }

    /// Runs a call in a transaction, again where a lock is not got in time.
    ///
    /// # Errors
    /// What the database refuses. Nothing was changed then.
    pub(crate) async fn call(
        &self,
        database: &mut Database,
        tables: &Tables,
        call: &str,
    ) -> Result<Done, Failure> {
        let mut pause = Duration::from_millis(100);
        let mut attempt = 1;
        loop {
            let error = match self.attempt(database, tables, call).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            // What was refused is undone, whatever became of the connection.
            let _ = database.connection.execute("ROLLBACK").await;
            if !matches!(code(&error).as_deref(), Some("55P03" | "40P01")) {
                return Err(database.told(&error));
            }
            if attempt >= self.attempts {
                return Err(Failure::Told(format!(
                    "a lock was not got in {attempt} attempts of {} ms: {error}; see `pg_stat_activity` for who has a \
                     transaction open, or give --lock-timeout or --attempts; nothing was changed",
                    self.lock_timeout
                )));
            }
            attempt += 1;
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(
        &self,
        database: &mut Database,
        tables: &Tables,
        call: &str,
    ) -> Result<Done, sqlx::Error> {
        let connection = &mut database.connection;
        connection.execute("BEGIN").await?;
        // If this program ends while a lock is waited for, the server notices, and nobody waits behind it any longer.
        sqlx::query(
            "SELECT set_config('lock_timeout', $1 || 'ms', true), set_config('tenancy.tells_statements', 'yes', true),
                 CASE WHEN version() !~* 'visual c|mingw|windows'
                     THEN set_config('client_connection_check_interval', '2s', true) END,
                 CASE WHEN $2 THEN set_config('role', tenancy.role_name('owner')::text, true) END",
        )
        .bind(self.lock_timeout.to_string())
        .bind(self.emits)
        .execute(&mut *connection)
        .await?;
        // Before any table: nobody but the likes of this waits for it.
        connection.execute("SELECT tenancy.one_at_a_time()").await?;
        let locked: Vec<String> = sqlx::query_scalar(LOCKED)
            .bind(tables.oids())
            .bind(call.starts_with(&format!("SELECT {}", super::BACK)))
            .fetch_all(&mut *connection)
            .await?;
        // In one order, before the first change. What is waited for is waited for with what is left for all, since others
        // wait for what is held.
        let mut locks = Vec::new();
        let (begun, budget) = (
            Instant::now(),
            Duration::from_millis(self.lock_timeout.into()),
        );
        let left = || budget.saturating_sub(begun.elapsed()).as_millis().max(1);
        if !locked.is_empty() {
            locks.push("LOCK TABLE tenancy.tenants IN SHARE ROW EXCLUSIVE MODE".to_owned());
        }
        locks.extend(locked.iter().map(|table| format!("LOCK TABLE {table}")));
        for lock in &locks {
            let wait_and_lock = format!("SET LOCAL lock_timeout = {}; {lock}", left());
            connection.execute(AssertSqlSafe(wait_and_lock)).await?;
        }
        let wait = format!("SET LOCAL lock_timeout = {}", left());
        connection.execute(AssertSqlSafe(wait)).await?;
        connection.execute(AssertSqlSafe(call.to_owned())).await?;
        let mut told: Vec<(i64, String)> = sqlx::query_as(
            "DELETE FROM tenancy.protecting WHERE relation IS NULL RETURNING number, state #>> '{}'",
        )
        .fetch_all(&mut *connection)
        .await?;
        told.sort_unstable();
        let end = if self.dry_run { "ROLLBACK" } else { "COMMIT" };
        connection.execute(end).await?;
        Ok(Done {
            statements: told.into_iter().map(|(_, statement)| statement).collect(),
            locks,
            lock_timeout: self.lock_timeout,
            check: None,
        })
    }
}

/// The tables that have to be locked for a change: those themselves where they are still to be changed, those that refer to
/// them, and protected ones that they refer to: a reference to others stays as it is.
const LOCKED: &str = "
    WITH targets AS (
        SELECT t.oid FROM unnest($1::oid[]) AS t (oid) WHERE (tenancy.scope_columns(t.oid) <> '{}') = $2
    )
    SELECT DISTINCT format('%I.%I', c.relnamespace::regnamespace::name, c.relname)
    FROM pg_class AS c
    WHERE pg_has_role(c.relowner, 'USAGE') AND c.relkind IN ('r', 'p')
        AND c.relnamespace <> 'tenancy'::regnamespace AND (c.oid IN (SELECT t.oid FROM targets AS t) OR EXISTS (
            SELECT FROM pg_constraint AS k WHERE k.contype = 'f'
                AND (k.conrelid = c.oid AND k.confrelid IN (SELECT t.oid FROM targets AS t)
                    OR k.confrelid = c.oid AND k.conrelid IN (SELECT t.oid FROM targets AS t)
                        AND tenancy.scope_columns(c.oid) <> '{}')))
    ORDER BY 1";

impl Database {
    /// The tables of these names.
    ///
    /// # Errors
    /// All names that are no table's.
    pub(crate) async fn find(&mut self, names: &[String]) -> Result<Tables, Failure> {
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        for name in names {
            let known = sqlx::query_as(
                "SELECT c.oid, format('%I.%I', c.relnamespace::regnamespace::name, c.relname)
                 FROM pg_class AS c WHERE c.oid = to_regclass($1)",
            )
            .bind(name)
            .fetch_optional(&mut self.connection)
            .await;
            match known {
                Ok(Some(table)) if !found.contains(&table) => found.push(table),
                Ok(Some(_)) => {}
                Ok(None) => unknown.push(format!("there is no table `{}`", plain(name))),
                Err(error) => unknown.push(format!("`{}`: {error}", plain(name))),
            }
        }
        if unknown.is_empty() {
            return Ok(Tables(found));
        }
        Err(Failure::Told(format!(
            "{}; a name has its schema before it, and is quoted as in SQL: 'sales.\"Order\"'",
            unknown.join("; ")
        )))
    }

    /// The tables of which nobody has said yet whose rows they hold.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) async fn undecided(&mut self) -> Result<Tables, Failure> {
        let found = sqlx::query_as(
            "SELECT c.oid, format('%I.%I', c.relnamespace::regnamespace::name, c.relname)
             FROM tenancy.undecided_tables() AS u (oid) JOIN pg_class AS c ON c.oid = u.oid ORDER BY 2",
        )
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.told(&error))?;
        Ok(Tables(found))
    }

    /// A call of a function for these tables as SQL, with parameters by name: those without a value are true, and one that
    /// comes several times is a list.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) async fn render(
        &mut self,
        function: &'static str,
        tables: &Tables,
        options: &[(&'static str, Option<String>)],
    ) -> Result<String, Failure> {
        let names: Vec<_> = options.iter().map(|(name, _)| *name).collect();
        let values: Vec<_> = options.iter().map(|(_, value)| value.clone()).collect();
        let rendered = sqlx::query_scalar(
            "SELECT format('SELECT %s(%L::regclass[]', $1, $2::text[]) || coalesce((
                 SELECT string_agg(format(', %s => %s', o.name, CASE
                     WHEN o.name = 'global' THEN quote_literal(o.values) || '::name[]'
                     WHEN o.values[1] IS NULL THEN 'true' ELSE quote_literal(o.values[1]) END), '' ORDER BY o.name)
                 FROM (SELECT g.name, array_agg(g.value) AS values
                     FROM unnest($3::text[], $4::text[]) AS g (name, value) GROUP BY g.name) AS o), '') || ')'",
        )
        .bind(function)
        .bind(tables.names())
        .bind(names)
        .bind(values)
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.told(&error))?;
        Ok(rendered)
    }

    /// What the database refused, with its advice; where the role lacks a right, who it is, and who has it.
    fn told(&self, error: &sqlx::Error) -> Failure {
        let Some(mut text) = refused(error) else {
            return Failure::told(error);
        };
        if code(error).as_deref() == Some(DENIED) {
            let _ = write!(
                text,
                "\nThe role `{}` may not do this: {GIVE}",
                plain(&self.role)
            );
        }
        Failure::Told(text)
    }
}

/// What mends it.
const GIVE: &str = "give the database's administrator by TENANCY_ADMIN_DATABASE_URL, or a login that is the owner role";

/// The code of a role that lacks a right.
const DENIED: &str = "42501";
