//! The application's migrations, run as the owner role: what they make belongs to it, so that views
//! and SECURITY DEFINER functions read under row security.

use std::borrow::Cow;

use sqlx::{
    AssertSqlSafe, PgConnection, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

use super::InstallError;
use crate::bulk::quoted;

/// Where the versions of our own steps begin among an application's; earlier releases had steps down
/// to -13.
pub(super) const FIRST_STEP: i64 = -1_000_000;

/// Whether a version is that of a step of ours, of whichever release.
const fn is_ours(version: i64) -> bool {
    (FIRST_STEP <= version && version < FIRST_STEP + 10_000) || (-13 <= version && version < 0)
}

/// The same migration for sqlx, which knows it by its version and the checksum of its text; run as
/// the owner.
pub(super) fn as_owner(migration: &Migration, owner: &str) -> Migration {
    let (owner, sql) = (quoted(owner), migration.sql.as_str());
    let sql = if migration.no_tx && runs_alone(sql) {
        return migration.clone();
    } else if migration.no_tx {
        format!("SET ROLE {owner};\n{sql}\n;RESET ROLE;")
    } else {
        format!("SET LOCAL ROLE {owner};\n{sql}\n;RESET ROLE;")
    };
    Migration {
        sql: AssertSqlSafe(sql).into_sql_str(),
        ..migration.clone()
    }
}

/// Whether a text begins with a statement that PostgreSQL refuses beside any other, such as CREATE
/// INDEX CONCURRENTLY. None of these makes anything that reads as whoever ran it: an index belongs to
/// its table's owner.
fn runs_alone(sql: &str) -> bool {
    let words = words(sql);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["VACUUM", ..]
        | ["ALTER", "SYSTEM", ..]
        | ["CREATE" | "DROP" | "ALTER", "DATABASE" | "TABLESPACE", ..] => true,
        ["CREATE", "INDEX", ..]
        | ["CREATE", "UNIQUE", "INDEX", ..]
        | ["DROP", "INDEX", ..]
        | ["REINDEX", ..]
        | ["ALTER", "TABLE", ..] => words.contains(&"CONCURRENTLY"),
        _ => false,
    }
}

/// The words of the first statement, without comments.
fn words(sql: &str) -> Vec<String> {
    let mut rest = sql;
    let mut text = String::new();
    while let Some(next) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
            text.push(' ');
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
            text.push(' ');
        } else if next == ';' {
            break;
        } else {
            text.push(next.to_ascii_uppercase());
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
        }
    }
    let between = |c: char| !(c.is_alphanumeric() || c == '_' || c == '"');
    let words = text.split(between).filter(|word| !word.is_empty());
    words.map(ToOwned::to_owned).collect()
}

/// The application's migrator for a connection that holds the lock and acts as the owner role.
///
/// Where [`merged`](super::Installer::merged) has migrated, sqlx has recorded a step of ours among
/// the application's migrations, which is no missing one of the application.
pub(super) async fn migrator(
    connection: &mut PgConnection,
    application: &Migrator,
) -> Result<Migrator, InstallError> {
    let mut migrations = application.migrations.to_vec();
    for (version, checksum) in recorded(connection, &application.table_name).await? {
        if is_ours(version) && !application.version_exists(version) {
            migrations.push(Migration {
                version,
                description: Cow::Borrowed("tenancy"),
                migration_type: MigrationType::Simple,
                sql: "".into_sql_str(),
                checksum: checksum.into(),
                no_tx: false,
            });
        }
    }
    migrations.sort();
    Ok(Migrator {
        migrations: migrations.into(),
        locking: false,
        ..copy(application)
    })
}

/// The settings of a migrator, without its migrations.
pub(super) fn copy(application: &Migrator) -> Migrator {
    Migrator {
        migrations: Cow::Borrowed(&[]),
        ignore_missing: application.ignore_missing,
        locking: application.locking,
        no_tx: application.no_tx,
        table_name: application.table_name.clone(),
        create_schemas: application.create_schemas.clone(),
    }
}

/// Version and checksum of what sqlx has recorded; nothing before its table is there.
async fn recorded(
    connection: &mut PgConnection,
    table: &str,
) -> Result<Vec<(i64, Vec<u8>)>, InstallError> {
    let step = "reading which migrations have run";
    // sqlx puts the name into its SQL as it is: it is quoted already where it has to be.
    let found: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(&mut *connection)
        .await
        .map_err(InstallError::database(step))?;
    if !found {
        return Ok(Vec::new());
    }
    let select = format!("SELECT version, checksum FROM {table} WHERE version < 0");
    sqlx::query_as(AssertSqlSafe(select))
        .fetch_all(connection)
        .await
        .map_err(InstallError::database(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(sql: &'static str, no_tx: bool) -> Migration {
        let kind = MigrationType::Simple;
        Migration::new(7, "seven".into(), kind, sql.into_sql_str(), no_tx)
    }

    #[test]
    fn a_migration_stays_the_same_for_sqlx() {
        let before = migration("CREATE VIEW v AS SELECT 1 -- one", false);
        let after = as_owner(&before, "o\"w");
        assert_eq!(after.checksum, before.checksum);
        assert_eq!((after.version, after.no_tx), (7, false));
        assert_eq!(
            after.sql.as_str(),
            "SET LOCAL ROLE \"o\"\"w\";\nCREATE VIEW v AS SELECT 1 -- one\n;RESET ROLE;"
        );
    }

    #[test]
    fn a_statement_that_runs_alone_is_left_alone_and_no_other() {
        for (sql, alone) in [
            (
                "-- no-transaction\nCREATE INDEX CONCURRENTLY ON t (n)",
                true,
            ),
            (
                "/* a; */ create unique index\n concurrently i on t (n);",
                true,
            ),
            ("DROP INDEX CONCURRENTLY i", true),
            ("REINDEX (VERBOSE) TABLE CONCURRENTLY t", true),
            ("ALTER TABLE p DETACH PARTITION q CONCURRENTLY", true),
            ("VACUUM t", true),
            ("CREATE INDEX ON t (n)", false),
            ("CREATE VIEW v AS SELECT 'CONCURRENTLY'", false),
            (
                "ALTER TYPE mood ADD VALUE 'x'; CREATE VIEW v AS SELECT 1",
                false,
            ),
            ("CREATE INDEX ON t (n); -- CONCURRENTLY", false),
            ("", false),
        ] {
            let sqls = as_owner(&migration(sql, true), "owner").sql;
            assert_eq!(sqls.as_str() == sql, alone, "{sql}");
        }
    }
}
