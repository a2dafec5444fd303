//! Refusals for people: which of them become a redirect to the page where one signs in, or a page of the
//! application.

use std::{fmt, sync::Arc};

use tenancy_core::{ConfigError, Field, Refusal, RefusalKind, RequestView};

use crate::{ResponseFields, add_vary, local_path};

/// On what it depends whether a refusal is a page.
const VARY: &str = "accept, sec-fetch-mode";

/// How refusals are answered where a browser shows them to a person.
///
/// An adapter wraps it in its layer, which asks [`asked`](Self::asked) before it passes a request on, and
/// [`AskedPage::answer`] about a response that has a [`Refusal`] in its extensions.
#[derive(Clone, Default)]
pub struct RefusalPages {
    sign_in: Option<Arc<str>>,
    page: Option<Arc<Page>>,
}

type Page = dyn Fn(&Refusal) -> String + Send + Sync;

/// What a request says about the page that it wants.
#[derive(Debug)]
pub struct AskedPage {
    pages: RefusalPages,
    wants_page: bool,
    /// Where to send a navigation that has to sign in first.
    redirect: Option<String>,
}

/// What a refusal becomes.
#[derive(Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an adapter that overlooks an answer must not compile"
)]
pub enum PageAnswer {
    /// Stays the problem that it is.
    Problem,
    /// Status 303 with this `Location`, and no body.
    Redirect(String),
    /// The refusal's status, with this HTML.
    Page(String),
}

impl RefusalPages {
    /// All refusals stay problems.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a navigation that is refused with status 401 to this path of the same host.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is no path of the same host, or has a query.
    pub fn sign_in(mut self, path: &str) -> Result<Self, ConfigError> {
        match local_path(path) {
            Some(path) if !path.contains('?') => self.sign_in = Some(path.into()),
            _ => {
                return Err(ConfigError::new(format!(
                    "`RefusalPages::sign_in` takes a path of the same host without a query, such as `/login`, and \
                     not {path:?}"
                )));
            }
        }
        Ok(self)
    }

    /// Answers all other refusals of requests that accept HTML with a page of the application.
    #[must_use]
    pub fn page(mut self, page: impl Fn(&Refusal) -> String + Send + Sync + 'static) -> Self {
        self.page = Some(Arc::new(page));
        self
    }

    /// Reads what a request that has yet to be passed on asks for. `query` is the query of its target as sent.
    #[must_use]
    pub fn asked(&self, request: &dyn RequestView, query: Option<&str>) -> AskedPage {
        let wants_page = accepts_html(request);
        let redirect = self
            .sign_in
            .as_deref()
            .filter(|sign_in| wants_page && navigates(request) && request.path() != *sign_in)
            .map(|sign_in| location(sign_in, request.path(), query));
        AskedPage {
            pages: self.clone(),
            wants_page,
            redirect,
        }
    }
}

impl AskedPage {
    /// What becomes of this refusal.
    #[must_use]
    pub fn answer(&self, refusal: &Refusal) -> PageAnswer {
        match (&self.redirect, &self.pages.page) {
            (Some(to), _) if refusal.kind() == RefusalKind::Unauthenticated => {
                PageAnswer::Redirect(to.clone())
            }
            (_, Some(page)) if self.wants_page => PageAnswer::Page(page(refusal)),
            _ => PageAnswer::Problem,
        }
    }
}

impl PageAnswer {
    /// Makes a problem's header fields those of this answer. They get no `content-length`, and everything that a
    /// layer inside has added stays.
    pub fn write<F: ResponseFields>(&self, fields: &mut F) {
        let replaced: &[(&'static str, Option<&str>)] = match self {
            Self::Problem => &[],
            Self::Redirect(to) => &[
                ("content-type", None),
                ("content-length", None),
                ("www-authenticate", None),
                ("location", Some(to)),
            ],
            Self::Page(_) => &[
                ("content-type", Some("text/html; charset=utf-8")),
                ("content-length", None),
            ],
        };
        for (name, value) in replaced {
            fields.remove(name);
            if let Some(value) = value.and_then(F::value) {
                fields.append(name, value);
            }
        }
        // Of a problem as well: a page would have been another answer.
        if let Some(vary) = F::value(VARY) {
            add_vary(fields, VARY, &vary);
        }
    }
}

/// Whether the request names HTML among what it accepts. `*/*` does not: that is what programs send.
fn accepts_html(request: &dyn RequestView) -> bool {
    let lines = request.lines("accept");
    let lines = lines
        .iter()
        .filter_map(|line| std::str::from_utf8(line).ok());
    lines.flat_map(|line| line.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts
            .next()
            .is_some_and(|it| it.eq_ignore_ascii_case("text/html"));
        is_html && !parts.any(is_refused)
    })
}

/// A weight of zero (RFC 9110 §12.4.2): "not acceptable".
fn is_refused(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0_f32)
    })
}

/// Whether a browser will show the answer as a page, as far as it says so: a script that follows the redirect
/// would take the form for its data.
fn navigates(request: &dyn RequestView) -> bool {
    matches!(request.method(), "GET" | "HEAD")
        && match request.header("sec-fetch-mode") {
            Field::Absent => true,
            Field::One(mode) => mode == "navigate",
            _ => false,
        }
}

/// The path where one signs in, and in its query where to go on.
fn location(sign_in: &str, path: &str, query: Option<&str>) -> String {
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    match local_path(&target) {
        Some(next) => format!("{sign_in}?next={}", encoded(next)),
        None => sign_in.to_owned(),
    }
}

/// As the value of a query's parameter.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

impl fmt::Debug for RefusalPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusalPages")
            .field("sign_in", &self.sign_in)
            .field("page", &self.page.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_of_the_same_host_is_refused_when_it_is_built() {
        for wrong in [
            "",
            "login",
            "//evil.example",
            "https://login.example/",
            "/login?x=1",
        ] {
            let error = RefusalPages::new().sign_in(wrong).unwrap_err().to_string();
            assert!(error.contains("such as `/login`"), "{error}");
        }
    }

    #[test]
    fn what_follows_next_is_one_parameter() {
        let to = location("/login", "/o/acme/notes", Some("a=1&b=%20+2"));
        assert_eq!(to, "/login?next=/o/acme/notes%3Fa%3D1%26b%3D%2520%2B2");
        assert_eq!(location("/login", "//evil.example", None), "/login");
    }
}
