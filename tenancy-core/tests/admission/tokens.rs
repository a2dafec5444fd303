//! Tokens of several issuers, of service accounts and with published keys, as the engine sees them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tenancy_core::{
    Actor, Clock as _, Membership, MembershipDirectory as _, PermissionRegistry, RouteNeeds,
    ServiceId, SystemRole, async_trait,
    jwt::{
        Algorithm, FetchError, JwksFetcher, JwtAuthenticator, JwtIssuers, RemoteKeys,
        ServiceMapping, SigningKey, SubjectMapping, TokenMinter, VerificationKey,
    },
    testing::FakeRequest,
};

use crate::support::{ISSUER, World, key};

const JOBS: &str = "https://jobs.example.com";

/// The key pair of RFC 8037 appendix A.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----";
const PUBLISHED: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn permissions() -> PermissionRegistry {
    PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .build()
        .unwrap()
}

fn jobs() -> TokenMinter {
    let key = SigningKey::pem(Algorithm::EdDSA, PRIVATE).unwrap();
    TokenMinter::new(JOBS, "notes", key.with_id("k")).unwrap()
}

/// A key server that can be switched off.
#[derive(Debug, Clone, Default)]
struct KeyServer(Arc<AtomicBool>);

#[async_trait]
impl JwksFetcher for KeyServer {
    async fn fetch(&self, _limit: usize) -> Result<Vec<u8>, FetchError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(FetchError::new("connection refused"));
        }
        Ok(PUBLISHED.into())
    }
}

fn published(server: &KeyServer) -> JwtAuthenticator {
    JwtAuthenticator::builder(JOBS, "notes")
        .remote_keys(RemoteKeys::new(server.clone()))
        .token_type(TokenMinter::TOKEN_TYPE)
        .tenant_claim("tenant")
        .scope_claim("scope", &permissions())
        .services(ServiceMapping::Always)
        .build()
        .unwrap()
}

fn at(host: &str, token: &str) -> FakeRequest {
    FakeRequest::new("/notes")
        .header("host", host)
        .bearer(token)
}

#[tokio::test]
async fn a_service_account_has_its_scope_in_its_tenant_and_nothing_elsewhere() {
    let server = KeyServer::default();
    let world = World::with(|builder| builder.authenticator(published(&server))).await;
    let registry = permissions();
    let scope = registry.scope(["notes:read"]);
    let (service, now) = (ServiceId::new(), world.clock.now());
    let token = jobs()
        .mint(service, world.acme.id, &registry, scope, now)
        .unwrap();

    let here = world
        .admit(&at("acme.notes.example", token.expose()))
        .await
        .unwrap();
    assert_eq!(here.record().id, world.acme.id);
    assert_eq!(here.principal().actor, Actor::Service(service));
    assert!(here.require("notes:read").is_ok());
    assert!(here.require("notes:write").is_err());
    let elsewhere = world
        .refused(&at("globex.notes.example", token.expose()))
        .await;
    assert_eq!(elsewhere, (404, "credential-of-another-tenant"));
}

#[tokio::test]
async fn a_key_server_that_is_down_is_503_and_then_tried_again() {
    let server = KeyServer::default();
    server.0.store(true, Ordering::SeqCst);
    let world = World::with(|builder| builder.authenticator(published(&server))).await;
    let registry = permissions();
    let (service, now) = (ServiceId::new(), world.clock.now());
    let token = jobs()
        .mint(service, world.acme.id, &registry, registry.all(), now)
        .unwrap();
    let request = at("acme.notes.example", token.expose());
    let refused = world.refused(&request).await;
    assert_eq!(refused, (503, "credential-lookup-unavailable"));

    server.0.store(false, Ordering::SeqCst);
    assert_eq!(world.refused(&request).await.0, 503, "within the cool-down");
    world.clock.advance(Duration::from_secs(30));
    assert!(world.admit(&request).await.is_ok());
}

#[tokio::test]
async fn a_tenants_own_issuer_reaches_that_tenant_only() {
    let issuers = JwtIssuers::new();
    let shared = issuers.clone();
    let world = World::with(|builder| builder.authenticator(shared)).await;
    // Before the tenant has set it up, nobody knows the issuer.
    let token = world.token(world.alice, json!({}));
    let unknown = world.refused(&at("acme.notes.example", &token)).await;
    assert_eq!(unknown, (401, "credential-unknown-kind"));

    let own = JwtAuthenticator::builder(ISSUER, "notes")
        .key(key())
        .bound_to(world.acme.id);
    issuers.add(own.build().unwrap()).unwrap();
    assert!(world.admit(&at("acme.notes.example", &token)).await.is_ok());
    // A member of both tenants, whom acme's issuer vouches for at acme alone.
    let directory = world.directory.directory();
    let member = Membership::new(world.globex.id, world.alice, SystemRole::Member.name());
    tenancy_core::testing::StoreDirectly::put_membership(directory, &member)
        .await
        .unwrap();
    assert!(
        directory
            .find_membership(world.globex.id, world.alice)
            .await
            .unwrap()
            .is_some()
    );
    let elsewhere = world.refused(&at("globex.notes.example", &token)).await;
    assert_eq!(elsewhere, (404, "credential-of-another-tenant"));
}

#[tokio::test]
async fn issuers_registered_one_by_one_pass_over_each_others_tokens() {
    let user = || {
        JwtAuthenticator::builder(ISSUER, "notes")
            .key(key())
            .build()
            .unwrap()
    };
    let secret = VerificationKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
    let other = JwtAuthenticator::builder("https://other.example", "notes")
        .key(secret)
        .subject(SubjectMapping::PerIssuer)
        .build()
        .unwrap();
    let world = World::with(|builder| builder.authenticator(other).authenticator(user())).await;
    let request = world.alice_at("acme.notes.example");
    assert!(world.admit_as(&request, RouteNeeds::tenant()).await.is_ok());
}

/// A key server whose answer changes.
#[derive(Debug, Clone, Default)]
struct Rotating(Arc<AtomicBool>);

#[async_trait]
impl JwksFetcher for Rotating {
    async fn fetch(&self, _limit: usize) -> Result<Vec<u8>, FetchError> {
        let withdrawn = self.0.load(Ordering::SeqCst);
        let key = if withdrawn {
            r#""kid":"z""#
        } else {
            r#""kid":"k""#
        };
        Ok(PUBLISHED.replace(r#""kid":"k""#, key).into())
    }
}

#[tokio::test]
async fn a_decision_that_is_remembered_ends_with_the_key_of_its_token() {
    let server = Rotating::default();
    let tokens = JwtAuthenticator::builder(JOBS, "notes")
        .remote_keys(RemoteKeys::new(server.clone()))
        .token_type(TokenMinter::TOKEN_TYPE)
        .tenant_claim("tenant")
        .scope_claim("scope", &permissions())
        .services(ServiceMapping::Always);
    let tokens = tokens.build().unwrap();
    let world = World::with(|builder| builder.authenticator(tokens)).await;
    let registry = permissions();
    let minted = |id: &str| {
        let key = SigningKey::pem(Algorithm::EdDSA, PRIVATE).unwrap();
        let minter = TokenMinter::new(JOBS, "notes", key.with_id(id)).unwrap();
        let (service, now) = (ServiceId::new(), world.clock.now());
        let token = minter.mint(service, world.acme.id, &registry, registry.all(), now);
        at("acme.notes.example", token.unwrap().expose())
    };
    let old = minted("k");
    world.admit(&old).await.unwrap();
    server.0.store(true, Ordering::SeqCst);
    // Past the cool-down, and well within the time for which what was read counts.
    world.clock.advance(Duration::from_secs(31));
    for _ in 0..4 {
        world.admit(&old).await.unwrap();
    }
    world.admit(&minted("z")).await.unwrap();
    assert_eq!(world.refused(&old).await, (401, "token-key-unknown"));
}
