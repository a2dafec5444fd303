//! Cutting a text to so many bytes.

/// The text, or as much of its beginning as fits, cut between two characters.
pub(crate) fn cut(mut text: String, at_most: usize) -> String {
    let mut end = text.len().min(at_most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_kept_where_it_fits() {
        for (at_most, kept) in [
            (0, ""),
            (1, "a"),
            (2, "a"),
            (3, "aä"),
            (4, "aäb"),
            (9, "aäb"),
        ] {
            assert_eq!(cut("aäb".to_owned(), at_most), kept);
        }
    }
}
