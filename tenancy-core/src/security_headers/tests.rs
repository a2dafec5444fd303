//! Which fields a response carries, by configuration and host.
#![cfg(feature = "jwt")]

use std::time::Duration;

use super::*;
use crate::{
    CorsPolicy, Identification, MemoryDirectory,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    testing::FakeRequest,
};

fn tenancy(cors: Option<CorsPolicy>) -> Tenancy {
    let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef");
    let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key.unwrap());
    let rules = Identification::new()
        .header("X-Org")
        .subdomains_of("example.com")
        .central_host("www.example.net")
        .custom_domains()
        .project_header("x-project");
    let builder = Tenancy::builder(MemoryDirectory::new())
        .identification(rules)
        .authenticator(tokens.build().unwrap());
    match cors {
        Some(policy) => builder.cors(policy).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

fn value(headers: &SecurityHeaders, host: &str, name: &str) -> Option<String> {
    let request = FakeRequest::new("/").header("host", host);
    let mut found = headers.fields(&request).filter(|field| field.name == name);
    let value = found.next().map(|field| field.value.to_owned());
    assert!(found.next().is_none(), "{name} twice");
    value
}

#[test]
fn a_response_carries_each_field_once_and_only_vary_adds_up() {
    let headers = SecurityHeaders::builder(&tenancy(None)).build().unwrap();
    let request = FakeRequest::new("/").header("host", "acme.example.com");
    let fields: Vec<_> = headers
        .fields(&request)
        .map(|field| (field.name, field.value, field.merge == Merge::Append))
        .collect();
    assert_eq!(
        fields,
        [
            ("x-content-type-options", "nosniff", false),
            ("referrer-policy", "strict-origin-when-cross-origin", false),
            ("content-security-policy", "frame-ancestors 'self'", false),
            ("cross-origin-resource-policy", "same-origin", false),
            ("cross-origin-opener-policy", "same-origin", false),
            ("cache-control", "no-store", false),
            ("vary", "authorization, x-org, x-project", true),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains",
                false
            ),
        ]
    );
}

#[test]
fn transport_security_binds_subdomains_of_the_services_own_hosts_alone() {
    let own = Some("max-age=60; includeSubDomains");
    let other = Some("max-age=60");
    let tenancy = tenancy(None);
    let builder = SecurityHeaders::builder(&tenancy).hsts(Duration::from_secs(60));
    let headers = builder.clone().build().unwrap();
    let narrow = builder.clone().hsts_without_subdomains().build().unwrap();
    let none = builder.without_hsts().build().unwrap();
    for (host, want) in [
        ("example.com", own),
        ("acme.example.com", own),
        ("ACME.example.com.:8443", own),
        ("a.b.example.com", own),
        ("www.example.net", own),
        ("sub.www.example.net", other),
        ("example.net", other),
        ("notexample.com", other),
        ("notes.customer.example", other),
        ("localhost", None),
        ("acme.localhost:3000", None),
        ("acme.notlocalhost", other),
        ("127.0.0.1:3000", None),
        ("[::1]", None),
        ("not a host", None),
    ] {
        let name = "strict-transport-security";
        assert_eq!(value(&headers, host, name).as_deref(), want, "{host}");
        let narrowed = want.map(|_| "max-age=60");
        assert_eq!(value(&narrow, host, name).as_deref(), narrowed, "{host}");
        assert_eq!(value(&none, host, name), None);
    }
    assert!(
        !headers
            .fields(&FakeRequest::new("/"))
            .any(|field| field.name == "strict-transport-security")
    );
}

#[test]
fn all_fields_are_those_of_any_request() {
    let headers = SecurityHeaders::builder(&tenancy(None)).build().unwrap();
    let all: Vec<_> = headers.all_fields().collect();
    for host in ["acme.example.com", "notes.customer.example", "localhost"] {
        let request = FakeRequest::new("/").header("host", host);
        let mut rest = all.iter();
        for field in headers.fields(&request) {
            assert!(rest.any(|one| *one == field), "{host}: {field:?}");
        }
    }
    assert_eq!(all.len(), 9);
}

#[test]
fn frames_caches_and_what_responses_depend_on_are_chosen() {
    let tenancy = tenancy(Some(CorsPolicy::new()));
    let headers = SecurityHeaders::builder(&tenancy)
        .framing_by(["https://portal.example", "http://localhost:8000"])
        .private_caching()
        .vary_by("Accept-Language")
        .vary_by("X-Org")
        .build()
        .unwrap();
    let value = |name| value(&headers, "acme.example.com", name).unwrap();
    assert_eq!(
        value("content-security-policy"),
        "frame-ancestors 'self' https://portal.example http://localhost:8000"
    );
    assert_eq!(value("cache-control"), "private, no-cache");
    assert_eq!(
        value("vary"),
        "authorization, x-org, x-project, origin, accept-language"
    );
}

#[test]
fn what_would_break_a_field_is_an_error_at_build() {
    let tenancy = tenancy(None);
    let new = || SecurityHeaders::builder(&tenancy);
    for (builder, says) in [
        (
            new().framing_by(["https://a.example; script-src *"]),
            "list each origin",
        ),
        (new().framing_by(["https://a.example; x"]), "without path"),
        (new().framing_by(["*"]), "list each origin"),
        (new().framing_by(["'self'"]), "begin with `https://`"),
        (new().framing_by(["https://a.example/"]), "trailing slash"),
        (new().vary_by("a, b"), "`a, b` is not the name"),
        (new().vary_by("*"), "`*` is not the name"),
        (new().vary_by(""), "`` is not the name"),
    ] {
        let message = builder.build().unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}
