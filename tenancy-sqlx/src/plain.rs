//! Statements that read and do nothing else, as far as their text tells.

/// What a plain read does without: more statements, comments, quoted names, and whatever changes a
/// session or outlives a statement.
const NOT_PLAIN: [&str; 14] = [
    ";",
    "--",
    "/*",
    "\"",
    "u&",
    "into",
    "set_config",
    "advisory",
    "nextval",
    "setval",
    "currval",
    "lastval",
    "temp",
    "dblink",
];

/// Whether a statement may run in a session that names its tenant, outside of an explicit
/// transaction.
///
/// A text that only looks as if it did more is not plain either, and runs in a transaction.
///
/// # Security
/// Nothing rests on it: a session is freed and named before each such statement, and freed before each
/// transaction. It keeps statements that use the session on the way that they are used to.
pub(crate) fn is_plain_read(sql: &str) -> bool {
    let text = sql.trim().to_ascii_lowercase();
    let Some(rest) = text.strip_prefix("select") else {
        return false;
    };
    rest.starts_with(|next: char| next.is_ascii_whitespace())
        && !NOT_PLAIN.iter().any(|word| rest.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_select_is_plain() {
        for sql in [
            "SELECT body FROM notes WHERE id = $1",
            "  select\n count(*) FROM notes JOIN notebooks USING (id)\n",
            "SELECT (SELECT 1), 'it''s'",
        ] {
            assert!(is_plain_read(sql), "{sql}");
        }
    }

    #[test]
    fn whatever_may_do_more_is_not() {
        for sql in [
            "",
            "INSERT INTO notes (body) VALUES ('x')",
            "WITH gone AS (DELETE FROM notes RETURNING 1) SELECT * FROM gone",
            "SELECT 1; SELECT 2",
            "SELECT 1;",
            "SELECT -- 1\n 2",
            "SELECT /* */ 1",
            "SELECT * INTO TEMP mine FROM notes",
            "SELECT pg_catalog.set_config('a.b', 'c', false)",
            "SELECT Set_Config('a.b', 'c', false)",
            "SELECT \"set_config\"('a.b', 'c', false)",
            "SELECT U&\"set\\005fconfig\"('a.b', 'c', false)",
            "SELECT pg_advisory_lock(1)",
            "SELECTION",
            "SHOW search_path",
            "BEGIN",
        ] {
            assert!(!is_plain_read(sql), "{sql}");
        }
    }
}
