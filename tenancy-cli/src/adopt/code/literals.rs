//! Texts of Rust: what they say, and on which lines.

/// A text of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Literal {
    pub(super) value: String,
    /// The bytes of the value at which another line of the source begins, and which one.
    lines: Vec<(usize, usize)>,
}

impl Literal {
    /// Reads a text as it is written in the source, from this line on; `None` if it is another literal.
    pub(super) fn read(written: &str, line: usize) -> Option<Self> {
        let mut read = Self {
            value: String::with_capacity(written.len()),
            lines: vec![(0, line)],
        };
        if let Some(raw) = written.strip_prefix('r') {
            let hashes = raw.bytes().take_while(|b| *b == b'#').count();
            let quoted = raw.get(hashes..raw.len().checked_sub(hashes)?)?;
            read.raw(within_quotes(quoted)?, line);
        } else {
            read.escaped(within_quotes(written)?, line)?;
        }
        Some(read)
    }

    /// The line of the source on which a byte of the value stands.
    pub(super) fn line(&self, at: usize) -> usize {
        let after = self.lines.partition_point(|(begins, _)| *begins <= at);
        let line = after.checked_sub(1).and_then(|index| self.lines.get(index));
        line.map_or(1, |(_, line)| *line)
    }

    /// This text, with another one behind it.
    pub(super) fn join(&mut self, other: &Self) {
        let length = self.value.len();
        self.value.push_str(&other.value);
        let lines = other.lines.iter();
        self.lines
            .extend(lines.map(|(at, line)| (length + at, *line)));
    }

    fn raw(&mut self, text: &str, mut line: usize) {
        self.value.push_str(text);
        for (at, _) in text.match_indices('\n') {
            line += 1;
            self.lines.push((at + 1, line));
        }
    }

    fn escaped(&mut self, text: &str, mut line: usize) -> Option<()> {
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\n' => {
                    line += 1;
                    self.value.push(c);
                    self.lines.push((self.value.len(), line));
                }
                '\\' => match chars.next()? {
                    'n' => self.value.push('\n'),
                    't' => self.value.push('\t'),
                    'r' => self.value.push('\r'),
                    '0' => self.value.push('\0'),
                    // What is neither a letter nor a quote by itself is of no concern to SQL.
                    'x' => {
                        let digits: String = chars.by_ref().take(2).collect();
                        let code = u32::from_str_radix(&digits, 16).ok();
                        self.value.push(code.and_then(char::from_u32)?);
                    }
                    'u' => {
                        let digits: String = chars.by_ref().take_while(|c| *c != '}').collect();
                        let digits = digits.trim_start_matches('{').replace('_', "");
                        let code = u32::from_str_radix(&digits, 16).ok();
                        self.value.push(code.and_then(char::from_u32)?);
                    }
                    // A line that goes on with the next one.
                    '\n' => {
                        line += 1;
                        while let Some(blank) = chars.next_if(|c| c.is_whitespace()) {
                            line += usize::from(blank == '\n');
                        }
                        self.lines.push((self.value.len(), line));
                    }
                    other => self.value.push(other),
                },
                c => self.value.push(c),
            }
        }
        Some(())
    }
}

fn within_quotes(written: &str) -> Option<&str> {
    written.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(literal: &Literal, parts: &[&str]) -> Vec<usize> {
        let places = parts
            .iter()
            .map(|part| literal.value.find(part).unwrap_or(usize::MAX));
        places.map(|at| literal.line(at)).collect()
    }

    #[test]
    fn texts_are_read_as_rust_reads_them() {
        for (written, value) in [
            (r#""a\n\"b\" \u{e4}\x41""#, "a\n\"b\" äA"),
            (r##"r#"a "b" \n"#"##, "a \"b\" \\n"),
            ("\"a \\\n     b\"", "a b"),
        ] {
            let read = Literal::read(written, 1).unwrap_or_default();
            assert_eq!(read.value, value, "{written}");
        }
        for other in ["1", "'a'", "b\"a\"", "c\"a\""] {
            assert_eq!(Literal::read(other, 1), None, "{other}");
        }
    }

    #[test]
    fn lines_are_those_of_the_source() {
        let raw = Literal::read("r\"one\n two\n\n three\"", 7).unwrap_or_default();
        assert_eq!(lines(&raw, &["one", "two", "three"]), [7, 8, 10]);
        let escaped =
            Literal::read("\"one \\\n    two\\n three \\\n four\"", 7).unwrap_or_default();
        assert_eq!(
            lines(&escaped, &["one", "two", "three", "four"]),
            [7, 8, 8, 9]
        );
        let mut joined = raw;
        joined.join(&Literal::read("\"four\nfive\"", 20).unwrap_or_default());
        assert_eq!(
            lines(&joined, &["one", "three", "four", "five"]),
            [7, 10, 20, 21]
        );
    }
}
