//! Laws of reading hints.

use std::borrow::Cow;

use proptest::prelude::*;
use quick_cache::Equivalent as _;

use super::*;
use crate::{Slug, TenantId, testing::FakeRequest};

fn rules() -> Identification {
    Identification::new()
        .header("x-org")
        .subdomains_of("example.com")
        .custom_domains()
        .path_prefix("/t/")
        .checked()
        .unwrap()
}

/// The keys that a request hints at, or the reason why it can't be read.
fn hinted(request: &FakeRequest) -> Result<Vec<TenantKey>, &'static str> {
    let hints = rules().hints(request).map_err(|fault| fault.reason)?;
    Ok(hints.iter().map(|hint| hint.key.to_key()).collect())
}

/// U6: a developer's own machine has tenants below `localhost`.
#[test]
fn tenants_may_be_below_localhost() {
    let rules = Identification::new()
        .subdomains_of("Localhost")
        .checked()
        .unwrap();
    let at = |host: &str| {
        let request = FakeRequest::new("/").header("host", host);
        let hints = rules.hints(&request).map_err(|fault| fault.reason)?;
        Ok::<_, &str>(
            hints
                .iter()
                .map(|hint| hint.key.to_key())
                .collect::<Vec<_>>(),
        )
    };
    let acme: Slug = "acme".parse().unwrap();
    assert_eq!(at("acme.localhost:3000"), Ok(vec![acme.into()]));
    assert_eq!(at("localhost:3000"), Ok(vec![]));
    assert_eq!(at("127.0.0.1:3000"), Ok(vec![]));
    assert!(at("a.acme.localhost").is_err());
    assert!(
        Identification::new()
            .subdomains_of("intranet")
            .checked()
            .is_err()
    );
}

#[test]
fn a_tenants_origin_is_what_the_configuration_says() {
    let origin = |rules: Identification| rules.checked().unwrap().origin_of("acme");
    let rules = Identification::new;
    let below = |domain| origin(rules().subdomains_of(domain));
    assert_eq!(origin(rules()), None);
    assert_eq!(below("example.com").unwrap(), "https://acme.example.com");
    assert_eq!(below("localhost").unwrap(), "http://acme.localhost");
    for (template, said) in [
        (
            "http://{slug}.localhost:3000/",
            "http://acme.localhost:3000",
        ),
        (
            "https://www.example.com/t/{slug}",
            "https://www.example.com/t/acme",
        ),
    ] {
        assert_eq!(origin(rules().tenant_origin(template)).unwrap(), said);
    }
    for wrong in [
        "",
        "https://example.com",
        "{slug}.example.com",
        "ftp://{slug}.example.com",
        "https://{slug}.{slug}.com",
        "https://{slug} .com",
        "https://user@{slug}.example.com",
        "https://{slug}.example.com/?a",
    ] {
        let refused = rules().tenant_origin(wrong).checked();
        assert!(refused.is_err(), "{wrong}");
    }
}

#[test]
fn a_prefix_has_one_form_only() {
    for prefix in [
        "/größe",
        "/a//b",
        "/%74",
        "/t/{tenant}",
        "/a b",
        "/..",
        "t",
        "/",
        "",
    ] {
        let checked = Identification::new().path_prefix(prefix).checked();
        assert!(checked.is_err(), "{prefix}");
    }
    for prefix in ["/t", "/t/", "/api/v1.0/tenants", "/~t_-"] {
        assert!(
            Identification::new().path_prefix(prefix).checked().is_ok(),
            "{prefix}"
        );
    }
}

#[test]
fn a_path_that_a_router_may_read_as_one_below_the_prefix_is_malformed() {
    for path in [
        "/%74/acme/notes",
        "%2ft/acme",
        "//t/acme",
        "/%2Ft//acme",
        "/t%2Facme/notes",
        "/t%2f",
    ] {
        let hinted = hinted(&FakeRequest::new(path));
        assert_eq!(hinted.unwrap_err(), "path-malformed", "{path}");
    }
    for path in [
        "/%75/acme",
        "/notes//t/acme",
        "/%",
        "/%7",
        "/%zz/t/acme",
        "/é%74/acme",
        "/t",
    ] {
        assert_eq!(hinted(&FakeRequest::new(path)), Ok(Vec::new()), "{path}");
    }
}

proptest! {
    #[test]
    fn a_header_is_an_id_a_slug_or_refused(value in prop::collection::vec(any::<u8>(), 0..100)) {
        let request = FakeRequest::new("/").header("x-org", &value);
        match hinted(&request) {
            Ok(keys) => {
                prop_assert_eq!(keys.len(), 1);
                let text = std::str::from_utf8(&value).unwrap();
                let named = TenantKey::id_or_slug(text).ok();
                prop_assert_eq!(keys.first(), named.as_ref());
            }
            Err(reason) => prop_assert!(reason.starts_with("header-"), "{}", reason),
        }
    }

    #[test]
    fn a_path_hints_by_the_segment_after_the_prefix_and_by_no_other(
        path in "(/[a-zA-Z0-9%._~-]{0,12}){0,5}",
        rest in "(/[a-z]{1,5}){0,3}",
    ) {
        let slug: Slug = "acme".parse().unwrap();
        let own = FakeRequest::new(&format!("/t/acme{rest}"));
        prop_assert_eq!(hinted(&own), Ok(vec![slug.into()]));
        match hinted(&FakeRequest::new(&path)) {
            Ok(keys) if path.starts_with("/t/") => prop_assert_eq!(keys.len(), 1),
            Ok(keys) => prop_assert_eq!(keys, Vec::new()),
            Err(reason) => {
                prop_assert_eq!(reason, "path-malformed");
                prop_assert!(path.starts_with("/t/") || path.contains('%'));
            }
        }
    }

    #[test]
    fn a_host_names_the_tenant_of_its_first_label_or_of_itself(
        label in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
        port in prop::option::of(0_u16..),
    ) {
        prop_assume!(Slug::is_valid(&label));
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let at = |host: String| hinted(&FakeRequest::new("/").header("host", host));
        let slug: Slug = label.parse().unwrap();
        prop_assert_eq!(at(format!("{label}.example.com{port}")), Ok(vec![slug.into()]));
        prop_assert_eq!(at(format!("example.com{port}")), Ok(Vec::new()));
        let deeper = at(format!("x.{label}.example.com{port}"));
        prop_assert!(deeper.is_err());
        // A domain that only ends in the same letters is somebody's own.
        let lookalike: crate::DomainName = format!("{label}-example.com").parse().unwrap();
        prop_assert_eq!(
            at(format!("{label}-example.com{port}")),
            Ok(vec![lookalike.into()])
        );
    }

    #[test]
    fn a_borrowed_key_hashes_and_compares_as_the_key_it_becomes(slug in "[a-z]{1,20}") {
        use std::hash::{BuildHasher, RandomState};
        let hasher = RandomState::new();
        for borrowed in [
            KeyRef::Slug(Cow::Borrowed(&slug)),
            KeyRef::Domain(Cow::Owned(format!("{slug}.example"))),
            KeyRef::Id(TenantId::new()),
        ] {
            let key = borrowed.to_key();
            prop_assert!(borrowed.equivalent(&key));
            prop_assert_eq!(hasher.hash_one(&borrowed), hasher.hash_one(&key));
            prop_assert!(!borrowed.equivalent(&TenantKey::Id(TenantId::new())));
        }
    }
}
