//! What has to be asked, and the lines that answer it.

use std::collections::BTreeMap;

use tenancy_sqlx::schema::{CatalogName, Table};

use super::{Draft, DraftKey, Question};
use crate::adopt::plan::{
    data::{Count, Fault, FaultKind},
    keys::Kind,
    lines::{Lines, toml_list},
    sketch::{Edge, Known, Unknown, Verdict},
};

/// The line for rows in which a reference is null.
const OTHERWISE: &str = "otherwise = \"…\"  # the id of the tenant of rows with a null";

pub(super) fn questions(draft: &Draft<'_>, counts: &BTreeMap<CatalogName, Count>) -> Vec<Question> {
    let mut questions = Vec::new();
    for (table, verdict) in draft.sketch.in_order() {
        match verdict {
            Verdict::Open(unknown) => questions.push(unreached(draft, table, *unknown)),
            Verdict::By { edge, known, .. } => {
                let faults = draft.faults.get(&table.name).map_or(&[][..], Vec::as_slice);
                let count = counts.get(&table.name);
                questions.extend(offer(table, edge, known, faults, count));
                let asked = faults
                    .iter()
                    .filter(|fault| fault.kind != FaultKind::Null || *known != Known::Nullable);
                questions.extend(asked.map(|fault| mended(table, edge, fault)));
            }
            Verdict::Root => {
                let faults = draft.faults.get(&table.name).map_or(&[][..], Vec::as_slice);
                questions.extend(faults.iter().filter_map(|fault| {
                    let FaultKind::Disagrees(other) = &fault.kind else {
                        return None;
                    };
                    Some(disagrees(table, "its key", other, fault))
                }));
            }
            _ => {}
        }
    }
    for key in draft.keys.iter().filter(|key| key.holds.is_none()) {
        let count = counts.get(&key.key.table.name);
        questions.push(of_key(key, count));
    }
    questions
}

fn unreached(draft: &Draft<'_>, table: &Table, unknown: Unknown) -> Question {
    let name = table.name.plain();
    let text = match unknown {
        Unknown::ReferredTo => {
            let refers = |other: &&Table| other.references.iter().any(|to| to.to == table.name);
            let number = draft.sketch.graph.tables.iter().filter(refers).count();
            format!(
                "it refers to no tenant's row, and is referred to by {}",
                tables(number)
            )
        }
        Unknown::Isolated => "no reference leads from it or to it".to_owned(),
        Unknown::Other => {
            let to: Vec<_> = table.references.iter().map(|to| to.to.plain()).collect();
            format!(
                "it refers to {} alone, and so to no tenant's row",
                to.join(", ")
            )
        }
    };
    Question {
        code: "whose",
        answer: Some(Lines::of_table(
            &name,
            "rows = \"closed\"  # or \"shared\"".to_owned(),
        )),
        about: name,
        text,
    }
}

fn tables(number: usize) -> String {
    match number {
        1 => "1 table".to_owned(),
        number => format!("{number} tables"),
    }
}

/// The reference that would do, if somebody says so.
fn offer(
    table: &Table,
    edge: &Edge,
    known: &Known,
    faults: &[Fault],
    count: Option<&Count>,
) -> Option<Question> {
    let name = table.name.plain();
    let columns = edge.columns.join(", ");
    let nulls = faults.iter().find(|fault| fault.kind == FaultKind::Null);
    let of = count.map_or_else(String::new, |count| format!(" of {}", count.rows));
    let text = match (known, nulls) {
        (Known::Nullable, Some(nulls)) => format!(
            "{columns} leads to {}, and is null in {}{of}: {}; say whose these are, by `otherwise`",
            edge.to.plain(),
            rows(nulls.rows),
            nulls.keys.join("; ")
        ),
        (Known::Nullable, None) => format!(
            "{columns} leads to {}, and may be null; no row{of} has a null",
            edge.to.plain()
        ),
        (Known::Soft, _) => format!(
            "{columns} is called like a reference to {}, and has no foreign key",
            edge.to.plain()
        ),
        _ => return None,
    };
    let mut answer = Lines::of_table(&name, format!("from = {}", toml_list(&edge.columns)));
    if nulls.is_some() {
        answer.lines.push(OTHERWISE.to_owned());
    }
    Some(Question {
        code: if *known == Known::Soft {
            "soft"
        } else {
            "nullable"
        },
        about: name,
        text,
        answer: Some(answer),
    })
}

/// What has to be mended in the rows, or said by another answer.
fn mended(table: &Table, edge: &Edge, fault: &Fault) -> Question {
    let about = table.name.plain();
    let keys = fault.keys.join("; ");
    let many = rows(fault.rows);
    let columns = edge.columns.join(", ");
    match &fault.kind {
        FaultKind::Null => {
            let mut answer =
                Lines::of_table(&about, format!("from = {}", toml_list(&edge.columns)));
            answer.lines.push(OTHERWISE.to_owned());
            let text = format!(
                "{columns} is null in {many}: {keys}; fill it in, or say whose they are by `otherwise`"
            );
            Question {
                code: "null",
                about,
                text,
                answer: Some(answer),
            }
        }
        FaultKind::Orphan => {
            let text = format!(
                "{columns} of {many} leads to no row of {}: {keys}; correct or delete them",
                edge.to.plain()
            );
            Question {
                code: "orphan",
                about,
                text,
                answer: None,
            }
        }
        FaultKind::Disagrees(other) => disagrees(table, &columns, other, fault),
    }
}

fn disagrees(table: &Table, columns: &str, other: &Edge, fault: &Fault) -> Question {
    let drop = other.foreign_key.as_ref().map_or_else(String::new, |key| {
        format!(", or drop the foreign key {key}")
    });
    Question {
        code: "disagrees",
        about: table.name.plain(),
        text: format!(
            "{columns} and {} (to {}) lead to different tenants in {}: {}; correct them{drop}",
            other.columns.join(", "),
            other.to.plain(),
            rows(fault.rows),
            fault.keys.join("; ")
        ),
        answer: None,
    }
}

fn rows(number: i64) -> String {
    match number {
        1 => "1 row".to_owned(),
        number => format!("{number} rows"),
    }
}

fn tenants(number: i64) -> String {
    match number {
        1 => "1 tenant".to_owned(),
        number => format!("{number} tenants"),
    }
}

fn of_key(key: &DraftKey<'_>, count: Option<&Count>) -> Question {
    let name = key.key.name().plain();
    let what = match key.key.kind {
        Kind::Credential => {
            "looks like a credential, which is looked up before the tenant is known; within a tenant, that look-up needs the \
             tenant first"
        }
        _ => "looks like an identity; within a tenant, two tenants may have the same",
    };
    let data = match count {
        None => String::new(),
        Some(count) if count.rows == 0 => ". It has no row now".to_owned(),
        Some(count) => format!(
            ". It holds for all now: {} of {}",
            rows(count.rows),
            tenants(count.tenants)
        ),
    };
    let (first, second) = match key.key.kind {
        Kind::Credential => ("everywhere", "tenant"),
        _ => ("tenant", "everywhere"),
    };
    Question {
        code: "key",
        text: format!(
            "({}) of {} {what}{data}",
            key.key.columns(),
            key.key.table.name.plain()
        ),
        answer: Some(Lines::of_key(&name, first, second)),
        about: name,
    }
}
