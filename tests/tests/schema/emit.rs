//! The installation as migrations: one `Migrator`, or files for `sqlx migrate run`.
//!
//! `#[sqlx::test(migrator = …)]` runs such a `Migrator` on an empty database of its own, which it
//! makes at `DATABASE_URL`; here the harness makes the database, and no variable is needed.

use std::fs;

use sqlx::{Executor as _, migrate::Migrator};
use tenancy_sqlx::schema::{InstallError, Installer};
use tenancy_tests::{
    Server, Template, TestDatabase,
    notes::{MIGRATIONS, PASSWORD},
};

/// The service's login sees nothing of a note that is there.
pub(crate) async fn isolates(database: &TestDatabase) -> anyhow::Result<()> {
    let mut admin = database.admin().await?;
    admin
        .execute(
            "INSERT INTO tenancy.tenants (id, slug, name, status)
                 VALUES ('00000000-0000-7000-8000-000000000001', 'one', 'One', 'active');
             INSERT INTO notes (tenant_id, body) SELECT id, 'x' FROM tenancy.tenants",
        )
        .await?;
    let options = database.options_as("tenancy_app", Some(PASSWORD));
    let mut app: sqlx::PgConnection = sqlx::ConnectOptions::connect(&options).await?;
    let as_one =
        "SELECT set_config('tenancy.tenant_id', '00000000-0000-7000-8000-000000000001', false)";
    for (before, rows) in [("SELECT 1", 0), (as_one, 1)] {
        app.execute(before).await?;
        let seen = app.fetch_all("SELECT FROM notes").await?.len();
        anyhow::ensure!(seen == rows, "{seen} rows after {before}");
    }
    Ok(())
}

#[tokio::test]
async fn one_migrator_installs_and_migrates_an_empty_database() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let merged = Installer::new()
            .passwords(PASSWORD, PASSWORD)
            .merged(&MIGRATIONS);
        let mut admin = database.admin().await?;
        for _ in 0..2 {
            merged.run_direct(None, &mut admin, false).await?;
        }
        isolates(&database).await?;
        database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn emitted_files_run_before_the_applications_own() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let folder = tempfile::tempdir()?;
        let installer = Installer::new().passwords(PASSWORD, PASSWORD);
        let files = installer.emit(folder.path(), 1)?;
        assert_eq!(files.len(), fs::read_dir(folder.path())?.count());
        for migration in MIGRATIONS.iter() {
            let file = format!("2026010100000{}_app.sql", migration.version);
            fs::write(folder.path().join(file), migration.sql.as_str())?;
        }

        let database = server.database(&Template::empty()).await?;
        let migrator = Migrator::new(folder.path()).await?;
        let mut admin = database.admin().await?;
        migrator.run_direct(None, &mut admin, false).await?;
        isolates(&database).await?;

        database.close().await?;
    }
    Ok(())
}

#[test]
fn emitting_again_writes_nothing_and_a_changed_file_is_left_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let installer = Installer::new();
    let files = installer.emit(folder.path(), 100)?;
    assert!(files[0].contains("_tenancy_schema_"), "{files:?}");
    assert_eq!(installer.emit(folder.path(), 100)?, files);

    let changed = folder.path().join(&files[0]);
    assert!(fs::read_to_string(&changed)?.starts_with("SET LOCAL lock_timeout"));
    fs::write(&changed, "-- mine")?;
    let refused = installer.emit(folder.path(), 100).unwrap_err();
    assert!(matches!(refused, InstallError::Files(_)));
    assert!(
        refused.to_string().contains("is there with other content"),
        "{refused}"
    );
    assert_eq!(fs::read_to_string(&changed)?, "-- mine");

    let number = files[0].split_once('_').map(|(number, _)| number);
    let theirs = format!("{}_letters.sql", number.unwrap_or_default());
    fs::rename(&changed, folder.path().join(&theirs))?;
    let refused = installer.emit(folder.path(), 100).unwrap_err();
    assert!(refused.to_string().contains(&theirs), "{refused}");
    Ok(())
}
