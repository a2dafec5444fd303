//! The directory in PostgreSQL: the conformance suite, what other processes learn of a change and
//! when, what happens while the database is away, and who may look across tenants.

mod audit;
mod danger;
mod feed;
mod notify;
mod revocations;
mod staleness;

use std::time::{SystemTime, UNIX_EPOCH};

use tenancy_core::{
    Admission, Admitted, Refusal, RouteNeeds, Tenancy, TenantContext, UserId, conformance,
    testing::FakeRequest,
};
use tenancy_tests::{
    Server,
    notes::{AUDIENCE, ISSUER, Notes, SECRET},
};

#[tokio::test]
async fn postgres_conforms() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let notes = Notes::start(&server).await?;
        conformance::directory(&notes.directory).await;
        conformance::keys(&notes.directory).await;
        notes.database.close().await?;
    }
    Ok(())
}

/// A token of the issuer that the engine trusts, good for an hour.
fn token(user: UserId) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = serde_json::json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": user.to_string(),
        "iat": now, "nbf": now, "exp": now + 3600,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    Ok(jsonwebtoken::encode(&header, &claims, &key)?)
}

/// Asks the engine about a request of a user who names a tenant by its slug.
async fn admit(tenancy: &Tenancy, user: UserId, slug: &str) -> Result<TenantContext, Refusal> {
    let request = FakeRequest::new("/notes")
        .header("host", format!("{slug}.notes.example"))
        .bearer(&token(user).unwrap_or_default());
    let admitted = match tenancy.admit(&request, RouteNeeds::tenant()) {
        Admission::Ready(decided) => decided?,
        Admission::Pending(pending) => pending.resolve().await?,
    };
    match admitted {
        Admitted::Tenant(context) => Ok(context),
        Admitted::NoTenant(_) => unreachable!("the route needs a tenant"),
    }
}
