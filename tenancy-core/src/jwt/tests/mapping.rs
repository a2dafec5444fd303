//! From claims to users and tenants.

use serde_json::{Value, json};

use super::{super::SubjectMapping, *};
use crate::{Actor, AllowedTenants, Principal, TenantKey, UserId};

const TENANT: &str = "0192d3a4-7b00-7c3d-8e4f-000000000001";

fn key(text: &str) -> TenantKey {
    TenantKey::id_or_slug(text).unwrap()
}

fn principal(tokens: &JwtAuthenticator, claims: &Value) -> Result<Principal, &'static str> {
    let token = hs256(HEADER, claims.to_string());
    match tokens.probe(Credential::new(&token), now()) {
        Verdict::Verified(principal) => Ok((*principal).clone()),
        Verdict::Rejected(rejection) => Err(rejection.reason()),
        other => panic!("{other:?}"),
    }
}

/// What a token reaches that has these claims on top of the good ones.
fn allowed_tenants(tokens: &JwtAuthenticator, more: Value) -> Result<AllowedTenants, &'static str> {
    let mut claims = claims();
    claims
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    principal(tokens, &claims).map(|principal| principal.allowed_tenants)
}

#[test]
fn the_principal_says_what_the_token_says() {
    let mut claims = claims();
    claims["iat"] = json!(NOW - 10);
    claims["nbf"] = json!(NOW - 5);
    claims["plan"] = json!("gold");
    let principal = principal(&authenticator(), &claims).unwrap();

    let at = |seconds| Some(Timestamp::from_unix_seconds(seconds));
    assert_eq!(principal.actor, Actor::User(USER.parse().unwrap()));
    assert_eq!(principal.allowed_tenants, AllowedTenants::Memberships);
    assert_eq!(&*principal.issuer, ISSUER);
    assert_eq!(principal.issued_at, at(NOW - 10));
    assert_eq!(principal.not_before, at(NOW - 5 - 30));
    assert_eq!(principal.expires_at, at(NOW + 600 + 30));
    assert_eq!(principal.claims.to_value(), claims);
}

#[test]
fn a_subject_is_a_user_id_or_a_name_of_the_issuer() {
    let ours = authenticator();
    let theirs = builder(Algorithm::HS256)
        .subject(SubjectMapping::PerIssuer)
        .build()
        .unwrap();
    for (subject, is_ours) in [
        (USER, true),
        ("auth0|42", false),
        ("00000000-0000-0000-0000-000000000000", false),
        ("0192d3a47b007c3d8e4f5a6b7c8d9e0f", false),
        ("{0192d3a4-7b00-7c3d-8e4f-5a6b7c8d9e0f}", false),
    ] {
        let mut claims = claims();
        claims["sub"] = json!(subject);
        let user = |tokens| principal(tokens, &claims).map(|principal| principal.actor);
        let parsed = || Actor::User(subject.parse().unwrap());
        assert_eq!(
            user(&ours),
            if is_ours {
                Ok(parsed())
            } else {
                Err("token-subject")
            }
        );
        assert_eq!(
            user(&theirs),
            Ok(Actor::User(UserId::derive(ISSUER, subject)))
        );
    }
}

#[test]
fn a_subject_has_a_bounded_length() {
    let theirs = builder(Algorithm::HS256)
        .subject(SubjectMapping::PerIssuer)
        .build()
        .unwrap();
    for (len, outcome) in [
        (0, "token-subject"),
        (255, "accepted"),
        (256, "token-subject"),
    ] {
        let token = hs256(HEADER, claims_with("sub", json!("a".repeat(len))));
        assert_eq!(outcome_at(&theirs, &token, now()), outcome, "{len}");
    }
}

#[test]
fn a_bound_token_reaches_one_tenant() {
    let tokens = builder(Algorithm::HS256)
        .tenant_claim("org")
        .build()
        .unwrap();
    assert_eq!(
        allowed_tenants(&tokens, json!({ "org": "acme" })),
        Ok(AllowedTenants::Bound(key("acme")))
    );
    assert_eq!(
        allowed_tenants(&tokens, json!({ "org": TENANT })),
        Ok(AllowedTenants::Bound(key(TENANT)))
    );
    assert_eq!(
        allowed_tenants(&tokens, json!({})),
        Err("token-tenant-missing")
    );
    assert_eq!(
        allowed_tenants(&tokens, json!({ "Org": "acme" })),
        Err("token-tenant-missing")
    );
    for malformed in [
        json!(null),
        json!(""),
        json!("Acme"),
        json!(7),
        json!(["acme"]),
        json!("a b"),
    ] {
        let got = allowed_tenants(&tokens, json!({ "org": malformed }));
        assert_eq!(got, Err("token-tenant-malformed"), "{malformed}");
    }
}

#[test]
fn a_listing_token_reaches_what_it_lists() {
    let tokens = builder(Algorithm::HS256)
        .tenant_set_claim("orgs")
        .default_tenant_claim("org")
        .build()
        .unwrap();
    let set = |tenants: &[&str], default: Option<&str>| {
        Ok(AllowedTenants::Set {
            tenants: tenants.iter().map(|text| key(text)).collect(),
            default: default.map(key),
        })
    };
    let most: Vec<_> = (0..256).map(|n| format!("t{n}")).collect();
    let too_many: Vec<_> = (0..257).map(|n| format!("t{n}")).collect();

    assert_eq!(
        allowed_tenants(&tokens, json!({ "orgs": ["a", TENANT] })),
        set(&["a", TENANT], None)
    );
    assert_eq!(
        allowed_tenants(&tokens, json!({ "orgs": ["a", "b"], "org": "b" })),
        set(&["a", "b"], Some("b"))
    );
    assert_eq!(
        allowed_tenants(&tokens, json!({ "org": "b" })),
        set(&["b"], Some("b"))
    );
    assert!(allowed_tenants(&tokens, json!({ "orgs": most })).is_ok());
    assert_eq!(
        allowed_tenants(&tokens, json!({})),
        Err("token-tenant-missing")
    );
    for malformed in [
        json!({ "orgs": [] }),
        json!({ "orgs": "a" }),
        json!({ "orgs": { "a": true } }),
        json!({ "orgs": ["a", 7] }),
        json!({ "orgs": ["a", "B"] }),
        json!({ "orgs": null, "org": "a" }),
        json!({ "orgs": too_many }),
        json!({ "orgs": ["a"], "org": "b" }),
        json!({ "orgs": ["a"], "org": null }),
        json!({ "orgs": ["a"], "org": ["a"] }),
    ] {
        let got = allowed_tenants(&tokens, malformed.clone());
        assert_eq!(got, Err("token-tenant-malformed"), "{malformed}");
    }
}

#[test]
fn a_default_without_a_list_is_a_list_of_one() {
    let tokens = builder(Algorithm::HS256)
        .default_tenant_claim("org")
        .build()
        .unwrap();
    let only = AllowedTenants::Set {
        tenants: vec![key("acme")],
        default: Some(key("acme")),
    };
    assert_eq!(allowed_tenants(&tokens, json!({ "org": "acme" })), Ok(only));
    assert_eq!(
        allowed_tenants(&tokens, json!({})),
        Err("token-tenant-missing")
    );
}
