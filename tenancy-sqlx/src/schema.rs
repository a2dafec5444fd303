//! Installing what the database needs: roles, the schema `tenancy`, and the application's own
//! migrations after it.
//!
//! Three roles: the **owner** owns every table and migrates; the **app** role is the login of the
//! service, owns nothing, and sees the rows of the tenant its transaction names; the **system**
//! role is the login of operators and sees every tenant's.
//!
//! ```no_run
//! use tenancy_sqlx::schema::Installer;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! Installer::new()
//!     .passwords("secret of the service", "secret of operators")
//!     .run("postgres://admin@localhost/notes", &sqlx::migrate!("./migrations"))
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! In the application's migrations, one call protects a table:
//!
//! ```sql
//! CREATE TABLE notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text NOT NULL);
//! SELECT tenancy.protect('notes');
//! ```
//!
//! The names of the settings (`tenancy.tenant_id`, `tenancy.project_id`), of the functions and of
//! the tables in the schema `tenancy` are public: policies and reports may rely on them.

mod emit;
mod error;
mod install;
mod roles;

pub use error::InstallError;
pub use install::Installer;
pub use roles::Roles;
pub(crate) use roles::literal;

use sqlx::{PgConnection, migrate::Migrator};

/// The migrations of the schema `tenancy`.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Protects a table: tenant column, keys, index, policies. As `SELECT tenancy.protect(…)`.
///
/// Call it as the table's owner. Running it again changes nothing.
///
/// # Errors
/// What the database says; the hint of the error says how to mend it.
pub async fn protect(connection: &mut PgConnection, table: &str) -> Result<(), crate::Error> {
    sqlx::query("SELECT tenancy.protect($1::text::regclass)")
        .bind(table)
        .execute(connection)
        .await?;
    Ok(())
}
