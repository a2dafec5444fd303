//! Names that were meant, of names that there are not.

use std::fmt;

/// A name that may have been meant.
#[derive(Debug, Clone, Copy)]
pub(in crate::adopt) struct Named<'n>(pub(in crate::adopt) &'n str);

/// That there is nothing of this name, and which comes nearest: `there is no table `notse`; the nearest is `notes``.
pub(in crate::adopt) fn not_found<'n>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = Named<'n>>,
) -> impl fmt::Display {
    let told = nearest(name, known).map_or_else(
        || "there is none".to_owned(),
        |known| format!("the nearest is `{known}`"),
    );
    format!("there is no {what} `{name}`; {told}")
}

fn nearest<'n>(name: &str, known: impl IntoIterator<Item = Named<'n>>) -> Option<&'n str> {
    // Whoever leaves the schema out means the table of that name before one that is spelt alike.
    let far = |known: &str| {
        let last = known.split_once('.').map_or(known, |(_, last)| last);
        if last == name {
            0
        } else {
            distance(name, known)
        }
    };
    let all = known.into_iter().map(|Named(known)| known);
    all.min_by_key(|known| (far(known), *known))
}

/// How many characters have to be put in, taken out or changed (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, c) in one.to_lowercase().chars().enumerate() {
        let mut next = vec![line + 1];
        for ((place, o), above) in other.iter().enumerate().zip(row.iter().skip(1)) {
            let before = row.get(place).copied().unwrap_or_default();
            let left = next.last().copied().unwrap_or_default();
            let changed = before + usize::from(c != *o);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told() {
        let known = ["public.notes", "public.users", "audit.notes_old"].map(Named);
        for (name, wanted) in [
            ("public.notse", "public.notes"),
            ("notes", "public.notes"),
            ("Public.Users", "public.users"),
            ("notes_old", "audit.notes_old"),
        ] {
            let told = not_found("table", name, known).to_string();
            assert_eq!(
                told,
                format!("there is no table `{name}`; the nearest is `{wanted}`")
            );
        }
        let none = not_found("table", "notes", []).to_string();
        assert_eq!(none, "there is no table `notes`; there is none");
    }

    #[test]
    fn distances_are_levenshtein_s() {
        for (one, other, wanted) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(one, other), wanted, "{one} {other}");
        }
    }
}
