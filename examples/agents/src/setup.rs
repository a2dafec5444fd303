//! Preparing the database, and building the engine from the environment.

use std::env;

use tenancy::{
    Tenancy,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    key::Pepper,
    postgres::{PgAuditSink, PgDirectory, danger::SystemPool, schema::Installer},
};

use crate::Result;

/// Installs roles, schema and the service's own tables, as the database's administrator.
pub(crate) async fn install() -> Result<()> {
    let app = env::var("AGENTS_APP_PASSWORD")?;
    let system = env::var("AGENTS_SYSTEM_PASSWORD")?;
    Installer::new()
        .passwords(&app, &system)
        .run(&env::var("ADMIN_DATABASE_URL")?, &agents::MIGRATIONS)
        .await?;
    Ok(())
}

/// The engine over the database, with an audit trail in it.
pub(crate) async fn tenancy() -> Result<Tenancy> {
    let system = SystemPool::connect(&env::var("SYSTEM_DATABASE_URL")?).await?;
    let directory = PgDirectory::connect(&env::var("DATABASE_URL")?)
        .await?
        .with_system(&system);
    let secret = env::var("AGENTS_TOKEN_SECRET")?;
    let people = JwtAuthenticator::builder("https://login.example.com", "agents")
        .key(VerificationKey::hmac(Algorithm::HS256, secret)?)
        .build()?;
    let pepper = Pepper::new(1, env::var("AGENTS_PEPPER")?)?;
    Ok(agents::engine(directory, people, pepper)?
        .audit(PgAuditSink::new(&system))
        .build()?)
}
