//! Requests without a server.

use std::net::IpAddr;

use crate::{
    EstablishedPrincipal,
    request::{Field, RequestView},
};

/// A request head made by hand, for tests of identification.
///
/// ```
/// use tenancy_core::{RequestView, testing::FakeRequest};
///
/// let request: &dyn RequestView = &FakeRequest::new("/notes")
///     .method("POST")
///     .header("host", "acme.notes.example")
///     .bearer("a token");
/// assert_eq!((request.method(), request.path()), ("POST", "/notes"));
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct FakeRequest {
    path: String,
    authority: Option<String>,
    peer: Option<IpAddr>,
    method: Option<String>,
    established: Option<EstablishedPrincipal>,
    headers: Vec<(String, Vec<u8>)>,
}

impl FakeRequest {
    /// A request to a path.
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a header field; a second one of the same name makes it repeated.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// Adds `Authorization: Bearer …`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sets the authority of the request target.
    pub fn authority(mut self, authority: &str) -> Self {
        self.authority = Some(authority.to_owned());
        self
    }

    /// Sets the method. Default: `GET`.
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Puts a principal into the request's extensions.
    pub fn established(mut self, principal: EstablishedPrincipal) -> Self {
        self.established = Some(principal);
        self
    }

    /// Sets the peer's address.
    pub fn peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }
}

impl RequestView for FakeRequest {
    fn header(&self, name: &str) -> Field<'_> {
        let mut values = self
            .headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v);
        match (values.next(), values.next()) {
            (None, _) => Field::Absent,
            (Some(_), Some(_)) => Field::Repeated,
            (Some(value), None) => match std::str::from_utf8(value) {
                Ok(text) if text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) => {
                    Field::One(text)
                }
                _ => Field::NotText,
            },
        }
    }

    fn lines(&self, name: &str) -> Vec<&[u8]> {
        let named = self.headers.iter().filter(|(n, _)| n == name);
        named.map(|(_, value)| value.as_slice()).collect()
    }

    fn method(&self) -> &str {
        self.method.as_deref().unwrap_or("GET")
    }

    fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    fn established(&self) -> Option<EstablishedPrincipal> {
        self.established.clone()
    }
}
