//! The installation as migrations: for `#[sqlx::test]`, and as files for sqlx-cli.

use std::{borrow::Cow, fs, io, path::Path};

use sqlx::{
    AssertSqlSafe, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

use super::{InstallError, Installer, application, script};

impl Installer {
    /// The installation and the application's migrations as one `Migrator`.
    ///
    /// For `#[sqlx::test(migrator = "…")]`. The installation is one step with a negative version, and
    /// so comes first; that of a newer release has another version, and upgrades. The application's
    /// migrations run as the owner role, and are the same ones for sqlx as without the installation.
    ///
    /// sqlx records the step beside the application's migrations: on such a database `sqlx migrate
    /// run` needs `--ignore-missing`. The migrator itself ignores recorded migrations that it lacks,
    /// because steps of other releases are among them.
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
        let newest = script::newest();
        let step = Migration {
            version: application::FIRST_STEP + newest,
            description: Cow::Borrowed("tenancy schema"),
            migration_type: MigrationType::Simple,
            sql: AssertSqlSafe(self.text()).into_sql_str(),
            // Not of the text: other passwords or roles are no other step.
            checksum: format!("tenancy {newest}").into_bytes().into(),
            no_tx: false,
        };
        let owner = &self.names().owner;
        let theirs = application.iter();
        let theirs = theirs.map(|migration| application::as_owner(migration, owner));
        let mut migrations: Vec<_> = std::iter::once(step).chain(theirs).collect();
        migrations.sort();
        Migrator {
            migrations: migrations.into(),
            ignore_missing: true,
            ..application::copy(application)
        }
    }

    /// Writes the installation as a migration file into a folder, for `sqlx migrate run`.
    ///
    /// One file, whose number follows from `first_version` and from the release: always give the
    /// same, which must come before the application's own migrations and leave room for a hundred
    /// files. A newer release adds a file that upgrades; leave those of earlier ones where they are.
    /// Returns the name of the file.
    ///
    /// sqlx-cli runs the application's migrations as the login that it connects with. What they make
    /// is handed over to the owner role where sqlx records the migration, in the same transaction.
    /// This can't be done for a `-- no-transaction` migration: make views and functions in others.
    ///
    /// # Errors
    /// An [`InstallError`] if the names of the roles can't be used or the file can't be written. A
    /// file that is there with other content, or another with the same number, is left alone and is
    /// an error.
    pub fn emit(&self, folder: &Path, first_version: u64) -> Result<Vec<String>, InstallError> {
        self.names().check()?;
        fs::create_dir_all(folder)?;
        let newest = script::newest();
        let version = first_version.saturating_add(newest.unsigned_abs().saturating_add(1));
        let file = format!("{version:014}_tenancy_schema_{newest}.sql");
        if let Some(other) = with_number(folder, version, &file)? {
            let message =
                format!("`{other}` has the number {version} already, give another first one");
            return Err(io::Error::other(message).into());
        }
        let (path, sql) = (folder.join(&file), self.text());
        match fs::read_to_string(&path) {
            Ok(found) if found == sql => {}
            Ok(_) => {
                let message = format!("`{}` is there with other content", path.display());
                return Err(io::Error::other(message).into());
            }
            Err(_) => fs::write(&path, sql)?,
        }
        Ok(vec![file])
    }
}

/// A migration other than `file` that sqlx would read as of this version.
fn with_number(folder: &Path, version: u64, file: &str) -> io::Result<Option<String>> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let number = name.split_once('_').map(|(number, _)| number.parse());
        if name != file && name.ends_with(".sql") && number == Some(Ok(version)) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
