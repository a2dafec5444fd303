//! Which pool it is, and where its database is: for the log and for errors.

use std::fmt;

use sqlx::postgres::PgConnectOptions;

/// What a pool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Tenants,
    Replica,
    Directory,
    Registry,
    Audit,
    Operators,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tenants => "tenants",
            Self::Replica => "replica",
            Self::Directory => "directory",
            Self::Registry => "registry",
            Self::Audit => "audit",
            Self::Operators => "operators",
        })
    }
}

/// A pool, as the log names it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) whose: Whose,
    /// Host, port and database.
    pub(crate) address: String,
}

impl Place {
    pub(crate) fn of(whose: Whose, options: &PgConnectOptions) -> Self {
        Self {
            whose,
            address: address(options),
        }
    }
}

/// Host, port and database, and no login and no password.
pub(crate) fn address(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    // The server's own default.
    let database = options
        .get_database()
        .unwrap_or_else(|| options.get_username());
    format!("{host}:{}/{database}", options.get_port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_neither_login_nor_password() {
        for (url, said) in [
            (
                "postgres://app:secret@db.example:6432/notes",
                "db.example:6432/notes",
            ),
            ("postgres://app:secret@db.example", "db.example:5432/app"),
            (
                "postgres://app:secret@localhost/notes?host=/run/postgresql",
                "/run/postgresql:5432/notes",
            ),
        ] {
            let options = url.parse::<PgConnectOptions>().unwrap();
            assert_eq!(address(&options), said);
        }
    }
}
