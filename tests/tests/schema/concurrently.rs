//! Installing many times at once, with an index that is made CONCURRENTLY.

use std::fs;

use sqlx::{
    ConnectOptions as _, PgConnection,
    migrate::{Migrate as _, Migrator},
};
use tenancy_sqlx::schema::Installer;
use tenancy_tests::{Server, Template, notes::PASSWORD};

/// CREATE INDEX CONCURRENTLY waits for every snapshot, and so for whoever waits for the lock of
/// migrations inside a statement.
#[tokio::test]
async fn d20_four_at_a_time_make_an_index_concurrently() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (file, sql) in [
        (
            "0001_letters.sql",
            "CREATE TABLE letters (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n int);
             SELECT tenancy.protect('letters')",
        ),
        (
            "0002_index.sql",
            "-- no-transaction\nCREATE INDEX CONCURRENTLY letters_n ON letters (tenant_id, n)",
        ),
    ] {
        fs::write(folder.path().join(file), sql)?;
    }
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let migrator = Migrator::new(folder.path()).await?;
        let installer = Installer::new().passwords(PASSWORD, PASSWORD);
        let url = database.url();
        let install = || installer.run(&url, &migrator);
        tokio::try_join!(install(), install(), install(), install())?;

        let mut admin = database.admin().await?;
        let valid: bool = sqlx::query_scalar(
            "SELECT i.indisvalid FROM pg_index AS i WHERE i.indexrelid = 'letters_n'::regclass",
        )
        .fetch_one(&mut admin)
        .await?;
        assert!(valid);
        let owner: String = sqlx::query_scalar(
            "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'letters_n'",
        )
        .fetch_one(&mut admin)
        .await?;
        assert_eq!(owner, "tenancy_owner");
        database.close().await?;
    }
    Ok(())
}

/// Whoever migrates with sqlx alone, as sqlx-cli does, is waited for.
#[tokio::test]
async fn the_lock_of_sqlx_keeps_an_installation_waiting() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let mut other: PgConnection = database.admin_options().connect().await?;
        other.lock().await?;
        let url = database.url();
        let nothing = Migrator::with_migrations(Vec::new());
        let installer = Installer::new();
        let mut installing = std::pin::pin!(installer.run(&url, &nothing));
        let mut watching = database.admin().await?;
        // It asks for the lock, and does not get on.
        let asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND query LIKE '%pg_try_advisory_lock%' AND pid <> pg_backend_pid()";
        loop {
            tokio::select! {
                done = &mut installing => anyhow::bail!("did not wait: {done:?}"),
                count = sqlx::query_scalar::<_, i64>(asked).fetch_one(&mut watching) => {
                    if count? > 0 {
                        break;
                    }
                }
            }
        }
        let schema: Option<String> = sqlx::query_scalar("SELECT to_regnamespace('tenancy')::text")
            .fetch_one(&mut watching)
            .await?;
        assert_eq!(schema, None);
        other.unlock().await?;
        installing.await?;
        let schema: Option<String> = sqlx::query_scalar("SELECT to_regnamespace('tenancy')::text")
            .fetch_one(&mut watching)
            .await?;
        assert_eq!(schema.as_deref(), Some("tenancy"));
        drop((other, watching));
        database.close().await?;
    }
    Ok(())
}
