//! The check of a pool at start: a login, or a database, that leads past row security is refused.

mod error;
mod system;
mod verdict;
mod watch;

use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};

pub use error::{StartError, StartErrorKind};
pub(crate) use system::system_login;
pub(crate) use verdict::warn;
pub(crate) use watch::Watch;

use crate::{
    bulk::quoted,
    connections::Connections,
    options::Timeouts,
    schema::{self, Finding},
    session::{self, Open},
    statement_log::StatementLog,
};

/// The schema version this crate needs; see `tenancy.schema_version()`.
pub(crate) const SCHEMA_VERSION: i32 = 21;

/// What the server says before it can be asked for findings. `session_user`, not `current_user`: a
/// privileged login falls back to itself after a stray COMMIT or `set_config('role', 'none', …)`.
const LOGIN: &str = "
    WITH policies AS (
        SELECT p.polname, o.oid, o.rolname
        FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_roles AS o ON o.oid = ANY (p.polroles)
        WHERE n.nspname = 'tenancy' AND c.relname = 'tenants'
    )
    SELECT session_user::text AS login,
        (SELECT p.rolname::text FROM policies AS p WHERE p.polname = 'tenancy_allow'
            AND pg_has_role(session_user, p.oid, 'MEMBER')
            AND NOT pg_has_role(session_user, p.oid, 'USAGE')) AS becomes,
        COALESCE(current_setting('tenancy.tenant_id', true), '') AS tenant,
        current_setting('row_security') AS row_security,
        current_setting('role') AS role,
        EXISTS (
            SELECT FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
            WHERE n.nspname = 'tenancy' AND p.proname = 'schema_version'
                AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')
        ) AS installed";

/// The login of a pool as the server names it, in a database that has the schema.
#[derive(Debug)]
pub(crate) struct Login {
    name: String,
    /// The app role, where the login has to become it in order to ask.
    becomes: Option<String>,
    role: String,
}

/// Looks at the login of a pool, and at the schema it finds.
pub(crate) async fn login(pool: &Connections) -> Result<Login, StartError> {
    let mut checking = begin(pool).await?;
    let row = sqlx::query(AssertSqlSafe(LOGIN))
        .fetch_one(&mut *checking)
        .await
        .map_err(StartError::unreachable)?;
    let read = || -> Result<_, sqlx::Error> {
        let login = Login {
            name: row.try_get("login")?,
            becomes: row.try_get("becomes")?,
            role: row.try_get("role")?,
        };
        let tenant: String = row.try_get("tenant")?;
        let row_security: String = row.try_get("row_security")?;
        Ok((
            login,
            tenant,
            row_security,
            row.try_get::<bool, _>("installed")?,
        ))
    };
    let (login, tenant, row_security, installed) = read().map_err(StartError::unreachable)?;
    if !installed {
        return Err(StartError::new(
            StartErrorKind::NotInstalled,
            format!(
                "the schema `tenancy` is not installed in this database, or `{}` may not use it; \
                 run `tenancy_sqlx::schema::Installer` as the database's administrator first",
                login.name
            ),
        ));
    }
    if !tenant.is_empty() || row_security != "on" {
        return Err(StartError::new(
            StartErrorKind::BadDefaults,
            format!(
                "sessions of `{0}` start with tenancy.tenant_id = '{tenant}' and row_security = \
                 {row_security}; undo it with ALTER ROLE {0} RESET ALL, also IN DATABASE",
                login.name
            ),
        ));
    }
    check_version(&mut checking).await?;
    checking.give_back();
    Ok(login)
}

/// Begins a transaction that looks at the session as it is.
pub(crate) async fn begin(pool: &Connections) -> Result<Open, StartError> {
    session::begin(pool, session::limited_batch(&Timeouts::LOOK_UP))
        .await
        .map_err(|error| StartError::unreachable(error.into()))
}

async fn check_version(connection: &mut PgConnection) -> Result<(), StartError> {
    let version: i32 = sqlx::query_scalar("SELECT tenancy.schema_version()")
        .fetch_one(connection)
        .await
        .map_err(StartError::unreachable)?;
    // A newer schema serves older programs: that is how an upgrade rolls out.
    if version < SCHEMA_VERSION {
        return Err(StartError::new(
            StartErrorKind::SchemaTooOld,
            format!(
                "the schema `tenancy` is at version {version} and this program needs \
                 {SCHEMA_VERSION}; run `tenancy_sqlx::schema::Installer` of this version first"
            ),
        ));
    }
    Ok(())
}

impl Login {
    /// Refuses sessions that begin as another role: it comes off again.
    pub(crate) fn refuse_role(&self) -> Result<(), StartError> {
        if self.role == "none" {
            return Ok(());
        }
        Err(StartError::new(
            StartErrorKind::BadDefaults,
            format!(
                "sessions of `{0}` start with role = {1}; undo it with ALTER ROLE {0} RESET ALL, also \
                 IN DATABASE, or take it out of the connection's options, and log in as the role itself",
                self.name, self.role
            ),
        ))
    }
}

/// Checks a pool that serves tenants, and says what to check again and what there is to warn of.
///
/// With an assumed role, the login is nobody's concern; the database still is, for that role.
pub(crate) async fn tenants(
    pool: &Connections,
    assumed: Option<&str>,
) -> Result<(Watch, Vec<Finding>), StartError> {
    let login = login(pool).await?;
    let watch = match assumed {
        Some(role) => Watch::of_assumed(role),
        None => {
            login.refuse_role()?;
            Watch::of(&login.name)
        }
    };
    let mut asking = begin(pool).await?;
    let findings = match &login.becomes {
        Some(app) if assumed.is_none() => as_role(&mut asking, app, &login.name).await,
        _ => watch.read(&mut asking).await,
    };
    let findings = findings.map_err(StartError::unreachable)?;
    asking.give_back();
    verdict::refuse(watch.login(), &findings)?;
    Ok((watch, findings))
}

/// Tells a log which tables are protected.
pub(crate) async fn learn(pool: &Connections, log: &StatementLog) -> Result<(), StartError> {
    let mut asking = begin(pool).await?;
    let learnt = log.learn(&mut asking).await;
    learnt.map_err(StartError::unreachable)?;
    asking.give_back();
    Ok(())
}

/// A login that does not inherit from the app role may ask as that role, which it can become.
async fn as_role(
    connection: &mut PgConnection,
    app: &str,
    login: &str,
) -> Result<Vec<Finding>, sqlx::Error> {
    let become_app = format!("SET LOCAL ROLE {}", quoted(app));
    connection.execute(AssertSqlSafe(become_app)).await?;
    schema::read_findings(connection, login, true).await
}
