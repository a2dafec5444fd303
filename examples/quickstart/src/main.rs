//! Two tenants in memory behind an axum router. Needs nothing installed: `cargo run -p quickstart`.

use axum::{Router, routing::get};
use tenancy::{
    Admin, Identification, Membership, MemoryDirectory, PermissionRegistry, SystemRole, Tenancy,
    TenantStatus, UserId,
    axum::{Error, TenancyLayer, Tenant},
    danger,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
};

const SECRET: &[u8] = b"replace me by 32 random bytes or more";

async fn hello(tenant: Tenant) -> Result<String, Error> {
    tenant.require("greeting:read")?;
    Ok(format!("Hello from {}\n", tenant.record().name))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokens = JwtAuthenticator::builder("https://login.example.com", "quickstart")
        .key(VerificationKey::hmac(Algorithm::HS256, SECRET)?)
        .build()?;
    let permissions = PermissionRegistry::builder()
        .permission("greeting:read", SystemRole::Viewer)
        .build()?;
    // Where tenants and memberships are kept: here in memory, else in PostgreSQL.
    let tenancy = Tenancy::builder(MemoryDirectory::new())
        .identification(Identification::new().header("x-organization-id"))
        .authenticator(tokens)
        .permissions(permissions)
        .build()?;
    // Each change says on whose authority it is made: here the service's own.
    let admin = tenancy.admin(danger::service("first steps")?);
    let alice = new_tenant(&admin, "acme", "Acme Ltd").await?;
    let bob = new_tenant(&admin, "globex", "Globex Inc").await?;

    let app = Router::new()
        .route("/", get(hello))
        .layer(TenancyLayer::new(&tenancy));

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".into());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let address = listener.local_addr()?;
    println!("Alice's tenant greets her, and is not there for Bob:\n");
    for user in [alice, bob] {
        println!(
            "  curl -i http://{address} -H 'x-organization-id: acme' \\\n    \
             -H 'authorization: Bearer {}'\n",
            token(user)?
        );
    }
    Ok(axum::serve(listener, app).await?)
}

/// Adds a tenant with a new user as its owner.
async fn new_tenant(
    admin: &Admin,
    slug: &str,
    name: &str,
) -> Result<UserId, Box<dyn std::error::Error>> {
    let tenant = tenancy::TenantRecord::new(slug.parse()?, name).with_status(TenantStatus::Active);
    let owner = UserId::new();
    admin.create_tenant(&tenant).await?;
    admin
        .put_membership(&Membership::new(tenant.id, owner, SystemRole::Owner.name()))
        .await?;
    Ok(owner)
}

/// What your identity provider does: signs who the user is. It says nothing about tenants.
fn token(user: UserId) -> Result<String, Box<dyn std::error::Error>> {
    let exp = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs()
        + 3600;
    let claims = serde_json::json!({
        "iss": "https://login.example.com", "aud": "quickstart", "sub": user, "exp": exp,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    Ok(jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &claims,
        &key,
    )?)
}
