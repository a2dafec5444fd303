//! Tokens put together again: one form for all texts that differ in their values, in how many values a list has, in
//! white space or in the case of their words.

use super::tokens::Token;

/// The most pieces that are kept; a longest shape has fewer.
const MOST: usize = 1_024;

/// Words that stand before a value and not before the second operand of an operator.
const BEFORE_OPERAND: &[&str] = &[
    "all",
    "and",
    "any",
    "between",
    "by",
    "case",
    "default",
    "distinct",
    "else",
    "filter",
    "from",
    "having",
    "if",
    "ilike",
    "in",
    "is",
    "like",
    "limit",
    "not",
    "offset",
    "on",
    "or",
    "return",
    "returning",
    "select",
    "set",
    "some",
    "then",
    "to",
    "using",
    "values",
    "when",
    "where",
    "with",
];

/// Words before a parenthesis that are no function's name.
const BEFORE_PARENTHESIS: &[&str] = &[
    "all",
    "and",
    "any",
    "as",
    "between",
    "by",
    "else",
    "except",
    "exists",
    "filter",
    "from",
    "having",
    "ilike",
    "in",
    "intersect",
    "into",
    "like",
    "not",
    "on",
    "or",
    "over",
    "return",
    "returning",
    "select",
    "set",
    "some",
    "then",
    "union",
    "using",
    "values",
    "when",
    "where",
    "with",
];

/// What a shape consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// A word, in small letters, or a name in quotes.
    Word(String),
    Operator(String),
    Mark(char),
    /// A literal or a parameter.
    Value(String),
    /// Several values, separated by commas.
    List,
    /// Several lists or values in parentheses, separated by commas.
    Groups,
}

impl Piece {
    const fn is_value(&self) -> bool {
        matches!(self, Self::Value(_) | Self::List)
    }

    fn is_mark(&self, mark: char) -> bool {
        *self == Self::Mark(mark)
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        matches!(self, Self::Word(word) if words.contains(&word.as_str()))
    }
}

/// The pieces so far.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pieces: Vec<Piece>,
    /// Whether some were left out.
    is_cut: bool,
    /// How far a `SET` has come, whose value need be no literal.
    setting: Setting,
}

/// A statement that sets a parameter to words: `SET application_name TO bob`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Setting {
    /// A statement begins.
    #[default]
    Beginning,
    /// It is another statement.
    Other,
    /// The name of the parameter comes next.
    Named,
    /// Its value comes next, up to the end of the statement.
    Value,
}

impl Folded {
    pub(super) fn push(&mut self, token: Token<'_>) {
        if self.setting == Setting::Value && token != Token::Mark(';') {
            if !self.pieces.last().is_some_and(Piece::is_value) {
                self.add(Piece::Value("?".to_owned()));
            }
            return;
        }
        match token {
            Token::Word(word) => self.word(word.to_ascii_lowercase()),
            Token::Quoted(name) => self.name(name.to_owned()),
            Token::Literal => self.value("?"),
            Token::Parameter(name) => self.value(name),
            Token::Operator(operator) => {
                if self.setting == Setting::Named && operator == "=" {
                    self.setting = Setting::Value;
                }
                self.add(Piece::Operator(operator.to_owned()));
            }
            Token::Mark(mark) => self.mark(mark),
            Token::Unclear => {}
        }
        if self.setting == Setting::Beginning && token != Token::Mark(';') {
            self.setting = Setting::Other;
        }
    }

    /// The text, of so many bytes at most and an ellipsis.
    pub(super) fn finish(self, longest: usize) -> String {
        let mut text = String::with_capacity(128);
        let mut before: Option<&Piece> = None;
        let mut is_cut = self.is_cut;
        for piece in &self.pieces {
            if before.is_some_and(|before| is_apart(before, piece)) {
                text.push(' ');
            }
            match piece {
                Piece::Word(word) | Piece::Operator(word) | Piece::Value(word) => {
                    text.push_str(word);
                }
                Piece::Mark(mark) => text.push(*mark),
                Piece::List => text.push('…'),
                Piece::Groups => text.push_str("(…), …"),
            }
            if text.len() > longest {
                is_cut = true;
                break;
            }
            before = Some(piece);
        }
        if is_cut {
            text.truncate(text.floor_char_boundary(longest));
            text.push('…');
        }
        text
    }

    fn word(&mut self, word: String) {
        if self.setting == Setting::Beginning && word == "set" {
            self.setting = Setting::Named;
            self.add(Piece::Word(word));
            return;
        }
        if self.setting == Setting::Named && word == "to" {
            self.setting = Setting::Value;
        }
        if self.is_a_value(&word) {
            self.value("?");
            return;
        }
        self.name(word);
    }

    /// A type that a value is cast to says nothing that the value's place does not say.
    fn name(&mut self, name: String) {
        let is_cast = match self.pieces.as_slice() {
            [.., value, cast] => value.is_value() && *cast == Piece::Mark(':'),
            _ => false,
        };
        if is_cast {
            self.pieces.pop();
            return;
        }
        self.add(Piece::Word(name));
    }

    /// TRUE, FALSE and NULL are values, but for `IS NOT NULL` and the like.
    fn is_a_value(&self, word: &str) -> bool {
        let last = self.pieces.last();
        match word {
            "true" | "false" => {
                let [.., is, not] = self.pieces.as_slice() else {
                    return true;
                };
                let is_not = is.is_one_of(&["is"]) && not.is_one_of(&["not"]);
                !(not.is_one_of(&["is"]) || is_not)
            }
            "null" => !last.is_some_and(|last| last.is_one_of(&["is", "not", "set"])),
            _ => false,
        }
    }

    fn value(&mut self, value: &str) {
        self.drop_sign();
        self.add(Piece::Value(value.to_owned()));
        match self.pieces.as_slice() {
            [.., opening, one, comma, other]
                if opening.is_mark('(')
                    && one.is_value()
                    && comma.is_mark(',')
                    && other.is_value() =>
            {
                self.replace(3, Piece::List);
            }
            [.., list, comma, _] if *list == Piece::List && comma.is_mark(',') => {
                self.replace(3, Piece::List);
            }
            _ => {}
        }
    }

    /// The sign of a number is a part of it.
    fn drop_sign(&mut self) {
        let Some(Piece::Operator(signs)) = self.pieces.last() else {
            return;
        };
        let before = signs.trim_end_matches(['-', '+']);
        let is_sign = match self.pieces.as_slice() {
            _ if before.len() < signs.len() && !before.is_empty() => true,
            _ if !before.is_empty() => false,
            [_] => true,
            [.., before, _] => match before {
                Piece::Word(_) => before.is_one_of(BEFORE_OPERAND),
                Piece::Operator(_) => true,
                Piece::Mark(mark) => !matches!(mark, ')' | ']'),
                Piece::Value(_) | Piece::List | Piece::Groups => false,
            },
            [] => false,
        };
        if !is_sign {
            return;
        }
        let before = before.to_owned();
        self.pieces.pop();
        if !before.is_empty() {
            self.pieces.push(Piece::Operator(before));
        }
    }

    fn mark(&mut self, mark: char) {
        if mark == ';' {
            self.setting = Setting::Beginning;
            self.add(Piece::Mark(mark));
            return;
        }
        // Of a cast's two colons one is kept.
        if mark == ':' && self.pieces.last().is_some_and(|last| last.is_mark(':')) {
            return;
        }
        self.add(Piece::Mark(mark));
        if mark != ')' {
            return;
        }
        let is_group = |opening: &Piece, within: &Piece, closing: &Piece| {
            opening.is_mark('(') && within.is_value() && closing.is_mark(')')
        };
        match self.pieces.as_slice() {
            [.., a, b, c, comma, d, e, f]
                if is_group(a, b, c) && comma.is_mark(',') && is_group(d, e, f) =>
            {
                self.replace(7, Piece::Groups);
            }
            [.., groups, comma, a, b, c]
                if *groups == Piece::Groups && comma.is_mark(',') && is_group(a, b, c) =>
            {
                self.replace(5, Piece::Groups);
            }
            _ => {}
        }
    }

    fn replace(&mut self, last: usize, by: Piece) {
        let kept = self.pieces.len().saturating_sub(last);
        self.pieces.truncate(kept);
        self.pieces.push(by);
    }

    fn add(&mut self, piece: Piece) {
        if self.pieces.len() < MOST {
            self.pieces.push(piece);
        } else {
            self.is_cut = true;
        }
    }
}

/// Whether a space stands between two pieces.
fn is_apart(before: &Piece, after: &Piece) -> bool {
    match (before, after) {
        (Piece::Mark('(' | '[' | '.' | ':'), _) => false,
        (_, Piece::Mark(')' | ']' | '[' | ',' | '.' | ';' | ':')) => false,
        (Piece::Word(_), Piece::Mark('(')) => before.is_one_of(BEFORE_PARENTHESIS),
        _ => true,
    }
}
