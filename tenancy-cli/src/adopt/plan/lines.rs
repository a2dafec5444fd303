//! Lines for `tenancy.toml`, and names as SQL and TOML take them.

/// A text as TOML has it.
pub(super) fn toml(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of texts as TOML has it.
pub(super) fn toml_list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| toml(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A name as SQL has it, quoted in any case.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The lines that answer a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lines {
    /// The section in which they stand.
    pub(super) section: String,
    pub(super) lines: Vec<String>,
}

impl Lines {
    pub(super) fn of_table(table: &str, line: String) -> Self {
        Self {
            section: format!("[adopt.tables.{}]", toml(table)),
            lines: vec![line],
        }
    }

    pub(super) fn of_key(key: &str, holds: &str, other: &str) -> Self {
        Self {
            section: "[adopt.keys]".to_owned(),
            lines: vec![format!("{} = \"{holds}\"  # or \"{other}\"", toml(key))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_kind_are_quoted() {
        assert_eq!(toml("a\"b\\c\nd"), "\"a\\\"b\\\\c\\u000Ad\"");
        assert_eq!(toml_list(&["a".into(), "b".into()]), "[\"a\", \"b\"]");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
    }
}
