//! `tenancy install`: the schema `tenancy`, its roles, and the application's migrations after it.

use std::{env, path::PathBuf};

use clap::Args;
use serde_json::json;
use sqlx::migrate::Migrator;
use tenancy_sqlx::schema::{InstallError, Installer};
use zeroize::Zeroizing;

use crate::{
    arguments::{Administrator, Form},
    connect,
    failure::{Failure, Verdict},
    output::Output,
};

/// Install or upgrade the schema `tenancy` and its roles, and run the application's migrations after it.
///
/// Running it again is safe, also while the service runs. It takes the database's administrator, as a superuser or as the
/// owner of the database with CREATEROLE. The roles have their default names, such as `tenancy_app`. A login gets a password
/// where a variable has one: TENANCY_APP_PASSWORD and TENANCY_SYSTEM_PASSWORD together, TENANCY_REGISTRY_PASSWORD,
/// TENANCY_AUDIT_PASSWORD.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  it is installed
  1  it is installed, and what it found afterwards is a fault (with --strict)
  2  it is not installed, or a migration has failed; it goes on there when it is run again

Examples:
  TENANCY_ADMIN_DATABASE_URL=postgres://postgres@localhost/notes tenancy install
  tenancy install --migrations migrations --strict")]
pub(crate) struct Install {
    #[command(flatten)]
    administrator: Administrator,
    /// The folder of the application's migrations, which run as the owner role; without it none run
    #[arg(long, value_name = "FOLDER")]
    migrations: Option<PathBuf>,
    /// Whatever `tenancy check` finds afterwards is a fault, warnings too
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

impl Install {
    pub(crate) async fn run(self, output: &mut Output) -> Result<Verdict, Failure> {
        let url = connect::administrator_url(&self.administrator)?;
        let installer = with_passwords(Installer::new())?.strict(self.strict);
        let migrations = self.migrator().await?;
        match installer.run(url, &migrations).await {
            Ok(()) => {
                let text = "the schema `tenancy` is installed";
                output.good(text, &json!({ "installed": true })).await?;
                Ok(Verdict::Done)
            }
            Err(InstallError::Check(found)) => {
                output.fail(&found.to_string());
                Ok(Verdict::Fault)
            }
            Err(error) => Err(Failure::told(error)),
        }
    }

    async fn migrator(&self) -> Result<Migrator, Failure> {
        let Some(folder) = &self.migrations else {
            // Those that have run are not ours to miss.
            let mut none = Migrator::with_migrations(Vec::new());
            none.set_ignore_missing(true);
            return Ok(none);
        };
        let read = Migrator::new(folder.as_path()).await;
        read.map_err(|error| {
            Failure::Told(format!("the migrations in `{}`: {error}", folder.display()))
        })
    }
}

/// The passwords of the variables. They are no arguments, which others on the machine see.
fn with_passwords(installer: Installer) -> Result<Installer, Failure> {
    let installer = match (password("APP")?, password("SYSTEM")?) {
        (Some(app), Some(system)) => installer.passwords(&app, &system),
        (None, None) => installer,
        _ => {
            return Err(Failure::told(
                "TENANCY_APP_PASSWORD and TENANCY_SYSTEM_PASSWORD are set together: give both, or neither",
            ));
        }
    };
    let installer = match password("REGISTRY")? {
        Some(registry) => installer.registry_password(&registry),
        None => installer,
    };
    Ok(match password("AUDIT")? {
        Some(audit) => installer.audit_password(&audit),
        None => installer,
    })
}

/// The password of a login, if its variable is set.
fn password(login: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    let name = format!("TENANCY_{login}_PASSWORD");
    match env::var(&name) {
        Ok(password) if password.is_empty() => Ok(None),
        Ok(password) => Ok(Some(Zeroizing::new(password))),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::Told(format!("{name} is no UTF-8"))),
    }
}
