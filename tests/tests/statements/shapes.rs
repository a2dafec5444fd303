//! What an application has put into the text of a statement is shown nowhere.

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_sqlx::{
    TenantPoolOptions,
    statement_log::{AuditedStatements, TracingStatements},
};
use tenancy_tests::{logwatch, notes::on_every_server};

use crate::world::Logged;

/// Also in the log of the process: whatever a test logs is searched for it.
const SECRET: &str = "gertrude-4711-statement-secret";

#[tokio::test]
async fn no_literal_is_in_a_record_in_the_trail_or_in_the_log() -> anyhow::Result<()> {
    logwatch::issued(SECRET.as_bytes());
    on_every_server(async |notes| {
        let trail = notes.audit.clone();
        let logged = Logged::start(notes, TenantPoolOptions::new(), |log| {
            log.sample_one_in(1)
                .sink("log", TracingStatements)
                .sink("trail", AuditedStatements::new(trail))
        })
        .await?;
        let db = logged.pool.tenant(&notes.context(&notes.acme))?;
        let statements = [
            format!("SELECT body FROM notes WHERE body = '{SECRET}'"),
            format!("SELECT body FROM notes WHERE body = E'\\'{SECRET}' -- {SECRET}"),
            format!(
                "SELECT body /* {SECRET} */ FROM notes WHERE body IN ($${SECRET}$$, '{SECRET}')"
            ),
            format!("INSERT INTO notes (body) VALUES ('{SECRET}'), (U&'{SECRET}')"),
            // Each of these fails: the quote in the value ends it.
            format!("SELECT body FROM notes WHERE body = 'O'{SECRET}'"),
            format!("SELECT body FROM notes WHERE body = 'O' {SECRET} OR body = ' '"),
            format!("SELECT \"{SECRET}\" FROM notes"),
            format!("SELECT body FROM notes WHERE body = {SECRET}"),
            SECRET.to_owned(),
        ];
        for (number, sql) in statements.iter().enumerate() {
            let ran = db.execute(AssertSqlSafe(sql.clone())).await;
            assert_eq!(ran.is_ok(), number < 4, "{number}");
            let mut tx = logged.pool.begin(&notes.context(&notes.acme)).await?;
            let ran = tx.execute(AssertSqlSafe(sql.clone())).await;
            assert_eq!(ran.is_ok(), number < 4, "{number}");
        }
        // It was there to be shown.
        let mut admin = notes.database.admin().await?;
        let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM notes WHERE body = $1")
            .bind(SECRET)
            .fetch_one(&mut admin)
            .await?;
        assert_eq!(stored, 2);

        let records = logged.records().await;
        assert_eq!(records.len(), 2 * statements.len());
        for record in &records {
            assert!(!format!("{record:?}").contains(SECRET), "{record:?}");
            assert!(
                record.shape.starts_with("select")
                    || record.shape.starts_with("insert")
                    || &*record.shape == "…"
            );
        }
        let shapes: Vec<_> = records
            .iter()
            .step_by(2)
            .map(|record| &*record.shape)
            .collect();
        assert_eq!(
            shapes[..4],
            [
                "select body from notes where body = ?",
                "select body from notes where body = ?",
                "select body from notes where body in (…)",
                "insert into notes(body) values (…), …",
            ]
        );
        let entries = notes.audit.entries();
        let entries: Vec<_> = entries
            .iter()
            .filter(|entry| entry.action.starts_with("statement."))
            .collect();
        assert_eq!(entries.len(), records.len());
        for entry in entries {
            assert!(!format!("{entry:?}").contains(SECRET), "{entry:?}");
        }
        Ok(())
    })
    .await
}

/// A setting of the session decides what a backslash means, and the text does not show it.
#[tokio::test]
async fn a_text_that_reads_in_two_ways_is_not_shown() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let logged = Logged::whole(notes).await?;
        let mut tx = logged.pool.begin(&notes.context(&notes.acme)).await?;
        tx.execute("SET LOCAL standard_conforming_strings = off")
            .await?;
        let sql = format!("SELECT 'it\\'s {SECRET}', ' '");
        assert_eq!(tx.fetch_all(AssertSqlSafe(sql)).await?.len(), 1);
        let records = logged.records().await;
        let shapes: Vec<_> = records.iter().map(|record| &*record.shape).collect();
        assert_eq!(
            shapes,
            ["set local standard_conforming_strings = ?", "select …"]
        );
        Ok(())
    })
    .await
}
