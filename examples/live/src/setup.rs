//! Preparing the database, and building the engine.

use std::env;

use tenancy::{
    Identification, PermissionRegistry, SystemRole, Tenancy,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    postgres::{PgAuditSink, PgDirectory, danger::SystemPool, schema::Installer},
};

use crate::Result;

/// Installs roles, schema and the service's own tables, as the database's administrator.
pub(crate) async fn install() -> Result<()> {
    let (app, system) = (
        env::var("LIVE_APP_PASSWORD")?,
        env::var("LIVE_SYSTEM_PASSWORD")?,
    );
    Installer::new()
        .passwords(&app, &system)
        .run(&env::var("ADMIN_DATABASE_URL")?, &live::MIGRATIONS)
        .await?;
    Ok(())
}

/// The engine: who the tenants are, how requests name them, whose tokens count, who may what.
pub(crate) async fn tenancy() -> Result<Tenancy> {
    let system = SystemPool::connect(&env::var("SYSTEM_DATABASE_URL")?).await?;
    let directory = PgDirectory::connect(&env::var("DATABASE_URL")?)
        .await?
        .with_system(&system);
    let secret = env::var("LIVE_TOKEN_SECRET")?;
    let tokens = JwtAuthenticator::builder("https://login.example.com", "notes")
        .key(VerificationKey::hmac(Algorithm::HS256, secret)?)
        .build()?;
    let permissions = PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member)
        .build()?;
    let identification = Identification::new()
        .subdomains_of("notes.localhost")
        .header("x-organization-id");
    Ok(Tenancy::builder(directory)
        .identification(identification)
        .authenticator(tokens)
        .permissions(permissions)
        .audit(PgAuditSink::new(&system))
        .build()?)
}
