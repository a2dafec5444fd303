//! The installation: roles, schema, grants, then the application's migrations. Idempotent.

use std::{borrow::Cow, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    migrate::Migrator, postgres::PgConnectOptions,
};
use zeroize::Zeroizing;

use super::{InstallError, MIGRATIONS, Roles, roles::Passwords};
use crate::{
    bulk::quoted,
    route::{self, Detour, Route},
};

/// How long a connection may take to open.
const PATIENCE: Duration = Duration::from_secs(30);

/// What each role may do; see the file.
pub(super) const GRANTS: &str = include_str!("grants.sql");

/// Installs the schema `tenancy` and runs the application's migrations.
///
/// To be run by the database's administrator before a new version of the service starts: a
/// superuser, or the database's owner with CREATEROLE, or with roles that exist already a member of
/// the owner role. Running it again, also at the same time from several processes, is safe. An
/// older version of the service keeps running meanwhile.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Installer {
    roles: Roles,
    passwords: Passwords,
}

impl Installer {
    /// With the default names and without setting passwords.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses other names for the roles. Roles that exist are used as they are.
    pub fn roles(mut self, roles: Roles) -> Self {
        self.roles = roles;
        self
    }

    /// Sets the passwords of the app and the system login.
    ///
    /// # Security
    /// The installation sends them as parameters of a statement, so that sqlx logs none; a server
    /// that logs parameters writes them to its log. [`merged`](Self::merged) and
    /// [`emit`](Self::emit) have them in their text, which sqlx logs at `debug`, or at `warn` when a
    /// statement takes more than a second. Create the logins beforehand where that matters.
    pub fn passwords(mut self, app: &str, system: &str) -> Self {
        self.passwords = Passwords {
            app: Some(Zeroizing::new(app.to_owned())),
            system: Some(Zeroizing::new(system.to_owned())),
        };
        self
    }

    /// Installs into the database of a URL, then runs the application's migrations as the owner.
    ///
    /// Refuses to run through a pooler, such as PgBouncer: migrations take locks of the session, and
    /// a role for the session.
    ///
    /// # Errors
    /// An [`InstallError`] that says at which step it stopped and what to do.
    pub async fn run(&self, url: &str, application: &Migrator) -> Result<(), InstallError> {
        let options: PgConnectOptions = url
            .parse()
            .map_err(InstallError::database("reading the database URL"))?;
        let options = options.disable_statement_logging();
        Route::refuse_pooler(&options, PATIENCE)
            .await
            .map_err(|detour| match detour {
                Detour::Pooler => InstallError::Pooler,
                Detour::Unreachable(source) => InstallError::database("connecting")(source),
            })?;
        let mut connection = options
            .connect()
            .await
            .map_err(InstallError::database("connecting"))?;
        self.run_on(&mut connection, application).await?;
        connection
            .close()
            .await
            .map_err(InstallError::database("closing the connection"))
    }

    /// Installs through a connection; see [`run`](Self::run).
    ///
    /// Of a connection that is there, only a pooler that renames prepared statements can be told:
    /// PgBouncer with `max_prepared_statements` above 0. Give this none that leads to another.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_on(
        &self,
        connection: &mut PgConnection,
        application: &Migrator,
    ) -> Result<(), InstallError> {
        if route::shows_pooler(connection)
            .await
            .map_err(InstallError::database("connecting"))?
        {
            return Err(InstallError::Pooler);
        }
        self.install(connection).await?;
        let done = application.run_direct(None, connection, false).await;
        let kept = self
            .keep_from_logins(connection, &application.table_name)
            .await;
        reset_role(connection).await?;
        done.map_err(|source| InstallError::Migration {
            whose: "the application's",
            source,
        })?;
        kept
    }

    /// The system login's default privileges are not for the table that says which migrations have
    /// run; an older installation gave them to the service's login too.
    async fn keep_from_logins(
        &self,
        connection: &mut PgConnection,
        table: &str,
    ) -> Result<(), InstallError> {
        // sqlx puts the name into its SQL as it is: it is quoted already where it has to be.
        let revoke = format!(
            "REVOKE ALL ON {table} FROM {}, {}",
            quoted(&self.roles.app),
            quoted(&self.roles.system)
        );
        connection
            .execute(AssertSqlSafe(revoke))
            .await
            .map_err(InstallError::database("revoking"))?;
        Ok(())
    }

    /// Installs the schema `tenancy` alone. The connection then acts as the owner role.
    async fn install(&self, connection: &mut PgConnection) -> Result<(), InstallError> {
        self.roles.check()?;
        self.create_roles(connection).await?;
        let mut ours = Migrator {
            migrations: Cow::Borrowed(&MIGRATIONS.migrations),
            // Another version's migrations are none of ours.
            ignore_missing: true,
            ..Migrator::DEFAULT
        };
        ours.dangerous_set_table_name("tenancy.migrations");
        let migrated = ours.run_direct(None, connection, false).await;
        if let Err(source) = migrated {
            reset_role(connection).await?;
            return Err(InstallError::Migration {
                whose: "this crate's",
                source,
            });
        }
        let finish = format!("BEGIN; {LOCK} {}{GRANTS} COMMIT", self.roles.record_sql());
        connection
            .execute(AssertSqlSafe(finish))
            .await
            .map_err(InstallError::database("granting"))?;
        Ok(())
    }

    /// Makes the roles and the schema, and becomes the owner.
    ///
    /// Roles are the whole server's: installations into several databases at a time may trip over
    /// each other's rows in the catalog, which is told as an internal error and over in a moment.
    async fn create_roles(&self, connection: &mut PgConnection) -> Result<(), InstallError> {
        let step = "creating the roles";
        let sql = format!(
            "{LOCK} {}{} COMMIT",
            self.roles.create_sql(&self.passwords),
            self.roles.schema_sql()
        );
        let mut tries = 10;
        while let Err(error) = self.begin_and_run(connection, sql.clone()).await {
            connection
                .execute("ROLLBACK")
                .await
                .map_err(InstallError::database(step))?;
            tries -= 1;
            let code = error
                .as_database_error()
                .and_then(|said| said.code().map(Cow::into_owned));
            if tries == 0 || !matches!(code.as_deref(), Some("XX000" | "40001" | "40P01" | "23505"))
            {
                return Err(InstallError::Database {
                    step,
                    source: error,
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let become_owner = format!("SET ROLE {}", quoted(&self.roles.owner));
        connection
            .execute(AssertSqlSafe(become_owner))
            .await
            .map_err(InstallError::database("becoming the owner role"))?;
        Ok(())
    }

    /// Begins a transaction that knows the passwords, and runs what ends with its COMMIT.
    async fn begin_and_run(&self, connection: &mut PgConnection, sql: String) -> sqlx::Result<()> {
        connection.execute("BEGIN").await?;
        if let (Some(app), Some(system)) = (&self.passwords.app, &self.passwords.system) {
            let to_settings = AssertSqlSafe(Passwords::to_settings("$1", "$2"));
            let to_settings = sqlx::query(to_settings)
                .persistent(false)
                .bind(app.as_str());
            connection
                .execute(to_settings.bind(system.as_str()))
                .await?;
        }
        connection.execute(AssertSqlSafe(sql)).await?;
        Ok(())
    }

    pub(super) fn names(&self) -> &Roles {
        &self.roles
    }

    pub(super) fn roles_sql(&self) -> String {
        format!(
            "{}{}{}",
            self.passwords.as_text(),
            self.roles.create_sql(&self.passwords),
            self.roles.schema_sql()
        )
    }
}

/// Keeps a second installation into the same database waiting until this one's transaction ends.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7236830212054017381);";

async fn reset_role(connection: &mut PgConnection) -> Result<(), InstallError> {
    connection
        .execute("RESET ROLE")
        .await
        .map_err(InstallError::database("resetting the role"))?;
    Ok(())
}
