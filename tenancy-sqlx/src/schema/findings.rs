//! What could lead a login past row security, as the database tells it.

use std::fmt;

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

/// How bad a [`Finding`] is.
///
/// ```
/// use tenancy_sqlx::schema::{Finding, FindingLevel};
///
/// /// Whether a check in CI should fail.
/// fn fails(findings: &[Finding]) -> bool {
///     findings.iter().any(|finding| finding.level() == FindingLevel::Error)
/// }
/// # let _ = fails;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingLevel {
    /// Tenants are not kept apart: a pool refuses to start.
    Error,
    /// Tenants are kept apart, and something is slower, weaker or more fragile than it need be.
    Warning,
}

impl fmt::Display for FindingLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that could lead a login past row security, and its mend.
///
/// The database tells findings: `tenancy.login_findings(login)` those of a login,
/// `tenancy.relation_findings(login)` and `tenancy.definer_findings(login)` those of tables, views and
/// functions that it can get to, `tenancy.account_findings(login)` those of accounts,
/// `tenancy.seal_findings(login)` those of the seal, and `tenancy.code_warnings()` those in the text of
/// functions. All read the catalogs only. [`check`](super::check) asks all of them.
///
/// | code | level | what |
/// |---|---|---|
/// | `login-bypasses` | error | the login is a superuser or has BYPASSRLS |
/// | `login-privileged` | error | it, or a role it is a member of, may create roles or replicate |
/// | `reaches-bypass` | error | it is a member of a superuser, or of a role with BYPASSRLS |
/// | `reaches-predefined` | error | it is a member of a role of PostgreSQL's, `pg_read_all_data` and the like; `pg_checkpoint` and `pg_use_reserved_connections` are harmless |
/// | `reaches-owner`, `reaches-system`, `reaches-registry` | error | it is a role of this schema that is not the service's, or a member of it |
/// | `owns-relations`, `owns-functions`, `owns-schemas`, `owns-database` | error | it owns something, or is a member of its owner |
/// | `may-create` | error | it may create in a schema, or schemas in the database |
/// | `may-set-parameter` | error | it may set `session_replication_role`, or the parameter in which sealed sessions keep their tenant |
/// | `default-setting`, `session-setting` | error | its sessions start with a role, a tenant, without row security or without foreign keys |
/// | `not-app` | error | it does not inherit from the app role, so that no policy is for it |
/// | `owner-bypasses` | error | the owner role is a superuser or has BYPASSRLS |
/// | `no-such-login` | error | there is no such role |
/// | `privilege-past-guard` | error | it has TRUNCATE, REFERENCES, TRIGGER or MAINTAIN on a table |
/// | `registry-privilege` | error | it has more rights in the schema `tenancy` than the installation gives |
/// | `guard-altered` | error | row security or a policy of ours was altered, or the table belongs to another role |
/// | `unguarded-table` | error | a table has a tenant column and no guard |
/// | `unguarded-child` | error | a partition or heir of a protected table has no guard of its own |
/// | `unguarded-parent` | error | a table without a guard shows the rows of tenants' tables that inherit from it |
/// | `view-past-guard` | error | a view reads tenants' rows as a role that their guard does not bind |
/// | `materialized-view` | error | a materialized view holds tenants' rows |
/// | `foreign-table` | error | a foreign table leads back to a protected table |
/// | `definer-function` | error | a SECURITY DEFINER function, or trigger function, acts as a role that the guard does not bind |
/// | `definer-reads-unguarded` | error | a SECURITY DEFINER function names a table that has tenants and no guard, or a materialized view; a comment on the function that contains `[tenancy: looks across tenants]` says that it is meant |
/// | `accounts-altered` | error | row security or a policy of a table of accounts was altered, or it belongs to another role |
/// | `accounts-writable` | error | the login may write accounts that other tenants' members have too |
/// | `accounts-open` | error | a partition, heir or parent of a table of accounts is open by its own name |
/// | `reaches-accounts` | error | the login can act as the role that manages all accounts, or another that a policy lets at them |
/// | `view-not-invoker` | warning | a view of the owner role over protected tables uses their indexes less well |
/// | `foreign-key-unpaired` | warning | a foreign key can lead to another tenant's row |
/// | `reaches-sealer` | error | the login can act as the role that seals sessions |
/// | `seal-altered` | error | `tenancy.current_tenant()` or `current_project()` is not what was installed |
/// | `seal-open` | error | what is the sealer's belongs to another role, or another may use it |
/// | `seal-unusable` | error | the sealer may not set the parameter in which sessions keep their tenant |
/// | `foreign-key-not-valid` | warning | a foreign key was not checked for the rows that are there |
/// | `key-across-tenants` | warning | a unique key tells that another tenant has the value; a comment on the index that contains `[tenancy: unique across tenants]` says that it is meant |
/// | `policy-setting` | warning | a policy of the application's reads a setting that may not be there |
/// | `publication-columns` | warning | a publication's list of columns leaves the tenant out |
/// | `on-conflict` | warning | a function's ON CONFLICT names a key without the tenant |
/// | `positional-insert` | warning | a function's `INSERT … SELECT *` goes by the position of columns |
/// | `trail-unguarded` | warning | a trigger that guards the audit trail is missing or switched off; [`check`](super::check) alone looks for it |
/// | `returns-row` | warning | a function returns rows of a protected table from a list without the tenant |
///
/// Codes stay as they are; new ones may come.
///
/// What an administrator has to run:
///
/// ```no_run
///
/// use tenancy_sqlx::TenantPool;
///
/// async fn mends(pool: &TenantPool) -> Result<Vec<String>, tenancy_sqlx::Error> {
///     let findings = pool.findings().await?;
///     Ok(findings.iter().filter_map(|finding| finding.mend()).map(str::to_owned).collect())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    of_login: bool,
    level: FindingLevel,
    code: String,
    subject: String,
    text: String,
    mend: Option<String>,
}

impl Finding {
    /// How bad it is.
    #[must_use]
    pub const fn level(&self) -> FindingLevel {
        self.level
    }

    /// What kind of finding it is: see the table above.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The role, relation or function it is about, as SQL names it.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What is wrong.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The statement that mends it, or several, for the administrator to run; `None` where it takes
    /// thought.
    #[must_use]
    pub fn mend(&self) -> Option<&str> {
        self.mend.as_deref()
    }

    /// Whether it is about the login itself.
    #[must_use]
    pub const fn is_of_login(&self) -> bool {
        self.of_login
    }
}

/// Subject, what is wrong, the code, and the mend.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.of_login {
            write!(f, "{}: ", self.subject)?;
        }
        write!(f, "{} ({})", self.text, self.code)?;
        match &self.mend {
            Some(mend) => write!(f, "; mend it with {mend}"),
            None => Ok(()),
        }
    }
}

/// What could lead a login past row security, errors first; for a test of the schema in CI.
///
/// Takes a connection of the owner role, of the app role or of an administrator. A clean database has
/// no findings.
///
/// ```no_run
/// # async fn example(connection: &mut sqlx::PgConnection) -> Result<(), Box<dyn std::error::Error>> {
/// use tenancy_sqlx::schema::{self, FindingLevel};
///
/// let findings = schema::findings(connection, "tenancy_app").await?;
/// let errors: Vec<_> = findings
///     .iter()
///     .filter(|finding| finding.level() == FindingLevel::Error)
///     .map(ToString::to_string)
///     .collect();
/// assert!(errors.is_empty(), "{errors:#?}");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the database says.
pub async fn findings(
    connection: &mut PgConnection,
    login: &str,
) -> Result<Vec<Finding>, crate::Error> {
    Ok(read(connection, login, true).await?)
}

/// What a tenant column breaks in the text of the application's functions, each with its line.
///
/// Found by the usual ways to write such statements, and so neither complete nor free of mistakes. Not
/// asked at start.
///
/// # Errors
/// What the database says.
pub async fn code_warnings(connection: &mut PgConnection) -> Result<Vec<Finding>, crate::Error> {
    let sql = "SELECT false AS of_login, level, code, subject, finding, mend FROM tenancy.code_warnings()";
    let rows = sqlx::query(sql).persistent(false).fetch_all(connection);
    Ok(rows.await?.iter().map(from_row).collect::<Result<_, _>>()?)
}

/// Everything, as `tenancy.check()` tells it.
pub(super) async fn read_check(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let sql = "SELECT false AS of_login, severity AS level, code, object AS subject, what AS finding, mend
        FROM tenancy.check()";
    let rows = sqlx::query(sql).persistent(false).fetch_all(connection);
    rows.await?.iter().map(from_row).collect()
}

/// The findings of a login, or of relations alone.
pub(crate) async fn read(
    connection: &mut PgConnection,
    login: &str,
    with_login: bool,
) -> Result<Vec<Finding>, sqlx::Error> {
    let of_login = "SELECT true AS of_login, level, code, subject, finding, mend
        FROM tenancy.login_findings($1::text::name) UNION ALL ";
    let sql = format!(
        "SELECT * FROM ({}SELECT false AS of_login, level, code, subject, finding, mend
            FROM tenancy.relation_findings($1::text::name) UNION ALL
            SELECT false, level, code, subject, finding, mend
            FROM tenancy.definer_findings($1::text::name) UNION ALL
            SELECT false, level, code, subject, finding, mend
            FROM tenancy.account_findings($1::text::name) UNION ALL
            SELECT of_login, level, code, subject, finding, mend
            FROM tenancy.seal_findings($1::text::name) WHERE {with_login} OR NOT of_login) AS f
        -- `protect` refuses while something around the table is open: its mend comes last.
        ORDER BY level, of_login DESC, coalesce(mend LIKE 'SELECT tenancy.protect%', false), code, subject",
        if with_login { of_login } else { "" }
    );
    let asked = sqlx::query(AssertSqlSafe(sql))
        .persistent(false)
        .bind(login);
    asked
        .fetch_all(connection)
        .await?
        .iter()
        .map(from_row)
        .collect()
}

fn from_row(row: &sqlx::postgres::PgRow) -> Result<Finding, sqlx::Error> {
    let level: String = row.try_get("level")?;
    Ok(Finding {
        of_login: row.try_get("of_login")?,
        // What a newer schema may call otherwise is no less than an error.
        level: match level.as_str() {
            "warning" => FindingLevel::Warning,
            _ => FindingLevel::Error,
        },
        code: row.try_get("code")?,
        subject: row.try_get("subject")?,
        text: row.try_get("finding")?,
        mend: row.try_get("mend")?,
    })
}
