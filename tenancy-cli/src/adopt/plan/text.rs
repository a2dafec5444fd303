//! The plan as text: tables, tree, keys, what needs a hand, questions and the lines that answer them.

use std::{collections::BTreeMap, fmt::Write as _};

use tenancy_sqlx::schema::CatalogName;

use super::{
    draft::{Draft, Question},
    keys::Kind,
    lines::toml,
    roots::Proposal,
    sketch::Verdict,
    words::{Standing, short_source, source, standing},
};
use crate::{
    adopt::decision::{Holds, Tenants},
    output::plain,
};

/// The whole plan.
pub(super) fn text(draft: &Draft<'_>) -> String {
    let mut text = String::new();
    tenants(draft, &mut text);
    tables(draft, &mut text);
    tree(draft, &mut text);
    keys(draft, &mut text);
    hands(draft, &mut text);
    questions(draft, &mut text);
    for name in &draft.sketch.protected {
        let _ = writeln!(
            text,
            "{} is protected already, and stays as it is",
            plain(&name.plain())
        );
    }
    sum(draft, &mut text);
    text
}

fn tenants(draft: &Draft<'_>, text: &mut String) {
    let _ = match &draft.tenants {
        Tenants::One { tenant, name } => {
            writeln!(
                text,
                "Tenants: one, `{}`, with the id {tenant}\n",
                plain(name)
            )
        }
        Tenants::Root { table, key, .. } => {
            let table = CatalogName::new(&table.schema, &table.name);
            let of = draft
                .sketch
                .graph
                .table(&table)
                .and_then(|table| table.column(key));
            let of = of.map_or("", |column| column.type_name.as_str());
            writeln!(
                text,
                "Tenants: the rows of {}, by {} ({of})\n",
                plain(&table.plain()),
                plain(key)
            )
        }
    };
}

fn tables(draft: &Draft<'_>, text: &mut String) {
    let rows: Vec<_> = (draft.sketch.in_order().into_iter())
        .map(|(table, verdict)| {
            let number = draft.sketch.graph.estimated_rows(&table.name);
            let number = number.map_or_else(|| "?".to_owned(), |rows| format!("~{rows}"));
            let is = standing(draft, &table.name, verdict);
            [
                plain(&table.name.plain()),
                number,
                is.as_str().to_owned(),
                plain(&source(verdict)),
            ]
        })
        .collect();
    let head = ["table", "rows", "is", "gets its tenant from"].map(str::to_owned);
    table(text, &head, &rows);
}

/// Columns below each other, with the last as long as it is.
fn table<const N: usize>(text: &mut String, head: &[String; N], rows: &[[String; N]]) {
    let all = || std::iter::once(head).chain(rows);
    let widths: Vec<usize> = (0..N)
        .map(|place| {
            let cells = all().filter_map(|row| row.get(place));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    for row in all() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
}

/// From which table each gets its tenant, as a tree.
fn tree(draft: &Draft<'_>, text: &mut String) {
    let mut below = BTreeMap::<&CatalogName, Vec<(&CatalogName, &Verdict)>>::new();
    let all = draft.sketch.in_order();
    for (table, verdict) in &all {
        if let Verdict::By { edge, .. } = verdict {
            below
                .entry(&edge.to)
                .or_default()
                .push((&table.name, verdict));
        }
    }
    let root = all.iter().find(|(_, verdict)| **verdict == Verdict::Root);
    if let Some((root, _)) = root {
        let _ = writeln!(text, "{}", plain(&root.name.plain()));
        branch(draft, &below, &root.name, "", text);
    } else if let Tenants::One { name, .. } = &draft.tenants {
        let _ = writeln!(text, "{}", plain(name));
        let own: Vec<_> = all
            .iter()
            .filter(|(_, verdict)| **verdict == Verdict::One)
            .collect();
        for (place, (table, _)) in own.iter().enumerate() {
            let fork = if place + 1 == own.len() {
                "└─"
            } else {
                "├─"
            };
            let _ = writeln!(text, "{fork} {}", plain(&table.name.plain()));
        }
    }
    for of in [Standing::Shared, Standing::Closed, Standing::Asked] {
        let names = all.iter().filter(|(table, verdict)| {
            !verdict.is_tenant() && standing(draft, &table.name, verdict) == of
        });
        let names: Vec<_> = names.map(|(table, _)| plain(&table.name.plain())).collect();
        if !names.is_empty() {
            let _ = writeln!(text, "{}: {}", of.as_str(), names.join(", "));
        }
    }
    text.push('\n');
}

fn branch(
    draft: &Draft<'_>,
    below: &BTreeMap<&CatalogName, Vec<(&CatalogName, &Verdict)>>,
    name: &CatalogName,
    before: &str,
    text: &mut String,
) {
    let children = below.get(name).map_or(&[][..], Vec::as_slice);
    for (place, (child, verdict)) in children.iter().enumerate() {
        let is_last = place + 1 == children.len();
        let (fork, next) = if is_last {
            ("└─", "   ")
        } else {
            ("├─", "│  ")
        };
        let asked = if draft.asks(child) { "  ?" } else { "" };
        let how = plain(&short_source(verdict));
        let _ = writeln!(
            text,
            "{before}{fork} {}  {how}{asked}",
            plain(&child.plain())
        );
        branch(draft, below, child, &format!("{before}{next}"), text);
    }
}

fn keys(draft: &Draft<'_>, text: &mut String) {
    let rows: Vec<_> = draft
        .keys_to_look_at()
        .map(|key| {
            let holds = match key.holds {
                Some(Holds::Tenant) => "within a tenant",
                Some(Holds::Everywhere) => "everywhere",
                None => "asked",
            };
            [
                plain(&key.key.name().plain()),
                plain(&key.key.columns()),
                key.key.kind.as_str().to_owned(),
                holds.to_owned(),
            ]
        })
        .collect();
    let silent = draft.keys.len() - rows.len();
    let _ = writeln!(text, "Keys");
    if !rows.is_empty() {
        table(
            text,
            &["key", "columns", "kind", "holds"].map(str::to_owned),
            &rows,
        );
    }
    let kinds = [Kind::Generated, Kind::Within]
        .map(Kind::as_str)
        .join(" or ");
    let _ = writeln!(
        text,
        "{silent} more are {kinds}, and hold within a tenant without a question\n"
    );
}

fn hands(draft: &Draft<'_>, text: &mut String) {
    for (first, title) in [
        (true, "Needs a hand before the run"),
        (false, "Needs a hand"),
    ] {
        let of: Vec<_> = draft
            .hands
            .iter()
            .filter(|hand| hand.first == first)
            .collect();
        if of.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{title}");
        for hand in of {
            let _ = writeln!(text, "  {}: {}", plain(&hand.object), plain(&hand.text));
            let _ = writeln!(text, "      {}", plain(&hand.mend));
        }
        text.push('\n');
    }
}

fn questions(draft: &Draft<'_>, text: &mut String) {
    if draft.questions.is_empty() {
        return;
    }
    let _ = writeln!(text, "Questions");
    for question in &draft.questions {
        let _ = writeln!(
            text,
            "  {}: {}",
            plain(&question.about),
            plain(&question.text)
        );
    }
    let lines = answers(&draft.questions);
    if !lines.is_empty() {
        let _ = writeln!(
            text,
            "\nLines for tenancy.toml, where a section that is there already takes them; look at each, and change what you \
             decide otherwise\n\n{lines}"
        );
    }
}

/// The lines that answer the questions. Tables of which nothing is known come in bulk, and closed.
fn answers(questions: &[Question]) -> String {
    let mut text = String::new();
    let unknown: Vec<_> = questions
        .iter()
        .filter(|question| question.code == "whose")
        .collect();
    if !unknown.is_empty() {
        text.push_str("[adopt]\n# the same for all tenants, who may read them: move here what is\nshared = [\n]\n");
        text.push_str("# no tenant's, and closed to the service\nclosed = [\n");
        for question in unknown {
            let _ = writeln!(
                text,
                "    {},  # {}",
                toml(&question.about),
                plain(&question.text)
            );
        }
        text.push_str("]\n\n");
    }
    let (keys, tables): (Vec<_>, Vec<_>) = (questions.iter())
        .filter(|question| question.code != "whose")
        .filter_map(|question| question.answer.as_ref())
        .partition(|lines| lines.section == "[adopt.keys]");
    if !keys.is_empty() {
        text.push_str("[adopt.keys]\n");
        for line in keys.iter().flat_map(|lines| &lines.lines) {
            let _ = writeln!(text, "{line}");
        }
        text.push('\n');
    }
    for lines in tables {
        let _ = writeln!(text, "{}\n{}\n", lines.section, lines.lines.join("\n"));
    }
    text
}

fn sum(draft: &Draft<'_>, text: &mut String) {
    let (tables, decided) = (draft.sketch.tables.len(), draft.decided());
    let first = draft.hands.iter().filter(|hand| hand.first).count();
    let _ = write!(
        text,
        "{tables} tables, {decided} decided, {} questions",
        draft.questions.len()
    );
    if first > 0 {
        let _ = write!(text, ", {first} to mend first");
    }
    text.push('\n');
}

/// What to say where nobody has said who the tenants are.
pub(super) fn proposals(proposals: &[Proposal]) -> String {
    let mut text = "Nobody has said who the tenants are. Say it by one of these:\n\n".to_owned();
    for proposal in proposals {
        let _ = writeln!(
            text,
            "  --root {}  {} tables lead to it without a null, {} at all",
            plain(&proposal.table.plain()),
            proposal.required,
            proposal.reached
        );
    }
    text.push_str("  --one-tenant NAME  the whole database is one customer's\n\n");
    text.push_str("or in tenancy.toml:\n\n[adopt]\n");
    if let Some(first) = proposals.first() {
        let _ = writeln!(text, "root = {}", toml(&first.table.plain()));
        text.push_str("# or: ");
    }
    text.push_str("one-tenant = \"…\"\n");
    text
}
