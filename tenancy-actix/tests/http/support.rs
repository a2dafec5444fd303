//! An engine over a directory that can wait, with a member of `acme` and `globex`.

// What is logged is collected as in the tests of the other adapter.
#[path = "../../../tenancy-axum/tests/http/support/logs.rs"]
mod logs;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{
    HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    test::TestRequest,
};
pub(crate) use logs::Logs;
use serde_json::json;
use tenancy_core::{
    Identification, Membership, MemoryDirectory, PermissionRegistry, SystemRole, Tenancy,
    TenantRecord, TenantStatus, UserId,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    testing::StoreDirectly as _,
    testing::SwitchedDirectory,
};

const SECRET: &[u8] = b"a secret of 32 bytes, for tests.";
const ISSUER: &str = "https://login.example";

pub(crate) struct World {
    pub(crate) tenancy: Tenancy,
    pub(crate) directory: SwitchedDirectory,
    pub(crate) member: UserId,
}

impl World {
    pub(crate) async fn new() -> Self {
        tenancy_logwatch::issued(SECRET);
        let directory = MemoryDirectory::new();
        let member = UserId::new();
        for slug in ["acme", "globex"] {
            let tenant =
                TenantRecord::new(slug.parse().unwrap(), slug).with_status(TenantStatus::Active);
            directory.create_tenant(&tenant).await.unwrap();
            let membership = Membership::new(tenant.id, member, "member".parse().unwrap());
            directory.put_membership(&membership).await.unwrap();
        }
        let directory = SwitchedDirectory::new(directory);
        let tokens = JwtAuthenticator::builder(ISSUER, "notes")
            .key(VerificationKey::hmac(Algorithm::HS256, SECRET).unwrap());
        let permissions = PermissionRegistry::builder()
            .permission("notes:read", SystemRole::Viewer)
            .permission("notes:manage", SystemRole::Owner);
        let tenancy = Tenancy::builder(directory.clone())
            .identification(Identification::new().header("x-tenant").path_prefix("/t"))
            .authenticator(tokens.build().unwrap())
            .permissions(permissions.build().unwrap())
            .build()
            .unwrap();
        Self {
            tenancy,
            directory,
            member,
        }
    }

    /// A request of the member to a tenant.
    pub(crate) fn request(&self, tenant: &str, uri: &str) -> TestRequest {
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs();
        let claims = json!({ "iss": ISSUER, "aud": "notes", "sub": self.member, "exp": now + 300 });
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
        let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
        tenancy_logwatch::issued(&token);
        TestRequest::with_uri(uri)
            .insert_header(("authorization", format!("Bearer {token}")))
            .insert_header(("x-tenant", tenant))
    }
}

/// A service that answers at once and counts its calls.
#[derive(Clone, Default)]
pub(crate) struct Counting(pub(crate) Arc<AtomicUsize>);

impl Service<ServiceRequest> for Counting {
    type Response = ServiceResponse;
    type Error = actix_web::Error;
    type Future = std::future::Ready<Result<ServiceResponse, actix_web::Error>>;

    actix_web::dev::always_ready!();

    fn call(&self, request: ServiceRequest) -> Self::Future {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(request.into_response(HttpResponse::Ok().finish())))
    }
}

/// The body of a response as text.
pub(crate) async fn text<B: MessageBody>(response: ServiceResponse<B>) -> String {
    let body = actix_web::test::read_body(response).await;
    String::from_utf8(body.to_vec()).unwrap()
}
