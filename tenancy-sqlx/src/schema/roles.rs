//! The names of the roles, and the SQL that makes them.

use std::fmt;

use zeroize::Zeroizing;

use super::InstallError;
use crate::bulk::quoted;

/// The names of the three roles. Default: `tenancy_owner`, `tenancy_app`, `tenancy_system`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// Owns every table and migrates; nobody logs in as it.
    pub owner: String,
    /// The login of the service.
    pub app: String,
    /// The login of operators and of jobs that span tenants.
    pub system: String,
}

impl Default for Roles {
    fn default() -> Self {
        Self {
            owner: "tenancy_owner".into(),
            app: "tenancy_app".into(),
            system: "tenancy_system".into(),
        }
    }
}

/// Passwords of the logins; `None` leaves what is there.
#[derive(Clone, Default)]
pub(super) struct Passwords {
    pub(super) app: Option<Zeroizing<String>>,
    pub(super) system: Option<Zeroizing<String>>,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords(..)")
    }
}

impl Passwords {
    /// Puts the passwords where [`Roles::create_sql`] reads them, for the rest of the transaction.
    ///
    /// With parameters (`$1`, `$2`) in the place of the literals, whoever logs statements logs no
    /// password.
    pub(super) fn to_settings(app: &str, system: &str) -> String {
        format!(
            "SELECT set_config('tenancy.app_password', {app}, true), \
             set_config('tenancy.system_password', {system}, true)"
        )
    }

    /// The same as text, for files, which can have no parameters.
    pub(super) fn as_text(&self) -> String {
        let (Some(app), Some(system)) = (&self.app, &self.system) else {
            return String::new();
        };
        format!("{};\n", Self::to_settings(&literal(app), &literal(system)))
    }
}

impl Roles {
    pub(super) fn check(&self) -> Result<(), InstallError> {
        for name in [&self.owner, &self.app, &self.system] {
            if name.is_empty() || name.len() > 63 || name.contains('\0') || name.starts_with("pg_")
            {
                return Err(InstallError::Roles(format!(
                    "`{name}` can't be the name of a role; use 1 to 63 bytes, not starting with `pg_`"
                )));
            }
        }
        if self.owner == self.app || self.app == self.system || self.system == self.owner {
            return Err(InstallError::Roles(
                "owner, app and system must be three roles: one role that owns tables and serves \
                 tenants would get past row security"
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
        for (name, attributes) in [
            (&self.owner, "NOLOGIN NOBYPASSRLS"),
            (&self.app, "LOGIN NOBYPASSRLS NOCREATEROLE NOCREATEDB"),
            (&self.system, "LOGIN NOBYPASSRLS NOCREATEROLE NOCREATEDB"),
        ] {
            sql.push_str(&format!(
                "    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal}) THEN\n\
                 \x20       BEGIN\n\
                 \x20           CREATE ROLE {ident} {attributes};\n\
                 \x20       EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;\n\
                 \x20       END;\n\
                 \x20   END IF;\n",
                literal = literal(name),
                ident = quoted(name),
            ));
        }
        for (kind, name, password) in [
            ("app", &self.app, &passwords.app),
            ("system", &self.system, &passwords.system),
        ] {
            if password.is_some() {
                let set = literal(&format!("ALTER ROLE {} PASSWORD ", quoted(name)));
                let password = format!("quote_literal(current_setting('tenancy.{kind}_password'))");
                sql.push_str(&persistently(&format!("{set} || {password}")));
            }
        }
        sql.push_str(&self.membership_sql());
        let mut tag = "$roles$".to_owned();
        while sql.contains(&tag) {
            tag.insert_str(1, "the_");
        }
        format!("DO {tag}\nBEGIN\n{sql}END\n{tag};\n")
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

    /// Makes the schema and records the names of the roles in it.
    pub(super) fn schema_sql(&self) -> String {
        let owner = quoted(&self.owner);
        format!(
            "CREATE SCHEMA IF NOT EXISTS tenancy AUTHORIZATION {owner};\n\
             GRANT USAGE, CREATE ON SCHEMA public TO {owner};\n\
             REVOKE CREATE ON SCHEMA public FROM PUBLIC;\n"
        )
    }

    /// Records the names of the roles where policies and grants look them up.
    pub(super) fn record_sql(&self) -> String {
        format!(
            "INSERT INTO tenancy.role_names (kind, name) VALUES ('owner', {}), ('app', {}), \
             ('system', {}) ON CONFLICT (kind) DO UPDATE SET name = EXCLUDED.name \
             WHERE role_names.name <> EXCLUDED.name;\n",
            literal(&self.owner),
            literal(&self.app),
            literal(&self.system)
        )
    }
}

/// A statement about roles that is tried again while another installation changes the same role:
/// PostgreSQL tells that as an internal error, "tuple concurrently updated".
///
/// An error is raised anew, because PostgreSQL tells with an error the statement that it is of, and
/// there may be a password in it.
fn persistently(statement: &str) -> String {
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
    fn roles_must_be_three() {
        let mut roles = Roles::default();
        assert!(roles.check().is_ok());
        roles.app = roles.owner.clone();
        assert!(
            roles
                .check()
                .unwrap_err()
                .to_string()
                .contains("three roles")
        );
    }

    #[test]
    fn a_password_can_not_leave_its_quotes_and_is_not_shown() {
        assert_eq!(literal("a'b\\c"), "E'a''b\\\\c'");
        let passwords = Passwords {
            app: Some(Zeroizing::new("hush $roles$".into())),
            system: None,
        };
        assert!(!format!("{passwords:?}").contains("hush"));
        assert!(passwords.as_text().is_empty(), "both or none");
        let roles = Roles {
            app: "hush $roles$".into(),
            ..Roles::default()
        };
        let sql = roles.create_sql(&passwords);
        assert!(sql.starts_with("DO $the_roles$\n") && sql.ends_with("\n$the_roles$;\n"));
    }
}
