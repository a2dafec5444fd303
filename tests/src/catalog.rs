//! The catalog as text, for tests that compare it.

use sqlx::PgConnection;

/// What the catalog says of the application's schemas, relations, columns, constraints, indexes, views, rules, triggers,
/// policies, publications and rights: a line for each object, sorted. Nothing of the schema `tenancy`.
///
/// # Errors
/// What the database says.
pub async fn catalog(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(include_str!("catalog.sql"))
        .fetch_all(connection)
        .await
}

/// The lines that only one of two catalogs has, as `- before` and `+ after`; none if they are the same.
#[must_use]
pub fn difference(before: &[String], after: &[String]) -> String {
    let gone = before.iter().filter(|line| !after.contains(line));
    let new = after.iter().filter(|line| !before.contains(line));
    let lines = gone
        .map(|line| format!("- {line}"))
        .chain(new.map(|line| format!("+ {line}")));
    lines.collect::<Vec<_>>().join("\n")
}
