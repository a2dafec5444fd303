//! Every way of installing upgrades what any other has installed, in an earlier release too.

use std::{fs, path::Path};

use sqlx::{Connection as _, Executor as _, PgConnection, migrate::Migrator};
use tenancy_sqlx::schema::{InstallError, Installer};
use tenancy_tests::{
    Server, Template, TestDatabase,
    notes::{MIGRATIONS, PASSWORD},
};

use crate::{earlier, emit::isolates, install::STATE, upgrade::OURS};

fn installer() -> Installer {
    Installer::new().passwords(PASSWORD, PASSWORD)
}

/// Writes the application's migrations as they have to be numbered beside ours.
fn write_application(folder: &Path) -> anyhow::Result<()> {
    for migration in MIGRATIONS.iter() {
        let file = format!("2026010100000{}_app.sql", migration.version);
        fs::write(folder.join(file), migration.sql.as_str())?;
    }
    Ok(())
}

/// Runs the migrations of a folder as sqlx-cli does, in a session of its own.
async fn migrate(database: &TestDatabase, folder: &Path) -> anyhow::Result<()> {
    let mut migrator = Migrator::new(folder).await?;
    migrator.set_ignore_missing(true);
    let mut session = database.admin().await?;
    migrator.run_direct(None, &mut session, false).await?;
    Ok(session.close().await?)
}

async fn state(admin: &mut PgConnection) -> anyhow::Result<String> {
    Ok(sqlx::query_scalar(STATE).fetch_one(admin).await?)
}

/// Every migration of ours is recorded as sqlx would.
async fn is_complete(admin: &mut PgConnection) -> anyhow::Result<()> {
    let recorded: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM tenancy.migrations ORDER BY version")
            .fetch_all(admin)
            .await?;
    let ours = OURS.iter();
    let ours: Vec<_> = ours
        .map(|one| (one.version, one.checksum.to_vec()))
        .collect();
    anyhow::ensure!(recorded == ours, "{recorded:?}");
    Ok(())
}

#[tokio::test]
async fn d19_a_migrator_upgrades_what_the_release_before_installed() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let mut admin = database.admin().await?;
        let before = earlier::merged(&MIGRATIONS);
        before.run_direct(None, &mut admin, false).await?;
        let unrecorded = sqlx::query("SELECT FROM tenancy.migrations").execute(&mut admin);
        assert!(unrecorded.await.is_err(), "nothing was recorded there");

        let merged = installer().merged(&MIGRATIONS);
        for _ in 0..2 {
            merged.run_direct(None, &mut admin, false).await?;
            is_complete(&mut admin).await?;
        }
        isolates(&database).await?;
        admin.close().await?;
        database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn d19_a_file_is_added_that_upgrades_what_earlier_files_installed() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let folder = tempfile::tempdir()?;
        earlier::emit(folder.path(), 1)?;
        write_application(folder.path())?;
        let database = server.database(&Template::empty()).await?;
        migrate(&database, folder.path()).await?;

        let before = fs::read_dir(folder.path())?.count();
        installer().emit(folder.path(), 1)?;
        assert_eq!(fs::read_dir(folder.path())?.count(), before + 1);
        for _ in 0..2 {
            migrate(&database, folder.path()).await?;
        }
        is_complete(&mut database.admin().await?).await?;
        isolates(&database).await?;
        database.close().await?;

        // All of them on a new database.
        let database = server.database(&Template::empty()).await?;
        migrate(&database, folder.path()).await?;
        is_complete(&mut database.admin().await?).await?;
        isolates(&database).await?;
        database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_ways_of_installing_take_turns_on_one_database() -> anyhow::Result<()> {
    for server in Server::all().await? {
        // The file of ours lies among the application's, and each way meets it there.
        let folder = tempfile::tempdir()?;
        installer().emit(folder.path(), 1)?;
        write_application(folder.path())?;
        let application = Migrator::new(folder.path()).await?;
        let database = server.database(&Template::empty()).await?;
        let mut admin = database.admin().await?;
        installer().run_on(&mut admin, &application).await?;
        let first = state(&mut admin).await?;
        for _ in 0..2 {
            let merged = installer().merged(&application);
            merged.run_direct(None, &mut admin, false).await?;
            migrate(&database, folder.path()).await?;
            installer().run_on(&mut admin, &application).await?;
            assert_eq!(state(&mut admin).await?, first);
        }
        // Another password is no other migration.
        let other = installer().registry_password(PASSWORD);
        other
            .merged(&application)
            .run_direct(None, &mut admin, false)
            .await?;
        isolates(&database).await?;
        admin.close().await?;
        database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_migration_of_the_application_is_still_an_error() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let mut admin = database.admin().await?;
        let merged = installer().merged(&MIGRATIONS);
        merged.run_direct(None, &mut admin, false).await?;
        let nothing = Migrator::with_migrations(Vec::new());
        let refused = installer().run_on(&mut admin, &nothing).await.unwrap_err();
        assert!(
            matches!(refused, InstallError::Migration { .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains("missing"), "{refused}");
        // The connection is as it was, and others may migrate.
        installer().run_on(&mut admin, &MIGRATIONS).await?;
        let held: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
        )
        .fetch_one(&mut admin)
        .await?;
        assert_eq!(held, 0);
        admin.close().await?;
        database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_migration_of_ours_that_was_modified_is_refused_on_every_way() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let folder = tempfile::tempdir()?;
        let database = server.database(&Template::empty()).await?;
        let mut admin = database.admin().await?;
        installer().run_on(&mut admin, &MIGRATIONS).await?;
        admin
            .execute("UPDATE tenancy.migrations SET checksum = 'other' WHERE version = 4")
            .await?;
        let run = installer().run_on(&mut admin, &MIGRATIONS).await;
        let merged = installer().merged(&MIGRATIONS);
        // sqlx keeps its lock after an error, until the session ends.
        let mut session = database.admin().await?;
        let merged = merged.run_direct(None, &mut session, false).await;
        session.close().await?;
        installer().emit(folder.path(), 1)?;
        let emitted = migrate(&database, folder.path()).await;
        for said in [
            run.unwrap_err().to_string(),
            merged.unwrap_err().to_string(),
            format!("{:#}", emitted.unwrap_err()),
        ] {
            assert!(
                said.contains("migration 4 of the schema") && said.contains("modified"),
                "{said}"
            );
        }
        admin.close().await?;
        database.close().await?;
    }
    Ok(())
}

/// An older service may install at its start, after a newer one has.
#[tokio::test]
async fn an_older_release_takes_nothing_from_a_newer_one() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let mut admin = database.admin().await?;
        installer().run_on(&mut admin, &MIGRATIONS).await?;
        admin
            .execute(
                "INSERT INTO tenancy.migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'of tomorrow', true, '', -1);
                 CREATE TABLE tenancy.of_tomorrow (n int);
                 ALTER TABLE tenancy.of_tomorrow OWNER TO tenancy_owner;
                 GRANT SELECT ON tenancy.of_tomorrow TO tenancy_app",
            )
            .await?;
        installer().run_on(&mut admin, &MIGRATIONS).await?;
        let kept: bool = sqlx::query_scalar(
            "SELECT has_table_privilege('tenancy_app', 'tenancy.of_tomorrow', 'SELECT')",
        )
        .fetch_one(&mut admin)
        .await?;
        assert!(kept);
        admin
            .execute("DELETE FROM tenancy.migrations WHERE version = 9999")
            .await?;
        installer().run_on(&mut admin, &MIGRATIONS).await?;
        let taken: bool = sqlx::query_scalar(
            "SELECT NOT has_table_privilege('tenancy_app', 'tenancy.of_tomorrow', 'SELECT')",
        )
        .fetch_one(&mut admin)
        .await?;
        assert!(taken, "else this test shows nothing");
        admin.close().await?;
        database.close().await?;
    }
    Ok(())
}
