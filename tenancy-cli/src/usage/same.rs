//! Whether two invoices are the same, as they are written.

use serde_json::Value;

/// What neither usage nor prices decide: it is not computed again.
const LEFT_OUT: [&str; 2] = ["adjustment", "credit"];

/// What of an invoice is another in one that was computed now; `None` if they are the same.
pub(super) fn difference(before: &Value, now: &Value) -> Option<String> {
    for (field, what) in [
        ("tenant", "it is of another tenant"),
        ("period", "it is of another period"),
        ("currency", "it is in another currency"),
        ("version_digest", "it is by other prices"),
        ("unpriced", "what no price is for differs"),
    ] {
        if before.get(field) != now.get(field) {
            return Some(format!(
                "{what}: {} before, {} now",
                shown(before, field),
                shown(now, field)
            ));
        }
    }
    let (ours, theirs) = (lines(before), lines(now));
    let pairs = ours.iter().zip(&theirs).enumerate();
    let differing = || pairs.clone().filter(|(_, (one, other))| one != other);
    // What is included may have another usage and costs nothing: the first amount that differs says more.
    let mut by_amount =
        differing().filter(|(_, (one, other))| one.get("amount") != other.get("amount"));
    if let Some((place, (one, other))) = by_amount.next().or_else(|| differing().next()) {
        let why = match one.get("input") == other.get("input") {
            true => "from the same usage",
            false => "its usage is another",
        };
        return Some(format!(
            "line {} ({}) differs, {why}: {} before, {} now",
            place + 1,
            shown(other, "description"),
            shown(one, "amount"),
            shown(other, "amount")
        ));
    }
    (ours.len() != theirs.len())
        .then(|| format!("it has {} lines before, {} now", ours.len(), theirs.len()))
}

fn lines(invoice: &Value) -> Vec<&Value> {
    let lines = invoice.get("lines").and_then(Value::as_array);
    let is_computed = |line: &&Value| {
        let kind = line.get("kind").and_then(Value::as_str);
        !kind.is_some_and(|kind| LEFT_OUT.contains(&kind))
    };
    lines.into_iter().flatten().filter(is_computed).collect()
}

fn shown(of: &Value, field: &str) -> String {
    match of.get(field) {
        Some(Value::String(text)) => crate::output::plain(text),
        Some(other) => crate::output::plain(&other.to_string()),
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn invoice(amount: &str, input: &str) -> Value {
        json!({
            "tenant": "t", "period": { "start": "a", "end": "b" }, "currency": "EUR", "version_digest": "d", "unpriced": [],
            "lines": [
                { "kind": "usage", "description": "exports", "amount": amount, "input": input },
                { "kind": "credit", "description": "credit 7", "amount": "-1", "input": "c" },
            ],
        })
    }

    #[test]
    fn the_first_line_that_differs_is_named_with_why() {
        let before = invoice("5.00", "one");
        assert_eq!(difference(&before, &before), None);
        let told = |now| difference(&before, &now).unwrap_or_default();
        assert_eq!(
            told(invoice("6.00", "two")),
            "line 1 (exports) differs, its usage is another: 5.00 before, 6.00 now"
        );
        assert!(told(invoice("6.00", "one")).contains("from the same usage"));
        let mut other = invoice("5.00", "one");
        other["version_digest"] = json!("e");
        assert_eq!(told(other), "it is by other prices: d before, e now");
        assert_eq!(
            told(json!({})),
            "it is of another tenant: t before, nothing now"
        );
    }

    #[test]
    fn credits_and_adjustments_are_not_computed_again() {
        let before = invoice("5.00", "one");
        let mut now = before.clone();
        now["lines"].as_array_mut().unwrap().pop();
        assert_eq!(difference(&before, &now), None);
        now["lines"].as_array_mut().unwrap().pop();
        assert_eq!(
            difference(&before, &now).unwrap(),
            "it has 1 lines before, 0 now"
        );
    }
}
