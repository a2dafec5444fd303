//! The installation as migrations: for `#[sqlx::test]`, and as files for sqlx-cli.

use std::{fs, path::Path};

use sqlx::{
    AssertSqlSafe, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

use super::{InstallError, Installer, MIGRATIONS, install::GRANTS};
use crate::bulk::quoted;

impl Installer {
    /// The installation and the application's migrations as one `Migrator`.
    ///
    /// For `#[sqlx::test(migrator = "…")]`. The installation's migrations carry negative versions
    /// and so come first.
    ///
    /// ```
    /// use std::sync::LazyLock;
    /// use sqlx::migrate::Migrator;
    /// use tenancy_sqlx::schema::Installer;
    ///
    /// # mod notes { pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT; }
    /// static MIGRATOR: LazyLock<Migrator> =
    ///     LazyLock::new(|| Installer::new().merged(&notes::MIGRATOR));
    /// assert!(MIGRATOR.iter().next().is_some_and(|first| first.version < 0));
    /// ```
    #[must_use]
    pub fn merged(&self, application: &Migrator) -> Migrator {
        let steps = self.steps();
        let first = -(i64::try_from(steps.len()).unwrap_or(0));
        let ours = (first..).zip(steps).map(|(version, (name, sql))| {
            let sql = AssertSqlSafe(sql).into_sql_str();
            Migration::new(version, name.into(), MigrationType::Simple, sql, false)
        });
        Migrator::with_migrations(ours.chain(application.iter().cloned()).collect())
    }

    /// Writes the installation as migration files into a folder, for `sqlx migrate run`.
    ///
    /// The files are numbered from `first_version`, which must come before the application's own
    /// migrations. Returns the names of the files.
    ///
    /// # Errors
    /// An [`InstallError`] if the names of the roles can't be used or a file can't be written. A
    /// file that is there with other content is left alone and is an error.
    pub fn emit(&self, folder: &Path, first_version: u64) -> Result<Vec<String>, InstallError> {
        self.names().check()?;
        fs::create_dir_all(folder)?;
        let mut written = Vec::new();
        for (version, (name, sql)) in (first_version..).zip(self.steps()) {
            let file = format!("{version:014}_{name}.sql");
            let path = folder.join(&file);
            match fs::read_to_string(&path) {
                Ok(found) if found == sql => {}
                Ok(_) => {
                    let message = format!("`{}` is there with other content", path.display());
                    return Err(std::io::Error::other(message).into());
                }
                Err(_) => fs::write(&path, sql)?,
            }
            written.push(file);
        }
        Ok(written)
    }

    /// Name and text of each step. Steps after the first run as the owner role.
    fn steps(&self) -> Vec<(String, String)> {
        let owner = quoted(&self.names().owner);
        let as_owner = |sql: &str| format!("SET LOCAL ROLE {owner};\n\n{sql}\nRESET ROLE;\n");
        let mut steps = vec![("tenancy_roles".to_owned(), self.roles_sql())];
        for migration in MIGRATIONS.iter() {
            let name = format!("tenancy_{}", migration.description.replace(' ', "_"));
            steps.push((name, as_owner(migration.sql.as_str())));
        }
        let grants = format!("{}{GRANTS}", self.names().record_sql());
        steps.push(("tenancy_grants".to_owned(), as_owner(&grants)));
        steps
    }
}
