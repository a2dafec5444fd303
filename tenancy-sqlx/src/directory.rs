//! Tenants, memberships, projects and roles in PostgreSQL.

mod accounts;
mod audit;
mod domain_joins;
mod entry;
mod feed;
mod impersonations;
mod invitations;
mod issuers;
mod keys;
mod operators;
mod overrides;
mod ownership;
mod password_resets;
mod plans;
mod read;
mod rows;
mod token_revocations;
mod trail;
mod write;

use std::{fmt, sync::Arc};

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use tenancy_core::{Directory, Stores};

use crate::{
    RegistryPool, SealKey, StartError,
    connections::{Connections, Settings, Whose},
    danger::SystemPool,
    route::{Reset, Route},
    seal, self_check,
};

/// A directory in the schema `tenancy`.
///
/// Reads through the login of the service, under row security: finding a tenant by name yields its
/// id, and everything else is read as that tenant. Writes go through the registry login as the tenant
/// that they concern, and what that login may not do through the system login, where there is one.
///
/// It has connections of its own (4 at most by default), so that admission never waits for
/// handlers that hold all of a [`TenantPool`](crate::TenantPool)'s, and one more for the feed of
/// changes, so that a flood of unknown names does not keep news away.
///
/// # Runtime
/// Make it in the runtime that outlives the server: see [`TenantPool`](crate::TenantPool#runtime).
///
/// ```no_run
/// use tenancy_sqlx::{PgDirectory, RegistryPool, danger::SystemPool};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = PgDirectory::connect("postgres://tenancy_app@localhost/notes").await?;
/// // In a process in which members manage their tenant:
/// let registry = RegistryPool::connect("postgres://tenancy_registry@localhost/notes").await?;
/// let directory = directory.with_registry(&registry);
/// // In a process of operators:
/// let system = SystemPool::connect("postgres://tenancy_system@localhost/notes").await?;
/// let directory = directory.with_system(&system);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PgDirectory {
    app: Connections,
    feed: Connections,
    registry: Option<Connections>,
    system: Option<Connections>,
    /// Whether it finds what a request needs. One over the system login alone does not.
    serves: bool,
}

impl PgDirectory {
    /// Connects with the login of the service, and checks it.
    ///
    /// # Errors
    /// A [`StartError`], as for [`TenantPoolOptions::connect_with`](crate::TenantPoolOptions::connect_with).
    pub async fn connect(url: &str) -> Result<Self, StartError> {
        Self::connect_with(url.parse().map_err(StartError::bad_url)?, 4).await
    }

    /// Connects with the login of the service and at most so many connections.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(
        options: PgConnectOptions,
        max_connections: u32,
    ) -> Result<Self, StartError> {
        Self::open(options, max_connections, None).await
    }

    /// The same, in a database whose sessions are [sealed](crate::schema#sealed-sessions).
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and a [`StartError`] if the database does not take the key or is not
    /// sealed.
    pub async fn connect_sealed(
        options: PgConnectOptions,
        max_connections: u32,
        key: &SealKey,
    ) -> Result<Self, StartError> {
        Self::open(options, max_connections, Some(key)).await
    }

    async fn open(
        options: PgConnectOptions,
        max_connections: u32,
        key: Option<&SealKey>,
    ) -> Result<Self, StartError> {
        let options = options.disable_statement_logging();
        let several = Settings::new(max_connections.max(1));
        let route = Route::find(options, several.patience).await?;
        let app = Connections::open(Whose::Directory, several, &route, Reset::BehindPooler).await?;
        // What there is to warn of, the pool warns of.
        self_check::tenants(&app, None).await?;
        seal::take_up(&app, key).await?;
        let feed = app.beside(Settings::new(1));
        Ok(Self {
            app,
            feed,
            registry: None,
            system: None,
            serves: true,
        })
    }

    /// A directory over the system login alone: for a program that changes and lists what operators do, and serves no
    /// tenant, such as a command. It needs neither the service's login nor the key of sealed sessions.
    ///
    /// It finds tenants, lists and changes. It admits nobody: an engine over it answers each request as if the database
    /// were out of reach, because the system login sees the rows of every tenant.
    ///
    /// ```no_run
    /// use tenancy_core::{StoreError, Tenancy, danger};
    /// use tenancy_sqlx::{PgAuditSink, PgDirectory, danger::SystemPool};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let system = SystemPool::connect("postgres://tenancy_system@localhost/notes").await?;
    /// let tenancy = Tenancy::builder(PgDirectory::of_operators(&system))
    ///     .established_principals() // an engine has to take some credential; here no request comes
    ///     .audit(PgAuditSink::new(&system))
    ///     .build()?;
    /// let admin = tenancy.admin(danger::service("the nightly verification")?);
    /// println!("{}", admin.verify_trail(None, &[]).await?.is_whole());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn of_operators(system: &SystemPool) -> Self {
        let app = system.raw().clone();
        let feed = app.beside(Settings::new(1));
        Self {
            system: Some(app.clone()),
            app,
            feed,
            registry: None,
            serves: false,
        }
    }

    /// Also changes and lists what self-service needs, through the registry login.
    ///
    /// That is, for one tenant at a time: signing up, name, slug and settings, domains and other systems'
    /// ids, members, invitations, projects, roles, keys, and taking back the tenant's tokens; and accounts of the service,
    /// one at a time. The rest is refused
    /// as [`ReadOnly`](tenancy_core::StoreErrorKind::ReadOnly) without
    /// [`with_system`](Self::with_system).
    #[must_use]
    pub fn with_registry(mut self, registry: &RegistryPool) -> Self {
        self.registry = Some(registry.raw().clone());
        self
    }

    /// Also changes and lists, through the system login; where there is a registry login too, only what
    /// that one may not do, such as listing tenants.
    #[must_use]
    pub fn with_system(mut self, system: &SystemPool) -> Self {
        self.system = Some(system.raw().clone());
        self
    }

    /// Waits for all connections to come back, and closes them; not those of the logins that write.
    pub async fn close(&self) {
        self.feed.close().await;
        if self.serves {
            self.app.close().await;
        }
    }
}

impl Directory for PgDirectory {
    /// Everything, where there is a login that writes; else only the audit trail, which is listed with the login of
    /// the service. What the registry login may not do is refused when it is
    /// asked for.
    fn stores(self: Arc<Self>) -> Stores {
        if self.registry.is_none() && self.system.is_none() {
            return Stores::none()
                .audit(Self::clone(&self))
                .advice(write::READS_ONLY);
        }
        let own = || Self::clone(&self);
        Stores::of(&self)
            .audit(own())
            .trail(own())
            .ownership(own())
            .domain_joins(own())
            .invitations(own())
            .issuers(own())
            .plans(own())
            .limit_overrides(own())
            .provisioning(own())
            .accounts(own())
            .password_resets(own())
    }
}

impl fmt::Debug for PgDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgDirectory")
            .field("registry", &self.registry.is_some())
            .field("system", &self.system.is_some())
            .field("serves", &self.serves)
            .field("size", &(self.app.size() + self.feed.size()))
            .field("idle", &(self.app.idle() + self.feed.idle()))
            .finish_non_exhaustive()
    }
}
