//! What an application's migrations make belongs to the owner role, whoever runs them: a view and a
//! SECURITY DEFINER function read as their owner, and a superuser's would read every tenant's rows.

use std::{fs, path::Path};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    migrate::Migrator, postgres::PgConnectOptions,
};
use tenancy_sqlx::schema::Installer;
use tenancy_tests::{Server, Template, TestDatabase, notes::PASSWORD};

const LETTERS: &str = "CREATE TABLE letters (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n int);
    SELECT tenancy.protect('letters');
    INSERT INTO tenancy.tenants (id, slug, name, status) VALUES
        ('00000000-0000-7000-8000-000000000001', 'one', 'One', 'active'),
        ('00000000-0000-7000-8000-000000000002', 'two', 'Two', 'active');
    INSERT INTO letters (tenant_id, n) SELECT id, 1 FROM tenancy.tenants";

/// Made in a block with an exception too, which PostgreSQL runs as a transaction inside.
const READERS: &str = "CREATE VIEW all_letters AS SELECT * FROM letters;
    SELECT tenancy.share('all_letters');
    CREATE FUNCTION count_letters() RETURNS bigint LANGUAGE sql SECURITY DEFINER
        AS 'SELECT count(*) FROM letters';
    DO $$ BEGIN
        CREATE VIEW later_letters AS SELECT * FROM letters;
        PERFORM tenancy.share('later_letters');
    EXCEPTION WHEN division_by_zero THEN NULL;
    END $$;
    CREATE TYPE mood AS ENUM ('calm'); CREATE DOMAIN code AS text; CREATE TYPE pair AS (a int, b int);
    CREATE SEQUENCE numbers; CREATE MATERIALIZED VIEW nothing AS SELECT 1 AS n -- the end";

const INDEX: &str =
    "-- no-transaction\nCREATE INDEX CONCURRENTLY letters_n ON letters (tenant_id, n)";

/// Views of a migration that becomes the owner itself.
const BY_HAND: &str = "SET LOCAL ROLE tenancy_owner;
    CREATE VIEW by_hand AS SELECT * FROM letters; SELECT tenancy.share('by_hand')";

const SQL: [&str; 4] = [LETTERS, READERS, INDEX, BY_HAND];

fn write(folder: &Path, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
    for (number, sql) in SQL.iter().enumerate() {
        if numbers.contains(&number) {
            let file = folder.join(format!("202601010000{number:02}_app.sql"));
            fs::write(file, sql)?;
        }
    }
    Ok(())
}

/// What is the application's, and not the owner role's.
async fn of_others(admin: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT o.name FROM (
             SELECT relname::text, relowner FROM pg_class
             WHERE relnamespace = 'public'::regnamespace
             UNION ALL SELECT proname, proowner FROM pg_proc
             WHERE pronamespace = 'public'::regnamespace
             UNION ALL SELECT typname, typowner FROM pg_type
             WHERE typnamespace = 'public'::regnamespace
         ) AS o (name, owner)
         WHERE o.owner <> 'tenancy_owner'::regrole ORDER BY 1",
    )
    .fetch_all(admin)
    .await?)
}

/// The service's login sees one of the two letters by each way.
async fn isolates(database: &TestDatabase) -> anyhow::Result<()> {
    let mut admin = database.admin().await?;
    let all: i64 = sqlx::query_scalar("SELECT count(*) FROM letters")
        .fetch_one(&mut admin)
        .await?;
    anyhow::ensure!(all == 2, "{all} letters are there");
    let others = of_others(&mut admin).await?;
    anyhow::ensure!(others.is_empty(), "{others:?} are not the owner's");

    let options = database.options_as("tenancy_app", Some(PASSWORD));
    let mut app: PgConnection = options.connect().await?;
    let as_one =
        "SELECT set_config('tenancy.tenant_id', '00000000-0000-7000-8000-000000000001', false)";
    for (before, rows) in [("SELECT 1", 0), (as_one, 1)] {
        app.execute(before).await?;
        for count in [
            "(SELECT count(*) FROM letters)",
            "(SELECT count(*) FROM all_letters)",
            "(SELECT count(*) FROM later_letters)",
            "(SELECT count(*) FROM by_hand)",
            "count_letters()",
        ] {
            let seen: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {count}")))
                .fetch_one(&mut app)
                .await?;
            anyhow::ensure!(seen == rows, "{seen} by {count} after {before}");
        }
    }
    app.close().await?;
    Ok(admin.close().await?)
}

/// The administrator, and one that may make roles and owns the database, and that is all.
async fn administrators(database: &TestDatabase) -> anyhow::Result<(String, PgConnectOptions)> {
    let name = format!("admin_{}", uuid::Uuid::now_v7().simple());
    // On a server where the roles are there already, a member of the owner role.
    let make = format!(
        "CREATE ROLE {name} LOGIN CREATEROLE PASSWORD '{PASSWORD}'; GRANT tenancy_owner TO {name};
         ALTER DATABASE {} OWNER TO {name}",
        database.name()
    );
    database.admin().await?.execute(AssertSqlSafe(make)).await?;
    let options = database.options_as(&name, Some(PASSWORD));
    Ok((name, options))
}

async fn remove(server: &Server, name: &str) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect_with(&server.admin_options()).await?;
    admin
        .execute(AssertSqlSafe(format!("DROP ROLE {name}")))
        .await?;
    Ok(())
}

/// Makes the roles on a server, in a database that goes again.
async fn roles(server: &Server) -> anyhow::Result<()> {
    let database = server.database(&Template::empty()).await?;
    let nothing = Migrator::with_migrations(Vec::new());
    let installer = Installer::new().passwords(PASSWORD, PASSWORD);
    installer.run(&database.url(), &nothing).await?;
    Ok(database.close().await?)
}

/// Runs the migrations of a folder as sqlx-cli does, in a session of its own.
async fn migrate(options: &PgConnectOptions, folder: &Path) -> anyhow::Result<()> {
    let mut session = options.connect().await?;
    let migrator = Migrator::new(folder).await?;
    migrator.run_direct(None, &mut session, false).await?;
    let role: bool = sqlx::query_scalar("SELECT current_user = session_user")
        .fetch_one(&mut session)
        .await?;
    anyhow::ensure!(role, "the session is somebody else's afterwards");
    Ok(session.close().await?)
}

#[tokio::test]
async fn d2_what_sqlx_cli_runs_is_handed_over_in_whatever_session() -> anyhow::Result<()> {
    for server in Server::all().await? {
        roles(&server).await?;
        for superuser in [true, false] {
            let database = server.database(&Template::empty()).await?;
            let folder = tempfile::tempdir()?;
            Installer::new().emit(folder.path(), 1)?;
            write(folder.path(), 0..1)?;
            let (name, restricted) = administrators(&database).await?;
            let options = if superuser {
                database.admin_options()
            } else {
                restricted
            };
            migrate(&options, folder.path()).await?;
            write(folder.path(), 1..4)?;
            migrate(&options, folder.path()).await?;
            isolates(&database).await?;
            database.close().await?;
            remove(&server, &name).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn d2_a_merged_migrator_becomes_the_owner_for_each_migration() -> anyhow::Result<()> {
    for server in Server::all().await? {
        roles(&server).await?;
        for superuser in [true, false] {
            let database = server.database(&Template::empty()).await?;
            let folder = tempfile::tempdir()?;
            let (name, restricted) = administrators(&database).await?;
            let options = if superuser {
                database.admin_options()
            } else {
                restricted
            };
            for numbers in [0..1, 1..4] {
                write(folder.path(), numbers)?;
                let application = Migrator::new(folder.path()).await?;
                let merged = Installer::new().merged(&application);
                let mut session = options.connect().await?;
                merged.run_direct(None, &mut session, false).await?;
                session.close().await?;
            }
            isolates(&database).await?;

            // For sqlx alone they are the same migrations.
            let mut application = Migrator::new(folder.path()).await?;
            application.set_ignore_missing(true);
            let mut session = options.connect().await?;
            application.run_direct(None, &mut session, false).await?;
            session.close().await?;
            database.close().await?;
            remove(&server, &name).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_installer_runs_migrations_as_the_owner() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let folder = tempfile::tempdir()?;
        let installer = Installer::new().passwords(PASSWORD, PASSWORD);
        for numbers in [0..1, 1..4] {
            write(folder.path(), numbers)?;
            let application = Migrator::new(folder.path()).await?;
            installer.run(&database.url(), &application).await?;
        }
        isolates(&database).await?;
        database.close().await?;
    }
    Ok(())
}

/// Only what a migration made is handed over: what was there, and what others make, stays theirs.
#[tokio::test]
async fn nothing_else_is_handed_over() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let mut admin = database.admin().await?;
        admin.execute("CREATE TABLE before (n int)").await?;
        let folder = tempfile::tempdir()?;
        Installer::new().emit(folder.path(), 1)?;
        write(folder.path(), 0..1)?;
        migrate(&database.admin_options(), folder.path()).await?;
        admin
            .execute("CREATE TABLE besides (n int); CREATE EXTENSION IF NOT EXISTS plpgsql")
            .await?;
        write(folder.path(), 1..2)?;
        migrate(&database.admin_options(), folder.path()).await?;
        let others = of_others(&mut admin).await?;
        let rows = others.iter().filter(|name| !name.starts_with('_'));
        let mut names: Vec<_> = rows.map(String::as_str).collect();
        names.dedup();
        assert_eq!(names, ["before", "besides"]);
        admin.close().await?;
        database.close().await?;
    }
    Ok(())
}
