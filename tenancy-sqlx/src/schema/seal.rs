//! Sealing the sessions of a database: the sealer's schema, and what the administrator switches.

use std::fmt;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use super::{
    DatabaseRoles,
    roles::{do_block, dollar_quoted, literal, persistently},
};
use crate::{SealKey, bulk::quoted};

/// The sealer's schema; see the file.
const SEAL: &str = include_str!("seal.sql");

/// Where a session keeps the tenant that it names.
///
/// ```
/// use tenancy_sqlx::schema::SealWay;
///
/// assert_eq!(SealWay::Parameter.as_str(), "parameter");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealWay {
    /// In a parameter of the server that the service's login can't set, `backtrace_functions`.
    ///
    /// The cheaper way. The sealer role may set the parameter once a superuser has granted it that.
    Parameter,
    /// In a row of a table that the service's login can't write. For servers on which nobody grants the
    /// right to a parameter.
    ///
    /// # Security
    /// A standby writes no row: there the session keeps a code, and a seal is good more than once for
    /// ten seconds, on the same connection.
    Row,
}

impl SealWay {
    /// As SQL names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parameter => "parameter",
            Self::Row => "row",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Parameter, Self::Row]
            .into_iter()
            .find(|way| way.as_str() == name)
    }
}

impl fmt::Display for SealWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl DatabaseRoles {
    /// Makes the sealer's schema, or says in a notice why that can't be. Begins as the owner role and
    /// ends as the login of the installation.
    pub(super) fn seal_sql(&self) -> String {
        let [owner, sealer, name] = [
            quoted(&self.owner),
            quoted(&self.sealer),
            literal(&self.sealer),
        ];
        let logins = [&self.app, &self.registry, &self.system].map(|login| quoted(login));
        let logins = logins.join(", ");
        let grants = format!(
            "GRANT USAGE ON SCHEMA tenancy_seal TO {owner}, {logins};\n\
             REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tenancy_seal FROM PUBLIC;\n\
             GRANT EXECUTE ON FUNCTION tenancy_seal.tenant(), tenancy_seal.project(), tenancy_seal.kept() \
             TO {owner}, {logins};\n\
             GRANT EXECUTE ON FUNCTION tenancy_seal.way() TO {owner};\n\
             GRANT SELECT ON tenancy_seal.keys, tenancy_seal.sessions TO {owner};\n\
             GRANT EXECUTE ON FUNCTION tenancy_seal.open(), tenancy_seal.leave(), \
             tenancy_seal.enter(text, bigint, uuid, uuid, bigint, integer, bytea) TO {logins};\n"
        );
        let text = dollar_quoted("seal", &format!("{SEAL}{grants}"));
        let join = format!("GRANT {sealer} TO CURRENT_USER");
        let body = format!(
            "DECLARE\n\
             \x20   may_become text := CASE WHEN current_setting('server_version_num')::int >= 160000\n\
             \x20       THEN 'SET' ELSE 'MEMBER' END;\n\
             BEGIN\n\
             \x20   IF current_setting('tenancy.is_older') = 'true' THEN\n\
             \x20       RETURN;\n\
             \x20   END IF;\n\
             \x20   IF EXISTS (SELECT FROM pg_roles WHERE rolname = {name})\n\
             \x20       AND NOT pg_has_role(current_user, {name}, may_become) THEN\n\
             \x20       BEGIN\n\
             {attempts}\
             \x20       EXCEPTION WHEN insufficient_privilege THEN NULL;\n\
             \x20       END;\n\
             \x20   END IF;\n\
             \x20   IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = {name}\n\
             \x20           AND pg_has_role(current_user, r.oid, may_become))\n\
             \x20       OR to_regnamespace('tenancy_seal') IS NULL\n\
             \x20           AND NOT has_database_privilege(current_database(), 'CREATE') THEN\n\
             \x20       RAISE NOTICE 'sessions can''t be sealed in this database: the installing login may not '\n\
             \x20           'act as % or not create a schema', {name};\n\
             \x20       RETURN;\n\
             \x20   END IF;\n\
             \x20   IF to_regnamespace('tenancy_seal') IS NULL THEN\n\
             \x20       CREATE SCHEMA tenancy_seal AUTHORIZATION {sealer};\n\
             \x20   END IF;\n\
             \x20   SET LOCAL ROLE {sealer};\n\
             \x20   EXECUTE {text};\n\
             \x20   RESET ROLE;\n\
             END\n",
            attempts = persistently(&format!(
                "{} || CASE may_become WHEN 'SET' THEN ' WITH SET TRUE, INHERIT FALSE' ELSE '' END",
                literal(&join)
            )),
        );
        let is_older = "SELECT set_config('tenancy.is_older', EXISTS (\n\
             \x20   SELECT FROM tenancy.migrations AS m WHERE m.version > (\n\
             \x20       SELECT max(k.version) FROM jsonb_to_recordset(\n\
             \x20           current_setting('tenancy.known_migrations')::jsonb) AS k (version bigint)))::text, true);\n\
             RESET ROLE;\n";
        format!("{is_older}{}", do_block("seal", &body))
    }
}

/// Seals the sessions of a database, with a key; says in which way.
///
/// Call it as the database's administrator, after the [`Installer`](super::Installer) of this release. Without
/// a way, it is the [parameter](SealWay::Parameter), which a superuser grants here, or where nobody has
/// granted it the [row](SealWay::Row). Doing it again changes nothing; another way takes the place of the
/// former, and sessions are opened anew.
///
/// From then on a session without the key names nobody: pools without it see no rows, and do not start.
/// So give the services the key first, and seal while they are down.
///
/// # Errors
/// What the database says: the sealer role is not there, or may not set the parameter; the number of the
/// key is another key's, or was retired.
///
/// # Security
/// The key is sent as a parameter of a statement, so that sqlx logs none; a server that logs parameters
/// writes it to its log. It is in the table `tenancy_seal.keys`, and so in dumps of a superuser; in those of
/// the owner role it is not.
pub async fn seal_sessions(
    connection: &mut PgConnection,
    key: &SealKey,
    way: Option<SealWay>,
) -> Result<SealWay, crate::Error> {
    let mut sealing = Sealing::begin(connection).await?;
    if way != Some(SealWay::Row) {
        sealing.grant_parameter().await?;
    }
    let way = match way {
        Some(way) => way,
        None if sealing.may_set_parameter().await? => SealWay::Parameter,
        None => SealWay::Row,
    };
    sealing.as_sealer().await?;
    sealing.add(key).await?;
    let keep = sqlx::query("SELECT tenancy_seal.keep_in($1)").bind(way.as_str());
    sealing.tx.execute(keep).await?;
    sealing.as_owner().await?;
    sealing.tx.execute("SELECT tenancy.seal_sessions()").await?;
    sealing.end().await?;
    Ok(way)
}

/// Undoes [`seal_sessions`]; keys stay.
///
/// # Errors
/// What the database says.
pub async fn unseal_sessions(connection: &mut PgConnection) -> Result<(), crate::Error> {
    let mut sealing = Sealing::begin(connection).await?;
    sealing.as_owner().await?;
    sealing
        .tx
        .execute("SELECT tenancy.unseal_sessions()")
        .await?;
    sealing.end().await
}

/// Takes a further key into use: the first step of a rotation. Then give it to the services, and
/// [retire](retire_seal_key) the former one. Adding one again changes nothing.
///
/// # Errors
/// What the database says: the number is another key's, or was retired.
///
/// # Security
/// As [`seal_sessions`].
pub async fn add_seal_key(
    connection: &mut PgConnection,
    key: &SealKey,
) -> Result<(), crate::Error> {
    let mut sealing = Sealing::begin(connection).await?;
    sealing.as_sealer().await?;
    sealing.add(key).await?;
    sealing.end().await
}

/// Takes a key out of use: no session names a tenant by it any more. Its number is not given again.
///
/// # Errors
/// What the database says: there is no such key.
pub async fn retire_seal_key(connection: &mut PgConnection, id: u16) -> Result<(), crate::Error> {
    let mut sealing = Sealing::begin(connection).await?;
    sealing.as_sealer().await?;
    let retire = sqlx::query("SELECT tenancy_seal.retire_key($1)").bind(i32::from(id));
    sealing.tx.execute(retire).await?;
    sealing.end().await
}

/// A transaction of the administrator's, who acts as one role after the other.
struct Sealing<'c> {
    tx: sqlx::Transaction<'c, sqlx::Postgres>,
    owner: String,
    sealer: String,
}

impl<'c> Sealing<'c> {
    async fn begin(connection: &'c mut PgConnection) -> Result<Self, crate::Error> {
        let mut tx = connection.begin().await?;
        let row = tx
            .fetch_optional(
                "SELECT n.nspowner::regrole::text AS owner, s.nspowner::regrole::text AS sealer
                 FROM pg_namespace AS n, pg_namespace AS s
                 WHERE n.nspname = 'tenancy' AND s.nspname = 'tenancy_seal'",
            )
            .await?;
        let Some(row) = row else {
            return Err(crate::Error::with_detail(
                crate::ErrorKind::Database,
                "the schemas `tenancy` and `tenancy_seal` are not in this database; run \
                 `tenancy_sqlx::schema::Installer` of this release in it first, as a login that may make \
                 both"
                    .to_owned(),
            ));
        };
        Ok(Self {
            owner: row.try_get("owner")?,
            sealer: row.try_get("sealer")?,
            tx,
        })
    }

    /// The server's catalog is shared: another database's administrator may be at the same row.
    async fn grant_parameter(&mut self) -> Result<(), crate::Error> {
        let grant = format!(
            "GRANT SET ON PARAMETER backtrace_functions TO {}",
            self.sealer
        );
        let body = format!(
            "BEGIN\n\
             \x20   IF (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user)\n\
             \x20       AND NOT has_parameter_privilege({}::regrole, 'backtrace_functions', 'SET') THEN\n\
             {}\
             \x20   END IF;\n\
             END\n",
            literal(&self.sealer),
            persistently(&literal(&grant)),
        );
        let granting = AssertSqlSafe(do_block("grant", &body));
        self.tx.execute(granting).await?;
        Ok(())
    }

    async fn may_set_parameter(&mut self) -> Result<bool, crate::Error> {
        let may = "SELECT has_parameter_privilege($1::regrole, 'backtrace_functions', 'SET')";
        let may = sqlx::query_scalar(may).bind(&self.sealer);
        Ok(may.fetch_one(&mut *self.tx).await?)
    }

    async fn as_sealer(&mut self) -> Result<(), crate::Error> {
        let sealer = self.sealer.clone();
        self.act_as(&sealer).await
    }

    async fn as_owner(&mut self) -> Result<(), crate::Error> {
        let owner = self.owner.clone();
        self.act_as(&owner).await
    }

    /// # Errors
    /// Where the login may not, which is no administrator of the database.
    async fn act_as(&mut self, role: &str) -> Result<(), crate::Error> {
        let become_role = AssertSqlSafe(format!("SET LOCAL ROLE {role}"));
        match self.tx.execute(become_role).await {
            Ok(_) => Ok(()),
            Err(error) => Err(crate::Error::from(error).detailed(format!(
                "call this as the database's administrator, who installed the schema `tenancy` and may \
                 act as {role}"
            ))),
        }
    }

    async fn add(&mut self, key: &SealKey) -> Result<(), crate::Error> {
        let add = sqlx::query("SELECT tenancy_seal.add_key($1, $2)")
            .bind(i32::from(key.id()))
            .bind(key.secret());
        self.tx.execute(add.persistent(false)).await?;
        Ok(())
    }

    async fn end(self) -> Result<(), crate::Error> {
        Ok(self.tx.commit().await?)
    }
}
