//! The directory in PostgreSQL: the conformance suite, what other processes learn of a change and
//! when, what happens while the database is away, and who may look across tenants.

mod accounts;
mod atomic;
mod audit;
mod away;
mod danger;
mod demoted;
mod entering;
mod feed;
mod held;
mod invitations;
mod jobs;
mod keys;
mod managing;
mod members;
mod notify;
mod of_operators;
mod plans;
mod projects;
mod provisioning;
mod reading_trail;
mod registry;
mod revocations;
mod roles;
mod slugs;
mod staleness;
mod successors;
mod times;
mod token_revocations;
mod unseen;
mod waiting;

use tenancy_core::{
    Admission, Admitted, Clock as _, Refusal, RouteNeeds, SystemClock, Tenancy, TenantContext,
    Timestamp, UserId, conformance, testing::FakeRequest,
};
use tenancy_sqlx::PgAuditSink;
use tenancy_tests::{
    Server, logwatch,
    notes::{AUDIENCE, ISSUER, Notes, PASSWORD, SECRET},
};

#[tokio::test]
async fn postgres_conforms() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let notes = Notes::start(&server).await?;
        conformance::directory(&notes.directory).await;
        conformance::keys(&notes.directory).await;
        conformance::ownership(&notes.directory).await;
        conformance::domain_joins(&notes.directory).await;
        conformance::invitations(&notes.directory).await;
        conformance::invitations_by_keys(&notes.directory).await;
        conformance::invitations_by_operators(&notes.directory).await;
        conformance::issuers(&notes.directory).await;
        conformance::plans(&notes.directory).await;
        conformance::limit_overrides(&notes.directory).await;
        conformance::operators(&notes.directory).await;
        // With the operators' login, and with the one that serves sign-ups.
        for directory in [notes.directory.clone(), registry::directory(&notes).await?] {
            conformance::provisioning(&directory).await;
            conformance::accounts(&directory).await;
        }
        // With the operators' login, and with one that adds to the trail and can't read it.
        let audit = notes.database.options_as("tenancy_audit", Some(PASSWORD));
        for sink in [
            PgAuditSink::new(&notes.system),
            PgAuditSink::connect_with(audit).await?,
        ] {
            conformance::audit(&notes.directory, &sink).await;
        }
        notes.database.close().await?;
    }
    Ok(())
}

/// The model that `tenancy-core` plays over memory, in short.
#[tokio::test]
async fn what_is_remembered_of_postgres_changes_no_answer() -> anyhow::Result<()> {
    let long = std::env::var("TENANCY_LONG").is_ok_and(|value| value == "1");
    let answers = if long { 4_000 } else { 400 };
    for (server, seed) in Server::all().await?.into_iter().zip(101..) {
        let notes = Notes::start(&server).await?;
        conformance::answers(&notes.directory, seed, answers).await;
        notes.database.close().await?;
    }
    Ok(())
}

/// A token of an issuer that the engine trusts, issued then and good for an hour.
fn token_of(issuer: &str, user: UserId, issued: Timestamp) -> anyhow::Result<String> {
    let now = issued.as_unix_seconds();
    let claims = serde_json::json!({
        "iss": issuer, "aud": AUDIENCE, "sub": user.to_string(),
        "iat": now, "nbf": now, "exp": now + 3600,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let token = jsonwebtoken::encode(&header, &claims, &key)?;
    logwatch::issued(&token);
    Ok(token)
}

/// Asks the engine about a request of a user who names a tenant by its slug.
async fn admit(tenancy: &Tenancy, user: UserId, slug: &str) -> Result<TenantContext, Refusal> {
    let token = token_of(ISSUER, user, SystemClock.now()).unwrap_or_default();
    admit_token(tenancy, &token, slug).await
}

/// Asks the engine about a request with a token that names a tenant by its slug.
async fn admit_token(tenancy: &Tenancy, token: &str, slug: &str) -> Result<TenantContext, Refusal> {
    let request = FakeRequest::new("/notes")
        .header("host", format!("{slug}.notes.example"))
        .bearer(token);
    admit_request(tenancy, &request, RouteNeeds::tenant()).await
}

async fn admit_request(
    tenancy: &Tenancy,
    request: &FakeRequest,
    needs: RouteNeeds,
) -> Result<TenantContext, Refusal> {
    let admitted = match tenancy.admit(request, needs) {
        Admission::Ready(decided) => decided?,
        Admission::Pending(pending) => pending.resolve().await?,
    };
    match admitted {
        Admitted::Tenant(context) => Ok(context),
        Admitted::NoTenant(_) => unreachable!("the route needs a tenant"),
    }
}
