//! Key sets over TLS, under the certificates of a private authority.

use super::{
    super::super::{JwksHttpClient, JwksHttpClientBuilder, JwtConfigErrorKind},
    authority::{Authority, pem},
    server::{Answer, Server},
    *,
};

const LIMIT: usize = 256 << 10;

/// A client that may connect to this machine.
fn inside() -> JwksHttpClientBuilder {
    JwksHttpClient::builder().danger_allow_network("127.0.0.0/8".parse().unwrap())
}

fn trusting(authority: &Authority) -> JwksHttpClient {
    inside()
        .root_certificate_pem(&authority.pem)
        .build()
        .unwrap()
}

/// What a fetch of the server's keys says: `fetched`, or why not.
async fn fetched(client: &JwksHttpClient, server: &Server) -> String {
    let fetcher = client.key_set(&server.url("/keys")).unwrap();
    match fetcher.fetch(LIMIT).await {
        Ok(_) => "fetched".into(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn an_issuer_under_a_trusted_private_authority_is_discovered_over_tls() {
    let house = Authority::new("house");
    let server = house.server("127.0.0.1", 2100).await;
    server.is_discovered_by(&trusting(&house)).await;
}

#[tokio::test]
async fn a_server_that_can_not_show_who_it_is_is_not_asked() {
    let house = Authority::new("house");
    let (annex, impostor) = (Authority::new("annex"), Authority::new("house"));
    let good = house.server("127.0.0.1", 2100).await;
    assert_eq!(fetched(&trusting(&house), &good).await, "fetched");
    for (what, server, why) in [
        (
            "of another authority",
            annex.server("127.0.0.1", 2100).await,
            "UnknownIssuer",
        ),
        (
            "of another authority that has taken the name",
            impostor.server("127.0.0.1", 2100).await,
            "BadSignature",
        ),
        (
            "for another name",
            house.server("login.house.example", 2100).await,
            "not valid for name",
        ),
        (
            "for another address",
            house.server("127.0.0.2", 2100).await,
            "not valid for name",
        ),
        (
            "that has expired",
            house.server("127.0.0.1", 2020).await,
            "expired",
        ),
    ] {
        let said = fetched(&trusting(&house), &server).await;
        assert!(said.contains(why), "a certificate {what}: {said}");
        assert!(server.asked().is_empty(), "a certificate {what}");
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_only_where_it_is_named() {
    let (house, annex) = (Authority::new("house"), Authority::new("annex"));
    let in_house = house.server("127.0.0.1", 2100).await;
    let in_annex = annex.server("127.0.0.1", 2100).await;
    let by_system = inside().build().unwrap();
    let said = fetched(&by_system, &in_house).await;
    assert!(said.contains("UnknownIssuer"), "{said}");
    assert!(in_house.asked().is_empty());

    // Several blocks in one text, and several texts.
    let bundle = format!("{}{}", house.pem, annex.pem);
    for builder in [
        inside().root_certificate_pem(&bundle),
        inside()
            .root_certificate_pem(&house.pem)
            .root_certificate_pem(&annex.pem),
    ] {
        let both = builder.build().unwrap();
        assert_eq!(fetched(&both, &in_house).await, "fetched");
        assert_eq!(fetched(&both, &in_annex).await, "fetched");
    }
}

/// In a process of its own, because the environment names the system's authorities; elsewhere than
/// on Linux and its like, something else does.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[tokio::test]
async fn the_systems_authorities_stay_trusted_beside_a_private_one() {
    use std::{env, process::Command};

    const HOUSE: &str = "TENANCY_TEST_HOUSE_CA";
    const ASKED: &str = "TENANCY_TEST_SERVERS";

    if let (Ok(house), Ok(servers)) = (env::var(HOUSE), env::var(ASKED)) {
        let client = inside().root_certificate_pem(house).build().unwrap();
        for url in servers.split(' ') {
            let fetched = client.key_set(url).unwrap().fetch(LIMIT).await;
            assert!(fetched.is_ok(), "{url}: {fetched:?}");
        }
        return;
    }
    let (house, public) = (Authority::new("house"), Authority::new("public"));
    let in_house = house.server("127.0.0.1", 2100).await;
    let outside = public.server("127.0.0.1", 2100).await;
    let file = env::temp_dir().join(format!("tenancy-{}.pem", std::process::id()));
    std::fs::write(&file, &public.pem).unwrap();
    let (_, module) = module_path!().split_once("::").unwrap();
    let this = format!("{module}::the_systems_authorities_stay_trusted_beside_a_private_one");
    let mut process = Command::new(env::current_exe().unwrap());
    process
        .args(["--exact", &this])
        .env("SSL_CERT_FILE", &file)
        .env(HOUSE, &house.pem)
        .env(
            ASKED,
            [in_house.url("/keys"), outside.url("/keys")].join(" "),
        );
    let output = tokio::task::spawn_blocking(move || process.output().unwrap());
    let output = output.await.unwrap();
    std::fs::remove_file(file).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    // Both by that process, which would also succeed if it had found no such test.
    assert_eq!((in_house.asked().len(), outside.asked().len()), (1, 1));
}

#[tokio::test]
async fn a_trusted_authority_opens_no_network() {
    let house = Authority::new("house");
    let server = house.server("localhost", 2100).await;
    let url = format!("https://localhost:{}/keys", server.at.port());
    let client = |builder: JwksHttpClientBuilder| {
        let builder = builder.root_certificate_pem(&house.pem);
        builder.build().unwrap()
    };
    // Where the name's addresses are opened, it is answered.
    let opened = client(inside().danger_allow_network("::1/128".parse().unwrap()));
    let fetcher = opened.key_set(&url).unwrap();
    fetcher.fetch(LIMIT).await.unwrap();
    let before = server.asked().len();

    let closed = client(JwksHttpClient::builder());
    let refused = closed.key_set(&server.url("/keys")).unwrap_err();
    assert_eq!(refused.kind(), JwtConfigErrorKind::IssuerAddress);
    let fetcher = closed.key_set(&url).unwrap();
    let said = fetcher.fetch(LIMIT).await.unwrap_err().to_string();
    assert!(said.contains("private address"), "{said}");
    assert_eq!(server.asked().len(), before);
}

#[tokio::test]
async fn a_redirect_is_not_followed_though_both_hosts_are_trusted() {
    let house = Authority::new("house");
    let server = house.server("127.0.0.1", 2100).await;
    let other = house.server("127.0.0.1", 2100).await;
    let client = trusting(&house);
    assert_eq!(fetched(&client, &other).await, "fetched");
    let location = format!("location: {}\r\n", other.url("/keys"));
    server.answers("/keys", Answer::Whole("302 Found", location));
    let said = fetched(&client, &server).await;
    assert!(said.contains("redirect"), "{said}");
    assert_eq!(other.asked().len(), 1);
}

#[test]
fn what_is_no_certificate_is_refused_when_the_client_is_built() {
    let house = Authority::new("house");
    let private = pem("PRIVATE KEY", b"a private key");
    let damaged = house.pem.replacen("MII", "!!!", 1);
    for (what, text) in [
        ("nothing", String::new()),
        ("no PEM", "a certificate".into()),
        ("a path", "/etc/notes/house-ca.pem".into()),
        ("another block", pem("PUBLIC KEY", b"a public key")),
        ("a private key", private.clone()),
        ("a private key besides", format!("{}{private}", house.pem)),
        ("a block without an end", house.pem.replace("-----END", "")),
        ("a block that is no base64", damaged),
        ("a block with something else", pem("CERTIFICATE", b"hush")),
    ] {
        let builder = JwksHttpClient::builder().root_certificate_pem(&text);
        assert!(!format!("{builder:?}").contains("hush"), "{what}");
        let refused = builder.build().unwrap_err();
        assert_eq!(
            refused.kind(),
            JwtConfigErrorKind::RootCertificate,
            "{what}"
        );
        let message = refused.to_string();
        assert!(!message.contains("hush"), "{what}: {message}");
    }
}
