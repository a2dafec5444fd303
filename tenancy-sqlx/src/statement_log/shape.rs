//! The shape of a statement: its text without what was put into it.

mod fold;
mod tokens;

use std::sync::Arc;

use super::protected::Protected;
use fold::Folded;
use tokens::{Token, Tokens};

/// The longest shape, in bytes; what is longer is cut and ends with an ellipsis.
const LONGEST: usize = 1_000;

/// The most protected tables that are named of one statement.
const MOST_TABLES: usize = 64;

/// What a statement of PostgreSQL begins with. Any other first word may be somebody's data.
const VERBS: &[&str] = &[
    "abort",
    "alter",
    "analyze",
    "begin",
    "call",
    "checkpoint",
    "close",
    "cluster",
    "comment",
    "commit",
    "copy",
    "create",
    "deallocate",
    "declare",
    "delete",
    "discard",
    "do",
    "drop",
    "end",
    "execute",
    "explain",
    "fetch",
    "grant",
    "import",
    "insert",
    "listen",
    "load",
    "lock",
    "merge",
    "move",
    "notify",
    "prepare",
    "reassign",
    "refresh",
    "reindex",
    "release",
    "reset",
    "revoke",
    "rollback",
    "savepoint",
    "security",
    "select",
    "set",
    "show",
    "start",
    "table",
    "truncate",
    "unlisten",
    "update",
    "vacuum",
    "values",
    "with",
];

/// What is kept of a statement's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// The text, with `?` in the place of each literal. Where the text is not clear, the same as `verb`.
    pub(super) text: Arc<str>,
    /// Its first word, for a statement that the server could not read either.
    pub(super) verb: Arc<str>,
    /// The protected tables that it names, as far as they are known.
    pub(super) tables: Arc<[Arc<str>]>,
    /// Whether all of it could be read.
    pub(super) is_clear: bool,
}

impl Shape {
    /// # Security
    /// No literal is a part of it, in whichever way it is written. A text that may be read in two ways is not shown
    /// beyond its first word.
    pub(super) fn of(sql: &str, protected: &Protected) -> Self {
        let mut verb = None;
        let mut folded = Folded::default();
        let mut names = Names::new(protected);
        let mut is_clear = true;
        for token in Tokens::of(sql) {
            match token {
                Token::Unclear => is_clear = false,
                Token::Word(word) if verb.is_none() => match known(word) {
                    Some(known) => verb = Some(known),
                    None => is_clear = false,
                },
                _ => {}
            }
            if !is_clear {
                break;
            }
            names.see(token);
            folded.push(token);
        }
        let verb: Arc<str> = match verb {
            Some(verb) => format!("{verb} …").into(),
            None => "…".into(),
        };
        let text = if is_clear {
            folded.finish(LONGEST).into()
        } else {
            Arc::clone(&verb)
        };
        Self {
            text,
            verb,
            tables: names.finish(),
            is_clear,
        }
    }
}

/// The verb, if the word is one.
fn known(word: &str) -> Option<&'static str> {
    let same = |verb: &&&str| verb.eq_ignore_ascii_case(word);
    VERBS.iter().find(same).copied()
}

/// The protected tables among the names of a statement.
struct Names<'p, 's> {
    protected: &'p Protected,
    /// The name before a dot, and whether the dot has come.
    before: Option<(&'s str, bool)>,
    found: Vec<Arc<str>>,
}

impl<'p, 's> Names<'p, 's> {
    const fn new(protected: &'p Protected) -> Self {
        Self {
            protected,
            before: None,
            found: Vec::new(),
        }
    }

    fn see(&mut self, token: Token<'s>) {
        match token {
            Token::Word(name) | Token::Quoted(name) => {
                let schema = match self.before {
                    Some((schema, true)) => Some(schema),
                    _ => None,
                };
                for table in self.protected.named(schema, name) {
                    if self.found.len() < MOST_TABLES && !self.found.contains(table) {
                        self.found.push(Arc::clone(table));
                    }
                }
                self.before = Some((name, false));
            }
            Token::Mark('.') => {
                self.before = self.before.map(|(name, _)| (name, true));
            }
            _ => self.before = None,
        }
    }

    fn finish(mut self) -> Arc<[Arc<str>]> {
        self.found.sort();
        self.found.into()
    }
}

#[cfg(test)]
mod tests;
