//! The registry login: what a service needs that lets tenants manage themselves.

use std::fmt;

use sqlx::postgres::PgConnectOptions;

use crate::{
    SealKey, StartError,
    connections::{Connections, Whose},
    purpose, seal,
};

/// Connections of the registry role: they write the registry for one tenant at a time.
///
/// For [`PgDirectory::with_registry`](crate::PgDirectory::with_registry). A tenant signs itself up;
/// its members, projects, roles, keys, domains and other systems' ids, its name and its settings are
/// its own to change. PostgreSQL refuses the rows of other tenants. It gives a new tenant its status and
/// plan, and can't change them afterwards: make one that signs itself up
/// [active](tenancy_core::TenantRecord::with_status). What concerns several tenants, and the audit trail, are
/// not this login's, and neither is any table of the application.
///
/// ```no_run
/// use tenancy_sqlx::{PgDirectory, RegistryPool};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = RegistryPool::connect("postgres://tenancy_registry@localhost/notes").await?;
/// let directory = PgDirectory::connect("postgres://tenancy_app@localhost/notes")
///     .await?
///     .with_registry(&registry);
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// The login names the tenant of each of its transactions itself, so whoever holds its URL – and the
/// [seal key](crate::SealKey), where sessions are sealed – can change the registry of any tenant, one at a
/// time, can list the tenants of any user, and can change what is [counted](crate::PgCounters) of any tenant. Where the
/// library keeps [accounts](tenancy_core::Accounts), it can set anybody's password. Keep it as secret as the service's own.
#[derive(Clone)]
pub struct RegistryPool {
    pool: Connections,
}

impl RegistryPool {
    /// Connects with the registry login (by default `tenancy_registry`), and checks it.
    ///
    /// # Errors
    /// A [`StartError`] if the database is out of reach, the schema is not installed, or the login is
    /// another, can get past row security, or may write a table of the application.
    pub async fn connect(url: &str) -> Result<Self, StartError> {
        Self::connect_with(url.parse().map_err(StartError::bad_url)?).await
    }

    /// Connects with the registry login; 5 connections at most.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(options: PgConnectOptions) -> Result<Self, StartError> {
        Self::open(options, None).await
    }

    /// The same, in a database whose sessions are [sealed](crate::schema#sealed-sessions).
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and a [`StartError`] if the database does not take the key or is not
    /// sealed.
    pub async fn connect_sealed(
        options: PgConnectOptions,
        key: &SealKey,
    ) -> Result<Self, StartError> {
        Self::open(options, Some(key)).await
    }

    async fn open(options: PgConnectOptions, key: Option<&SealKey>) -> Result<Self, StartError> {
        let pool = purpose::open(Whose::Registry, options, 5).await?;
        purpose::check(&pool, purpose::REGISTRY).await?;
        seal::take_up(&pool, key).await?;
        Ok(Self { pool })
    }

    /// Waits for all connections to come back, and closes them.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) const fn raw(&self) -> &Connections {
        &self.pool
    }
}

impl fmt::Debug for RegistryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryPool")
            .field("size", &self.pool.size())
            .finish_non_exhaustive()
    }
}
