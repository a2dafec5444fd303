//! The database that is installed once, and that each test gets a copy of.

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    migrate::Migrator, postgres::PgConnectOptions,
};
use tenancy_core::{Clock as _, SystemClock};

use super::TestDatabase;
use crate::{
    bulk::quoted,
    schema::{InstallError, Installer, MIGRATIONS},
};

/// What names of test databases begin with, and those of what they are copied from.
const TEST: &str = "tenancy_testdb_";
const TEMPLATE: &str = "tenancy_testbase_";

/// What a run that was killed has left is removed after a day, and a template after a week.
const TEST_SECONDS: i64 = 24 * 60 * 60;
const TEMPLATE_SECONDS: i64 = 7 * TEST_SECONDS;

/// A number of our own, for `pg_advisory_lock`.
const LOCK: i64 = 7_236_830_212_054_017_390;

/// Makes a database for each test: a copy of a template into which the schema `tenancy` and the application's
/// migrations were installed once.
///
/// To copy a template runs no migration. The template stays on the server for the next run, and is made anew when a migration, the names of the roles or the version of this
/// library change. Several processes may do this at a time, as `cargo nextest` does.
///
/// ```no_run
/// use sqlx::migrate::Migrator;
/// use tenancy_core::{Tenancy, testing::TestTenant};
/// use tenancy_sqlx::{PgDirectory, RegistryPool, TenantPoolOptions, schema::Installer, testing::TestDatabases};
///
/// static MIGRATIONS: Migrator = sqlx::migrate!("../examples/notes-axum/migrations");
///
/// # async fn a_tenant_sees_its_own_notes(builder: impl Fn(PgDirectory) -> Tenancy) -> Result<(), Box<dyn std::error::Error>> {
/// // The login of an administrator: postgres://postgres@localhost/postgres
/// let server = std::env::var("ADMIN_DATABASE_URL")?;
/// let installer = Installer::new().passwords("app", "system").registry_password("registry");
/// let database = TestDatabases::prepare(&server, &installer, &MIGRATIONS).await?.create().await?;
///
/// let registry = RegistryPool::connect_with(database.registry()).await?;
/// let directory = PgDirectory::connect_with(database.app(), 1).await?.with_registry(&registry);
/// let tenancy: Tenancy = builder(directory);
/// let acme = TestTenant::create(&tenancy, "acme").await?;
/// let pool = TenantPoolOptions::new().connect_with(database.app(), &tenancy).await?;
/// # drop((acme, pool));
/// # Ok(())
/// # }
/// ```
///
/// # Roles
/// Roles belong to the server and not to a database: [`prepare`](Self::prepare) sets their passwords for all databases of
/// the server. Give it the passwords that the other installations on the server have, such as that of the service that
/// you develop, or [names of their own](crate::schema::DatabaseRoles).
#[derive(Clone)]
pub struct TestDatabases {
    server: PgConnectOptions,
    template: String,
    installer: Installer,
}

impl TestDatabases {
    /// Installs the template, unless this server has it.
    ///
    /// `server` is the URL of an administrator: a superuser, or a login with CREATEDB and CREATEROLE. Nothing is
    /// written into the database that it names. Removes what runs before this one have left on the server.
    ///
    /// # Errors
    /// An [`InstallError`] that says at which step it stopped and what to do.
    pub async fn prepare(
        server: &str,
        installer: &Installer,
        application: &Migrator,
    ) -> Result<Self, InstallError> {
        let server: PgConnectOptions = server
            .parse()
            .map_err(InstallError::database("reading the server's URL"))?;
        let server = server.disable_statement_logging();
        let mut admin = common_place(&server).await?;
        let locked = sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK);
        locked
            .execute(&mut admin)
            .await
            .map_err(InstallError::database("waiting for other tests to install"))?;
        let template = ready(&mut admin, &server, installer, application).await;
        // Closing gives the lock back, whatever happened.
        let _ = admin.close().await;
        Ok(Self {
            server,
            template: template?,
            installer: installer.clone(),
        })
    }

    /// A new database with everything that the template has, and no tenant.
    ///
    /// # Errors
    /// An [`InstallError`] if the server does not copy it.
    pub async fn create(&self) -> Result<TestDatabase, InstallError> {
        let name = format!("{TEST}{}_{:012x}", now(), rand_part());
        let copy = format!(
            "CREATE DATABASE {} TEMPLATE {}",
            quoted(&name),
            quoted(&self.template)
        );
        let mut admin = connect(&self.server).await?;
        admin
            .execute(AssertSqlSafe(copy))
            .await
            .map_err(InstallError::database("copying the template"))?;
        let _ = admin.close().await;
        Ok(TestDatabase::new(
            self.server.clone(),
            name,
            self.installer.clone(),
        ))
    }
}

impl fmt::Debug for TestDatabases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDatabases")
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, InstallError> {
    let connection = options.connect().await;
    connection.map_err(InstallError::database("connecting"))
}

/// A connection to the database that each server has, because a lock is one database's; else to the one that the
/// URL names.
async fn common_place(server: &PgConnectOptions) -> Result<PgConnection, InstallError> {
    match server.clone().database("postgres").connect().await {
        Ok(connection) => Ok(connection),
        Err(_) => connect(server).await,
    }
}

fn now() -> i64 {
    SystemClock.now().as_unix_seconds()
}

/// Tells apart the databases of one second.
fn rand_part() -> u64 {
    let (_, random) = uuid::Uuid::now_v7().as_u64_pair();
    random & 0xffff_ffff_ffff
}

/// The template's name, once it is complete. The caller holds the lock.
async fn ready(
    admin: &mut PgConnection,
    server: &PgConnectOptions,
    installer: &Installer,
    application: &Migrator,
) -> Result<String, InstallError> {
    remove_old(admin).await?;
    let family = format!("{TEMPLATE}{}_", identity(installer, application));
    let step = "looking for the template";
    let found: Vec<(String, bool)> = sqlx::query_as(
        "SELECT datname::text, datistemplate FROM pg_database WHERE starts_with(datname, $1)",
    )
    .bind(&family)
    .fetch_all(&mut *admin)
    .await
    .map_err(InstallError::database(step))?;
    for (name, complete) in found {
        if complete {
            // Roles are the server's: another installation may have set other passwords since.
            installer.set_passwords(admin).await?;
            return Ok(name);
        }
        // Whoever built it was killed.
        remove(admin, &name).await?;
    }

    let name = format!("{family}{}", now());
    let step = "making the template";
    let make = format!("CREATE DATABASE {} TEMPLATE template0", quoted(&name));
    admin
        .execute(AssertSqlSafe(make))
        .await
        .map_err(InstallError::database(step))?;
    if let Err(error) = install(&server.clone().database(&name), installer, application).await {
        remove(admin, &name).await?;
        return Err(error);
    }
    // It can be copied only while nobody is connected to it.
    let finish = format!(
        "ALTER DATABASE {} ALLOW_CONNECTIONS false IS_TEMPLATE true",
        quoted(&name)
    );
    admin
        .execute(AssertSqlSafe(finish))
        .await
        .map_err(InstallError::database(step))?;
    let leave = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    let left = sqlx::query(leave).bind(&name).execute(admin).await;
    left.map_err(InstallError::database(step))?;
    Ok(name)
}

async fn install(
    options: &PgConnectOptions,
    installer: &Installer,
    application: &Migrator,
) -> Result<(), InstallError> {
    let mut connection = connect(options).await?;
    let installed = installer.run_on(&mut connection, application).await;
    let _ = connection.close().await;
    installed
}

/// Which template it is: all that goes into it, by name and content.
fn identity(installer: &Installer, application: &Migrator) -> String {
    let mut digest = Sha256::new();
    digest.update(installer.text_without_passwords());
    for migration in MIGRATIONS.iter().chain(application.iter()) {
        digest.update(migration.version.to_be_bytes());
        digest.update(&migration.checksum);
    }
    let mut name = String::new();
    for byte in digest.finalize().iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Removes databases whose name says that they are of a run that ended long ago.
async fn remove_old(admin: &mut PgConnection) -> Result<(), InstallError> {
    let step = "looking for databases that tests have left";
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1) OR starts_with(datname, $2)",
    )
    .bind(TEST)
    .bind(TEMPLATE)
    .fetch_all(&mut *admin)
    .await
    .map_err(InstallError::database(step))?;
    for name in names {
        if made_at(&name).is_some_and(|(made, keep)| made + keep < now()) {
            remove(admin, &name).await?;
        }
    }
    Ok(())
}

/// When a database of ours was made, and how long one of its kind is kept, in seconds.
fn made_at(name: &str) -> Option<(i64, i64)> {
    if let Some(rest) = name.strip_prefix(TEST) {
        let (made, _) = rest.split_once('_')?;
        return Some((made.parse().ok()?, TEST_SECONDS));
    }
    let (_, made) = name.strip_prefix(TEMPLATE)?.split_once('_')?;
    Some((made.parse().ok()?, TEMPLATE_SECONDS))
}

pub(super) async fn remove(admin: &mut PgConnection, name: &str) -> Result<(), InstallError> {
    let step = "removing a test's database";
    let no_template = format!(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_database WHERE datname = {name_text} AND datistemplate) \
         THEN ALTER DATABASE {name} IS_TEMPLATE false; END IF; END $$",
        name_text = crate::schema::literal(name),
        name = quoted(name),
    );
    let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
    for statement in [no_template, drop] {
        admin
            .execute(AssertSqlSafe(statement))
            .await
            .map_err(InstallError::database(step))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_when_its_database_was_made_and_other_names_tell_nothing() {
        assert_eq!(
            made_at("tenancy_testdb_1790000000_00ff00ff00ff"),
            Some((1_790_000_000, TEST_SECONDS))
        );
        assert_eq!(
            made_at("tenancy_testbase_0123456789abcdef_1790000000"),
            Some((1_790_000_000, TEMPLATE_SECONDS))
        );
        for other in [
            "tenancy_testdb_",
            "tenancy_testdb_notes",
            "tenancy_testbase_7",
            "tenancy_testbase_a_b",
            "notes",
        ] {
            assert_eq!(made_at(other), None, "{other}");
        }
    }

    #[test]
    fn a_template_is_another_one_with_other_roles_and_the_same_with_another_password() {
        let none = Migrator::with_migrations(Vec::new());
        let plain = identity(&Installer::new(), &none);
        assert_eq!(
            identity(&Installer::new().passwords("a", "b"), &none),
            plain
        );
        let app = "notes_app".into();
        let roles = crate::schema::DatabaseRoles {
            app,
            ..Default::default()
        };
        assert_ne!(identity(&Installer::new().roles(roles), &none), plain);
        assert_ne!(
            identity(&Installer::new(), &crate::schema::MIGRATIONS),
            plain
        );
    }
}
