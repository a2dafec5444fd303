//! How the engine sees a request of `http` 1.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, MatchedPath, OriginalUri, connect_info::MockConnectInfo};
use http::{Extensions, HeaderMap, Method, Request, Uri};
use tenancy_core::{EstablishedPrincipal, Field, RequestView};
use tenancy_http::PeerAddr;

/// The head of a request.
#[derive(Debug)]
pub(crate) struct HeadView<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    uri: &'a Uri,
    path: &'a str,
    peer: Option<IpAddr>,
}

impl<'a> HeadView<'a> {
    pub(crate) fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            headers: request.headers(),
            extensions: request.extensions(),
            uri: request.uri(),
            path: original_path(request.uri(), request.extensions()),
            peer: peer(request.extensions()),
        }
    }
}

/// The path as the client sent it: a nested router sees a shorter one, and a rule that reads the
/// tenant from the path must not depend on where the layer stands.
pub(crate) fn original_path<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a str {
    original_uri(uri, extensions).path()
}

/// The target as the client sent it.
pub(crate) fn original_uri<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a Uri {
    let original = extensions.get::<OriginalUri>();
    original.map_or(uri, |original| &original.0)
}

/// Whether an axum router has the request and found no route for it. Outside of a router nobody knows yet.
pub(crate) fn has_no_route(extensions: &Extensions) -> bool {
    let is_in_a_router = extensions.get::<OriginalUri>().is_some();
    is_in_a_router && extensions.get::<MatchedPath>().is_none()
}

fn peer(extensions: &Extensions) -> Option<IpAddr> {
    if let Some(PeerAddr(ip)) = extensions.get() {
        return Some(*ip);
    }
    if let Some(ConnectInfo(address)) = extensions.get::<ConnectInfo<SocketAddr>>() {
        return Some(address.ip());
    }
    extensions
        .get::<MockConnectInfo<SocketAddr>>()
        .map(|mock| mock.0.ip())
}

impl RequestView for HeadView<'_> {
    fn header(&self, name: &str) -> Field<'_> {
        use http::header::{AUTHORIZATION, HOST};
        // A constant need not be parsed, and these two are read for each request.
        let mut values = match name {
            "authorization" => self.headers.get_all(AUTHORIZATION).iter(),
            "host" => self.headers.get_all(HOST).iter(),
            name => self.headers.get_all(name).iter(),
        };
        match (values.next(), values.next()) {
            (None, _) => Field::Absent,
            (Some(_), Some(_)) => Field::Repeated,
            (Some(value), None) => value.to_str().map_or(Field::NotText, Field::One),
        }
    }

    fn lines(&self, name: &str) -> Vec<&[u8]> {
        let values = self.headers.get_all(name).iter();
        values.map(http::HeaderValue::as_bytes).collect()
    }

    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn authority(&self) -> Option<&str> {
        self.uri.authority().map(http::uri::Authority::as_str)
    }

    fn path(&self) -> &str {
        self.path
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    fn established(&self) -> Option<EstablishedPrincipal> {
        self.extensions.get().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> http::request::Builder {
        Request::builder().uri("/notes?x=1")
    }

    #[test]
    fn a_field_that_is_not_one_text_is_seen_as_such() {
        let request = request()
            .header("x-one", "acme")
            .header("x-two", "acme")
            .header("x-two", "acme")
            .header("x-latin", b"caf\xe9".as_slice())
            .header("x-utf8", "café".as_bytes())
            .header("x-empty", "")
            .body(())
            .unwrap();
        let view = HeadView::of(&request);
        for (name, want) in [
            ("x-none", Field::Absent),
            ("x-one", Field::One("acme")),
            ("x-two", Field::Repeated),
            ("x-latin", Field::NotText),
            ("x-utf8", Field::NotText),
            ("x-empty", Field::One("")),
            ("not a name", Field::Absent),
        ] {
            assert_eq!(view.header(name), want, "{name}");
        }
    }

    #[test]
    fn the_target_gives_path_and_authority() {
        let origin_form = request().body(()).unwrap();
        let view = HeadView::of(&origin_form);
        assert_eq!((view.path(), view.authority()), ("/notes", None));

        let http2 = Request::builder()
            .uri("https://acme.example:8443/notes")
            .body(())
            .unwrap();
        let view = HeadView::of(&http2);
        assert_eq!(
            (view.path(), view.authority()),
            ("/notes", Some("acme.example:8443"))
        );
    }

    #[test]
    fn every_line_of_a_field_is_there_and_so_is_what_the_application_established() {
        let user = tenancy_core::UserId::new();
        let at = tenancy_core::Timestamp::from_unix_seconds(1_700_000_000);
        let request = request()
            .method(Method::POST)
            .header("cookie", b"caf\xe9".as_slice())
            .header("cookie", "b=2")
            .extension(EstablishedPrincipal::user(user, at, "sessions"))
            .body(())
            .unwrap();
        let view = HeadView::of(&request);
        assert_eq!(view.method(), "POST");
        assert_eq!(view.lines("cookie"), [&b"caf\xe9"[..], b"b=2"]);
        assert!(view.lines("x-none").is_empty());
        let established = view.established().unwrap();
        assert_eq!(established.principal().user(), Some(user));
        assert_eq!(established.principal().issued_at, Some(at));
    }

    #[test]
    fn a_nested_router_does_not_shorten_the_path() {
        let original = OriginalUri(Uri::from_static("/t/acme/notes"));
        let nested = request().extension(original).body(()).unwrap();
        assert_eq!(HeadView::of(&nested).path(), "/t/acme/notes");
    }

    #[test]
    fn only_a_router_knows_that_there_is_no_route() {
        let outside = request().body(()).unwrap();
        assert!(!has_no_route(outside.extensions()));
        let original = OriginalUri(Uri::from_static("/nowhere"));
        let fallback = request().extension(original).body(()).unwrap();
        assert!(has_no_route(fallback.extensions()));
    }

    #[test]
    fn the_peer_is_the_connections() {
        let address = |ip: [u8; 4]| SocketAddr::from((ip, 4711));
        let peer =
            |request: http::request::Builder| HeadView::of(&request.body(()).unwrap()).peer();
        assert_eq!(peer(request()), None);
        let connected = request().extension(ConnectInfo(address([10, 0, 0, 1])));
        assert_eq!(peer(connected), Some(IpAddr::from([10, 0, 0, 1])));
        let mocked = request().extension(MockConnectInfo(address([10, 0, 0, 2])));
        assert_eq!(peer(mocked), Some(IpAddr::from([10, 0, 0, 2])));
        let own = request()
            .extension(ConnectInfo(address([10, 0, 0, 1])))
            .extension(PeerAddr(IpAddr::from([10, 0, 0, 3])));
        assert_eq!(peer(own), Some(IpAddr::from([10, 0, 0, 3])));
    }
}
