//! One random schema in a transaction that is rolled back: running statements, filling tables, and
//! looking for what the service's login reaches.

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use tenancy_tests::{catalog::catalog, notes::Notes};

use super::grammar::Statement;

/// A connection inside a transaction, as a superuser whose session may become anybody.
pub(super) struct World {
    connection: PgConnection,
    acme: String,
    globex: String,
    rows: u32,
    story: Vec<String>,
}

/// Whatever holds rows in the schema, but for partitioned tables, whose partitions do.
const HOLDERS: &str = "SELECT c.oid::regclass::text FROM pg_class AS c
    WHERE c.relnamespace = 'rs'::regnamespace AND c.relkind = 'r'";

impl World {
    pub(super) async fn begin(notes: &Notes) -> anyhow::Result<Self> {
        let mut connection = notes.database.admin().await?;
        connection
            .execute(
                "BEGIN; CREATE SCHEMA rs AUTHORIZATION tenancy_owner; GRANT USAGE ON SCHEMA rs TO tenancy_app;
                 CREATE ROLE rs_group; GRANT rs_group TO tenancy_app; SET LOCAL search_path = rs, public;
                 SET LOCAL client_min_messages = warning; SET LOCAL lock_timeout = '20s'",
            )
            .await?;
        Ok(Self {
            connection,
            acme: notes.acme.id.to_string(),
            globex: notes.globex.id.to_string(),
            rows: 0,
            story: Vec::new(),
        })
    }

    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        self.connection.execute("ROLLBACK").await?;
        Ok(self.connection.close().await?)
    }

    /// What was run, for whoever has to find out.
    pub(super) fn story(&self) -> String {
        self.story.join(";\n")
    }

    /// Runs statements that may fail; says whether they did not.
    pub(super) async fn try_run(&mut self, statement: &Statement) -> anyhow::Result<bool> {
        let sql = format!(
            "SAVEPOINT step; SET LOCAL ROLE {}; {}; SET LOCAL ROLE none",
            statement.role, statement.sql
        );
        let done = self.connection.execute(AssertSqlSafe(sql)).await;
        let word = match &done {
            Ok(_) => "",
            Err(error) => &format!("-- {} ", error.to_string().replace('\n', " ")),
        };
        self.story
            .push(format!("{word}/* {} */ {}", statement.role, statement.sql));
        let after = if done.is_ok() {
            "RELEASE step"
        } else {
            "ROLLBACK TO step; RELEASE step"
        };
        self.connection.execute(after).await?;
        Ok(done.is_ok())
    }

    /// Gives each tenant a row in whatever table has a column for tenants, past triggers and checks.
    ///
    /// That is `tenant_id`, and each name by which some table is protected. Of another column nobody
    /// could know that it names tenants.
    pub(super) async fn fill(&mut self, tables: &[String]) -> anyhow::Result<()> {
        let columns = self
            .texts(
                "SELECT DISTINCT (tenancy.scope_columns(oid))[1] FROM pg_class
                 WHERE relnamespace = 'rs'::regnamespace AND tenancy.scope_columns(oid) <> '{}'
                 UNION SELECT 'tenant_id'",
            )
            .await?;
        for table in tables {
            for (tenant, letter) in [(self.acme.clone(), 'A'), (self.globex.clone(), 'B')] {
                for column in &columns {
                    self.rows += 1;
                    let sql = format!(
                        "SAVEPOINT fill; SET LOCAL session_replication_role = replica;
                         INSERT INTO {table} (id, secret, {column}) VALUES ({}, '{letter}-secret', '{tenant}');
                         SET LOCAL session_replication_role = origin",
                        self.rows % 500
                    );
                    let done = self.connection.execute(AssertSqlSafe(sql)).await;
                    let after = if done.is_ok() {
                        "RELEASE fill"
                    } else {
                        "ROLLBACK TO fill; RELEASE fill"
                    };
                    self.connection.execute(after).await?;
                }
            }
        }
        Ok(())
    }

    /// Materialized views show what is there now.
    pub(super) async fn refresh(&mut self) -> anyhow::Result<()> {
        let views = self
            .texts("SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'rs'::regnamespace AND relkind = 'm'")
            .await?;
        for view in views {
            let refresh = Statement {
                role: "none",
                sql: format!("REFRESH MATERIALIZED VIEW {view}"),
            };
            self.try_run(&refresh).await?;
        }
        Ok(())
    }

    /// Whether a pool of the service's login would start.
    pub(super) async fn starts(&mut self) -> anyhow::Result<bool> {
        self.become_app(true).await?;
        let findings = self
            .texts(
                "SELECT code || ' ' || subject FROM tenancy.login_findings(session_user) WHERE level = 'error'
                 UNION ALL
                 SELECT code || ' ' || subject FROM tenancy.relation_findings(session_user) WHERE level = 'error'
                 UNION ALL
                 SELECT code || ' ' || subject FROM tenancy.definer_findings(session_user) WHERE level = 'error'",
            )
            .await?;
        self.become_app(false).await?;
        for finding in &findings {
            self.story.push(format!("-- found: {finding}"));
        }
        Ok(findings.is_empty())
    }

    /// Every row of the other tenant, as it is.
    pub(super) async fn foreign_rows(&mut self) -> anyhow::Result<Vec<String>> {
        let mut rows = Vec::new();
        for table in self.texts(HOLDERS).await? {
            let sql = format!(
                "SELECT tableoid::regclass || ' ' || r::text FROM ONLY {table} AS r WHERE r::text LIKE '%B-secret%' OR r::text LIKE '%{}%'",
                self.globex
            );
            rows.extend(self.texts(&sql).await?);
        }
        rows.sort();
        Ok(rows)
    }

    /// As the service's login and the first tenant: reads, and tries to change, whatever it may.
    pub(super) async fn search(&mut self) -> anyhow::Result<u64> {
        self.become_app(true).await?;
        let mut read = 0;
        let relations = self
            .texts(
                "SELECT oid::regclass::text FROM pg_class
                 WHERE relnamespace = 'rs'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')",
            )
            .await?;
        let functions = self
            .texts(
                "SELECT oid::regproc::text FROM pg_proc
                 WHERE pronamespace = 'rs'::regnamespace AND prorettype = 'text'::regtype",
            )
            .await?;
        let mut attempts: Vec<String> = functions
            .iter()
            .map(|name| format!("SELECT {name}()"))
            .collect();
        for name in &relations {
            attempts.push(format!("SELECT r::text FROM {name} AS r"));
            attempts.push(format!("SELECT secret FROM {name}"));
            attempts.push(format!(
                "UPDATE {name} SET secret = 'taken' RETURNING secret"
            ));
            attempts.push(format!(
                "UPDATE {name} SET tenant_id = '{}' RETURNING 'moved'",
                self.acme
            ));
            attempts.push(format!(
                "INSERT INTO {name} (id, secret) VALUES (77, 'mine') RETURNING secret"
            ));
            attempts.push(format!("DELETE FROM {name} RETURNING secret"));
            attempts.push(format!("TRUNCATE {name}"));
        }
        for attempt in attempts {
            self.connection.execute("SAVEPOINT attempt").await?;
            let seen = self.texts(&attempt).await;
            let after = if seen.is_ok() {
                "RELEASE attempt"
            } else {
                "ROLLBACK TO attempt; RELEASE attempt"
            };
            self.connection.execute(after).await?;
            let Ok(seen) = seen else { continue };
            read += 1;
            let foreign = seen
                .iter()
                .find(|row| row.contains("B-secret") || row.contains(&self.globex));
            if let Some(row) = foreign {
                anyhow::bail!("`{attempt}` shows {row}");
            }
        }
        self.become_app(false).await?;
        Ok(read)
    }

    async fn become_app(&mut self, app: bool) -> anyhow::Result<()> {
        let sql = if app {
            format!(
                "SET LOCAL SESSION AUTHORIZATION tenancy_app;
                 SELECT set_config('tenancy.tenant_id', '{}', true)",
                self.acme
            )
        } else {
            "SET LOCAL SESSION AUTHORIZATION DEFAULT; SELECT set_config('tenancy.tenant_id', '', true)".to_owned()
        };
        self.connection
            .execute(AssertSqlSafe(sql))
            .await
            .context("changing the login")?;
        Ok(())
    }

    /// What a statement leaves in the catalog, and which statements it says that it ran; all is rolled back. Nothing
    /// where it fails.
    pub(super) async fn foretell(
        &mut self,
        statement: &Statement,
    ) -> anyhow::Result<Option<(Vec<String>, Vec<String>)>> {
        self.connection
            .execute("SAVEPOINT told; SELECT set_config('tenancy.tells_statements', 'yes', true)")
            .await?;
        let foretold = if self.try_run(statement).await? {
            let run = self
                .texts("SELECT state #>> '{}' FROM tenancy.protecting WHERE relation IS NULL ORDER BY number")
                .await?;
            Some((self.catalog().await?, run))
        } else {
            None
        };
        self.connection
            .execute("ROLLBACK TO told; RELEASE told")
            .await?;
        Ok(foretold)
    }

    /// What the catalog says.
    pub(super) async fn catalog(&mut self) -> Result<Vec<String>, sqlx::Error> {
        catalog(&mut self.connection).await
    }

    pub(super) async fn texts(&mut self, sql: &str) -> Result<Vec<String>, sqlx::Error> {
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut self.connection)
            .await?;
        rows.iter()
            .map(|row| {
                row.try_get::<Option<String>, _>(0)
                    .map(Option::unwrap_or_default)
            })
            .collect()
    }
}
