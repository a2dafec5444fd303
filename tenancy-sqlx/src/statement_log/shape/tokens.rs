//! The tokens of a statement (PostgreSQL manual, §4.1), and where they can't be told for sure.

/// One token. White space and comments are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// A key word or a name, as it is written.
    Word(&'s str),
    /// A name in double quotes, with them.
    Quoted(&'s str),
    /// A text, a number or a string of bits: its content is nobody's to see.
    Literal,
    /// `$1`.
    Parameter(&'s str),
    /// One or several characters of an operator.
    Operator(&'s str),
    /// Any other character.
    Mark(char),
    /// From here on, what is a literal depends on what can't be seen in the text. The last token.
    Unclear,
}

/// What an operator consists of.
const OPERATORS: &str = "+-*/<>=~!@#%^&|`?";

/// # Security
/// Where the text may be read in two ways, the answer is [`Token::Unclear`]: a quote that one way takes for the end of
/// a text is the beginning of one for the other, and the text would be shown as if it were names. So it is where a
/// backslash stands before a quote, which ends the text or not by a setting of the session; and where a name stands
/// right beside a quote, as in `'O'Brien'`.
#[derive(Debug)]
pub(super) struct Tokens<'s> {
    rest: &'s str,
    /// Whether the token before was a word that ends where the rest begins.
    is_beside_word: bool,
}

impl<'s> Tokens<'s> {
    pub(super) const fn of(sql: &'s str) -> Self {
        Self {
            rest: sql,
            is_beside_word: false,
        }
    }
}

impl<'s> Iterator for Tokens<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let first = self.rest.chars().next()?;
            let was_beside_word = std::mem::take(&mut self.is_beside_word);
            if first.is_whitespace() || first.is_control() {
                self.cut(first.len_utf8());
            } else if self.rest.starts_with("--") {
                let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
                self.cut(end);
            } else if self.rest.starts_with("/*") {
                let Some(end) = end_of_comment(self.rest) else {
                    return self.unclear();
                };
                self.cut(end);
            } else {
                return self.token(first, was_beside_word);
            }
        }
    }
}

impl<'s> Tokens<'s> {
    fn token(&mut self, first: char, was_beside_word: bool) -> Option<Token<'s>> {
        match first {
            '\'' if was_beside_word => self.unclear(),
            '\'' => self.text(false),
            '"' => match end_of_quoted(self.rest, '"', Backslash::Plain) {
                Some(end) if !was_beside_word => Some(Token::Quoted(self.cut(end))),
                _ => self.unclear(),
            },
            '$' => self.dollar(),
            '0'..='9' => self.number(),
            '.' if self.rest.get(1..).is_some_and(begins_with_digit) => self.number(),
            c if is_name_start(c) => self.word(),
            c if OPERATORS.contains(c) => Some(Token::Operator(self.operator())),
            c => {
                self.cut(c.len_utf8());
                Some(Token::Mark(c))
            }
        }
    }

    /// A text whose opening quote is the next character.
    fn text(&mut self, has_escapes: bool) -> Option<Token<'s>> {
        let backslash = if has_escapes {
            Backslash::Escapes
        } else {
            Backslash::Unclear
        };
        let Some(end) = end_of_quoted(self.rest, '\'', backslash) else {
            return self.unclear();
        };
        self.cut(end);
        if self.rest.starts_with(is_name_part) {
            return self.unclear();
        }
        Some(Token::Literal)
    }

    /// A word, or a text with a letter before it: `E'…'`, `B'…'`, `X'…'`, `N'…'`, `U&'…'`.
    fn word(&mut self) -> Option<Token<'s>> {
        let end = self.rest.find(|c| !is_name_part(c));
        let word = self.cut(end.unwrap_or(self.rest.len()));
        let is_prefix = |letters: &[&str]| letters.iter().any(|l| word.eq_ignore_ascii_case(l));
        if self.rest.starts_with('\'') && is_prefix(&["e", "b", "x", "n"]) {
            return self.text(word.eq_ignore_ascii_case("e"));
        }
        if is_prefix(&["u"]) && self.rest.starts_with("&'") {
            self.cut(1);
            return self.text(false);
        }
        if is_prefix(&["u"]) && self.rest.starts_with("&\"") {
            // A name that is written in numbers.
            return self.unclear();
        }
        self.is_beside_word = true;
        Some(Token::Word(word))
    }

    /// Whatever follows a number without a space is taken with it.
    fn number(&mut self) -> Option<Token<'s>> {
        let mut before = '0';
        let end = self.rest.find(|c| {
            let is_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
            before = c;
            !(is_name_part(c) || c == '.' || is_sign)
        });
        self.cut(end.unwrap_or(self.rest.len()));
        if self.rest.starts_with(['\'', '"']) {
            return self.unclear();
        }
        Some(Token::Literal)
    }

    /// `$1`, or a text in `$$` or `$tag$`.
    fn dollar(&mut self) -> Option<Token<'s>> {
        let after = self.rest.get(1..)?;
        if begins_with_digit(after) {
            let digits = after.find(|c: char| !c.is_ascii_digit());
            let end = digits.map_or(self.rest.len(), |digits| digits + 1);
            let parameter = self.cut(end);
            if self.rest.starts_with(|c| is_name_part(c) || c == '\'') {
                return self.unclear();
            }
            return Some(Token::Parameter(parameter));
        }
        let tag = after.find('$').and_then(|end| after.get(..end));
        let is_tag = |tag: &&str| {
            tag.is_empty() || tag.starts_with(is_name_start) && tag.chars().all(is_name_part)
        };
        let Some(tag) = tag.filter(is_tag) else {
            return self.unclear();
        };
        let delimiter = tag.len() + 2;
        let (opening, within) = self.rest.split_at_checked(delimiter)?;
        let Some(end) = within.find(opening) else {
            return self.unclear();
        };
        self.cut(delimiter + end + delimiter);
        Some(Token::Literal)
    }

    /// Up to where a comment begins.
    fn operator(&mut self) -> &'s str {
        let end = self.rest.char_indices().find(|(at, c)| {
            let ahead = self.rest.get(*at..).unwrap_or_default();
            !OPERATORS.contains(*c) || ahead.starts_with("--") || ahead.starts_with("/*")
        });
        self.cut(end.map_or(self.rest.len(), |(at, _)| at))
    }

    /// Takes so many bytes, all of whose characters are whole.
    fn cut(&mut self, bytes: usize) -> &'s str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn unclear(&mut self) -> Option<Token<'s>> {
        self.rest = "";
        Some(Token::Unclear)
    }
}

/// What a backslash means between quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Backslash {
    /// Nothing.
    Plain,
    /// The next character is a part of the text.
    Escapes,
    /// One or the other; that matters before a quote.
    Unclear,
}

/// Where what begins with a quote ends, behind its last quote. A doubled quote is a part of it.
fn end_of_quoted(text: &str, quote: char, backslash: Backslash) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && backslash == Backslash::Escapes {
            characters.next()?;
        } else if c == '\\' && backslash == Backslash::Unclear {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                return None;
            }
        } else if c == quote {
            if characters.peek().is_none_or(|(_, next)| *next != quote) {
                return Some(at + quote.len_utf8());
            }
            characters.next();
        }
    }
    None
}

/// Where a comment ends that begins the text; comments nest.
fn end_of_comment(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        let ahead = text.get(at..)?;
        if ahead.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if ahead.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += ahead.chars().next()?.len_utf8();
        }
    }
}

fn begins_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_name_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}
