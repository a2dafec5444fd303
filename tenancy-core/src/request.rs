//! How the engine sees a request, whichever web framework received it.

use std::net::IpAddr;

use crate::EstablishedPrincipal;

/// One header field of a request.
///
/// A field that is repeated, or that is not text, is seen as such: taking "the first" would let a
/// caller show one value to a proxy and another to the service.
///
/// ```
/// use tenancy_core::{Field, RequestView, testing::FakeRequest};
///
/// let request: &dyn RequestView = &FakeRequest::new("/notes").header("x-tenant", "acme").header("x-tenant", "globex");
/// assert_eq!(request.header("x-tenant"), Field::Repeated);
/// assert_eq!(request.header("x-project"), Field::Absent);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field<'a> {
    /// Not sent.
    Absent,
    /// Sent once, as visible ASCII text.
    One(&'a str),
    /// Sent more than once.
    Repeated,
    /// Sent once, with bytes that are not visible ASCII text.
    NotText,
}

/// A request head as the engine reads it.
///
/// Web frameworks disagree on the version of the `http` crate, so that each adapter implements
/// this trait for its own request type. Everything it returns is untrusted, apart from what the
/// application has established itself.
///
/// What a rule, a source or a charger of the application's own reads:
///
/// ```
///
/// use tenancy_core::{Field, RequestView};
///
/// /// The id that a client gives to an operation, so that repeating a request charges once.
/// fn operation_id(request: &dyn RequestView) -> Option<&str> {
///     match request.header("idempotency-key") {
///         Field::One(id) if id.len() <= 64 => Some(id),
///         _ => None,
///     }
/// }
/// # let _ = operation_id;
/// ```
pub trait RequestView {
    /// The header field of this lower-case name.
    fn header(&self, name: &str) -> Field<'_>;

    /// Every line of the header field of this lower-case name, in the order in which they were sent.
    ///
    /// For the fields that may arrive in several lines: `X-Forwarded-For`, and `Cookie` over HTTP/2.
    fn lines(&self, name: &str) -> Vec<&[u8]>;

    /// The method, such as `GET`.
    fn method(&self) -> &str;

    /// The authority of the request target: `:authority` in HTTP/2, the absolute form in HTTP/1.1.
    fn authority(&self) -> Option<&str>;

    /// The path of the request target, without the query, as sent.
    fn path(&self) -> &str;

    /// The address at the other end of the connection: the caller's or a proxy's.
    fn peer(&self) -> Option<IpAddr>;

    /// The principal in the request's extensions, if the application has put one there. Only an engine
    /// that was built to take it asks.
    fn established(&self) -> Option<EstablishedPrincipal>;
}

/// Whether a text can name a header field: letters, digits, hyphens, underscores.
pub(crate) fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// Adds a header field to a response's, if it can be one: adapters take names and values as they are.
pub(crate) fn add_field(
    fields: &mut Vec<(&'static str, String)>,
    name: &'static str,
    value: impl Into<String>,
) {
    let value = value.into();
    let is_lower = !name.bytes().any(|b| b.is_ascii_uppercase());
    let visible = |b: u8| (b' '..=b'~').contains(&b) || b == b'\t';
    if is_field_name(name) && is_lower && value.bytes().all(visible) {
        fields.push((name, value));
    } else {
        tracing::error!(
            name,
            "no header field can be so; give a lower-case name, and visible ASCII text"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_field_can_be_is_left_out() {
        let mut fields = Vec::new();
        for (name, value) in [
            ("ratelimit", "\"day\";r=5"),
            ("RateLimit", "5"),
            ("rate limit", "5"),
            ("", "5"),
            ("x-set", "5\r\nset-cookie: x=1"),
            ("x-name", "caf\u{e9}"),
        ] {
            add_field(&mut fields, name, value);
        }
        assert_eq!(fields, [("ratelimit", "\"day\";r=5".to_owned())]);
    }
}
