//! The check of a pool's login at start: a login that could get past row security is refused.

use std::fmt;

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::{connections::Connections, session};

/// The schema version this crate needs; see `tenancy.schema_version()`.
pub(crate) const SCHEMA_VERSION: i32 = 2;

/// Why a pool can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// The connection URL can't be read.
    BadUrl,
    /// The database did not answer.
    Unreachable,
    /// The schema `tenancy` is not installed, or this login may not use it.
    NotInstalled,
    /// The schema `tenancy` is older than this version of the crate.
    SchemaTooOld,
    /// The login can get past row security.
    LoginBypasses,
    /// The login starts with settings that would name a tenant or switch row security off.
    BadDefaults,
    /// What was asked for can't be done through the pooler in front of the database, or not with its
    /// settings.
    Pooler,
}

/// A pool that can't be used, and what to do about it.
#[derive(Debug)]
pub struct StartError {
    kind: StartErrorKind,
    message: String,
    source: Option<sqlx::Error>,
}

impl StartError {
    fn new(kind: StartErrorKind, message: String) -> Self {
        Self {
            kind,
            message,
            source: None,
        }
    }

    pub(crate) fn bad_url(source: sqlx::Error) -> Self {
        let message = "the database URL can't be read; expected \
            `postgres://login:password@host:port/database`";
        Self {
            source: Some(source),
            ..Self::new(StartErrorKind::BadUrl, message.into())
        }
    }

    pub(crate) fn unreachable(source: sqlx::Error) -> Self {
        let message = format!("the database did not answer: {source}");
        Self {
            source: Some(source),
            ..Self::new(StartErrorKind::Unreachable, message)
        }
    }

    pub(crate) fn pooler(message: &str, source: Option<sqlx::Error>) -> Self {
        let message = match &source {
            Some(source) => format!("{message}: {source}"),
            None => message.to_owned(),
        };
        Self {
            source,
            ..Self::new(StartErrorKind::Pooler, message)
        }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> StartErrorKind {
        self.kind
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// What the server says about the login of a connection. `session_user`, not `current_user`: a
/// privileged login falls back to itself after a stray COMMIT or `set_config('role', 'none', …)`.
const LOGIN: &str = "
    SELECT session_user::text AS login,
        r.rolsuper OR r.rolbypassrls AS bypasses,
        r.rolcreaterole OR r.rolreplication AS privileged,
        ARRAY(
            SELECT o.rolname::text FROM pg_roles AS o
            WHERE (o.rolsuper OR o.rolbypassrls OR o.rolname IN ('pg_execute_server_program',
                    'pg_write_server_files', 'pg_read_server_files'))
                AND o.rolname <> session_user AND pg_has_role(session_user, o.oid, 'MEMBER')
            ORDER BY 1
        ) AS reaches,
        EXISTS (
            SELECT FROM pg_policy AS p
                JOIN pg_class AS c ON c.oid = p.polrelid
                JOIN pg_namespace AS n ON n.oid = c.relnamespace
                JOIN pg_roles AS o ON o.oid = ANY (p.polroles)
            WHERE n.nspname = 'tenancy' AND c.relname = 'tenants' AND p.polname = 'tenancy_system'
                AND pg_has_role(session_user, o.oid, 'MEMBER')
        ) AS system,
        ARRAY(
            SELECT c.oid::regclass::text FROM pg_class AS c
            WHERE c.relkind IN ('r', 'p') AND c.relnamespace NOT IN
                    ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
                AND c.relpersistence <> 't' AND pg_has_role(session_user, c.relowner, 'MEMBER')
            ORDER BY 1 LIMIT 5
        ) AS owned,
        COALESCE(current_setting('tenancy.tenant_id', true), '') AS tenant,
        current_setting('row_security') AS row_security,
        EXISTS (
            SELECT FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
            WHERE n.nspname = 'tenancy' AND p.proname = 'schema_version'
                AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')
        ) AS installed
    FROM pg_roles AS r WHERE r.rolname = session_user";

/// A login as the server sees it.
#[derive(Debug)]
pub(crate) struct Login {
    name: String,
    bypasses: bool,
    privileged: bool,
    reaches: Vec<String>,
    system: bool,
    owned: Vec<String>,
}

/// Looks at the login of a pool, and at the schema it finds.
///
/// In a transaction, behind which a pooler can't swap the session.
pub(crate) async fn login(pool: &Connections) -> Result<Login, StartError> {
    let mut reading = session::begin_batch(pool, "BEGIN READ ONLY".into())
        .await
        .map_err(|error| StartError::unreachable(error.into()))?;
    let row = sqlx::query(AssertSqlSafe(LOGIN))
        .fetch_one(&mut *reading)
        .await
        .map_err(StartError::unreachable)?;
    let read = || -> Result<_, sqlx::Error> {
        let login = Login {
            name: row.try_get("login")?,
            bypasses: row.try_get("bypasses")?,
            privileged: row.try_get("privileged")?,
            reaches: row.try_get("reaches")?,
            system: row.try_get("system")?,
            owned: row.try_get("owned")?,
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
    check_version(&mut reading).await?;
    Ok(login)
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
    /// Refuses a login that could get past row security.
    pub(crate) fn refuse_bypass(&self) -> Result<(), StartError> {
        let name = &self.name;
        let fault = if self.bypasses {
            format!("`{name}` is a superuser or has BYPASSRLS")
        } else if self.privileged {
            format!("`{name}` may create roles or replicate")
        } else if !self.reaches.is_empty() {
            format!("`{name}` is a member of {}", self.reaches.join(", "))
        } else if self.system {
            format!("`{name}` is the system login or a member of it")
        } else if !self.owned.is_empty() {
            format!(
                "`{name}` owns tables, or is a member of their owner: {}",
                self.owned.join(", ")
            )
        } else {
            return Ok(());
        };
        Err(StartError::new(
            StartErrorKind::LoginBypasses,
            format!(
                "{fault}, and so gets past row security; connect as the app role that \
                 `tenancy_sqlx::schema::Installer` made (by default `tenancy_app`). For development \
                 with one login see `tenancy_sqlx::danger::assume_app_role`"
            ),
        ))
    }
}
