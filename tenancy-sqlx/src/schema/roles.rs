//! The names of the roles, and the SQL that makes them.

use std::fmt;

use zeroize::Zeroizing;

use super::InstallError;
use crate::bulk::quoted;

/// The names of the roles. Default: `tenancy_owner`, `tenancy_app`, `tenancy_registry`,
/// `tenancy_audit`, `tenancy_system`, `tenancy_sealer`.
///
/// ```
/// use tenancy_sqlx::schema::{DatabaseRoles, Installer};
///
/// let roles = DatabaseRoles {
///     app: "notes_app".into(),
///     ..DatabaseRoles::default()
/// };
/// let installer = Installer::new().roles(roles);
/// # drop(installer);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseRoles {
    /// Owns every table and migrates; nobody logs in as it.
    pub owner: String,
    /// The login of the service: the rows of the tenant that its transaction names.
    pub app: String,
    /// The login for self-service: writes its transaction's tenant's part of the registry, and
    /// touches no table of the application.
    pub registry: String,
    /// The login of the audit trail: adds entries, and reads nothing.
    pub audit: String,
    /// The login of operators and of jobs that span tenants.
    pub system: String,
    /// Keeps the keys of [sealed sessions](crate::schema#sealed-sessions); nobody logs in as it.
    pub sealer: String,
}

impl Default for DatabaseRoles {
    fn default() -> Self {
        Self {
            owner: "tenancy_owner".into(),
            app: "tenancy_app".into(),
            registry: "tenancy_registry".into(),
            audit: "tenancy_audit".into(),
            system: "tenancy_system".into(),
            sealer: "tenancy_sealer".into(),
        }
    }
}

/// Passwords of the logins; `None` leaves what is there.
#[derive(Clone, Default)]
pub(super) struct Passwords {
    pub(super) app: Option<Zeroizing<String>>,
    pub(super) registry: Option<Zeroizing<String>>,
    pub(super) audit: Option<Zeroizing<String>>,
    pub(super) system: Option<Zeroizing<String>>,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords(..)")
    }
}

impl Passwords {
    /// Those that are given, each with the kind of its role.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("app", &self.app),
            ("registry", &self.registry),
            ("audit", &self.audit),
            ("system", &self.system),
        ]
        .into_iter()
        .filter_map(|(kind, password)| Some((kind, password.as_ref()?.as_str())))
    }

    /// The statement that puts a password where [`DatabaseRoles::create_sql`] reads it, for the rest of the
    /// transaction.
    ///
    /// With a parameter (`$1`) in the place of the literal, whoever logs statements logs no
    /// password.
    pub(super) fn to_setting(kind: &str, password: &str) -> String {
        format!("SELECT set_config('tenancy.{kind}_password', {password}, true)")
    }

    /// The same as text, for files, which can have no parameters.
    pub(super) fn as_text(&self) -> String {
        self.given()
            .map(|(kind, password)| Self::to_setting(kind, &literal(password)) + ";\n")
            .collect()
    }
}

impl DatabaseRoles {
    /// The kind of each role, and its name.
    fn kinds(&self) -> [(&'static str, &str); 6] {
        [
            ("owner", &self.owner),
            ("app", &self.app),
            ("registry", &self.registry),
            ("audit", &self.audit),
            ("system", &self.system),
            ("sealer", &self.sealer),
        ]
    }

    /// The name of the role of a kind.
    #[cfg(feature = "testing")]
    pub(super) fn name<'n>(&'n self, kind: &'n str) -> &'n str {
        let found = self.kinds().into_iter().find(|(of, _)| *of == kind);
        found.map_or(kind, |(_, name)| name)
    }

    pub(super) fn check(&self) -> Result<(), InstallError> {
        let mut names: Vec<_> = self.kinds().map(|(_, name)| name).into();
        for name in &names {
            if name.is_empty() || name.len() > 63 || name.contains('\0') || name.starts_with("pg_")
            {
                return Err(InstallError::DatabaseRoles(format!(
                    "`{name}` can't be the name of a role; use 1 to 63 bytes, not starting with `pg_`"
                )));
            }
        }
        names.sort_unstable();
        names.dedup();
        if names.len() < self.kinds().len() {
            return Err(InstallError::DatabaseRoles(
                "owner, app, registry, audit, system and sealer must be six roles: one role that owns \
                 tables and serves tenants would get past row security, and one that has two \
                 purposes may do what neither should"
                    .into(),
            ));
        }
        Ok(())
    }

    /// Makes the roles that are missing and records their names; changes none that exist, but for
    /// a password that is given, in a [setting](Passwords::to_settings) of the transaction.
    ///
    /// Roles belong to the whole server, and no lock of one database keeps another's installation
    /// away: creating one that has just appeared is no error.
    pub(super) fn create_sql(&self, passwords: &Passwords) -> String {
        let mut sql = String::new();
        for (kind, name) in self.kinds() {
            let attributes = match kind {
                "owner" | "sealer" => "NOLOGIN NOBYPASSRLS",
                _ => "LOGIN NOBYPASSRLS NOCREATEROLE NOCREATEDB",
            };
            // Without a sealer, all but sealed sessions is there.
            let optional = match kind {
                "sealer" => " OR insufficient_privilege",
                _ => "",
            };
            sql.push_str(&format!(
                "    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal}) THEN\n\
                 \x20       BEGIN\n\
                 \x20           CREATE ROLE {ident} {attributes};\n\
                 \x20       EXCEPTION WHEN duplicate_object OR unique_violation{optional} THEN NULL;\n\
                 \x20       END;\n\
                 \x20   END IF;\n",
                literal = literal(name),
                ident = quoted(name),
            ));
        }
        for (kind, name) in self.kinds() {
            if passwords.given().any(|(given, _)| given == kind) {
                let set = literal(&format!("ALTER ROLE {} PASSWORD ", quoted(name)));
                let password = format!("quote_literal(current_setting('tenancy.{kind}_password'))");
                sql.push_str(&persistently(&format!("{set} || {password}")));
            }
        }
        sql.push_str(&self.membership_sql());
        do_block("roles", &format!("BEGIN\n{sql}END\n"))
    }

    /// Lets the login of the installation act as the owner. PostgreSQL 16 tells apart whether a
    /// member inherits, and whether it may `SET ROLE`; a creator of roles is given neither.
    fn membership_sql(&self) -> String {
        let grant = format!("GRANT {} TO CURRENT_USER", quoted(&self.owner));
        format!(
            "    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN\n\
             \x20       NULL;\n\
             \x20   ELSIF current_setting('server_version_num')::int >= 160000 THEN\n\
             \x20       IF NOT pg_has_role(current_user, {owner}, 'SET') THEN\n\
             {grant_16}\
             \x20       END IF;\n\
             \x20   ELSIF NOT pg_has_role(current_user, {owner}, 'MEMBER') THEN\n\
             {grant_15}\
             \x20   END IF;\n",
            owner = literal(&self.owner),
            grant_16 = persistently(&literal(&format!("{grant} WITH SET TRUE, INHERIT TRUE"))),
            grant_15 = persistently(&literal(&grant)),
        )
    }

    /// Makes the schema. Changes nothing that is as it should be: the owner role itself may run
    /// this then, as it does where the installation is among the application's migrations.
    pub(super) fn schema_sql(&self) -> String {
        let owner = quoted(&self.owner);
        let body = format!(
            "BEGIN\n\
             \x20   IF to_regnamespace('tenancy') IS NULL THEN\n\
             \x20       CREATE SCHEMA tenancy AUTHORIZATION {owner};\n\
             \x20   END IF;\n\
             \x20   -- First, because the owner role may have it by this alone.\n\
             \x20   IF EXISTS (SELECT FROM pg_namespace AS n, aclexplode(n.nspacl) AS a\n\
             \x20       WHERE n.nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE')\n\
             \x20       AND has_schema_privilege('public', 'CREATE WITH GRANT OPTION') THEN\n\
             \x20       REVOKE CREATE ON SCHEMA public FROM PUBLIC;\n\
             \x20   END IF;\n\
             {open_to_owner}{open_to_app}{open_to_system}\
             END\n",
            open_to_owner = open_public(&self.owner, &["USAGE", "CREATE"]),
            open_to_app = open_public(&self.app, &["USAGE"]),
            open_to_system = open_public(&self.system, &["USAGE"]),
        );
        do_block("schema", &body)
    }

    /// Lets the owner role make schemas, and trusted extensions, in the database.
    pub(super) fn may_create_sql(&self) -> String {
        let body = format!(
            "BEGIN\n\
             \x20   IF NOT has_database_privilege({name}, current_database(), 'CREATE') THEN\n\
             \x20       IF NOT (has_database_privilege(current_database(), 'CREATE WITH GRANT OPTION')) THEN\n\
             \x20           RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',\n\
             \x20               MESSAGE = format('%I may not let %I make schemas in the database %I', current_user,\n\
             \x20                   {name}, current_database()),\n\
             \x20               HINT = format('As its owner or a superuser: GRANT CREATE ON DATABASE %I TO %I',\n\
             \x20                   current_database(), {name});\n\
             \x20       END IF;\n\
             {grant}\
             \x20   END IF;\n\
             END\n",
            name = literal(&self.owner),
            grant = persistently(&format!(
                "format('GRANT CREATE ON DATABASE %I TO %I', current_database(), {})",
                literal(&self.owner)
            )),
        );
        do_block("create", &body)
    }

    /// Records the names of the roles where policies and grants look them up.
    pub(super) fn record_sql(&self) -> String {
        let rows = self
            .kinds()
            .map(|(kind, name)| format!("('{kind}', {})", literal(name)));
        format!(
            "INSERT INTO tenancy.role_names (kind, name) VALUES {} \
             ON CONFLICT (kind) DO UPDATE SET name = EXCLUDED.name \
             WHERE role_names.name <> EXCLUDED.name;\n",
            rows.join(", ")
        )
    }
}

/// Lets a role into the schema `public`, where it is not in it yet. Everybody may use that schema unless it was
/// taken away, and the login of the installation may seldom give it: the schema of a database that comes from
/// PostgreSQL 14 belongs to the server's superuser. PostgreSQL would say that "no privileges were granted".
fn open_public(role: &str, privileges: &[&str]) -> String {
    let lacking = privileges.iter().map(|privilege| {
        format!(
            "NOT has_schema_privilege({}, 'public', '{privilege}')",
            literal(role)
        )
    });
    let lacking = lacking.collect::<Vec<_>>().join(" OR ");
    let grant = format!(
        "GRANT {} ON SCHEMA public TO {}",
        privileges.join(", "),
        quoted(role)
    );
    let needed = privileges.join(" WITH GRANT OPTION, ") + " WITH GRANT OPTION";
    format!(
        "    IF {lacking} THEN\n\
         \x20       IF has_schema_privilege('public', '{needed}') THEN\n\
         \x20           {grant};\n\
         \x20       ELSIF EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace\n\
         \x20           AND c.relkind IN ('r', 'p')) THEN\n\
         \x20           RAISE WARNING 'tenancy: %', {told};\n\
         \x20       END IF;\n\
         \x20   END IF;\n",
        told = literal(&format!(
            "there are tables in the schema public, and {} may not use it; as the schema's owner or a \
             superuser: {grant}",
            quoted(role)
        ))
    )
}

/// An anonymous block, between quotes that its text does not have.
pub(super) fn do_block(tag: &str, body: &str) -> String {
    format!("DO {};\n", dollar_quoted(tag, body))
}

/// A text between dollar quotes that it does not have itself.
pub(super) fn dollar_quoted(tag: &str, text: &str) -> String {
    let mut tag = format!("${tag}$");
    while text.contains(&tag) {
        tag.insert_str(1, "the_");
    }
    format!("{tag}\n{text}\n{tag}")
}

/// A statement about roles that is tried again while another installation changes the same role:
/// PostgreSQL tells that as an internal error, "tuple concurrently updated".
///
/// An error is raised anew, because PostgreSQL tells with an error the statement that it is of, and
/// there may be a password in it.
pub(super) fn persistently(statement: &str) -> String {
    format!(
        "    FOR attempt IN 1..20 LOOP\n\
         \x20       BEGIN\n\
         \x20           EXECUTE {statement};\n\
         \x20           EXIT;\n\
         \x20       EXCEPTION WHEN OTHERS THEN\n\
         \x20           IF attempt = 20 OR SQLSTATE <> 'XX000' THEN\n\
         \x20               RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM;\n\
         \x20           END IF;\n\
         \x20           PERFORM pg_sleep(0.05);\n\
         \x20       END;\n\
         \x20   END LOOP;\n"
    )
}

/// A text in SQL, in the form that needs no server setting to be read right.
pub(crate) fn literal(text: &str) -> String {
    let quotes = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", quotes.replace('\\', "\\\\"))
    } else {
        format!("'{quotes}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_must_be_six() {
        let mut roles = DatabaseRoles::default();
        assert!(roles.check().is_ok());
        roles.audit = roles.system.clone();
        let refused = roles.check().unwrap_err().to_string();
        assert!(refused.contains("six roles"), "{refused}");
    }

    #[test]
    fn a_password_can_not_leave_its_quotes_and_is_not_shown() {
        assert_eq!(literal("a'b\\c"), "E'a''b\\\\c'");
        let passwords = Passwords {
            app: Some(Zeroizing::new("hush $roles$".into())),
            ..Passwords::default()
        };
        assert!(!format!("{passwords:?}").contains("hush"));
        let roles = DatabaseRoles {
            app: "hush $roles$".into(),
            ..DatabaseRoles::default()
        };
        let sql = roles.create_sql(&passwords);
        assert!(sql.starts_with("DO $the_roles$\n") && sql.ends_with("\n$the_roles$;\n"));
        assert_eq!(sql.matches("_password'").count(), 1, "{sql}");
    }
}
