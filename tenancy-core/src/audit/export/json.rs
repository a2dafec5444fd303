//! An entry as one line of JSON.

use serde::Serialize;

use crate::AuditEntry;

#[derive(Serialize)]
struct Row<'a> {
    version: u32,
    #[serde(flatten)]
    entry: &'a AuditEntry,
}

pub(super) fn row(entry: &AuditEntry) -> String {
    let row = Row {
        version: AuditEntry::VERSION,
        entry,
    };
    let mut text = text(&row);
    text.push('\n');
    text
}

/// The JSON of what has no map with other keys than texts, and so has one.
pub(super) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(%error, "an audit entry could not be written as JSON; please report this");
        String::from("null")
    })
}
