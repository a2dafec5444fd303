//! What is printed: results to standard output, all else to standard error.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
};

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::arguments::Format;

/// Where a command prints.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
    colours: bool,
}

impl Output {
    pub(crate) fn new(format: Format, quiet: bool) -> Self {
        Self {
            format,
            quiet,
            colours: colours(&io::stdout()),
        }
    }

    /// Writes a text as it is, and has the reader get it.
    ///
    /// # Errors
    /// What the reader's end says: a pipe that is closed, a disk that is full.
    pub(crate) async fn write(&mut self, text: &str) -> io::Result<()> {
        let text = text.to_owned();
        // On a thread of its own: where the reader takes its time, a signal is heard all the same.
        let written = spawn_blocking(move || {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.flush()
        });
        written.await?
    }

    /// A result, in the form that was asked for.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) async fn result(&mut self, text: &str, json: &Value) -> io::Result<()> {
        match self.format {
            Format::Text => self.write(&format!("{text}\n")).await,
            Format::Json => self.write(&format!("{}\n", inert(json))).await,
        }
    }

    /// The same of a result that tells no fault: left out if the command is to be quiet.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) async fn good(&mut self, text: &str, json: &Value) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        self.result(text, json).await
    }

    /// Something that was made: its id alone if the command is to be quiet, else a result.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) async fn made(&mut self, id: &str, text: &str, json: &Value) -> io::Result<()> {
        match self.format {
            Format::Text if self.quiet => self.write(&format!("{id}\n")).await,
            _ => self.result(text, json).await,
        }
    }

    /// Whether results are JSON lines.
    pub(crate) const fn is_json(&self) -> bool {
        matches!(self.format, Format::Json)
    }

    /// Whether nothing is printed but what was asked for.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A remark beside the results, for people alone.
    pub(crate) fn remark(&self, text: &str) {
        if !self.quiet && self.format == Format::Text {
            complain(text);
        }
    }

    /// Whether progress is shown: to people at a terminal alone.
    pub(crate) fn has_progress(&self) -> bool {
        !self.quiet && self.format == Format::Text && io::stderr().is_terminal()
    }

    /// Shows how far the command is, in place of what was shown before.
    pub(crate) fn progress(&self, text: &str) {
        if self.has_progress() {
            // One line, cut off where terminals end.
            let line: String = plain(text).chars().take(78).collect();
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        }
    }

    /// Takes away what was shown of the progress.
    pub(crate) fn end_progress(&self) {
        if self.has_progress() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// Says why the command was not done.
    pub(crate) fn fail(&self, message: &str) {
        match self.format {
            Format::Text => complain(&format!("error: {}", plain_lines(message))),
            Format::Json => complain(&inert(&json!({ "error": message }))),
        }
    }

    /// The text in red, where there are colours.
    pub(crate) fn bad(&self, text: &str) -> String {
        painted(text, 31, self.colours)
    }

    /// The text in green, where there are colours.
    pub(crate) fn well(&self, text: &str) -> String {
        painted(text, 32, self.colours)
    }
}

fn painted(text: &str, colour: u8, paints: bool) -> String {
    if paints {
        format!("\x1b[1;{colour}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Writes to standard error; where nobody reads that, nothing can be said.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether a stream is a terminal whose user wants colours.
pub(crate) fn colours(stream: &impl IsTerminal) -> bool {
    let refuses = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !refuses
}

/// JSON without what a terminal would act on. Outside of texts there is no such character.
fn inert(json: &Value) -> String {
    let mut inert = String::new();
    for c in json.to_string().chars() {
        if acts(c) {
            let _ = write!(inert, "\\u{:04x}", u32::from(c));
        } else {
            inert.push(c);
        }
    }
    inert
}

/// What somebody else has written, in one line and without what a terminal would act on.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            let _ = write!(plain, "{}", c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// The same in several lines.
fn plain_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(plain).collect();
    lines.join("\n")
}

/// Whether a terminal would act on a character: control characters, and those that turn the direction of writing.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_json_moves_the_cursor() {
        let told = json!({ "name": "a\u{9b}2J\u{202e}b\u{1b}ü" });
        let written = inert(&told);
        assert_eq!(written, r#"{"name":"a\u009b2J\u202eb\u001bü"}"#);
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), told);
    }

    #[test]
    fn nothing_of_an_entry_moves_the_cursor() {
        let written = "a\u{1b}[2J\u{9b}31m\r\nb\u{202e}ü";
        assert_eq!(
            plain(written),
            "a\\u{1b}[2J\\u{9b}31m\\u{d}\\u{a}b\\u{202e}ü"
        );
        assert_eq!(plain_lines("one\ntwo\u{7}"), "one\ntwo\\u{7}");
    }

    #[test]
    fn there_are_colours_only_where_they_are_wanted() {
        assert_eq!(painted("whole", 32, false), "whole");
        assert_eq!(painted("whole", 32, true), "\u{1b}[1;32mwhole\u{1b}[0m");
    }
}
