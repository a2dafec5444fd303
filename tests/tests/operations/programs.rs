//! PostgreSQL's client programs, as an operator runs them.

use std::{path::Path, process::Command};

use anyhow::{Context as _, ensure};
use sqlx::postgres::PgConnectOptions;
use tenancy_tests::{Binaries, notes::PASSWORD};

/// What a program has written to stdout, or to stderr as the error. The service goes on meanwhile.
pub(crate) async fn run(
    program: &str,
    options: &PgConnectOptions,
    arguments: &[&str],
) -> anyhow::Result<String> {
    let mut command = Command::new(Binaries::installed()?.dir().join(program));
    command
        .args(["--no-password", "--host", options.get_host()])
        .args(["--port", &options.get_port().to_string()])
        .args(["--username", options.get_username()])
        .args(arguments)
        .env("PGPASSWORD", PASSWORD);
    let output = tokio::task::spawn_blocking(move || command.output()).await?;
    let output = output
        .with_context(|| format!("cannot run {program}; install PostgreSQL's client programs"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{told}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Dumps a database into a file.
pub(crate) async fn dump(options: &PgConnectOptions, to: &Path) -> anyhow::Result<()> {
    let database = options.get_database().context("a database")?;
    let to = to.to_str().context("a path")?;
    let arguments = ["--format=custom", "--file", to, database];
    run("pg_dump", options, &arguments).await.map(drop)
}

/// Restores a file into a database that is there, and stops at the first error.
pub(crate) async fn restore(
    options: &PgConnectOptions,
    from: &Path,
    how: &[&str],
) -> anyhow::Result<()> {
    let database = options.get_database().context("a database")?;
    let from = from.to_str().context("a path")?;
    let arguments = [how, &["--exit-on-error", "--dbname", database, from]].concat();
    run("pg_restore", options, &arguments).await.map(drop)
}

/// Makes the roles of one server on another.
pub(crate) async fn copy_roles(
    from: &PgConnectOptions,
    to: &PgConnectOptions,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("roles.sql");
    let path = file.to_str().context("a path")?;
    run("pg_dumpall", from, &["--roles-only", "--file", path]).await?;
    // It stumbles over the superuser, who is there, and goes on.
    let arguments = ["--quiet", "--file", path, "postgres"];
    run("psql", to, &arguments).await.map(drop)
}
