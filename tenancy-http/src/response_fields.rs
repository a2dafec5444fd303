//! The header fields of a response, in the types of a framework, and `Vary` among them.

use std::borrow::Cow;

/// The header fields of a response: what an adapter wraps its framework's map in.
pub trait ResponseFields {
    /// A value, cheap to clone.
    type Value: Clone;

    /// A value with this text; `None` if no field can have it.
    fn value(text: &str) -> Option<Self::Value>;

    /// The values of the fields of this lower-case name, without those that are not text.
    fn texts(&self, name: &'static str) -> impl Iterator<Item = &str>;

    /// Whether there is a field of this lower-case name.
    fn contains(&self, name: &'static str) -> bool;

    /// Adds one more field of this lower-case name.
    fn append(&mut self, name: &'static str, value: Self::Value);

    /// Removes all fields of this lower-case name.
    fn remove(&mut self, name: &'static str);
}

/// What a layer has chosen for the response to one request, before it passes the request on.
pub trait WriteFields {
    /// A value in the framework's type.
    type Value: Clone;

    /// Writes what was chosen among the fields that the response has.
    fn write<F: ResponseFields<Value = Self::Value>>(&self, response: &mut F);
}

/// Adds fields by their lower-case names. One that the response has already stays as it is: it comes from further
/// inside. A value that no field can have is left out.
pub fn add_fields<F: ResponseFields>(fields: &mut F, more: &[(&'static str, String)]) {
    let absent: Vec<_> = more
        .iter()
        .filter(|(name, _)| !fields.contains(name))
        .collect();
    for (name, value) in absent {
        if let Some(value) = F::value(value) {
            fields.append(name, value);
        }
    }
}

/// Says that the response depends on these header fields of the request, a list in lower case,
/// which is also given as a value. What `Vary` says already stays as it is and is not repeated.
pub fn add_vary<F: ResponseFields>(fields: &mut F, names: &str, as_value: &F::Value) {
    let missing = match missing(fields.texts("vary"), names) {
        Some(Cow::Borrowed(_)) => Some(as_value.clone()),
        Some(Cow::Owned(some)) => F::value(&some),
        None => None,
    };
    if let Some(missing) = missing {
        fields.append("vary", missing);
    }
}

/// The names that `Vary` lacks; borrowed if those are all.
fn missing<'n, 'p>(present: impl Iterator<Item = &'p str>, names: &'n str) -> Option<Cow<'n, str>> {
    let present: Vec<&str> = present.flat_map(list).collect();
    if present.is_empty() {
        return Some(Cow::Borrowed(names));
    }
    if present.contains(&"*") {
        return None;
    }
    let lacking = |name: &&str| !present.iter().any(|one| one.eq_ignore_ascii_case(name));
    let lacking: Vec<&str> = list(names).filter(lacking).collect();
    match lacking.len() {
        0 => None,
        all if all == list(names).count() => Some(Cow::Borrowed(names)),
        _ => Some(Cow::Owned(lacking.join(", "))),
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_there_is_not_repeated() {
        for (present, names, want) in [
            (&[][..], "origin", Some("origin")),
            (&["accept"], "origin", Some("origin")),
            (&["Origin"], "origin", None),
            (&["accept, ORIGIN ,te"], "origin", None),
            (&["accept", "te,origin"], "origin", None),
            (&["x-origin"], "origin", Some("origin")),
            (&["*"], "origin", None),
            (&["accept", "*"], "origin", None),
            (&["", ","], "origin", Some("origin")),
            (
                &["origin"],
                "authorization, origin, x-org",
                Some("authorization, x-org"),
            ),
            (&["x-org, authorization"], "authorization, x-org", None),
        ] {
            let missing = missing(present.iter().copied(), names);
            assert_eq!(missing.as_deref(), want, "{present:?} {names}");
        }
        let all = missing(["te"].into_iter(), "authorization, origin");
        assert!(matches!(all, Some(Cow::Borrowed("authorization, origin"))));
    }
}
