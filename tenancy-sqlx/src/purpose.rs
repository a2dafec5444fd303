//! Logins that are made for one purpose: how they connect, and the check that each is that login, and no
//! more than that.

use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, postgres::PgConnectOptions};

use crate::{
    StartError, StartErrorKind,
    connections::{Connections, Settings, Whose},
    route::{Reset, Route},
    self_check,
};

/// A login with one purpose.
#[derive(Clone, Copy)]
pub(crate) struct Purpose {
    name: &'static str,
    /// Whether the session's login is meant for it.
    is_login: &'static str,
    /// Whether a relation `c` in a schema `n` of ours is none of its business.
    beyond_of_ours: &'static str,
}

/// What the login, or a role that it is a member of, was granted on relations of the application.
/// What PUBLIC has, everybody has.
const GRANTED: &str = "EXISTS (
    SELECT FROM (
        SELECT c.relacl AS acl
        UNION ALL
        SELECT a.attacl FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL
    ) AS g, aclexplode(g.acl) AS x
    WHERE x.grantee <> 0 AND pg_has_role(session_user, x.grantee, 'MEMBER'))";

/// Writes the registry. Whose policies its tables have for that, is told by PostgreSQL's catalog.
pub(crate) const REGISTRY: Purpose = Purpose {
    name: "registry",
    is_login: "EXISTS (SELECT FROM pg_policy AS p JOIN pg_roles AS o ON o.oid = ANY (p.polroles)
        WHERE p.polrelid = to_regclass('tenancy.tenants') AND p.polname = 'tenancy_registry'
            AND pg_has_role(session_user, o.oid, 'MEMBER'))",
    beyond_of_ours: "false",
};

/// Adds to the audit trail.
pub(crate) const AUDIT: Purpose = Purpose {
    name: "audit",
    is_login: "EXISTS (SELECT FROM pg_proc AS p WHERE p.proname = 'append_audit'
        AND p.pronamespace = to_regnamespace('tenancy')
        AND has_function_privilege(session_user, p.oid, 'EXECUTE'))",
    beyond_of_ours: "true",
};

/// Opens a pool of `most` connections, whose sessions are reset before each is lent. Whose login it is,
/// the caller checks.
pub(crate) async fn open(
    whose: Whose,
    options: PgConnectOptions,
    most: u32,
) -> Result<Connections, StartError> {
    let settings = Settings::new(most);
    let route = Route::find(options.disable_statement_logging(), settings.patience).await?;
    Connections::open(whose, settings, &route, Reset::Always).await
}

/// Refuses a login that is not the one for this purpose, or can do more.
pub(crate) async fn check(pool: &Connections, purpose: Purpose) -> Result<(), StartError> {
    self_check::login(pool).await?;
    let Purpose {
        is_login,
        beyond_of_ours,
        ..
    } = purpose;
    let select = format!(
        "SELECT session_user::text AS login, {is_login} AS is_login,
             EXISTS (SELECT FROM pg_roles AS r
                 WHERE (r.rolsuper OR r.rolbypassrls OR r.rolname LIKE 'pg\\_%' AND r.oid < 16384
                     AND r.rolname NOT IN ('pg_checkpoint', 'pg_use_reserved_connections'))
                 AND pg_has_role(session_user, r.oid, 'MEMBER')) AS bypasses,
             ARRAY(
                 SELECT c.oid::regclass::text
                 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
                     AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
                     AND (n.nspname <> 'tenancy' OR {beyond_of_ours}) AND {GRANTED}
                 UNION
                 SELECT 'the schema ' || quote_ident(n.nspname) FROM pg_namespace AS n
                 WHERE n.nspname NOT LIKE 'pg\\_%' AND has_schema_privilege(session_user, n.oid, 'CREATE')
                 ORDER BY 1 LIMIT 5
             ) AS beyond"
    );
    let mut checking = self_check::begin(pool).await?;
    let row = sqlx::query(AssertSqlSafe(select))
        .fetch_one(&mut *checking)
        .await
        .map_err(StartError::unreachable)?;
    let read = || -> Result<_, sqlx::Error> {
        Ok((
            row.try_get::<String, _>("login")?,
            row.try_get::<bool, _>("is_login")?,
            row.try_get::<bool, _>("bypasses")?,
            row.try_get::<Vec<String>, _>("beyond")?,
        ))
    };
    let (login, is_login, bypasses, beyond) = read().map_err(StartError::unreachable)?;
    checking.give_back();
    let (kind, fault) = if bypasses {
        let fault = "is a superuser, has BYPASSRLS, or is a member of such a role or of one of \
            PostgreSQL's own"
            .to_owned();
        (StartErrorKind::LoginBypasses, fault)
    } else if !is_login {
        let fault = format!("is neither the {} login nor a member of it", purpose.name);
        (StartErrorKind::WrongLogin, fault)
    } else if !beyond.is_empty() {
        let fault = format!("was granted what it has no need of: {}", beyond.join(", "));
        (StartErrorKind::WrongLogin, fault)
    } else {
        return Ok(());
    };
    Err(StartError::new(
        kind,
        format!(
            "`{login}` {fault}; connect as the {name} role that `tenancy_sqlx::schema::Installer` \
             made (by default `tenancy_{name}`), and grant it nothing else",
            name = purpose.name
        ),
    ))
}
