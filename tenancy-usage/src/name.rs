//! What the names of meters, dimensions, plans and versions consist of.

/// For messages, after "a name has".
pub(crate) const NAME_RULE: &str = "1 to 64 lower-case letters, digits, hyphens and underscores, and begins with a letter or a digit";

pub(crate) fn is_name(text: &str) -> bool {
    let may_stand = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    let begins = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    begins && text.len() <= 64 && text.bytes().all(may_stand)
}
