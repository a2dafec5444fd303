//! The plan as JSON: an object for each table, key, thing that needs a hand and question, and one for the whole.

use serde_json::{Value, json};

use super::{
    draft::Draft,
    roots::Proposal,
    sketch::{Edge, Verdict},
    words::standing,
};

/// The objects, the whole last.
pub(super) fn objects(draft: &Draft<'_>) -> Vec<Value> {
    let mut objects = Vec::new();
    for (table, verdict) in draft.sketch.in_order() {
        let (from, also) = match verdict {
            Verdict::By { edge, also, .. } => {
                (Some(reference(edge)), also.iter().map(reference).collect())
            }
            _ => (None, Vec::new()),
        };
        objects.push(json!({
            "kind": "table",
            "table": table.name.plain(),
            "is": standing(draft, &table.name, verdict).as_str(),
            "from": from,
            "also": also,
            "estimated_rows": draft.sketch.graph.estimated_rows(&table.name),
        }));
    }
    for key in &draft.keys {
        objects.push(json!({
            "kind": "key",
            "key": key.key.name().plain(),
            "table": key.key.table.name.plain(),
            "columns": key.key.columns(),
            "of": key.key.kind.as_str(),
            "holds": key.holds,
        }));
    }
    for hand in &draft.hands {
        objects.push(json!({
            "kind": "hand",
            "code": hand.code,
            "object": hand.object,
            "text": hand.text,
            "mend": hand.mend,
            "first": hand.first,
        }));
    }
    for question in &draft.questions {
        let answer = question.answer.as_ref();
        objects.push(json!({
            "kind": "question",
            "code": question.code,
            "about": question.about,
            "text": question.text,
            "section": answer.map(|answer| answer.section.as_str()),
            "lines": answer.map(|answer| &answer.lines),
        }));
    }
    let tables = draft.sketch.tables.len();
    objects.push(json!({
        "kind": "plan",
        "complete": draft.is_complete(),
        "tables": tables,
        "decided": draft.decided(),
        "questions": draft.questions.len(),
        "first": draft.hands.iter().filter(|hand| hand.first).count(),
        "protected": draft.sketch.protected.iter().map(|name| name.plain()).collect::<Vec<_>>(),
    }));
    objects
}

fn reference(edge: &Edge) -> Value {
    json!({
        "columns": edge.columns,
        "to": edge.to.plain(),
        "to_columns": edge.to_columns,
        "foreign_key": edge.foreign_key,
        "otherwise": edge.otherwise,
    })
}

/// The tables that could be the root.
pub(super) fn proposals(proposals: &[Proposal]) -> Vec<Value> {
    let objects = proposals.iter().map(|proposal| {
        json!({
            "kind": "root",
            "table": proposal.table.plain(),
            "required": proposal.required,
            "reached": proposal.reached,
            "by_name": proposal.by_name,
        })
    });
    let whole = json!({ "kind": "plan", "complete": false, "tables": null });
    objects.chain(std::iter::once(whole)).collect()
}
