//! Where a browser may be sent after it has signed in: a path of the same host, and nothing else.

/// No longer than this: it stands in a `Location`, and servers and proxies limit the length of a line.
const LONGEST: usize = 2_048;

/// The text, if it is a path of the same host, with or without a query: what a page where one signs in may go on
/// to.
///
/// It begins with one `/`, has no backslash, no fragment and no character that is not visible ASCII, and is not
/// longer than 2,048 bytes.
///
/// # Security
/// `next` comes from the address of a page, and anybody can make a link to that page. `//evil.example` and
/// `/\evil.example` lead to another host, and so does `/⇥/evil.example`, since browsers leave tabs out.
///
/// ```
/// use tenancy_http::local_path;
///
/// assert_eq!(local_path("/o/acme/notes?page=2"), Some("/o/acme/notes?page=2"));
/// assert_eq!(local_path("https://evil.example"), None);
/// assert_eq!(local_path("//evil.example"), None);
/// assert_eq!(local_path("/\\evil.example"), None);
/// // What to do with nothing:
/// assert_eq!(local_path("").unwrap_or("/"), "/");
/// ```
#[must_use]
pub fn local_path(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('/')?;
    let fits = text.len() <= LONGEST && !rest.starts_with('/');
    let is_visible = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#';
    (fits && text.bytes().all(is_visible)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_another_host_is_no_path() {
        for path in [
            "/",
            "/a",
            "/a//b",
            "/a?next=//b",
            "/%2F%2Fevil.example",
            "/@evil.example",
        ] {
            assert_eq!(local_path(path), Some(path));
        }
        for other in [
            "",
            "a",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/a\r\nset-cookie: x=1",
            "/a b",
            "/caf\u{e9}",
            "/a#b",
            "https://evil.example/",
            "javascript:alert(1)",
        ] {
            assert_eq!(local_path(other), None, "{other:?}");
        }
        assert_eq!(local_path(&format!("/{}", "a".repeat(2_048))), None);
    }
}
