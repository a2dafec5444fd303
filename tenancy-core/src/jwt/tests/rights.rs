//! From claims to actors and to what they may do at most.

use serde_json::{Value, json};

use super::{
    super::{JwtConfigErrorKind, ServiceMapping, SubjectMapping},
    *,
};
use crate::{
    Actor, AllowedTenants, PermissionRegistry, PermissionSet, Principal, Rejection, RoleDefinition,
    SystemRole, TenantId, UserId,
};

fn registry() -> PermissionRegistry {
    PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .permission("users:read", SystemRole::Admin)
        .role_def(RoleDefinition::new("reader".parse().unwrap()).allow("notes:read"))
        .role_def(RoleDefinition::new("mute".parse().unwrap()).deny("notes:write"))
        .build()
        .unwrap()
}

fn hs() -> JwtAuthenticatorBuilder {
    builder(Algorithm::HS256)
}

/// The principal of a token with these claims on top of the good ones.
fn principal(tokens: JwtAuthenticatorBuilder, more: &Value) -> Result<Principal, &'static str> {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    let token = hs256(HEADER, claims.to_string());
    match tokens
        .build()
        .unwrap()
        .probe(Credential::new(&token), now())
    {
        Verdict::Verified(principal) => Ok((*principal).clone()),
        Verdict::Rejected(rejection) => Err(rejection.reason()),
        other => panic!("{other:?}"),
    }
}

/// The permissions that are left, by name.
fn scope(tokens: JwtAuthenticatorBuilder, more: &Value) -> Result<String, &'static str> {
    let registry = registry();
    let scope = principal(tokens, more)?.scope;
    Ok(registry.names(scope).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_scope_claim_narrows_and_is_never_passed_over() {
    for (claim, left) in [
        (json!("notes:read"), Ok("notes:read")),
        (json!("openid notes:read  email"), Ok("notes:read")),
        (
            json!(["notes:read", "users:read"]),
            Ok("notes:read users:read"),
        ),
        (json!("notes:*"), Ok("notes:read notes:write")),
        (json!("openid"), Ok("")),
        (json!(""), Ok("")),
        (json!([]), Ok("")),
        (json!("notes:read,notes:write"), Ok("")),
        (json!(null), Err("token-scope")),
        (json!(7), Err("token-scope")),
        (json!({ "notes:read": true }), Err("token-scope")),
        (json!(["notes:read", 7]), Err("token-scope")),
        (json!(vec!["x"; 257]), Err("token-scope")),
    ] {
        let tokens = hs().scope_claim("scope", &registry());
        let got = scope(tokens, &json!({ "scope": claim }));
        assert_eq!(got.as_deref(), left.as_ref().map(|text| *text), "{claim}");
    }
    let absent = scope(hs().scope_claim("scope", &registry()), &json!({}));
    assert_eq!(absent, Err("token-scope"));
    let both = hs()
        .scope_claim("scope", &registry())
        .scope_claim("permissions", &registry());
    let claims = json!({ "scope": "notes:*", "permissions": ["notes:read", "users:read"] });
    assert_eq!(scope(both, &claims).as_deref(), Ok("notes:read"));
}

#[test]
fn without_a_scope_claim_the_membership_decides_alone() {
    let all = principal(hs(), &json!({ "scope": "notes:read" })).unwrap();
    assert_eq!(all.scope, PermissionSet::ALL);
}

#[test]
fn a_role_claim_gives_nothing_and_narrows() {
    for (claim, left) in [
        (json!("viewer"), Ok("notes:read")),
        (json!("member"), Ok("notes:read notes:write")),
        (
            json!(["reader", "admin"]),
            Ok("notes:read notes:write users:read"),
        ),
        (json!("member mute"), Ok("notes:read")),
        (json!("superuser"), Ok("")),
        (json!("owner superuser"), Ok("")),
        (json!(""), Ok("")),
        (json!(7), Err("token-role")),
        (json!(null), Err("token-role")),
    ] {
        let tokens = hs().role_claim("role", &registry());
        let got = scope(tokens, &json!({ "role": claim }));
        assert_eq!(got.as_deref(), left.as_ref().map(|text| *text), "{claim}");
    }
}

#[test]
fn a_token_of_another_application_is_refused() {
    let web = || hs().applications("azp", ["web", "mobile"]);
    assert!(principal(web(), &json!({ "azp": "mobile" })).is_ok());
    for other in [
        json!({}),
        json!({ "azp": "" }),
        json!({ "azp": "Web" }),
        json!({ "azp": ["web"] }),
    ] {
        let got = principal(web(), &other).map(|_| ());
        assert_eq!(got, Err("token-application"), "{other}");
    }
}

#[test]
fn a_service_account_acts_in_its_own_name_and_within_its_scope() {
    let tenant = TenantId::new();
    let services = |mapping| {
        hs().subject(SubjectMapping::PerIssuer)
            .bound_to(tenant)
            .scope_claim("scope", &registry())
            .services(mapping)
    };
    let claim = || ServiceMapping::Claim {
        name: "gty".into(),
        value: "client-credentials".into(),
    };
    for (mapping, more, is_service) in [
        (ServiceMapping::Always, json!({}), true),
        (
            ServiceMapping::SubjectIsClient,
            json!({ "client_id": USER }),
            true,
        ),
        (
            ServiceMapping::SubjectIsClient,
            json!({ "azp": USER }),
            true,
        ),
        (
            ServiceMapping::SubjectIsClient,
            json!({ "azp": "web" }),
            false,
        ),
        (ServiceMapping::SubjectIsClient, json!({}), false),
        (claim(), json!({ "gty": "client-credentials" }), true),
        (claim(), json!({ "gty": "password" }), false),
        (claim(), json!({ "gty": ["client-credentials"] }), false),
    ] {
        let mut more = more;
        more["scope"] = json!("notes:read");
        let principal = principal(services(mapping.clone()), &more).unwrap();
        let user = UserId::derive(ISSUER, USER);
        match principal.actor {
            Actor::Service(id) => assert!(is_service && id.as_uuid() == user.as_uuid()),
            actor => assert!(
                !is_service && actor == Actor::User(user),
                "{mapping:?} {more}"
            ),
        }
        assert_eq!(
            principal.allowed_tenants,
            AllowedTenants::Bound(tenant.into())
        );
        let scope = registry()
            .names(principal.scope)
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(scope, "notes:read");
    }
}

#[test]
fn the_applications_own_reading_stays_within_its_bounds() {
    let own = TenantId::new();
    let greedy = |_: &Value, mut principal: Principal| {
        principal.expires_at = None;
        principal.not_before = None;
        principal.issuer = "me".into();
        principal.scope = PermissionSet::ALL;
        principal.allowed_tenants = AllowedTenants::Memberships;
        principal.actor = Actor::User(UserId::derive("me", "root"));
        Ok(principal)
    };
    let bound = hs()
        .bound_to(own)
        .scope_claim("scope", &registry())
        .map_principal(greedy);
    let mapped = principal(bound, &json!({ "scope": "notes:read" })).unwrap();
    assert_eq!(&*mapped.issuer, ISSUER);
    assert_eq!(
        mapped.expires_at,
        Some(Timestamp::from_unix_seconds(NOW + 630))
    );
    assert_eq!(mapped.allowed_tenants, AllowedTenants::Bound(own.into()));
    assert_eq!(registry().names(mapped.scope).count(), 1);
    assert_eq!(mapped.actor, Actor::User(UserId::derive("me", "root")));

    // What stands for neither has rights without a membership, and no token revocation takes it back.
    for actor in [
        Actor::System,
        Actor::Anonymous,
        Actor::Key(crate::KeyId::new()),
    ] {
        let posing = hs().map_principal(move |_, mut principal| {
            principal.actor = actor.clone();
            Ok(principal)
        });
        let said = principal(posing, &json!({})).map(|principal| principal.actor);
        assert_eq!(said, Err("token-actor"));
    }

    let strict = hs().map_principal(|_, _| Err(Rejection::new("token-not-today")));
    assert_eq!(
        principal(strict, &json!({})).map(|_| ()),
        Err("token-not-today")
    );
}

#[test]
fn a_configuration_of_claims_that_cannot_work_is_refused() {
    let kind = |tokens: JwtAuthenticatorBuilder| tokens.build().unwrap_err().kind();
    let registry = registry();
    for name in ["", "sub", "aud"] {
        assert_eq!(
            kind(hs().scope_claim(name, &registry)),
            JwtConfigErrorKind::ClaimName
        );
        assert_eq!(
            kind(hs().role_claim(name, &registry)),
            JwtConfigErrorKind::ClaimName
        );
        assert_eq!(
            kind(hs().applications(name, ["web"])),
            JwtConfigErrorKind::ClaimName
        );
    }
    let unlimited = hs().services(ServiceMapping::Always);
    assert_eq!(kind(unlimited), JwtConfigErrorKind::ServiceScope);
}
