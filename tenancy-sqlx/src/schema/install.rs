//! The installation: roles, schema, grants, then the application's migrations. Idempotent.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    migrate::Migrator, postgres::PgConnectOptions,
};
use zeroize::Zeroizing;

use super::{
    CheckError, CheckMode, DatabaseRoles, FindingLevel, InstallError, application, lock,
    roles::Passwords, script,
};
use crate::{
    bulk::quoted,
    route::{self, Detour, Route},
};

/// How long a connection may take to open.
const PATIENCE: Duration = Duration::from_secs(30);

/// Installs the schema `tenancy` and runs the application's migrations.
///
/// To be run by the database's administrator before a new version of the service starts: a
/// superuser, or the database's owner with CREATEROLE, or with roles that exist already a member of
/// the owner role. Running it again, also at the same time from several processes, is safe. An
/// older version of the service keeps running meanwhile.
///
/// [`run`](Self::run), [`merged`](Self::merged) and [`emit`](Self::emit) do the same, and may take
/// turns on one database. Each first takes from the roles what they have in the schema `tenancy`, and
/// gives them what they need, so that an upgraded database ends up as a new one; where a newer release
/// has installed, an older one leaves privileges alone.
///
/// No statement of the installation waits for a lock longer than 10 seconds, or takes longer than
/// 5 minutes; [`run`](Self::run) tries again three times. The application's migrations have the
/// timeouts that they set themselves.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Installer {
    roles: DatabaseRoles,
    passwords: Passwords,
    owner_may_create: bool,
    strict: bool,
}

impl Installer {
    /// With the default names and without setting passwords.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses other names for the roles. Roles that exist are used as they are.
    pub fn roles(mut self, roles: DatabaseRoles) -> Self {
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
        self.passwords.app = Some(Zeroizing::new(app.to_owned()));
        self.passwords.system = Some(Zeroizing::new(system.to_owned()));
        self
    }

    /// Sets the password of the registry login, for [`RegistryPool`](crate::RegistryPool).
    ///
    /// # Security
    /// As [`passwords`](Self::passwords).
    pub fn registry_password(mut self, password: &str) -> Self {
        self.passwords.registry = Some(Zeroizing::new(password.to_owned()));
        self
    }

    /// Sets the password of the audit login, for
    /// [`PgAuditSink::connect`](crate::PgAuditSink::connect).
    ///
    /// # Security
    /// As [`passwords`](Self::passwords).
    pub fn audit_password(mut self, password: &str) -> Self {
        self.passwords.audit = Some(Zeroizing::new(password.to_owned()));
        self
    }

    /// Lets the owner role make schemas, and those extensions that PostgreSQL trusts, so that the
    /// application's migrations may say `CREATE SCHEMA` and `CREATE EXTENSION`. Default: it may not, and
    /// whatever was granted before stays.
    ///
    /// It grants `CREATE` on the database to the owner role, which takes the database's owner or a superuser.
    /// An extension that is not trusted is always the administrator's to make, before the installation.
    /// [`merged`](Self::merged) and [`emit`](Self::emit) write it into the step of this release: where that
    /// has run already, say `GRANT CREATE ON DATABASE … TO tenancy_owner` instead.
    ///
    /// # Security
    /// A migration can then make schemas, and what an extension brings along. The logins can't.
    pub fn owner_may_create(mut self, may: bool) -> Self {
        self.owner_may_create = may;
        self
    }

    /// Makes whatever [`schema::check`](super::check) finds after the migrations an error, warnings too.
    /// Default: it is logged, and the installation succeeds.
    ///
    /// For CI and for new databases. What has run stays: the error says what to mend in the next migration.
    /// [`merged`](Self::merged) and [`emit`](Self::emit) are text for others to run, and check nothing.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
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
    /// What [`schema::check`](super::check) finds is logged at the end, at `warn`; see
    /// [`strict`](Self::strict).
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
        self.roles.check()?;
        let locked = lock::take(connection).await?;
        let done = self.install_and_migrate(connection, application).await;
        let released = lock::release(connection, locked).await;
        done.and(released)
    }

    async fn install_and_migrate(
        &self,
        connection: &mut PgConnection,
        application: &Migrator,
    ) -> Result<(), InstallError> {
        self.install(connection).await?;
        let become_owner = format!("SET ROLE {}", quoted(&self.roles.owner));
        connection
            .execute(AssertSqlSafe(become_owner))
            .await
            .map_err(InstallError::database("becoming the owner role"))?;
        let mut done = migrate(connection, application).await;
        if done.is_ok() {
            done = self.check(connection).await;
        }
        connection
            .execute("RESET ROLE")
            .await
            .map_err(InstallError::database("resetting the role"))?;
        done
    }

    /// Says what is wrong with the schema, so that whoever installs reads it before whoever starts the
    /// service.
    async fn check(&self, connection: &mut PgConnection) -> Result<(), InstallError> {
        let findings = match super::check(connection, CheckMode::Lenient).await {
            Ok(findings) | Err(CheckError::Found(findings)) => findings,
            Err(error) if self.strict => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "could not check the schema");
                return Ok(());
            }
        };
        for finding in &findings {
            let (code, subject) = (finding.code(), finding.subject());
            if finding.level() == FindingLevel::Error {
                tracing::warn!(
                    code,
                    subject,
                    "a pool of the service will refuse to start: {finding}"
                );
            } else {
                tracing::warn!(code, subject, "{finding}");
            }
        }
        if self.strict && !findings.is_empty() {
            return Err(CheckError::Found(findings).into());
        }
        Ok(())
    }

    /// Installs the schema `tenancy` alone.
    ///
    /// Roles are the whole server's: installations into several databases at a time may trip over
    /// each other's rows in the catalog, which is told as an internal error and over in a moment.
    async fn install(&self, connection: &mut PgConnection) -> Result<(), InstallError> {
        let step = "installing the schema `tenancy`";
        let sql = format!(
            "{}COMMIT",
            self.roles.script(&self.passwords, self.owner_may_create)
        );
        let (mut collisions, mut waits) = (0, 0);
        while let Err(error) = self.begin_and_run(connection, sql.clone()).await {
            connection
                .execute("ROLLBACK")
                .await
                .map_err(InstallError::database(step))?;
            let said = error.as_database_error().and_then(|said| said.code());
            match said.as_deref() {
                Some("XX000" | "40001" | "40P01" | "23505") if collisions < 10 => collisions += 1,
                Some("55P03") if waits < 3 => waits += 1,
                _ => {
                    drop(said);
                    return Err(InstallError::database(step)(error));
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Begins a transaction that knows the passwords, and runs what ends with its COMMIT.
    async fn begin_and_run(&self, connection: &mut PgConnection, sql: String) -> sqlx::Result<()> {
        connection.execute("BEGIN").await?;
        for (kind, password) in self.passwords.given() {
            let to_setting = AssertSqlSafe(Passwords::to_setting(kind, "$1"));
            let to_setting = sqlx::query(to_setting).persistent(false).bind(password);
            connection.execute(to_setting).await?;
        }
        connection.execute(AssertSqlSafe(sql)).await?;
        Ok(())
    }

    pub(super) fn names(&self) -> &DatabaseRoles {
        &self.roles
    }

    /// A login's role, and its password where one is given.
    #[cfg(feature = "testing")]
    pub(crate) fn login<'n>(&'n self, kind: &'n str) -> (&'n str, Option<&'n str>) {
        let password = self.passwords.given().find(|(of, _)| *of == kind);
        (
            self.roles.name(kind),
            password.map(|(_, password)| password),
        )
    }

    /// Makes the roles that are missing, and sets the passwords that are given.
    #[cfg(feature = "testing")]
    pub(crate) async fn set_passwords(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), InstallError> {
        let sql = format!("{}COMMIT", self.roles.create_sql(&self.passwords));
        let done = self.begin_and_run(connection, sql).await;
        done.map_err(InstallError::database(
            "setting the passwords of the logins",
        ))
    }

    /// The installation as text, without passwords.
    #[cfg(feature = "testing")]
    pub(crate) fn text_without_passwords(&self) -> String {
        self.roles
            .script(&Passwords::default(), self.owner_may_create)
    }

    /// The installation as text, with the passwords, for others to run.
    pub(super) fn text(&self) -> String {
        self.passwords.as_text() + &self.roles.script(&self.passwords, self.owner_may_create)
    }
}

/// Runs the application's migrations through a connection that acts as the owner role.
async fn migrate(
    connection: &mut PgConnection,
    application: &Migrator,
) -> Result<(), InstallError> {
    let migrator = application::migrator(connection, application).await?;
    let done = migrator.run_direct(None, connection, false).await;
    done.map_err(|source| InstallError::Migration {
        whose: "the application's",
        source,
    })?;
    let close = format!("BEGIN; {}{} COMMIT", script::TIMEOUTS, script::BOOKKEEPING);
    if let Err(error) = connection.execute(AssertSqlSafe(close)).await {
        let step = "closing the table of migrations to the logins";
        connection
            .execute("ROLLBACK")
            .await
            .map_err(InstallError::database(step))?;
        return Err(InstallError::database(step)(error));
    }
    Ok(())
}
