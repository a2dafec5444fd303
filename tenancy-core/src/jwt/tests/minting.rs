//! Tokens that a service issues itself.

use std::time::Duration;

use super::{
    super::{JwtConfigErrorKind, KeyErrorKind, SigningKey, TokenMinter, VerificationKey},
    *,
};
use crate::{
    Actor, AllowedTenants, PermissionRegistry, PermissionSet, ServiceId, SystemRole, TenantId,
};

const JOBS: &str = "https://jobs.example.com";

fn registry() -> PermissionRegistry {
    PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .build()
        .unwrap()
}

fn private(base64: &str) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n")
}

fn signing_key(algorithm: Algorithm) -> SigningKey {
    match algorithm {
        Algorithm::EdDSA => SigningKey::pem(algorithm, private(keys::ED25519_PRIVATE)),
        Algorithm::ES256 => SigningKey::pem(algorithm, private(keys::P256_PRIVATE)),
        _ => SigningKey::hmac(algorithm, keys::SECRET),
    }
    .unwrap()
}

fn minter(algorithm: Algorithm) -> TokenMinter {
    TokenMinter::new(JOBS, AUDIENCE, signing_key(algorithm)).unwrap()
}

fn verifier(algorithm: Algorithm) -> JwtAuthenticator {
    TokenMinter::verifier(JOBS, AUDIENCE, keys::verifier(algorithm), &registry())
        .build()
        .unwrap()
}

fn mint(minter: &TokenMinter, scope: PermissionSet) -> String {
    let (service, tenant) = (ServiceId::new(), TenantId::new());
    let token = minter
        .mint(service, tenant, &registry(), scope, now())
        .unwrap();
    token.expose().to_owned()
}

#[test]
fn a_minted_token_says_who_where_and_what() {
    let (service, tenant) = (ServiceId::new(), TenantId::new());
    for algorithm in [Algorithm::HS256, Algorithm::EdDSA, Algorithm::ES256] {
        let scope = registry().scope(["notes:read"]);
        let minter = minter(algorithm);
        let token = minter
            .mint(service, tenant, &registry(), scope, now())
            .unwrap();
        let credential = Credential::new(token.expose());
        let Verdict::Verified(principal) = verifier(algorithm).probe(credential, now()) else {
            panic!("{algorithm}");
        };
        assert_eq!(principal.actor, Actor::Service(service));
        assert_eq!(
            principal.allowed_tenants,
            AllowedTenants::Bound(tenant.into())
        );
        assert_eq!(principal.scope, scope);
        assert_eq!(principal.issued_at, Some(now()));
        assert_eq!(token.expires_at(), now() + Duration::from_secs(300));
    }
}

#[test]
fn a_service_token_and_a_users_token_never_pass_for_each_other() {
    let minted = mint(&minter(Algorithm::HS256), PermissionSet::ALL);
    // The same issuer, audience and key; the type alone differs.
    let users = JwtAuthenticator::builder(JOBS, AUDIENCE)
        .key(keys::verifier(Algorithm::HS256))
        .build()
        .unwrap();
    assert_eq!(outcome_at(&users, &minted, now()), "token-type");
    for kind in [
        "",
        r#","typ":"JWT""#,
        r#","typ":"at+jwt""#,
        r#","typ":"service+jwt""#,
    ] {
        let mut claims = claims();
        claims["iss"] = JOBS.into();
        let header = format!(r#"{{"alg":"HS256"{kind}}}"#);
        let token = hs256(&header, claims.to_string());
        let services = verifier(Algorithm::HS256);
        assert_eq!(outcome_at(&services, &token, now()), "token-type", "{kind}");
    }
}

#[test]
fn a_scope_of_everything_is_written_as_what_exists() {
    let token = mint(&minter(Algorithm::HS256), PermissionSet::ALL);
    let tokens = verifier(Algorithm::HS256);
    let Verdict::Verified(principal) = tokens.probe(Credential::new(&token), now()) else {
        panic!("a good token is verified");
    };
    assert_eq!(principal.scope, registry().all());
    assert_eq!(
        principal.claims.get("scope").unwrap(),
        "notes:read notes:write"
    );
    let nothing = mint(&minter(Algorithm::HS256), PermissionSet::EMPTY);
    let Verdict::Verified(principal) = tokens.probe(Credential::new(&nothing), now()) else {
        panic!("a good token is verified");
    };
    assert_eq!(principal.scope, PermissionSet::EMPTY);
}

#[test]
fn a_lifetime_is_a_few_minutes_and_is_kept() {
    let of = |seconds| minter(Algorithm::HS256).lifetime(Duration::from_secs(seconds));
    for out_of_bounds in [0, 901, 86_400] {
        let refused = of(out_of_bounds).unwrap_err();
        assert_eq!(refused.kind(), JwtConfigErrorKind::MintLifetime);
    }
    let token = mint(&of(900).unwrap(), PermissionSet::ALL);
    let at = |seconds| now() + Duration::from_secs(seconds);
    let tokens = verifier(Algorithm::HS256);
    assert_eq!(outcome_at(&tokens, &token, at(929)), "accepted");
    assert_eq!(outcome_at(&tokens, &token, at(930)), "token-expired");
    // Whoever else signs with the key: a long life is refused.
    let long = serde_json::json!({
        "iss": JOBS, "aud": AUDIENCE, "sub": ServiceId::new(), "tenant": TenantId::new(),
        "scope": "", "iat": NOW, "exp": NOW + 901,
    });
    let header = r#"{"alg":"HS256","typ":"tenancy-service+jwt"}"#;
    assert_eq!(
        outcome_at(&tokens, &hs256(header, long.to_string()), now()),
        "token-lifetime"
    );
}

#[test]
fn a_signing_key_is_of_its_algorithm_and_shows_no_secret() {
    use Algorithm::{ES256, EdDSA, HS256, RS256};
    let (ec, ed) = (private(keys::P256_PRIVATE), private(keys::ED25519_PRIVATE));
    for (algorithm, pem, kind) in [
        (EdDSA, &*ec, KeyErrorKind::WrongKind),
        (ES256, &*ed, KeyErrorKind::WrongKind),
        (RS256, &*ec, KeyErrorKind::WrongKind),
        (HS256, &*ec, KeyErrorKind::WrongKind),
        (EdDSA, keys::ED25519, KeyErrorKind::Malformed),
        (EdDSA, "", KeyErrorKind::Malformed),
    ] {
        let refused = SigningKey::pem(algorithm, pem).unwrap_err();
        assert_eq!(refused.kind(), kind, "{algorithm}");
    }
    let short = SigningKey::hmac(HS256, "hush").unwrap_err();
    assert_eq!(short.kind(), KeyErrorKind::SecretTooShort);

    let minter = minter(HS256);
    let token = minter
        .mint(
            ServiceId::new(),
            TenantId::new(),
            &registry(),
            PermissionSet::ALL,
            now(),
        )
        .unwrap();
    let shown = format!("{minter:?} {token:?}");
    let bytes = format!("{:?}", keys::SECRET);
    assert!(!shown.contains("secret to this test"), "{shown}");
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    assert!(!shown.contains("eyJ"), "{shown}");
}

#[test]
fn a_key_id_chooses_during_a_rotation() {
    let key = signing_key(Algorithm::EdDSA).with_id("new");
    let minter = TokenMinter::new(JOBS, AUDIENCE, key).unwrap();
    let old = VerificationKey::pem(Algorithm::ES256, keys::P256)
        .unwrap()
        .with_id("old");
    let tokens = TokenMinter::verifier(JOBS, AUDIENCE, old, &registry())
        .key(keys::verifier(Algorithm::EdDSA).with_id("new"))
        .build()
        .unwrap();
    let token = mint(&minter, PermissionSet::ALL);
    assert_eq!(outcome_at(&tokens, &token, now()), "accepted");
    let unusable = signing_key(Algorithm::EdDSA).with_id("schlüssel");
    let refused = TokenMinter::new(JOBS, AUDIENCE, unusable).unwrap_err();
    assert_eq!(refused.kind(), JwtConfigErrorKind::KeyIdInvalid);
}
