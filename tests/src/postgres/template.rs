//! A database that is built once and copied for every test.

use std::{
    collections::HashSet,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{Error, Server, leftovers, server::execute};

/// What a [`Template`]'s build function returns.
pub type BuildFuture = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Says how to build the database that tests get copies of.
///
/// It is built once per server and `cargo test`, whichever test binary asks first. The name is the
/// identity: two suites that use the same name must build the same thing.
///
/// A copy has everything that is *inside* the template. What belongs to the server is shared by
/// all databases (roles), and what is said about a database is not copied
/// (`ALTER DATABASE … SET`, `GRANT … ON DATABASE`).
#[derive(Clone, Copy)]
pub struct Template {
    name: &'static str,
    fingerprint: &'static str,
    build: fn(PgConnectOptions) -> BuildFuture,
}

/// Templates that this process has seen complete, to save asking the server again.
static COMPLETE: Mutex<Option<HashSet<(String, String)>>> = Mutex::new(None);

impl Template {
    /// A template that `build` makes, given the administrator's options for the new database.
    ///
    /// Connections that `build` leaves open are closed for it.
    #[must_use]
    pub const fn new(name: &'static str, build: fn(PgConnectOptions) -> BuildFuture) -> Self {
        Self {
            name,
            fingerprint: "",
            build,
        }
    }

    /// A database with nothing in it.
    #[must_use]
    pub const fn empty() -> Self {
        Self::new("empty", |_| Box::pin(async { Ok(()) }))
    }

    /// Makes `content` (an `include_str!` of the schema, say) part of the identity.
    ///
    /// Worth it only where a cluster outlives a change of the code, as it does when a test binary
    /// is run from an interactive shell.
    #[must_use]
    pub const fn fingerprint(self, content: &'static str) -> Self {
        Self {
            fingerprint: content,
            ..self
        }
    }

    /// The database to copy, built if nobody has done so yet.
    pub(super) async fn ensure(&self, server: &Server) -> Result<String, Error> {
        let database = self.database(server);
        let key = (server.address(), database.clone());
        if seen(|complete| complete.contains(&key)) {
            return Ok(database);
        }

        let mut admin = server.connect().await?;
        // Every process takes this lock in the same database, which is what its scope is.
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(hash(&database).cast_signed())
            .execute(&mut admin)
            .await
            .map_err(Error::sql("cannot lock the template"))?;
        let result = self.ensure_locked(server, &mut admin, &database).await;
        // Closing gives the lock back, whatever happened.
        let _ = admin.close().await;
        result?;
        seen(|complete| complete.insert(key));
        Ok(database)
    }

    async fn ensure_locked(
        &self,
        server: &Server,
        admin: &mut PgConnection,
        database: &str,
    ) -> Result<(), Error> {
        let what = || format!("cannot prepare template `{}`", self.name);
        let complete: Option<bool> =
            sqlx::query_scalar("SELECT datistemplate FROM pg_database WHERE datname = $1")
                .bind(database)
                .fetch_optional(&mut *admin)
                .await
                .map_err(Error::sql(what()))?;
        match complete {
            Some(true) => return Ok(()),
            Some(false) => drop_half_built(admin, database).await?,
            None => {}
        }

        execute(
            admin,
            format!("CREATE DATABASE {database} TEMPLATE template0"),
        )
        .await
        .map_err(Error::sql(what()))?;
        leftovers::label(server, admin, database).await?;
        if let Err(source) = (self.build)(server.admin_options().database(database)).await {
            drop_half_built(admin, database).await?;
            return Err(Error::Template {
                name: self.name,
                source,
            });
        }

        // A template can be copied only while nobody is connected to it, so keep everybody out.
        execute(
            admin,
            format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false IS_TEMPLATE true"),
        )
        .await
        .map_err(Error::sql(what()))?;
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
            .bind(database)
            .execute(admin)
            .await
            .map_err(Error::sql(what()))?;
        Ok(())
    }

    /// Readable start, unique end. The launcher is part of it because a server that outlives the
    /// run must not hand out last week's schema.
    fn database(&self, server: &Server) -> String {
        let readable: String = self
            .name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '_'
                }
            })
            .take(24)
            .collect();
        let identity = hash(&(self.name, self.fingerprint, server.launcher()));
        format!("{}{readable}_{identity:016x}", leftovers::TEMPLATE_PREFIX)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

async fn drop_half_built(admin: &mut PgConnection, database: &str) -> Result<(), Error> {
    execute(admin, format!("DROP DATABASE {database} WITH (FORCE)"))
        .await
        .map_err(Error::sql("cannot drop a half-built template"))
}

fn seen<T>(f: impl FnOnce(&mut HashSet<(String, String)>) -> T) -> T {
    let mut complete = COMPLETE.lock().unwrap_or_else(PoisonError::into_inner);
    f(complete.get_or_insert_default())
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
