//! The installation as the release before wrote it: roles, migrations 1 to 10 and grants, each a
//! migration of sqlx, and none of them recorded in the schema `tenancy`.

use std::{fs, path::Path};

use sqlx::{
    AssertSqlSafe, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::upgrade::OURS;

const GRANTS: &str = include_str!("earlier_grants.sql");

/// The newest migration of that release.
const NEWEST: i64 = 10;

/// Name and text of each step.
fn steps() -> Vec<(String, String)> {
    let as_owner = |sql: &str| format!("SET LOCAL ROLE tenancy_owner;\n\n{sql}\nRESET ROLE;\n");
    let mut roles = String::from("DO $$ BEGIN\n");
    for (name, login) in [
        ("tenancy_owner", "NOLOGIN"),
        ("tenancy_app", "LOGIN"),
        ("tenancy_system", "LOGIN"),
    ] {
        // Another test may make them at the same time.
        roles.push_str(&format!(
            "IF to_regrole('{name}') IS NULL THEN
                 BEGIN CREATE ROLE {name} {login};
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
             END IF;\n"
        ));
    }
    roles.push_str(
        "END $$;
         CREATE SCHEMA IF NOT EXISTS tenancy AUTHORIZATION tenancy_owner;
         GRANT USAGE, CREATE ON SCHEMA public TO tenancy_owner;
         REVOKE CREATE ON SCHEMA public FROM PUBLIC;\n",
    );
    let mut steps = vec![("tenancy_roles".to_owned(), roles)];
    for migration in OURS.iter().filter(|one| one.version <= NEWEST) {
        let name = format!("tenancy_{}", migration.description.replace(' ', "_"));
        steps.push((name, as_owner(migration.sql.as_str())));
    }
    let record = "INSERT INTO tenancy.role_names (kind, name) VALUES ('owner', 'tenancy_owner'), \
        ('app', 'tenancy_app'), ('system', 'tenancy_system');\n";
    steps.push((
        "tenancy_grants".to_owned(),
        as_owner(&format!("{record}{GRANTS}")),
    ));
    steps
}

/// What `Installer::merged` was.
pub(crate) fn merged(application: &Migrator) -> Migrator {
    let ours = (-12..).zip(steps()).map(|(version, (name, sql))| {
        let sql = AssertSqlSafe(sql).into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(ours.chain(application.iter().cloned()).collect())
}

/// What `Installer::emit` was.
pub(crate) fn emit(folder: &Path, first_version: u64) -> anyhow::Result<()> {
    for (version, (name, sql)) in (first_version..).zip(steps()) {
        fs::write(folder.join(format!("{version:014}_{name}.sql")), sql)?;
    }
    Ok(())
}
