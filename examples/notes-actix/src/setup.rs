//! Preparing the database, and building the engine.

use std::{sync::Arc, time::Duration};

use tenancy::{
    Identification, PermissionRegistry, SystemRole, Tenancy,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    postgres::{
        PgAuditSink, PgDirectory, PgUsage, RegistryPool, danger::SystemPool, schema::Installer,
    },
    quota::{Limit, Meter, Quotas},
    redis::{RedisClient, RedisCounters},
    usage::{UsageMeters, UsageRecorder},
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Installs roles, schema and the service's own tables, as the database's administrator.
pub(crate) async fn install() -> Result<()> {
    Installer::new()
        .passwords(
            &std::env::var("NOTES_APP_PASSWORD")?,
            &std::env::var("NOTES_SYSTEM_PASSWORD")?,
        )
        .registry_password(&std::env::var("NOTES_REGISTRY_PASSWORD")?)
        .run(
            &std::env::var("ADMIN_DATABASE_URL")?,
            &sqlx::migrate!("./migrations"),
        )
        .await?;
    Ok(())
}

/// The engine: who the tenants are, how requests name them, whose tokens count, who may what, and
/// how much of it.
pub(crate) async fn tenancy() -> Result<Tenancy> {
    let system = SystemPool::connect(&std::env::var("SYSTEM_DATABASE_URL")?).await?;
    let directory = PgDirectory::connect(&std::env::var("DATABASE_URL")?)
        .await?
        .with_system(&system);
    let secret = std::env::var("NOTES_TOKEN_SECRET")?;
    let tokens = JwtAuthenticator::builder("https://login.example.com", "notes")
        .key(VerificationKey::hmac(Algorithm::HS256, secret)?)
        .build()?;
    let permissions = PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .build()?;
    // Of each tenant: three at once, and one more every 20 minutes.
    let an_hour = Duration::from_secs(3_600);
    let mut quotas = Quotas::new()
        .meter(Meter::consumed("digests"))
        .limit(Limit::rate("digests", 3, an_hour));
    // One process counts in its memory; several count together.
    if let Ok(url) = std::env::var("REDIS_URL") {
        let client = RedisClient::new(&url)?;
        client.check().await?;
        quotas = quotas.counters(RedisCounters::new(&client));
    }
    let tenancy = Tenancy::builder(directory)
        .identification(
            Identification::new()
                .subdomains_of("notes.localhost")
                .header("x-organization-id"),
        )
        .authenticator(tokens)
        .permissions(permissions)
        .quotas(quotas)
        .audit(PgAuditSink::new(&system))
        .build()?;
    Ok(tenancy)
}

/// What each tenant's requests come to, counted in the database.
pub(crate) async fn usage() -> Result<(PgUsage, UsageRecorder)> {
    let registry = RegistryPool::connect(&std::env::var("REGISTRY_DATABASE_URL")?).await?;
    let meters = UsageMeters::new(UsageMeters::http())?;
    let usage = PgUsage::builder(&registry, meters.clone()).build();
    let recorder = UsageRecorder::builder(Arc::new(usage.clone()), meters).build();
    Ok((usage, recorder))
}
