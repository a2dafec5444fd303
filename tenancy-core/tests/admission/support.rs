//! An engine over memory with two tenants, and tokens for it.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use tenancy_core::{
    Admission, Admitted, AuditEntry, Clock as _, Identification, ManualClock, Membership,
    MemoryAuditSink, MemoryDirectory, PermissionRegistry, Refusal, RequestView, RouteNeeds,
    SystemRole, Tenancy, TenancyBuilder, TenantContext, TenantRecord, TenantStatus, Timestamp,
    UserId,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    testing::StoreDirectly as _,
    testing::{FakeRequest, SwitchedDirectory},
};

pub(crate) const ISSUER: &str = "https://login.example.com";
const SECRET: &[u8] = b"an HS256 secret that only the tests know";

/// Two tenants, `acme` of alice and `globex` of bob, both active.
pub(crate) struct World {
    pub(crate) directory: SwitchedDirectory,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) audit: Arc<MemoryAuditSink>,
    pub(crate) tenancy: Tenancy,
    pub(crate) acme: TenantRecord,
    pub(crate) globex: TenantRecord,
    pub(crate) alice: UserId,
    pub(crate) bob: UserId,
}

pub(crate) fn key() -> VerificationKey {
    VerificationKey::hmac(Algorithm::HS256, SECRET).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        let plain = JwtAuthenticator::builder(ISSUER, "notes")
            .key(key())
            .build()
            .unwrap();
        Self::with(|builder| builder.authenticator(plain)).await
    }

    pub(crate) async fn with(options: impl FnOnce(TenancyBuilder) -> TenancyBuilder) -> Self {
        Self::over(|_, builder| options(builder)).await
    }

    /// With options that need the directory.
    pub(crate) async fn over(
        options: impl FnOnce(SwitchedDirectory, TenancyBuilder) -> TenancyBuilder,
    ) -> Self {
        tenancy_logwatch::issued(SECRET);
        let clock = Arc::new(ManualClock::now_frozen());
        let directory = SwitchedDirectory::new(MemoryDirectory::with_clock(clock.clone()));
        let audit = Arc::new(MemoryAuditSink::new(1_000));
        let rules = Identification::new()
            .header("x-organization-id")
            .subdomains_of("notes.example")
            .custom_domains()
            .central_host("www.notes.example")
            .path_prefix("/t")
            .project_header("x-project-id");
        let permissions = PermissionRegistry::builder()
            .permission("notes:read", SystemRole::Viewer)
            .permission("notes:write", SystemRole::Member)
            .build()
            .unwrap();
        let builder = Tenancy::builder(directory.clone())
            .identification(rules)
            .permissions(permissions)
            .shared_audit(audit.clone())
            .clock(clock.clone());
        let tenancy = options(directory.clone(), builder).build().unwrap();
        let (alice, bob) = (UserId::new(), UserId::new());
        let acme = provision(&directory, "acme", alice).await;
        let globex = provision(&directory, "globex", bob).await;
        Self {
            directory,
            clock,
            audit,
            tenancy,
            acme,
            globex,
            alice,
            bob,
        }
    }

    /// A token of a user, good for an hour, with further claims.
    pub(crate) fn token(&self, user: UserId, more: serde_json::Value) -> String {
        let now = self.clock.now().as_unix_seconds();
        let mut claims = json!({
            "iss": ISSUER, "aud": "notes", "sub": user.to_string(), "exp": now + 3600, "iat": now,
        });
        if let (Some(claims), Some(more)) = (claims.as_object_mut(), more.as_object()) {
            claims.extend(more.clone());
        }
        sign(&claims)
    }

    pub(crate) fn alice_at(&self, host: &str) -> FakeRequest {
        FakeRequest::new("/notes")
            .header("host", host)
            .bearer(&self.token(self.alice, json!({})))
    }

    /// Decides, with I/O where it is needed.
    pub(crate) async fn admit_as(
        &self,
        request: &dyn RequestView,
        needs: RouteNeeds,
    ) -> Result<Admitted, Refusal> {
        match self.tenancy.admit(request, needs) {
            Admission::Ready(answer) => answer,
            Admission::Pending(pending) => pending.resolve().await,
        }
    }

    pub(crate) async fn admit(&self, request: &dyn RequestView) -> Result<TenantContext, Refusal> {
        match self.admit_as(request, RouteNeeds::tenant()).await? {
            Admitted::Tenant(context) => Ok(context),
            Admitted::NoTenant(_) => panic!("a route that needs a tenant got none"),
        }
    }

    /// The status and the audited reason of a refusal.
    pub(crate) async fn refused(&self, request: &dyn RequestView) -> (u16, &'static str) {
        answer(self.admit(request).await)
    }

    pub(crate) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn last_audit(&self) -> AuditEntry {
        self.audit.entries().pop().expect("an audit entry")
    }
}

pub(crate) fn answer<T: std::fmt::Debug>(result: Result<T, Refusal>) -> (u16, &'static str) {
    let refusal = result.expect_err("a refusal");
    (refusal.kind().status(), refusal.reason())
}

pub(crate) fn sign(claims: &serde_json::Value) -> String {
    let token = sign_one_of_many(claims);
    if let Some((_, signature)) = token.rsplit_once('.') {
        tenancy_logwatch::issued(signature);
    }
    token
}

/// The same without having the log searched for it: where there are tens of thousands.
pub(crate) fn sign_one_of_many(claims: &serde_json::Value) -> String {
    let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = part(&json!({ "alg": "HS256", "typ": "JWT" }));
    let message = format!("{header}.{}", part(claims));
    // Without any backend of `jsonwebtoken`, so that these tests run with each of them.
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(message.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{message}.{signature}")
}

async fn provision(directory: &SwitchedDirectory, slug: &str, owner: UserId) -> TenantRecord {
    let tenant = TenantRecord::new(slug.parse().unwrap(), slug).with_status(TenantStatus::Active);
    directory.create_tenant(&tenant).await.unwrap();
    // With another owner besides, so that the one may go.
    for owner in [owner, UserId::new()] {
        let owner = Membership::new(tenant.id, owner, SystemRole::Owner.name());
        directory.put_membership(&owner).await.unwrap();
    }
    tenant
}
