//! The engine: whose tokens count, what keys look like, who may what.

use tenancy::{
    ConfigError, Identification, PermissionRegistry, SystemRole, Tenancy, TenancyBuilder,
    jwt::JwtAuthenticator,
    key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, Pepper},
    postgres::PgDirectory,
};

/// People come with tokens, agent apps with keys `agents_live_…`.
///
/// # Errors
/// None that depends on the arguments.
pub fn engine(
    directory: PgDirectory,
    people: JwtAuthenticator,
    pepper: Pepper,
) -> Result<TenancyBuilder, ConfigError> {
    let permissions = PermissionRegistry::builder()
        .permission("runs:read", SystemRole::Viewer)
        .permission("runs:start", SystemRole::Member)
        .permission("keys:manage", SystemRole::Admin)
        .build()
        .map_err(|error| ConfigError::new(error.to_string()))?;
    let format = KeyFormat::new("agents", Environment::Live)?;
    let keys = ApiKeys::new(format, HmacKeyHasher::new(pepper), directory.clone());
    Ok(Tenancy::builder(directory)
        // A person says which tenant they mean; a key is of one.
        .identification(Identification::new().header("x-organization-id"))
        .authenticator(people)
        .keys(keys.header("x-api-key"))
        .permissions(permissions))
}
