//! Operators: who they are, what they may do, and as whom they act.

mod impersonations;
mod rights;

use serde_json::json;
use tenancy_core::{
    ConfigError, EstablishedPrincipal, ImpersonationPolicy, MemoryDirectory, Operator,
    OperatorContext, OperatorRole, OperatorStore as _, Operators, Refusal, Tenancy, TenancyBuilder,
    UserId, conformance,
    jwt::{JwtAuthenticator, JwtIssuers},
    key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, Pepper},
    testing::{FakeRequest, service, unattributed},
};

use crate::support::{ISSUER, World, answer, key, sign};

pub(crate) const STAFF: &str = "https://staff.example.com";

pub(crate) fn staff_tokens() -> JwtAuthenticator {
    let tokens = JwtAuthenticator::builder(STAFF, "console").key(key());
    tokens.build().unwrap()
}

fn user_tokens(issuer: &str) -> JwtAuthenticator {
    let tokens = JwtAuthenticator::builder(issuer, "notes").key(key());
    tokens.build().unwrap()
}

fn policy() -> ImpersonationPolicy {
    ImpersonationPolicy::new(Pepper::new(1, [0x5c; 32]).unwrap())
}

/// A world whose operators are under this policy.
pub(crate) async fn world(policy: ImpersonationPolicy) -> World {
    World::over(|directory, builder| {
        let operators = Operators::new(directory.directory().clone())
            .authenticator(staff_tokens())
            .impersonation(policy);
        let keys = keys(directory.directory().clone(), "acme").unwrap();
        let builder = builder.authenticator(user_tokens(ISSUER)).keys(keys);
        builder.established_principals().operators(operators)
    })
    .await
}

fn keys(directory: MemoryDirectory, brand: &str) -> Result<ApiKeys, ConfigError> {
    let format = KeyFormat::new(brand, Environment::Live)
        .map_err(|error| ConfigError::new(error.to_string()))?;
    let hasher = HmacKeyHasher::new(Pepper::new(1, [0x36; 32])?);
    Ok(ApiKeys::new(format, hasher, directory))
}

/// A new operator of these roles.
pub(crate) async fn operator(w: &World, roles: &[OperatorRole]) -> Operator {
    let one = Operator::new(STAFF, UserId::new(), "Mia", roles.iter().copied());
    w.tenancy.admin(service()).put_operator(&one).await.unwrap();
    one
}

/// A token of the staff's issuer.
pub(crate) fn staff_token(w: &World, subject: UserId) -> String {
    let now = w.clock_now().as_unix_seconds();
    sign(&json!({
        "iss": STAFF, "aud": "console", "sub": subject.to_string(), "exp": now + 3600, "iat": now,
    }))
}

async fn authenticate(
    tenancy: &Tenancy,
    request: &FakeRequest,
) -> Result<OperatorContext, Refusal> {
    tenancy.authenticate_operator(request).resolve().await
}

/// The operator's request.
pub(crate) async fn context_of(w: &World, operator: &Operator) -> OperatorContext {
    let request = FakeRequest::new("/operators").bearer(&staff_token(w, operator.subject));
    authenticate(&w.tenancy, &request).await.unwrap()
}

#[tokio::test]
async fn memory_conforms() {
    conformance::operators(&MemoryDirectory::new()).await;
}

#[tokio::test]
async fn a_credential_of_the_staff_is_an_operators_and_no_other_is() {
    let w = world(policy()).await;
    let mia = operator(&w, &[OperatorRole::Support]).await;
    let context = context_of(&w, &mia).await;
    assert_eq!(context.operator(), &mia);

    let asked = async |request: FakeRequest| answer(authenticate(&w.tenancy, &request).await);
    let operators = || FakeRequest::new("/operators");
    let users = w.token(w.alice, json!({}));
    // Also that of a user whose id is the operator's.
    let namesake = w.token(mia.subject, json!({}));
    for users in [users, namesake] {
        let refused = asked(operators().bearer(&users)).await;
        assert_eq!(refused, (401, "credential-unknown-kind"));
    }
    assert_eq!(asked(operators()).await, (401, "credential-absent"));
    let stranger = operators().bearer(&staff_token(&w, UserId::new()));
    assert_eq!(asked(stranger).await, (401, "operator-unknown"));
    let entry = w.last_audit();
    assert_eq!(&*entry.action, "operator.authenticate");
    let twice = operators()
        .bearer(&staff_token(&w, mia.subject))
        .bearer(&staff_token(&w, mia.subject));
    assert_eq!(asked(twice).await, (401, "credential-repeated"));
    let old = staff_token(&w, mia.subject);
    w.clock.advance(std::time::Duration::from_secs(3_700));
    let (status, _) = asked(operators().bearer(&old)).await;
    assert_eq!(status, 401, "an expired one");
}

#[tokio::test]
async fn the_staffs_credential_is_none_of_a_tenants_user() {
    let w = world(policy()).await;
    let mia = operator(&w, &[OperatorRole::Admin]).await;
    // Even where she is a member.
    let member = tenancy_core::Membership::new(w.acme.id, mia.subject, "owner".parse().unwrap());
    w.tenancy
        .admin(service())
        .put_membership(&member)
        .await
        .unwrap();
    let request = FakeRequest::new("/notes").header("host", "acme.notes.example");
    let staff = request.clone().bearer(&staff_token(&w, mia.subject));
    assert_eq!(w.refused(&staff).await, (401, "credential-unknown-kind"));
    let established = EstablishedPrincipal::user(mia.subject, w.clock_now(), STAFF);
    let by_session = request.clone().established(established);
    assert_eq!(
        w.refused(&by_session).await,
        (401, "credential-of-operators")
    );
    let users_own = EstablishedPrincipal::user(mia.subject, w.clock_now(), "sessions");
    w.admit(&request.established(users_own)).await.unwrap();
}

#[tokio::test]
async fn whoever_is_disabled_is_refused_at_once() {
    let w = world(policy()).await;
    let mut mia = operator(&w, &[OperatorRole::Admin]).await;
    let context = context_of(&w, &mia).await;
    let authority = context
        .authority(
            w.acme.id,
            tenancy_core::OperatorRight::ChangeTenants,
            "a test",
        )
        .unwrap();
    // By another process, which tells this one nothing.
    mia.disabled = true;
    let directory = w.directory.directory();
    directory.put_operator(&mia, &unattributed()).await.unwrap();
    let request = FakeRequest::new("/operators").bearer(&staff_token(&w, mia.subject));
    let refused = answer(authenticate(&w.tenancy, &request).await);
    assert_eq!(refused, (401, "operator-unknown"));
    let late = w.tenancy.admin(authority).suspend(w.acme.id).await;
    assert_eq!(
        late.unwrap_err().to_string(),
        "the operator is let in no more"
    );

    mia.disabled = false;
    directory.put_operator(&mia, &unattributed()).await.unwrap();
    context_of(&w, &mia).await;
    let admin = w.tenancy.admin(service());
    let subject = tenancy_core::TokenSubject::User(mia.subject);
    admin.revoke_tokens(&subject).await.unwrap();
    let refused = answer(authenticate(&w.tenancy, &request).await);
    assert_eq!(
        refused,
        (401, "operator-unknown"),
        "its tokens were taken back"
    );
}

#[test]
fn an_engine_whose_users_and_operators_have_one_issuer_is_not_built() {
    let directory = MemoryDirectory::new();
    let build = |options: &dyn Fn(TenancyBuilder) -> TenancyBuilder, operators: Operators| {
        let builder = Tenancy::builder(directory.clone());
        let built = options(builder).operators(operators).build();
        built.map(|_| ()).map_err(|error| error.to_string())
    };
    let operators = || Operators::new(directory.clone()).authenticator(staff_tokens());
    let plain = |builder: TenancyBuilder| builder.authenticator(user_tokens(ISSUER));
    build(&plain, operators()).unwrap();

    let same = build(&|b| b.authenticator(user_tokens(STAFF)), operators()).unwrap_err();
    assert!(same.contains("an issuer of its own"), "{same}");
    let issuers = JwtIssuers::new();
    issuers.add(user_tokens(STAFF)).unwrap();
    let among = build(&|b| b.authenticator(issuers.clone()), operators()).unwrap_err();
    assert!(among.contains("an issuer of its own"), "{among}");
    let named = Operators::new(directory.clone()).issuer(ISSUER);
    assert!(build(&plain, named).unwrap_err().contains(ISSUER));
    let nobody = build(&plain, Operators::new(directory.clone())).unwrap_err();
    assert!(nobody.contains("Operators::issuer"), "{nobody}");

    let keys = |b: TenancyBuilder| b.keys(keys(directory.clone(), "tnimp").unwrap());
    let brand = build(&keys, operators().impersonation(policy())).unwrap_err();
    assert!(brand.contains("another brand"), "{brand}");
    for (wrong, says) in [
        (policy().break_glass(), "require_consent"),
        (policy().at_once(0), "at_once"),
        (
            policy().default_ttl(std::time::Duration::from_secs(3_601)),
            "60 minutes",
        ),
        (
            policy().not_while_impersonating(["a b"]),
            "not_while_impersonating",
        ),
        // No permission that is declared, such as one that is misspelt.
        (
            policy().not_while_impersonating(["exprts:*"]),
            "`exprts:*` covers no permission",
        ),
    ] {
        let wrong = build(&plain, operators().impersonation(wrong)).unwrap_err();
        assert!(wrong.contains(says), "{wrong}");
    }
}

#[tokio::test]
async fn a_tenant_brings_no_issuer_of_the_staff() {
    let w = world(policy()).await;
    let theirs = tenancy_core::IssuerRecord::new(STAFF, w.acme.id, json!({}));
    let refused = w.tenancy.admin(service()).put_issuer(&theirs).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), tenancy_core::StoreErrorKind::Conflict);
}
