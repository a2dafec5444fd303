//! What a policy refuses to be.

use super::*;
use crate::{ConfigError, Identification, testing::FakeRequest};

fn rules() -> Identification {
    Identification::new()
        .header("X-Org")
        .subdomains_of("example.com")
        .central_host("app.example.com")
        .custom_domains()
        .project_header("x-project")
        .checked()
        .unwrap()
}

fn checked(policy: CorsPolicy) -> Result<CorsPolicy, ConfigError> {
    policy.checked(&rules(), None)
}

#[test]
fn a_policy_that_can_not_be_meant_is_refused_with_a_way_out() {
    let new = CorsPolicy::new;
    for (policy, says) in [
        (new().origin("*"), "list each origin"),
        (new().origin("https://*.example.com"), "list each origin"),
        (new().origin("null"), "can't be allowed"),
        (new().origin("app.example.com"), "begin with `https://`"),
        (
            new().origin("ftp://app.example.com"),
            "begin with `https://`",
        ),
        (new().origin("https://app.example.com/"), "trailing slash"),
        (new().origin("https://app.example.com/x"), "without path"),
        (
            new().origin("https://u@app.example.com"),
            "give scheme, host",
        ),
        (
            new().origin("https://acme.example.com"),
            "add `central_host(\"acme.example.com\")`",
        ),
        (new().origin("https://a.b.example.com"), "central_host"),
        (new().origin("http://acme.example.com:8080"), "central_host"),
        (new().methods([] as [&str; 0]), "at least one"),
        (new().methods(["get"]), "upper case"),
        (new().methods(["*"]), "`*` is not a method"),
        (new().methods(["GET, POST"]), "`GET, POST` is not a method"),
        (new().methods(["TRACE"]), "leave it out"),
        (new().headers(["*"]), "`*` is not the name"),
        (new().headers(["x trace"]), "`x trace` is not the name"),
        (new().expose(["x:y"]), "`x:y` is not the name"),
    ] {
        let message = checked(policy).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_policy_is_completed_by_what_the_rules_read() {
    let policy = CorsPolicy::new()
        .origin("https://APP.example.com:443")
        .origin("http://localhost:5173")
        .origin("https://elsewhere.example")
        .headers(["X-Trace", "authorization", "x-org"])
        .expose(["X-Total", "Retry-After"]);
    let policy = policy.checked(&rules(), Some("x-api-key")).unwrap();
    let origins: Vec<_> = policy.application_origins().collect();
    assert_eq!(
        origins,
        [
            "https://app.example.com",
            "http://localhost:5173",
            "https://elsewhere.example"
        ]
    );
    let headers: Vec<_> = policy.allowed_headers().collect();
    assert_eq!(
        headers,
        [
            "authorization",
            "content-type",
            "x-trace",
            "x-org",
            "x-project",
            "x-api-key"
        ]
    );
    let exposed: Vec<_> = policy.exposed_headers().collect();
    assert_eq!(exposed, ["retry-after", "www-authenticate", "x-total"]);
    assert!(!policy.allows_credentials());
    assert_eq!(policy.preflight_max_age(), Duration::from_secs(600));
}

/// U6: a page of a tenant on the developer's own machine is as good as one behind TLS.
#[test]
fn a_page_below_localhost_needs_no_tls() {
    let rules = Identification::new()
        .subdomains_of("localhost")
        .subdomains_of("example.com");
    let rules = rules.checked().unwrap();
    let policy = CorsPolicy::new().checked(&rules, None).unwrap();
    let claim = |host: &str, origin: &str| {
        let request = FakeRequest::new("/")
            .header("host", host)
            .header("origin", origin);
        match policy.claim(&rules, &request) {
            Ok(Claim::Own) => "own",
            Ok(Claim::Tenant(_)) => "a tenant's",
            Ok(Claim::Unsaid) => "unsaid",
            Err(fault) => fault.reason,
        }
    };
    for (host, origin, said) in [
        ("acme.localhost:3000", "http://acme.localhost:3000", "own"),
        ("localhost:3000", "http://acme.localhost:5173", "a tenant's"),
        (
            "localhost:3000",
            "http://evil.example:5173",
            "origin-unknown",
        ),
        (
            "acme.example.com",
            "http://acme.example.com",
            "origin-insecure",
        ),
        (
            "acme.notlocalhost",
            "http://acme.notlocalhost",
            "origin-unknown",
        ),
    ] {
        assert_eq!(claim(host, origin), said, "{origin} at {host}");
    }
}
