//! The catalog as text, for tests that compare it.

use std::collections::BTreeMap;

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

/// The lines that one of two catalogs has more often than the other, as `- before` and `+ after`; none if they are the same.
#[must_use]
pub fn difference(before: &[String], after: &[String]) -> String {
    let mut counts = BTreeMap::new();
    for line in before {
        *counts.entry(line).or_insert(0_i64) -= 1;
    }
    for line in after {
        *counts.entry(line).or_insert(0) += 1;
    }
    let lines = counts.into_iter().filter(|(_, count)| *count != 0);
    lines
        .map(|(line, count)| format!("{} {line}", if count < 0 { '-' } else { '+' }))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_there_twice_is_not_the_same_as_once() {
        let [once, twice] = [1, 2].map(|times| vec!["constraint".to_owned(); times]);
        assert_eq!(difference(&once, &twice), "+ constraint");
        assert_eq!(difference(&twice, &once), "- constraint");
        assert_eq!(difference(&twice, &twice), "");
    }
}
