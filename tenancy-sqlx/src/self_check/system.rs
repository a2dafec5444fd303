//! The check of a system pool's login: what operators read and write is theirs by policies of the
//! system role, and any other login would see nothing, or everything.

use sqlx::{AssertSqlSafe, Row as _};

use super::{StartError, StartErrorKind, begin};
use crate::connections::Connections;

/// `USAGE`, not `MEMBER`: policies hold for roles whose rights a login has without `SET ROLE`.
const LOGIN: &str = "
    SELECT session_user::text AS login, r.rolsuper OR r.rolbypassrls AS bypasses,
        COALESCE(s.role, 'tenancy_system') AS role, COALESCE(s.acts, false) AS acts
    FROM pg_roles AS r LEFT JOIN LATERAL (
        SELECT o.rolname::text AS role, pg_has_role(session_user, o.oid, 'USAGE') AS acts
        FROM pg_policy AS p JOIN pg_roles AS o ON o.oid = ANY (p.polroles)
        WHERE p.polrelid = to_regclass('tenancy.tenants') AND p.polname = 'tenancy_system'
        ORDER BY acts DESC, role LIMIT 1
    ) AS s ON true
    WHERE r.rolname = session_user";

/// Refuses a login that is not the system role or a member of it.
pub(crate) async fn system_login(pool: &Connections) -> Result<(), StartError> {
    let mut checking = begin(pool).await?;
    let row = sqlx::query(AssertSqlSafe(LOGIN))
        .fetch_one(&mut *checking)
        .await
        .map_err(StartError::unreachable)?;
    let read = || -> Result<(String, bool, String, bool), sqlx::Error> {
        Ok((
            row.try_get("login")?,
            row.try_get("bypasses")?,
            row.try_get("role")?,
            row.try_get("acts")?,
        ))
    };
    let (login, bypasses, role, acts) = read().map_err(StartError::unreachable)?;
    checking.give_back();
    let fault = if bypasses {
        "is a superuser or has BYPASSRLS, which is more than operators need"
    } else if acts {
        return Ok(());
    } else {
        "is not the system role or a member of it, and would see no tenant's rows"
    };
    Err(StartError::new(
        StartErrorKind::WrongLogin,
        format!(
            "`{login}` {fault}; connect the system pool as `{role}`, which \
             `tenancy_sqlx::schema::Installer` made, or as a member of it"
        ),
    ))
}
