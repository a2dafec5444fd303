//! How the engine sees a request of actix-web.

use std::net::IpAddr;

use actix_web::{HttpMessage as _, HttpRequest, http::Uri};
use tenancy_core::{EstablishedPrincipal, Field, RequestView};
use tenancy_http::PeerAddr;

/// The head of a request.
#[derive(Debug)]
pub(crate) struct HeadView<'a>(&'a HttpRequest);

impl<'a> HeadView<'a> {
    pub(crate) const fn of(request: &'a HttpRequest) -> Self {
        Self(request)
    }

    fn uri(&self) -> &Uri {
        &self.0.head().uri
    }
}

impl RequestView for HeadView<'_> {
    fn header(&self, name: &str) -> Field<'_> {
        use actix_web::http::header::{AUTHORIZATION, HOST};
        let headers = self.0.headers();
        // A constant need not be parsed, and these two are read for each request.
        let mut values = match name {
            "authorization" => headers.get_all(AUTHORIZATION),
            "host" => headers.get_all(HOST),
            name => headers.get_all(name),
        };
        match (values.next(), values.next()) {
            (None, _) => Field::Absent,
            (Some(_), Some(_)) => Field::Repeated,
            (Some(value), None) => text(value.as_bytes()).map_or(Field::NotText, Field::One),
        }
    }

    fn lines(&self, name: &str) -> Vec<&[u8]> {
        let values = self.0.headers().get_all(name);
        values.map(|value| value.as_bytes()).collect()
    }

    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn authority(&self) -> Option<&str> {
        self.uri().authority().map(|authority| authority.as_str())
    }

    fn path(&self) -> &str {
        self.uri().path()
    }

    fn peer(&self) -> Option<IpAddr> {
        if let Some(PeerAddr(ip)) = self.0.extensions().get() {
            return Some(*ip);
        }
        if let Some(PeerAddr(ip)) = self.0.conn_data() {
            return Some(*ip);
        }
        self.0.peer_addr().map(|address| address.ip())
    }

    fn established(&self) -> Option<EstablishedPrincipal> {
        self.0.extensions().get().cloned()
    }
}

/// As `HeaderValue::to_str`, which looks at one byte at a time in the version of `http` here.
fn text(value: &[u8]) -> Option<&str> {
    let is_visible = |byte: u8| (0x20..0x7f).contains(&byte) | (byte == b'\t');
    let all_are = value.iter().fold(true, |all, byte| all & is_visible(*byte));
    all_are.then(|| std::str::from_utf8(value).ok())?
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use actix_web::{
        http::header::{HeaderName, HeaderValue},
        test::TestRequest,
    };

    use super::*;

    fn raw(name: &'static str, value: &[u8]) -> (HeaderName, HeaderValue) {
        let value = HeaderValue::from_bytes(value).unwrap();
        (HeaderName::from_static(name), value)
    }

    #[test]
    fn a_field_that_is_not_one_text_is_seen_as_such() {
        let request = TestRequest::with_uri("/notes?x=1")
            .insert_header(("x-one", "acme"))
            .append_header(("x-two", "acme"))
            .append_header(("x-two", "acme"))
            .insert_header(raw("x-latin", b"caf\xe9"))
            .insert_header(raw("x-utf8", "café".as_bytes()))
            .insert_header(("x-empty", ""))
            .to_http_request();
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
    fn a_byte_is_text_if_http_says_so() {
        for byte in 0..=u8::MAX {
            let bytes = [b'a', byte, b'z'];
            let Ok(value) = HeaderValue::from_bytes(&bytes) else {
                continue;
            };
            assert_eq!(text(&bytes), value.to_str().ok(), "{byte}");
        }
    }

    #[test]
    fn the_target_gives_path_and_authority() {
        let origin_form = TestRequest::with_uri("/notes?x=1").to_http_request();
        let view = HeadView::of(&origin_form);
        assert_eq!((view.path(), view.authority()), ("/notes", None));

        let http2 = TestRequest::with_uri("https://acme.example:8443/notes").to_http_request();
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
        let request = TestRequest::post()
            .append_header(raw("cookie", b"caf\xe9"))
            .append_header(("cookie", "b=2"))
            .to_http_request();
        let principal = EstablishedPrincipal::user(user, at, "sessions");
        request.extensions_mut().insert(principal);
        let view = HeadView::of(&request);
        assert_eq!(view.method(), "POST");
        assert_eq!(view.lines("cookie"), [&b"caf\xe9"[..], b"b=2"]);
        assert!(view.lines("x-none").is_empty());
        let established = view.established().unwrap();
        assert_eq!(established.principal().user(), Some(user));
        assert_eq!(established.principal().issued_at, Some(at));
    }

    #[test]
    fn the_peer_is_the_connections() {
        let unknown = TestRequest::default().to_http_request();
        assert_eq!(HeadView::of(&unknown).peer(), None);
        let connected = TestRequest::default()
            .peer_addr(SocketAddr::from(([10, 0, 0, 1], 4711)))
            .to_http_request();
        assert_eq!(
            HeadView::of(&connected).peer(),
            Some(IpAddr::from([10, 0, 0, 1]))
        );
        connected
            .extensions_mut()
            .insert(PeerAddr(IpAddr::from([10, 0, 0, 3])));
        assert_eq!(
            HeadView::of(&connected).peer(),
            Some(IpAddr::from([10, 0, 0, 3]))
        );
    }
}
