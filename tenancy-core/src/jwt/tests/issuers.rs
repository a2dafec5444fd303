//! Several issuers side by side, and issuers that speak for one tenant.

mod stored;

use serde_json::{Value, json};

use super::{
    super::{JwtConfigErrorKind, JwtIssuers, VerificationKey},
    *,
};
use crate::{AllowedTenants, TenantId, TenantKey};

const OTHER: &str = "https://sso.acme.example";
const TENANT: &str = "0192d3a4-7b00-7c3d-8e4f-000000000001";

fn other() -> JwtAuthenticatorBuilder {
    let key = VerificationKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
    JwtAuthenticator::builder(OTHER, AUDIENCE).key(key)
}

/// The good claims under another name, signed by the first issuer.
fn posing_as(issuer: Value) -> String {
    hs256(HEADER, claims_with("iss", issuer))
}

fn said_by(authenticator: &dyn Authenticator, token: &str) -> &'static str {
    match authenticator.probe(Credential::new(token), now()) {
        Verdict::Verified(_) => "accepted",
        Verdict::Rejected(rejection) => rejection.reason(),
        Verdict::NotMine => "not-mine",
        Verdict::NeedsLookup => "needs-lookup",
    }
}

#[test]
fn another_issuers_token_is_passed_over_and_its_keys_are_never_tried() {
    let ours = authenticator();
    let theirs = other().build().unwrap();
    let token = hs256(HEADER, claims().to_string());
    assert_eq!(outcome_at(&ours, &token, now()), "accepted");
    assert_eq!(outcome_at(&theirs, &token, now()), "not-mine");
    // Our key, their name: only their keys count.
    let posing = posing_as(json!(OTHER));
    assert_eq!(outcome_at(&ours, &posing, now()), "not-mine");
    assert_eq!(outcome_at(&theirs, &posing, now()), "token-signature");
}

#[test]
fn an_issuer_is_found_by_its_whole_name() {
    let issuers = JwtIssuers::new();
    issuers.add(authenticator()).unwrap();
    for near in [
        format!("{ISSUER}/"),
        format!("{ISSUER}.evil.example"),
        ISSUER[..ISSUER.len() - 1].to_owned(),
        ISSUER.to_uppercase(),
        format!(" {ISSUER}"),
        String::new(),
    ] {
        let token = posing_as(json!(near));
        assert_eq!(said_by(&issuers, &token), "not-mine", "{near}");
        assert_eq!(said_by(&authenticator(), &token), "not-mine", "{near}");
    }
}

#[test]
fn a_token_that_names_no_issuer_is_refused_by_the_first_that_sees_it() {
    for issuer in [Value::Null, json!(7), json!([ISSUER])] {
        assert_eq!(
            said_by(&authenticator(), &posing_as(issuer)),
            "token-issuer"
        );
    }
    let issuers = JwtIssuers::new();
    issuers.add(authenticator()).unwrap();
    // Nobody's: the engine refuses what no authenticator knows.
    assert_eq!(said_by(&issuers, &posing_as(Value::Null)), "not-mine");
    let malformed = format!("{}.", hs256(HEADER, claims().to_string()));
    assert_eq!(said_by(&issuers, &malformed), "token-malformed");
}

#[tokio::test]
async fn issuers_come_and_go_and_take_their_remembered_tokens_along() {
    let issuers = JwtIssuers::new();
    let token = hs256(HEADER, claims().to_string());
    assert_eq!(said_by(&issuers, &token), "not-mine");
    issuers.add(authenticator()).unwrap();
    issuers.add(other().build().unwrap()).unwrap();
    for _ in 0..2 {
        assert_eq!(said_by(&issuers, &token), "accepted");
    }
    let verdict = issuers
        .verify(Credential::new(&token), now())
        .await
        .unwrap();
    assert!(matches!(verdict, Verdict::Verified(_)));

    let twice = issuers.add(authenticator()).unwrap_err();
    assert_eq!(twice.kind(), JwtConfigErrorKind::IssuerDuplicate);
    assert!(issuers.remove(ISSUER));
    assert!(!issuers.remove(ISSUER));
    assert_eq!(said_by(&issuers, &token), "not-mine");
    let verdict = issuers
        .verify(Credential::new(&token), now())
        .await
        .unwrap();
    assert!(matches!(verdict, Verdict::NotMine));
}

fn allowed_tenants(tokens: &JwtAuthenticator, more: Value) -> Result<AllowedTenants, &'static str> {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    let token = hs256(HEADER, claims.to_string());
    match tokens.probe(Credential::new(&token), now()) {
        Verdict::Verified(principal) => Ok(principal.allowed_tenants.clone()),
        Verdict::Rejected(rejection) => Err(rejection.reason()),
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn a_bound_issuer_speaks_for_its_tenant_whatever_its_tokens_claim() {
    let own = TENANT.parse::<TenantId>().unwrap();
    let bound = || builder(Algorithm::HS256).bound_to(own);
    let reached = Ok(AllowedTenants::Bound(own.into()));

    let plain = bound().build().unwrap();
    assert_eq!(allowed_tenants(&plain, json!({})), reached);
    assert_eq!(allowed_tenants(&plain, json!({ "org": "globex" })), reached);

    let claiming = bound().tenant_claim("org").build().unwrap();
    assert_eq!(allowed_tenants(&claiming, json!({})), reached);
    assert_eq!(
        allowed_tenants(&claiming, json!({ "org": TENANT })),
        reached
    );
    for (org, reason) in [
        (json!("globex"), "token-tenant-foreign"),
        (json!(TenantId::new().to_string()), "token-tenant-foreign"),
        (json!(null), "token-tenant-malformed"),
        (json!([TENANT]), "token-tenant-malformed"),
    ] {
        assert_eq!(
            allowed_tenants(&claiming, json!({ "org": org })),
            Err(reason),
            "{org}"
        );
    }

    let listing = bound()
        .tenant_set_claim("orgs")
        .default_tenant_claim("org")
        .build()
        .unwrap();
    assert_eq!(allowed_tenants(&listing, json!({})), reached);
    assert_eq!(
        allowed_tenants(&listing, json!({ "orgs": ["globex", TENANT] })),
        reached
    );
    for foreign in [
        json!({ "orgs": ["globex"] }),
        json!({ "org": "globex" }),
        json!({ "orgs": ["globex", TENANT], "org": "globex" }),
    ] {
        let got = allowed_tenants(&listing, foreign.clone());
        assert_eq!(got, Err("token-tenant-foreign"), "{foreign}");
    }
}

#[test]
fn an_issuer_is_bound_by_id_or_slug() {
    let domain = TenantKey::Domain("acme.example".parse().unwrap());
    let refused = builder(Algorithm::HS256)
        .bound_to(domain)
        .build()
        .unwrap_err();
    assert_eq!(refused.kind(), JwtConfigErrorKind::TenantName);
    let slug: crate::Slug = "acme".parse().unwrap();
    assert!(builder(Algorithm::HS256).bound_to(slug).build().is_ok());
}

#[test]
fn an_audience_counts_for_its_own_issuer_only() {
    const ELSEWHERE: &str = "https://reports.example.com";
    let key = VerificationKey::hmac(Algorithm::HS256, keys::SECRET).unwrap();
    let theirs = JwtAuthenticator::builder(OTHER, ELSEWHERE).key(key);
    let issuers = JwtIssuers::new();
    issuers.add(authenticator()).unwrap();
    issuers.add(theirs.build().unwrap()).unwrap();
    for (issuer, audience, said) in [
        (ISSUER, AUDIENCE, "accepted"),
        (OTHER, ELSEWHERE, "accepted"),
        (ISSUER, ELSEWHERE, "token-audience"),
        (OTHER, AUDIENCE, "token-audience"),
    ] {
        let claims = json!({ "iss": issuer, "aud": audience, "sub": USER, "exp": NOW + 600 });
        let token = hs256(HEADER, claims.to_string());
        assert_eq!(said_by(&issuers, &token), said, "{issuer} for {audience}");
    }
}
