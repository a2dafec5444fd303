//! The installation as one text, the same on every way of installing: roles, schema, the migrations
//! that are not recorded yet, grants. Running it again changes nothing.

use std::fmt::Write as _;

use serde_json::json;
use sqlx::migrate::Migration;

use super::{
    DatabaseRoles, MIGRATIONS,
    roles::{Passwords, do_block, dollar_quoted, literal},
};
use crate::bulk::quoted;

/// What each role may do; see the file.
const GRANTS: &str = include_str!("grants.sql");
const ADOPT: &str = include_str!("adopt.sql");
const MIGRATE: &str = include_str!("migrate.sql");
const TAKE_BOOKKEEPING: &str = include_str!("take_bookkeeping.sql");

/// What becomes of the table in which sqlx records the application's migrations; see the file.
pub(super) const BOOKKEEPING: &str = include_str!("bookkeeping.sql");

/// Nothing waits for longer than this, and no statement takes longer: whoever waits for a lock keeps
/// others waiting behind.
pub(super) const TIMEOUTS: &str =
    "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '5min';\n";

/// Keeps a second installation into the same database waiting until this one's transaction ends: that
/// of an earlier release too, which knows this lock.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7236830212054017381);\n";

/// The administrator installs; the text may be run by somebody who acts as the owner role, as a file
/// among the application's migrations is.
const AS_LOGIN: &str =
    "SELECT set_config('tenancy.role_before', current_setting('role'), true);\nRESET ROLE;\n";
const AS_BEFORE: &str =
    "SELECT set_config('role', current_setting('tenancy.role_before'), false);\n";

/// As sqlx makes it.
const MIGRATIONS_TABLE: &str = "CREATE TABLE IF NOT EXISTS tenancy.migrations (
    version bigint PRIMARY KEY, description text NOT NULL,
    installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL,
    checksum bytea NOT NULL, execution_time bigint NOT NULL
);\n";

/// The number of the newest migration of ours. What is granted, too, changes with a new migration
/// only: the ways of installing tell by this number whether they have been here.
pub(super) fn newest() -> i64 {
    let versions = MIGRATIONS.iter().map(|migration| migration.version);
    versions.max().unwrap_or_default()
}

impl DatabaseRoles {
    /// The text, to be run inside a transaction by the administrator.
    ///
    /// Passwords are read from [settings](Passwords::to_setting) of the transaction.
    pub(super) fn script(&self, passwords: &Passwords, owner_may_create: bool) -> String {
        let mut sql = [TIMEOUTS, LOCK, AS_LOGIN].concat();
        sql.push_str(&self.create_sql(passwords));
        sql.push_str(&self.schema_sql());
        if owner_may_create {
            sql.push_str(&self.may_create_sql());
        }
        let take = TAKE_BOOKKEEPING.replace("{owner_name}", &literal(&self.owner));
        sql.push_str(&do_block("take", &take));
        let _ = writeln!(sql, "SET LOCAL ROLE {};", quoted(&self.owner));
        sql.push_str(MIGRATIONS_TABLE);
        let known = MIGRATIONS.iter().map(known).collect::<serde_json::Value>();
        let _ = writeln!(
            sql,
            "SELECT set_config('tenancy.known_migrations', {}, true);",
            literal(&known.to_string())
        );
        sql.push_str(ADOPT);
        for migration in MIGRATIONS.iter() {
            let text = dollar_quoted("migration", migration.sql.as_str());
            let guarded = MIGRATE
                .replace("{version}", &migration.version.to_string())
                .replace("{text}", &text);
            sql.push_str(&do_block("unless_recorded", &guarded));
        }
        sql.push_str(&self.record_sql());
        sql.push_str(GRANTS);
        sql.push_str(BOOKKEEPING);
        sql.push_str(&self.seal_sql());
        sql.push_str(AS_BEFORE);
        sql
    }
}

/// What is recorded of a migration: as sqlx would.
fn known(migration: &Migration) -> serde_json::Value {
    let checksum = migration.checksum.iter().fold(String::new(), |hex, byte| {
        let mut hex = hex;
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    json!({
        "version": migration.version,
        "description": migration.description,
        "checksum": checksum,
    })
}
