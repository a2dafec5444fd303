//! A key server on the network that rotates, redirects, stalls, lies, dies and comes back.

use super::{
    super::super::{JwksHttpClient, JwtConfigErrorKind},
    server::{Answer, Server},
    *,
};

const ES: Algorithm = Algorithm::ES256;
const ED: Algorithm = Algorithm::EdDSA;

fn local() -> JwksHttpClient {
    JwksHttpClient::builder()
        .insecure_loopback()
        .build()
        .unwrap()
}

fn service(server: &Server, path: &str) -> Service {
    let fetcher = local().key_set(&server.url(path)).unwrap();
    let keys = RemoteKeys::builder(fetcher).timeout(Duration::from_millis(500));
    Service::with(keys.build().unwrap())
}

/// Why a fetch fails.
async fn failure(server: &Server, path: &str) -> String {
    let fetcher = local().key_set(&server.url(path)).unwrap();
    fetcher.fetch(256 << 10).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_key_server_rotates_lies_stalls_dies_and_comes_back() {
    let server = Server::start().await;
    server.publishes(&[jwk(ES, "old")]);
    let mut service = service(&server, "/keys");
    assert_eq!(service.says(&token(ES, "old")).await, "accepted");

    server.publishes(&[jwk(ES, "old"), jwk(ED, "new")]);
    service.after(30 * SECOND);
    assert_eq!(service.says(&token(ED, "new")).await, "accepted");

    let html = "content-type: text/html\r\n<html>Sign in</html>";
    for bad in [
        Answer::Whole("200 OK", html.into()),
        Answer::Whole(
            "500 Internal Server Error",
            format!("\r\n{}", set(&[jwk(ED, "x")])),
        ),
        Answer::Silence,
        Answer::Drip,
    ] {
        server.answers("/keys", bad);
        service.after(30 * SECOND);
        assert!(service.keys.refresh(service.now).await.is_err());
        assert_eq!(service.probe(&token(ES, "old")), "accepted");
    }

    let at = server.at;
    drop(server);
    tokio::task::yield_now().await;
    service.after(30 * SECOND);
    assert!(service.keys.refresh(service.now).await.is_err());
    assert_eq!(service.probe(&token(ES, "old")), "accepted");

    let server = Server::start_at(at).await;
    server.publishes(&[jwk(ED, "new")]);
    service.after(30 * SECOND);
    service.keys.refresh(service.now).await.unwrap();
    assert_eq!(service.says(&token(ES, "old")).await, "token-key-unknown");
    assert_eq!(service.says(&token(ED, "new")).await, "accepted");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start().await;
    let other = Server::start().await;
    for target in [server.url("/keys"), other.url("/keys"), "/keys".into()] {
        for status in [
            "301 Moved Permanently",
            "302 Found",
            "307 Temporary Redirect",
        ] {
            let answer = Answer::Whole(status, format!("location: {target}\r\n"));
            server.answers("/moved", answer);
            let why = failure(&server, "/moved").await;
            assert!(why.contains("redirect"), "{why}");
        }
    }
    assert!(other.asked().is_empty());
    assert!(server.asked().iter().all(|path| path == "/moved"));
}

#[tokio::test]
async fn an_answer_is_cut_off_at_its_limit() {
    let server = Server::start().await;
    let large = format!("\r\n{}", "x".repeat((256 << 10) + 1));
    server.answers("/large", Answer::Whole("200 OK", large));
    server.answers("/endless", Answer::Endless);
    for path in ["/large", "/endless"] {
        let why = failure(&server, path).await;
        assert!(why.contains("more than 262144 bytes"), "{path}: {why}");
    }
}

#[tokio::test]
async fn errors_do_not_repeat_what_the_server_sent() {
    let server = Server::start().await;
    server.answers(
        "/keys",
        Answer::Whole("404 Nobody", "x-hush: hush\r\nhush".into()),
    );
    let why = failure(&server, "/keys?token=hush").await;
    assert!(why.contains("404") && !why.contains("hush"), "{why}");
    let fetcher = local().key_set(&server.url("/keys?token=hush")).unwrap();
    assert!(!format!("{fetcher:?}").contains("hush"));
}

#[test]
fn only_https_to_public_addresses_is_connected_to() {
    let http = JwksHttpClient::new().unwrap();
    let refused = |url: &str| http.key_set(url).map_err(|error| error.kind()).err();
    for url in [
        "http://login.example.com/keys",
        "http://127.0.0.1/keys",
        "https://127.0.0.1/keys",
        "https://0x7f.1/keys",
        "https://2130706433/keys",
        "https://[::1]/keys",
        "https://[::ffff:10.0.0.1]/keys",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/keys",
        "https://user@login.example.com/keys",
        "https://user:pass@login.example.com/keys",
        "https://login.example.com/keys#x",
        "file:///etc/passwd",
        "ftp://login.example.com/keys",
        "data:application/json,{}",
        "login.example.com/keys",
        "",
    ] {
        assert_eq!(
            refused(url),
            Some(JwtConfigErrorKind::IssuerAddress),
            "{url}"
        );
        let issuer = JwtAuthenticator::builder(url, AUDIENCE);
        assert!(issuer.discover(&http).is_err(), "{url}");
    }
    assert_eq!(refused("https://login.example.com/keys?v=1"), None);
    assert!(http.discovered("https://login.example.com?v=1").is_err());
    assert!(
        http.discovered("https://login.example.com/tenant/v2.0")
            .is_ok()
    );
}

#[tokio::test]
async fn a_name_that_stands_for_a_private_address_is_refused_when_it_is_resolved() {
    let server = Server::start().await;
    server.publishes(&[jwk(ES, "k")]);
    let url = format!("https://localhost:{}/keys", server.at.port());
    let fetcher = JwksHttpClient::new().unwrap().key_set(&url).unwrap();
    let why = fetcher.fetch(1_000).await.unwrap_err().to_string();
    assert!(why.contains("private address"), "{why}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn an_opened_network_still_needs_https() {
    let network = "127.0.0.0/8".parse().unwrap();
    let http = JwksHttpClient::builder()
        .danger_allow_network(network)
        .build()
        .unwrap();
    assert!(http.key_set("http://127.0.0.1/keys").is_err());
    assert!(http.key_set("https://127.0.0.1/keys").is_ok());
    // A server without TLS is not talked to.
    let server = Server::start().await;
    let url = format!("https://{}/keys", server.at);
    assert!(http.key_set(&url).unwrap().fetch(1_000).await.is_err());
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn an_issuer_is_discovered_by_its_own_description() {
    let server = Server::start().await;
    server.publishes(&[jwk(ES, "k")]);
    server.is_discovered_by(&local()).await;
}

#[tokio::test]
async fn a_description_that_lies_is_refused() {
    let server = Server::start().await;
    server.publishes(&[jwk(ES, "k")]);
    let issuer = server.url("/sso");
    let keys = server.url("/keys");
    for (named, uri, why) in [
        ("https://other.example", &*keys, "another issuer"),
        (&*format!("{issuer}/"), &keys, "another issuer"),
        (&issuer, "http://login.example.com/keys", "not https"),
        (&issuer, "https://169.254.169.254/keys", "private"),
        (&issuer, "https://[fd00::1]/keys", "private"),
        (&issuer, "file:///etc/passwd", "no host"),
        (&issuer, "/keys", "no URL"),
    ] {
        server.describes(named, uri);
        let fetcher = local().discovered(&issuer).unwrap();
        let error = fetcher.fetch(256 << 10).await.unwrap_err().to_string();
        assert!(error.contains(why), "{named} {uri}: {error}");
    }
    assert!(!server.asked().contains(&"/keys".to_owned()));
}
