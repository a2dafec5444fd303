//! An entry as a record of RFC 4180, in which no cell is a formula.

use super::json;
use crate::{Actor, AuditEntry};

/// The columns, in the order of [`cells`].
const COLUMNS: [&str; 20] = [
    "version",
    "id",
    "at",
    "tenant",
    "project",
    "actor_kind",
    "actor",
    "on_behalf_of",
    "credential",
    "action",
    "outcome",
    "reason",
    "targets",
    "changes",
    "details",
    "ip",
    "user_agent",
    "request_id",
    "trace_id",
    "suppressed",
];

pub(super) fn header() -> String {
    record(&COLUMNS.map(str::to_owned))
}

pub(super) fn row(entry: &AuditEntry) -> String {
    record(&cells(entry))
}

fn cells(entry: &AuditEntry) -> [String; COLUMNS.len()] {
    fn text(value: Option<impl ToString>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let targets = entry.typed_targets();
    [
        AuditEntry::VERSION.to_string(),
        entry.id.to_string(),
        entry.at.to_string(),
        text(entry.tenant),
        text(entry.project),
        text(entry.actor.as_ref().map(Actor::kind)),
        text(entry.actor.as_ref()),
        text(entry.on_behalf_of),
        text(entry.credential.as_ref()),
        entry.action.to_string(),
        entry.outcome.as_str().to_owned(),
        text(entry.reason.as_ref()),
        if targets.is_empty() {
            String::new()
        } else {
            json::text(&targets)
        },
        if entry.changes.is_empty() {
            String::new()
        } else {
            json::text(&entry.changes)
        },
        text(entry.details.as_ref()),
        text(entry.ip),
        text(entry.user_agent.as_ref()),
        text(entry.request_id.as_ref()),
        text(entry.trace_id),
        entry.suppressed.to_string(),
    ]
}

fn record(cells: &[String]) -> String {
    let mut line = String::new();
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            line.push(',');
        }
        push(&mut line, cell);
    }
    line.push_str("\r\n");
    line
}

pub(super) fn push(line: &mut String, cell: &str) {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if !is_formula && !cell.contains([',', '"', '\r', '\n']) {
        line.push_str(cell);
        return;
    }
    line.push('"');
    if is_formula {
        line.push('\'');
    }
    line.push_str(&cell.replace('"', "\"\""));
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock as _, Outcome, SystemClock};

    /// The cells of a text by the rules of RFC 4180, read by hand.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut records, mut cells, mut cell) = (Vec::new(), Vec::new(), String::new());
        let (mut quoted, mut letters) = (false, text.chars().peekable());
        while let Some(letter) = letters.next() {
            match letter {
                '"' if quoted && letters.peek() == Some(&'"') => {
                    letters.next();
                    cell.push('"');
                }
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(std::mem::take(&mut cell)),
                '\r' if !quoted && letters.peek() == Some(&'\n') => {
                    letters.next();
                    cells.push(std::mem::take(&mut cell));
                    records.push(std::mem::take(&mut cells));
                }
                letter => cell.push(letter),
            }
        }
        assert!(!quoted && cell.is_empty() && cells.is_empty(), "{text}");
        records
    }

    #[test]
    fn what_a_cell_holds_is_read_back_and_is_no_formula() {
        let held = [
            ("plain", "plain"),
            ("a,b \"c\"\r\nd\u{0}", "a,b \"c\"\r\nd\u{0}"),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("\n=1", "'\n=1"),
            ("a=1", "a=1"),
        ];
        for (sent, told) in held {
            let mut entry = AuditEntry::new(SystemClock.now(), "note.share", Outcome::Refused);
            entry.reason = Some(sent.into());
            entry.user_agent = Some(sent.into());
            entry.details = Some(serde_json::json!(sent));
            let text = format!("{}{}", header(), row(&entry));
            let records = read(&text);
            assert_eq!(records.len(), 2, "{text}");
            assert_eq!(records[0], COLUMNS);
            assert_eq!(records[1].len(), COLUMNS.len());
            let cell = |name| {
                let place = COLUMNS.iter().position(|column| *column == name).unwrap();
                records[1][place].as_str()
            };
            assert_eq!((cell("reason"), cell("user_agent")), (told, told));
            assert_eq!(cell("details"), serde_json::json!(sent).to_string());
            assert_eq!(cell("id"), entry.id.to_string());
        }
    }
}
