//! `tenancy install` and `tenancy check`.

use std::{fs, process::Command};

use anyhow::ensure;
use tenancy_tests::{
    Server, Template, TestDatabase,
    notes::{PASSWORD, on_every_server},
};

use crate::stand::{Run, Stand, tenancy};

/// A database in which nothing is installed.
pub(crate) const EMPTY: Template = Template::new("empty", |_| Box::pin(async { Ok(()) }));

pub(crate) fn install(database: &TestDatabase, arguments: &[&str]) -> Command {
    let mut command = tenancy(&[&["install"], arguments].concat());
    command.env("TENANCY_ADMIN_DATABASE_URL", database.url());
    for login in ["APP", "SYSTEM", "REGISTRY", "AUDIT"] {
        command.env(format!("TENANCY_{login}_PASSWORD"), PASSWORD);
    }
    command
}

fn as_system(database: &TestDatabase, arguments: &[&str]) -> anyhow::Result<Run> {
    let mut command = tenancy(arguments);
    let url = database.url_as("tenancy_system", Some(PASSWORD));
    command.env("TENANCY_DATABASE_URL", url);
    Ok(Run::of(command.output()?))
}

#[tokio::test]
async fn a_database_is_installed_and_checked_from_nothing() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&EMPTY).await?;
        let nothing = as_system(&database, &["check"])?.ends_with(2)?;
        ensure!(!nothing.err.is_empty(), "{nothing:?}");
        as_system(&database, &["audit", "verify", "--all"])?.ends_with(2)?;

        let first = Run::of(install(&database, &["--format", "json"]).output()?).ends_with(0)?;
        ensure!(first.json()?[0]["installed"] == true, "{first:?}");
        as_system(&database, &["check"])?.ends_with(0)?;
        as_system(&database, &["audit", "verify", "--all"])?.ends_with(0)?;

        let folder = tempfile::tempdir()?;
        let path = folder.path().display().to_string();
        let protected =
            "CREATE TABLE notes (id uuid PRIMARY KEY, body text); SELECT tenancy.protect('notes');";
        fs::write(folder.path().join("1_notes.sql"), protected)?;
        let migrated = Run::of(install(&database, &["--migrations", &path]).output()?);
        let migrated = migrated.ends_with(0)?;
        ensure!(
            migrated.out == "the schema `tenancy` is installed\n",
            "{migrated:?}"
        );
        as_system(&database, &["check"])?.ends_with(0)?;
        // Again, and without the folder, whose migration is no missing one.
        Run::of(install(&database, &["--migrations", &path, "--strict"]).output()?).ends_with(0)?;
        Run::of(install(&database, &["--strict"]).output()?).ends_with(0)?;

        fs::write(
            folder.path().join("2_forgotten.sql"),
            "CREATE TABLE forgotten (id int);",
        )?;
        let strict = install(&database, &["--migrations", &path, "--strict"]).output()?;
        let strict = Run::of(strict).ends_with(1)?;
        ensure!(strict.err.contains("forgotten"), "{strict:?}");
        fs::write(folder.path().join("3_wrong.sql"), "CREATE TABLE;")?;
        let wrong = install(&database, &["--migrations", &path]).output()?;
        let wrong = Run::of(wrong).ends_with(2)?;
        ensure!(wrong.err.contains("error:"), "{wrong:?}");
        let nowhere = install(&database, &["--migrations", &format!("{path}/nowhere")]).output()?;
        ensure!(Run::of(nowhere).ends_with(2)?.err.contains("nowhere"));
        database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_installation_says_what_it_lacks_and_no_password() -> anyhow::Result<()> {
    let without = Run::of(tenancy(&["install"]).output()?).ends_with(2)?;
    ensure!(
        without.err.contains("TENANCY_ADMIN_DATABASE_URL"),
        "{without:?}"
    );
    let secret = "Zw3i-Gehe1m";
    let mut half = tenancy(&["install"]);
    half.env("TENANCY_ADMIN_DATABASE_URL", "postgres://127.0.0.1:1/notes");
    half.env("TENANCY_APP_PASSWORD", secret);
    let half = Run::of(half.output()?).ends_with(2)?;
    ensure!(
        half.err.contains("TENANCY_SYSTEM_PASSWORD") && !half.err.contains(secret),
        "{half:?}"
    );
    for url in [
        format!("postgres://postgres:{secret}@127.0.0.1:port/notes"),
        format!("postgres://postgres:{secret}@127.0.0.1:1/notes"),
    ] {
        for command in ["install", "check"] {
            let mut command = tenancy(&[command]);
            command.env("TENANCY_ADMIN_DATABASE_URL", &url);
            command
                .env("TENANCY_DATABASE_URL", &url)
                .env("TENANCY_LOG", "trace");
            let refused = Run::of(command.output()?).ends_with(2)?;
            ensure!(
                !refused.err.contains(secret) && !refused.out.contains(secret),
                "{refused:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_was_forgotten_and_what_is_open_is_found() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let before = stand.run(&["check", "--format", "json"])?;
        ensure!(
            before
                .json()?
                .iter()
                .all(|one| one["subject"] != "forgotten"),
            "{before:?}"
        );
        stand.run(&["check", "--lenient"])?.ends_with(0)?;
        notes.as_admin("CREATE TABLE forgotten (id int)").await?;
        let found = stand
            .run(&["check", "--format", "json"])?
            .ends_with(1)?
            .json()?;
        let forgotten = found.iter().find(|one| one["code"] == "undecided-table");
        let forgotten = forgotten.ok_or_else(|| anyhow::anyhow!("{found:?}"))?;
        ensure!(forgotten["level"] == "warning", "{forgotten}");
        ensure!(
            forgotten["subject"]
                .as_str()
                .is_some_and(|name| name.contains("forgotten"))
        );
        let lenient = stand.run(&["check", "--lenient"])?.ends_with(0)?;
        ensure!(lenient.out.contains("forgotten"), "{lenient:?}");

        notes
            .as_admin("ALTER TABLE notes DISABLE ROW LEVEL SECURITY")
            .await?;
        let open = stand.run(&["check", "--lenient"])?.ends_with(1)?;
        ensure!(
            open.out.contains("error: ") && open.out.contains("guard-altered"),
            "{open:?}"
        );
        // An administrator is told the same.
        let mut command = tenancy(&["check", "--lenient"]);
        command.env("TENANCY_DATABASE_URL", notes.database.url());
        let told = Run::of(command.output()?).ends_with(1)?;
        ensure!(told.out == open.out, "{told:?} {open:?}");
        Ok(())
    })
    .await
}
