//! A small world: three tenants, three users, an engine over a directory that can fail and wait.

mod logs;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::json;
use tenancy_axum::Tenant as TenantExtractor;
use tenancy_core::{
    ApplicationHint, Identification, Membership, MemoryAuditSink, MemoryDirectory,
    PermissionRegistry, SystemRole, Tenancy, TenancyBuilder, TenantRecord, TenantStatus, UserId,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    testing::StoreDirectly as _,
};
use tower::ServiceExt as _;

pub(crate) use logs::Logs;
pub(crate) use tenancy_core::testing::SwitchedDirectory;

const SECRET: &[u8] = b"a secret of 32 bytes, for tests.";
const ISSUER: &str = "https://login.example";

pub(crate) struct World {
    pub(crate) tenancy: Tenancy,
    pub(crate) directory: SwitchedDirectory,
    pub(crate) audit: Arc<MemoryAuditSink>,
    pub(crate) acme: TenantRecord,
    /// A member of `acme`, of `globex` and of `asleep`.
    pub(crate) member: UserId,
    /// A viewer in `acme`, and nothing elsewhere.
    pub(crate) viewer: UserId,
    decisions: Arc<AtomicUsize>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(setup: impl FnOnce(TenancyBuilder) -> TenancyBuilder) -> Self {
        tenancy_logwatch::issued(SECRET);
        let directory = MemoryDirectory::new();
        let [member, viewer] = [UserId::new(), UserId::new()];
        let tenant = |slug: &str, status| {
            TenantRecord::new(slug.parse().unwrap(), slug.to_uppercase()).with_status(status)
        };
        let acme = tenant("acme", TenantStatus::Active);
        let globex = tenant("globex", TenantStatus::Active);
        let asleep = tenant("asleep", TenantStatus::Suspended);
        for (tenant, user, role) in [
            (&acme, member, "member"),
            (&globex, member, "member"),
            (&asleep, member, "member"),
            (&acme, viewer, "viewer"),
        ] {
            let _ = directory.create_tenant(tenant).await;
            let membership = Membership::new(tenant.id, user, role.parse().unwrap());
            directory.put_membership(&membership).await.unwrap();
        }
        let directory = SwitchedDirectory::new(directory);
        let audit = Arc::new(MemoryAuditSink::new(1_000));
        let decisions = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&decisions);
        let identification = Identification::new()
            .header("x-tenant")
            .path_prefix("/t")
            .subdomains_of("example.com")
            .application(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
                ApplicationHint::None
            });
        let key = VerificationKey::hmac(Algorithm::HS256, SECRET).unwrap();
        let permissions = PermissionRegistry::builder()
            .permission("notes:read", SystemRole::Viewer)
            .permission("notes:write", SystemRole::Member)
            .build()
            .unwrap();
        let builder = Tenancy::builder(directory.clone())
            .identification(identification)
            .authenticator(
                JwtAuthenticator::builder(ISSUER, "notes")
                    .key(key)
                    .build()
                    .unwrap(),
            )
            .permissions(permissions)
            .shared_audit(audit.clone());
        let tenancy = setup(builder).build().unwrap();
        Self {
            tenancy,
            directory,
            audit,
            acme,
            member,
            viewer,
            decisions,
        }
    }

    /// How often the engine has been asked to decide.
    pub(crate) fn decisions(&self) -> usize {
        self.decisions.load(Ordering::Relaxed)
    }

    /// Brings everything about the member of `acme` into the caches.
    pub(crate) async fn warm(&self) {
        let app = Router::new()
            .route("/", axum::routing::get(|_: TenantExtractor| async {}))
            .layer(tenancy_axum::TenancyLayer::new(&self.tenancy));
        let request = get("/").tenant("acme").bearer(&token(self.member));
        assert_eq!(request.send(&app).await.status, StatusCode::OK);
    }
}

/// A token of this user that holds for five minutes.
pub(crate) fn token(user: UserId) -> String {
    token_until(user, unix_now() + 300)
}

pub(crate) fn token_until(user: UserId, end: u64) -> String {
    let claims = json!({ "iss": ISSUER, "aud": "notes", "sub": user, "exp": end });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    tenancy_logwatch::issued(&token);
    token
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub(crate) fn get(uri: &str) -> Sending {
    Sending(Request::builder().uri(uri))
}

/// A request under construction.
pub(crate) struct Sending(http::request::Builder);

impl Sending {
    pub(crate) fn method(self, method: Method) -> Self {
        Self(self.0.method(method))
    }

    pub(crate) fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        Self(self.0.header(name, value.as_ref()))
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn tenant(self, tenant: &str) -> Self {
        self.header("x-tenant", tenant)
    }

    pub(crate) fn extension<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        Self(self.0.extension(value))
    }

    pub(crate) fn build<B: Default>(self) -> Request<B> {
        self.0.body(B::default()).unwrap()
    }

    pub(crate) async fn send(self, app: &Router) -> Answer {
        Answer::read(app.clone().oneshot(self.build::<Body>()).await.unwrap()).await
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    async fn read(response: http::Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A handler that says which tenant it serves.
pub(crate) async fn slug(tenant: TenantExtractor) -> String {
    tenant.record().slug.to_string()
}

impl World {
    /// Makes another world's user a member of this one's `acme`.
    pub(crate) async fn directory_knows(&self, user: UserId) {
        let membership = Membership::new(self.acme.id, user, "member".parse().unwrap());
        self.tenancy
            .admin(tenancy_core::testing::service())
            .put_membership(&membership)
            .await
            .unwrap();
    }
}
