//! Installing what the database needs: roles, the schema `tenancy`, and the application's own
//! migrations after it.
//!
//! Six roles, each for one purpose. A serving process needs *app*, often *audit*, and *registry* where
//! members manage themselves; it never needs *system*.
//!
//! | role | what it does |
//! |---|---|
//! | owner | owns every table and migrates; nobody logs in as it |
//! | app | the rows of the tenant that its transaction names; the registry through functions, and its own tenant's part of it |
//! | registry | writes its transaction's tenant's part of the registry: memberships, roles, projects, keys; no table of the application |
//! | audit | adds to the audit trail, through a function, and reads nothing |
//! | system | operators, and jobs that span tenants |
//! | sealer | keeps the keys of sealed sessions; nobody logs in as it |
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
//! # Who runs the application's migrations
//! The owner role, so that their views and SECURITY DEFINER functions read under row security.
//!
//! * [`Installer::run`] and [`Installer::merged`] become the owner role for each of them.
//! * `sqlx migrate run` with a file of [`Installer::emit`] runs them as the login that it connects
//!   with, and what they make is handed over to the owner role where sqlx records the migration: in
//!   the same transaction, whatever session runs it, by a trigger on sqlx's table. A migration may also
//!   begin with `SET LOCAL ROLE tenancy_owner;`, which works on every way.
//! * Two things are left to whoever writes a `-- no-transaction` migration for sqlx-cli, which is
//!   recorded in a transaction of its own: neither a view nor a function belongs in it. And what a
//!   migration made before the first installation stays whose it is: `ALTER … OWNER TO tenancy_owner`.
//!
//! # Sealed sessions
//! A session names its tenant by a setting, and whatever SQL runs in it can change that: a query that
//! was put together from text can be made to read another tenant's rows. In a database that
//! [`seal_sessions`] has sealed, the policies read the tenant from where only a function of the sealer role
//! writes it, after it has checked a code under a key that the service has and no SQL can read:
//! see [`SealKey`](crate::SealKey).
//!
//! The names of the settings (`tenancy.tenant_id`, `tenancy.project_id`), of the functions and of
//! the tables in the schema `tenancy` are public: policies and reports may rely on them.

mod application;
mod check;
mod emit;
mod error;
mod findings;
mod graph;
mod install;
mod lock;
mod roles;
mod script;
mod seal;

pub use check::{CheckError, CheckMode, check};
pub use error::InstallError;
pub(crate) use findings::read as read_findings;
pub use findings::{Finding, FindingLevel, code_warnings, findings};
pub use graph::{
    CatalogName, Column, ColumnName, ConflictTarget, ConstraintText, ForeignKey, Function,
    Identity, KeyName, Matching, Policy, PositionalInsert, Publication, PublishedTable, Sequence,
    Step, Table, TableGraph, TableKind, TableOrder, Trigger, UniqueKey, View, Way,
};
pub use install::Installer;
pub use roles::DatabaseRoles;
pub(crate) use roles::literal;
pub use seal::{SealWay, add_seal_key, retire_seal_key, seal_sessions, unseal_sessions};

use sqlx::{PgConnection, migrate::Migrator};

/// The migrations of the schema `tenancy`.
pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Protects a table: tenant column, keys, index, policies. As `SELECT tenancy.protect(…)`, which also
/// takes the name of the tenant's column, whether rows belong to projects, and keys that stay unique
/// across tenants.
///
/// Call it as the owner role. Running it again changes what is missing, and never widens.
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
