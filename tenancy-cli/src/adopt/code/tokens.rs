//! The tokens of SQL (PostgreSQL manual, §4.1), with their places.
//!
//! The tokenizer of the statement log hides each literal and gives up where a text may be read in two ways. Here the text
//! is the application's own source, and places and bodies of functions are what matters.

/// A token, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub(super) is: Is<'s>,
    /// The byte at which it begins.
    pub(super) at: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Is<'s> {
    /// A key word or a name, in small letters.
    Word(String),
    /// A name in double quotes, without them.
    Quoted(String),
    /// A text in quotes, a number or a string of bits.
    Literal,
    /// `$1`, `:name`.
    Parameter,
    /// A text between dollars, and the byte at which it begins.
    Body(&'s str, usize),
    /// Any other character.
    Mark(char),
}

impl Token<'_> {
    /// Whether it is this key word.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(&self.is, Is::Word(is) if is == word)
    }

    /// Whether it is one of these key words.
    pub(super) fn is_one_of(&self, words: &[&str]) -> bool {
        matches!(&self.is, Is::Word(is) if words.contains(&is.as_str()))
    }

    pub(super) fn is_mark(&self, mark: char) -> bool {
        self.is == Is::Mark(mark)
    }

    /// A word or a quoted name. What sources name is compared in small letters.
    pub(super) fn name(&self) -> Option<String> {
        match &self.is {
            Is::Word(name) => Some(name.clone()),
            Is::Quoted(name) => Some(name.to_lowercase()),
            _ => None,
        }
    }
}

/// All tokens of a text. White space and comments are left out. What is not closed goes on to the end.
pub(super) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut reading = Reading { sql, at: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = reading.next() {
        tokens.push(token);
    }
    tokens
}

struct Reading<'s> {
    sql: &'s str,
    at: usize,
}

impl<'s> Reading<'s> {
    fn rest(&self) -> &'s str {
        self.sql.get(self.at..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let rest = self.rest();
            let first = rest.chars().next()?;
            // A mark of the byte order at the beginning is no character.
            if first.is_whitespace() || (first == '\u{feff}' && self.at == 0) {
                self.at += first.len_utf8();
            } else if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if first == '\\' && self.begins_line() {
                // A command of psql.
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += end_of_comment(rest);
            } else {
                let at = self.at;
                return Some(Token {
                    is: self.token(first),
                    at,
                });
            }
        }
    }

    fn begins_line(&self) -> bool {
        let before = self.sql.get(..self.at).unwrap_or_default();
        before
            .trim_end_matches([' ', '\t', '\u{feff}'])
            .ends_with('\n')
            || before.trim_start_matches('\u{feff}').is_empty()
    }

    fn token(&mut self, first: char) -> Is<'s> {
        let rest = self.rest();
        match first {
            '\'' => self.literal(end_of_quoted(rest, '\'', false)),
            '"' => {
                let end = end_of_quoted(rest, '"', false);
                let name = rest.get(1..end.saturating_sub(1)).unwrap_or_default();
                self.at += end;
                Is::Quoted(name.replace("\"\"", "\""))
            }
            '$' => self.dollar(),
            ':' if rest.starts_with("::") => {
                self.at += 2;
                Is::Mark(':')
            }
            '0'..='9' => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_'));
                self.literal(end.unwrap_or(rest.len()))
            }
            c if is_name_start(c) => self.word(),
            c => {
                self.at += c.len_utf8();
                Is::Mark(c)
            }
        }
    }

    fn literal(&mut self, end: usize) -> Is<'s> {
        self.at += end;
        Is::Literal
    }

    fn word(&mut self) -> Is<'s> {
        let rest = self.rest();
        let end = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_prefix = ["e", "b", "x", "n"]
            .iter()
            .any(|one| word.eq_ignore_ascii_case(one));
        if is_prefix && after.starts_with('\'') {
            let quoted = end_of_quoted(after, '\'', word.eq_ignore_ascii_case("e"));
            return self.literal(end + quoted);
        }
        self.at += end;
        Is::Word(word.to_lowercase())
    }

    /// A parameter, or a text between dollars.
    fn dollar(&mut self) -> Is<'s> {
        let rest = self.rest();
        let after = rest.get(1..).unwrap_or_default();
        let digits = after
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(after.len());
        if digits > 0 {
            self.at += 1 + digits;
            return Is::Parameter;
        }
        let tag = after.find('$').filter(|end| {
            let tag = after.get(..*end).unwrap_or_default();
            tag.chars().all(|c| is_name_part(c) && c != '$')
        });
        let Some(tag) = tag.and_then(|end| rest.get(..end + 2)) else {
            self.at += 1;
            return Is::Mark('$');
        };
        let begins = self.at + tag.len();
        let body = self.sql.get(begins..).unwrap_or_default();
        let end = body.find(tag);
        let body = end.and_then(|end| body.get(..end)).unwrap_or(body);
        self.at = begins + body.len() + end.map_or(0, |_| tag.len());
        Is::Body(body, begins)
    }
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The bytes of a comment, which may have others in it.
fn end_of_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The bytes of what stands between two quotes, with them.
fn end_of_quoted(text: &str, quote: char, has_escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && has_escapes {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return at + quote.len_utf8();
            }
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sql: &str) -> String {
        let told = tokens(sql).into_iter().map(|token| match token.is {
            Is::Word(word) => word,
            Is::Quoted(name) => format!("\"{name}\""),
            Is::Literal => "?".to_owned(),
            Is::Parameter => "$".to_owned(),
            Is::Body(body, _) => format!("<{body}>"),
            Is::Mark(mark) => mark.to_string(),
        });
        told.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_texts_hide_what_is_in_them() {
        for (sql, expected) in [
            (
                "SELECT 'ON CONFLICT (a)' -- TRUNCATE t\n, 1",
                "select ? , ?",
            ),
            ("a /* b /* c */ d */ e", "a e"),
            // What an editor and psql put before a statement.
            ("\u{feff}TRUNCATE t", "truncate t"),
            (
                "\u{feff}\\set ON_ERROR_STOP on\nTRUNCATE t;\n  \\c other\na \\ b",
                "truncate t ; a \\ b",
            ),
            ("E'it\\'s' 'it''s' X'0f' x", "? ? ? x"),
            (
                "$$ on conflict $$ $b$ $$ $b$ $1",
                "< on conflict > < $$ > $",
            ),
            ("\"On\" ON \"a\"\"b\"", "\"On\" on \"a\"b\""),
            ("a::text >= 1.5e3", "a : text > = ?"),
            ("'not closed", "?"),
            ("/* not closed", ""),
            ("$x$ not closed", "< not closed>"),
            ("{} $ ü", "{ } $ ü"),
        ] {
            assert_eq!(told(sql), expected, "{sql}");
        }
    }

    #[test]
    fn places_are_those_of_the_text() {
        let sql = "a -- ü\n  $f$ body $f$ b";
        let found = tokens(sql);
        for token in &found {
            let is_here = sql.get(token.at..).is_some_and(|rest| match &token.is {
                Is::Word(word) => rest.starts_with(word),
                Is::Body(body, at) => sql.get(*at..).is_some_and(|rest| rest.starts_with(body)),
                _ => false,
            });
            assert!(is_here, "{token:?}");
        }
        assert_eq!(found.len(), 3);
    }
}
