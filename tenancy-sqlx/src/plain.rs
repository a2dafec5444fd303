//! Statements that leave their session as they found it, as far as their text tells.

/// Words of statements that change a session, use what it keeps, or run a text of their own.
const SUSPECTS: [&str; 12] = [
    "into",
    "set_config",
    "setseed",
    "set_limit",
    "pg_settings",
    "currval",
    "lastval",
    "setval",
    "ts_stat",
    "ts_rewrite",
    "crosstab",
    "pg_export_snapshot",
];

/// Parts of such words.
const SUSPECT_PARTS: [&str; 3] = ["advisory", "dblink", "to_xml"];

/// What a plain statement begins with.
const VERBS: [&str; 8] = [
    "select", "with", "values", "table", "insert", "update", "delete", "merge",
];

/// Whether a statement may run without an explicit transaction, in a session that names its tenant,
/// where the application has listed functions for which that does not hold.
///
/// One statement; no comment in `/* */`, no `$`-quoted text, no backslash in a text, no `U&`. A text
/// that only looks as if it did more is not plain either, and runs in a transaction.
///
/// # Security
/// It keeps mistakes out, and not injected SQL: a function can hide whatever it does. So a session
/// is named anew for each tenant, and freed of what a plain statement may have left.
pub(crate) fn is_plain(sql: &str, listed: &[Box<str>]) -> bool {
    let mut tokens = Tokens(sql);
    let verb = match tokens.next() {
        Some(Token::Word(verb)) if is_one_of(verb, &VERBS) => verb,
        _ => return false,
    };
    let mut before = verb;
    for token in tokens {
        match token {
            Token::Word(word) => {
                let is_target =
                    word.eq_ignore_ascii_case("into") && is_one_of(before, &["insert", "merge"]);
                if !is_target && is_suspect(word, listed) {
                    return false;
                }
                before = word;
            }
            Token::Quoted(name) => {
                if is_suspect(name, listed) {
                    return false;
                }
                before = "";
            }
            Token::Unclear => return false,
        }
    }
    true
}

/// Whether a text may be the name of a function, by itself: without a schema, arguments or quotes.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(['.', '(', ')', '"', '\'', ',', ';'])
}

fn is_suspect(word: &str, listed: &[Box<str>]) -> bool {
    is_one_of(word, &SUSPECTS)
        || SUSPECT_PARTS.iter().any(|part| contains(word, part))
        || listed.iter().any(|name| name.eq_ignore_ascii_case(word))
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|other| other.eq_ignore_ascii_case(word))
}

fn contains(word: &str, part: &str) -> bool {
    let mut windows = word.as_bytes().windows(part.len());
    windows.any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

enum Token<'s> {
    Word(&'s str),
    /// In double quotes.
    Quoted(&'s str),
    /// More than these rules can read, or more than one statement.
    Unclear,
}

/// The words of a statement (PostgreSQL manual, §4.1); what lies between them is left out.
struct Tokens<'s>(&'s str);

impl<'s> Iterator for Tokens<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let first = *self.0.as_bytes().first()?;
            match first {
                b'\'' => match self.quoted('\'') {
                    Some(text) if !text.contains('\\') => {}
                    _ => return self.unclear(),
                },
                b'"' => match self.quoted('"') {
                    Some(name) => return Some(Token::Quoted(name)),
                    None => return self.unclear(),
                },
                b'-' if self.0.starts_with("--") => {
                    let end = self.0.find(['\n', '\r']).unwrap_or(self.0.len());
                    self.cut(end);
                }
                b'/' if self.0.starts_with("/*") => return self.unclear(),
                b';' if self.0.trim_end().len() > 1 => return self.unclear(),
                b'$' if !matches!(self.0.as_bytes().get(1), Some(b'0'..=b'9')) => {
                    return self.unclear();
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => {
                    let word = self.word();
                    if word.eq_ignore_ascii_case("u") && self.0.starts_with('&') {
                        return self.unclear();
                    }
                    return Some(Token::Word(word));
                }
                b'0'..=b'9' => drop(self.word()),
                _ => drop(self.cut(1)),
            }
        }
    }
}

impl<'s> Tokens<'s> {
    /// Takes so many bytes, all of whose characters are whole.
    fn cut(&mut self, bytes: usize) -> &'s str {
        let (taken, rest) = self.0.split_at_checked(bytes).unwrap_or((self.0, ""));
        self.0 = rest;
        taken
    }

    fn word(&mut self) -> &'s str {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
        let end = self.0.find(|c| !is_part(c)).unwrap_or(self.0.len());
        self.cut(end)
    }

    /// The text between quotes; a doubled quote is a part of it.
    fn quoted(&mut self, quote: char) -> Option<&'s str> {
        let text = self.0.get(1..)?;
        let mut rest = text;
        loop {
            let end = rest.find(quote)?;
            rest = rest.get(end + 1..)?;
            match rest.strip_prefix(quote) {
                Some(after) => rest = after,
                None => break,
            }
        }
        self.0 = rest;
        text.get(..text.len() - rest.len() - 1)
    }

    fn unclear(&mut self) -> Option<Token<'s>> {
        self.0 = "";
        Some(Token::Unclear)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn is_plain(sql: &str) -> bool {
        super::is_plain(sql, &["log_in".into()])
    }

    #[test]
    fn a_name_has_no_schema_no_arguments_and_no_quotes() {
        for name in ["lock_board", "LockBoard", "f$1", "größe", "lock board"] {
            assert!(super::is_name(name), "{name}");
        }
        for other in [
            "",
            " ",
            "public.lock_board",
            "lock_board()",
            " lock_board",
            "\"lock_board\"",
            "lock_board, lock_card",
            "lock_board;",
        ] {
            assert!(!super::is_name(other), "{other}");
        }
    }

    #[test]
    fn one_statement_is_plain() {
        for sql in [
            "SELECT body FROM notes WHERE id = $1",
            "  select\n count(*) FROM notes JOIN notebooks USING (id)\n",
            "SELECT (SELECT 1), 'it''s; -- into'",
            "SELECT count(*) AS \"count!\" FROM \"Notes\" -- all of them\n WHERE true;  ",
            "SELECT temperature, painted_into, attempts FROM templates",
            "WITH recent AS (SELECT * FROM notes) SELECT * FROM recent",
            "(VALUES (1, 2)) LIMIT 1",
            "TABLE notes",
            "INSERT INTO notes (body) VALUES ('x') RETURNING id",
            "WITH new AS (INSERT INTO notes (body) VALUES ('x') RETURNING id) TABLE new",
            "UPDATE notes SET stars = 1",
            "DELETE FROM notes",
            "MERGE INTO notes USING drafts ON false WHEN NOT MATCHED THEN DO NOTHING",
            "SELECT 'größe', größe FROM notes",
            "SELECT a - -1, 1 / 2",
        ] {
            assert!(is_plain(sql), "{sql}");
        }
    }

    #[test]
    fn whatever_may_do_more_is_not() {
        for sql in [
            "",
            "'",
            "SELECT 'open",
            "SELECT 1; SELECT 2",
            "SELECT 1; -- 2",
            "SELECT /* */ 1",
            "SELECT -- 1\r INTO mine FROM notes",
            "SELECT * INTO TEMP mine FROM notes",
            "WITH all_of AS (TABLE notes) SELECT * INTO mine FROM all_of",
            "INSERT INTO notes SELECT set_config('a.b', 'c', false)",
            "SELECT pg_catalog.set_config('a.b', 'c', false)",
            "SELECT Set_Config('a.b', 'c', false)",
            "SELECT \"set_config\"('a.b', 'c', false)",
            "SELECT U&\"set\\005fconfig\"('a.b', 'c', false)",
            "SELECT u & 1, u&'x'",
            "SELECT E'\\'; SET a.b = 1; --'",
            "SELECT $$ into $$",
            "SELECT $a$ ' $a$, set_config('a.b', 'c', false), $a$ ' $a$",
            "SELECT pg_advisory_lock(1)",
            "SELECT pg_try_advisory_xact_lock(1)",
            "UPDATE pg_settings SET setting = 'x'",
            "SELECT query_to_xml('SET a.b = 1', true, true, '')",
            "SELECT app.log_in('x')",
            "SELECT \"LOG_IN\"('x')",
            "SELECTION",
            "SHOW search_path",
            "BEGIN",
            "DO 'BEGIN END'",
            "CALL log_in()",
            "EXPLAIN ANALYZE SELECT 1",
        ] {
            assert!(!is_plain(sql), "{sql}");
        }
    }

    proptest! {
        /// Whatever stands around it, a word outside of quotes is seen.
        #[test]
        fn no_text_hides_a_word(
            before in "[a-z0-9 '\"();,$\\-\r\n/*é]{0,12}",
            after in "[a-z0-9 '\"();,$\\-\r\n/*é]{0,12}",
        ) {
            let sql = format!("SELECT {before} set_config {after}");
            if is_plain(&sql) {
                // Then it is in quotes or in a comment.
                let quotes = before.matches('\'').count() + before.matches('"').count();
                prop_assert!(quotes > 0 || before.contains("--"), "{}", sql);
            }
        }

        #[test]
        fn every_text_is_read_to_its_end(sql in "\\PC{0,60}") {
            is_plain(&sql);
            is_plain(&format!("SELECT {sql}"));
        }
    }
}
