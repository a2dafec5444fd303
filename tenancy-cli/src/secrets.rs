//! Errors about arguments, without the URLs that were among them: a URL may have a password.

use std::env;

/// The text, with each URL of this process's arguments and variables cut out of it.
pub(crate) fn hidden(text: &str) -> String {
    let arguments = env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let variables = [
        "TENANCY_DATABASE_URL",
        "TENANCY_ANCHORS_DATABASE_URL",
        "TENANCY_ADMIN_DATABASE_URL",
    ];
    let variables = variables
        .iter()
        .filter_map(env::var_os)
        .map(|value| value.to_string_lossy().into_owned());
    without(text, arguments.chain(variables))
}

fn without(text: &str, given: impl Iterator<Item = String>) -> String {
    given.fold(text.to_owned(), |text, argument| {
        let Some((url, head)) = url(&argument) else {
            return text;
        };
        cut(&text, url, head)
    })
}

/// The URL in an argument, or the settings of a connection in libpq's form, and the beginning by which it is known.
fn url(argument: &str) -> Option<(&str, &str)> {
    if let Some((before, _)) = argument.split_once("://") {
        let ahead = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
        let url = argument.get(ahead.len()..)?;
        let scheme = before.len() - ahead.len();
        return Some((url, url.get(..scheme + "://".len())?));
    }
    let end = argument.find("password=")? + "password=".len();
    Some((argument, argument.get(..end)?))
}

/// Cuts out the URL wherever its beginning is found, also one that an error repeats in part.
fn cut(text: &str, url: &str, head: &str) -> String {
    let mut parts = text.split(head);
    let mut cut = parts.next().unwrap_or_default().to_owned();
    let tail = url.strip_prefix(head).unwrap_or_default();
    for part in parts {
        let same = part.chars().zip(tail.chars());
        let same = same.take_while(|(one, other)| one == other);
        let length = same.map(|(one, _)| one.len_utf8()).sum();
        cut.push_str("<URL>");
        cut.push_str(part.get(length..).unwrap_or_default());
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_url_is_left() {
        for argument in [
            "postgres://me:secret@host/db",
            "--database-url=postgres://me:secret@host/db",
            "–postgres://me:secret@host/db",
            "postgres://me:a 'secret'@host/db?password=secret",
            "host=db password=secret",
        ] {
            // Some errors repeat the beginning of what they were given.
            let part: String = argument.chars().take(40).collect();
            for told in [argument, &part] {
                let text = format!("error: unexpected argument '{told}' found");
                let hidden = without(&text, [argument.to_owned()].into_iter());
                assert!(!hidden.contains("secr"), "{hidden}");
                assert!(
                    hidden.contains("<URL>") && hidden.ends_with("' found"),
                    "{hidden}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_url_stays() {
        let given = ["--tenant", "4711"].map(str::to_owned).into_iter();
        assert_eq!(without("no tenant 4711", given), "no tenant 4711");
    }
}
