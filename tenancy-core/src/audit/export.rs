//! Formats in which entries of the trail are handed to others, row by row.

mod csv;
mod json;
mod ocsf;

use crate::AuditEntry;

/// A text as a cell of a CSV, quoted where it has to be, in which no spreadsheet sees a formula.
#[must_use]
pub fn csv_cell(text: &str) -> String {
    let mut cell = String::new();
    csv::push(&mut cell, text);
    cell
}

/// How entries are written for others to read.
///
/// | | a row is | media type |
/// |---|---|---|
/// | [`JsonLines`](Self::JsonLines) | an object, as `docs/audit-entry.schema.json` describes it | `application/x-ndjson` |
/// | [`Csv`](Self::Csv) | a record of RFC 4180, after one with the names of the columns | `text/csv; charset=utf-8; header=present` |
/// | [`Ocsf`](Self::Ocsf) | an event of [OCSF](Self::OCSF_VERSION), one object in a line | `application/x-ndjson` |
///
/// JSON lines lose nothing. CSV has the typed targets, the changes and the details as JSON in a cell each. OCSF has what
/// its schema has a place for, and all else in `unmapped`.
///
/// ```
/// use tenancy_core::{AuditEntry, Clock as _, ExportFormat, Outcome, SystemClock};
///
/// let entry = AuditEntry::new(SystemClock.now(), "note.share", Outcome::Allowed).reason("=1+1");
/// let row = ExportFormat::Csv.row(&entry);
/// assert!(row.ends_with("\r\n"));
/// assert!(row.contains("'=1+1"), "no spreadsheet takes it for a formula");
/// ```
///
/// # Security
/// A reason, a user agent or a target may be what a caller has sent. In CSV a cell is given a `'` in front where a
/// spreadsheet would take it for a formula: where it begins with `=`, `+`, `-`, `@`, a tab or a line break. Whoever reads
/// a CSV by a program takes that away again, or reads JSON lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExportFormat {
    /// One JSON object in a line for each entry.
    JsonLines,
    /// A table for spreadsheets.
    Csv,
    /// Events of the Open Cybersecurity Schema Framework, which systems for security events read.
    Ocsf,
}

impl ExportFormat {
    /// The version of OCSF whose classes [`Ocsf`](Self::Ocsf) writes.
    pub const OCSF_VERSION: &'static str = "1.8.0";

    /// The name of the format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JsonLines => "json-lines",
            Self::Csv => "csv",
            Self::Ocsf => "ocsf",
        }
    }

    /// What to answer as `Content-Type`.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::JsonLines | Self::Ocsf => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// What stands before the first row, with the end of its line; empty but for CSV.
    #[must_use]
    pub fn header(self) -> String {
        match self {
            Self::Csv => csv::header(),
            Self::JsonLines | Self::Ocsf => String::new(),
        }
    }

    /// An entry as a row, with the end of its line.
    #[must_use]
    pub fn row(self, entry: &AuditEntry) -> String {
        match self {
            Self::JsonLines => json::row(entry),
            Self::Csv => csv::row(entry),
            Self::Ocsf => ocsf::row(entry),
        }
    }
}
