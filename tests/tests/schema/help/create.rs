//! What the owner role may make: schemas, extensions, tables in `public`. Where it may not, the error says
//! what to do.

use std::borrow::Cow;

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use tenancy_sqlx::schema::{DatabaseRoles, Installer};
use tenancy_tests::{Server, Template, TestDatabase, notes::PASSWORD, warned};

use crate::install::{own_roles, quoted, remove};

fn application(sql: &'static str) -> Migrator {
    let kind = MigrationType::Simple;
    let one = Migration::new(1, "one".into(), kind, sql.into_sql_str(), false);
    Migrator {
        migrations: Cow::Owned(vec![one]),
        ..Migrator::DEFAULT
    }
}

/// The owner role was given another name; the hints say the usual one.
async fn installs(
    database: &TestDatabase,
    installer: &Installer,
    sql: &'static str,
) -> Result<(), String> {
    let done = installer.run(&database.url(), &application(sql)).await;
    done.map_err(|error| error.to_string())
}

fn installer(roles: &DatabaseRoles) -> Installer {
    Installer::new()
        .roles(roles.clone())
        .passwords(PASSWORD, PASSWORD)
}

#[tokio::test]
async fn a_schema_and_a_trusted_extension_are_refused_with_the_mend_and_made_where_the_owner_may()
-> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let usual = installer(&roles);
        for (sql, says) in [
            (
                "CREATE SCHEMA billing",
                vec![
                    "may make no schema",
                    "`Installer::owner_may_create(true)`",
                    "GRANT CREATE ON DATABASE",
                ],
            ),
            (
                "CREATE EXTENSION btree_gist",
                vec![
                    "CREATE EXTENSION IF NOT EXISTS btree_gist",
                    "`Installer::owner_may_create(true)`",
                ],
            ),
            (
                "CREATE EXTENSION dblink",
                vec![
                    "as an administrator before the installation: CREATE EXTENSION IF NOT EXISTS dblink",
                ],
            ),
        ] {
            let said = installs(&database, &usual, sql).await.unwrap_err();
            for part in &says {
                assert!(said.contains(part), "{sql}: no `{part}` in {said}");
            }
            assert!(!said.contains("must own what is there"), "{said}");
            let untrusted = sql.contains("dblink");
            assert_eq!(said.contains("owner_may_create"), !untrusted, "{said}");
        }
        let made = "CREATE SCHEMA billing; CREATE EXTENSION btree_gist;
            CREATE TABLE billing.bills (id int PRIMARY KEY); SELECT tenancy.protect('billing.bills')";
        let open = usual.clone().owner_may_create(true).strict(true);
        for _ in 0..2 {
            installs(&database, &open, made)
                .await
                .map_err(anyhow::Error::msg)?;
        }
        // Who has it keeps it.
        installs(&database, &usual, made)
            .await
            .map_err(anyhow::Error::msg)?;
        let mut admin = database.admin().await?;
        let may: bool =
            sqlx::query_scalar("SELECT has_database_privilege($1, current_database(), 'CREATE')")
                .bind(&roles.owner)
                .fetch_one(&mut admin)
                .await?;
        assert!(may);
        admin.close().await?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}

/// The schema `public` of a database that comes from PostgreSQL 14 belongs to the server's superuser.
#[tokio::test]
async fn a_schema_public_of_somebody_elses_is_told_with_the_mend() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let admin = format!("admin_{}", uuid::Uuid::now_v7().simple());
        let mut superuser = database.admin().await?;
        let make = format!(
            "CREATE ROLE {admin} LOGIN CREATEROLE PASSWORD '{PASSWORD}';
             ALTER DATABASE {} OWNER TO {admin}; ALTER SCHEMA public OWNER TO CURRENT_USER;
             GRANT USAGE ON SCHEMA public TO PUBLIC; CREATE TABLE public.old (n int)",
            database.name()
        );
        superuser.execute(AssertSqlSafe(make)).await?;
        let mut connection = database
            .options_as(&admin, Some(PASSWORD))
            .connect()
            .await?;
        let notes = application("CREATE TABLE notes (n int); SELECT tenancy.protect('notes')");
        let installer = installer(&roles);
        let (outcome, warnings) = warned(installer.run_on(&mut connection, &notes)).await;
        let said = outcome.map_err(|error| error.to_string()).unwrap_err();
        assert!(
            said.contains("permission denied for schema public")
                && said.contains("GRANT USAGE, CREATE ON SCHEMA public TO tenancy_owner"),
            "{said}"
        );
        let warnings = warnings.join("\n");
        assert!(
            !warnings.contains("no privileges were granted"),
            "{warnings}"
        );
        let grant = format!(
            "GRANT USAGE, CREATE ON SCHEMA public TO {}",
            quoted(&roles.owner)
        );
        assert!(
            warnings.contains("there are tables in the schema public"),
            "{warnings}"
        );

        superuser.execute(AssertSqlSafe(grant)).await?;
        superuser
            .execute("ALTER TABLE public.old OWNER TO CURRENT_USER; DROP TABLE public.old")
            .await?;
        let (outcome, warnings) = warned(installer.run_on(&mut connection, &notes)).await;
        outcome?;
        assert_eq!(warnings, [""; 0]);

        connection.close().await?;
        superuser.close().await?;
        let mut elsewhere = PgConnection::connect_with(&server.admin_options()).await?;
        database.close().await?;
        remove(&server, &roles).await?;
        elsewhere
            .execute(AssertSqlSafe(format!("DROP ROLE {admin}")))
            .await?;
    }
    Ok(())
}

/// Up to PostgreSQL 14, everybody may make tables in `public`.
#[tokio::test]
async fn a_schema_public_that_was_everybodys_is_the_owner_roles_at_the_first_installation()
-> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let mut admin = database.admin().await?;
        admin
            .execute("GRANT ALL ON SCHEMA public TO PUBLIC")
            .await?;
        let make = "CREATE TABLE notes (n int); SELECT tenancy.protect('notes')";
        installs(&database, &installer(&roles).strict(true), make)
            .await
            .map_err(anyhow::Error::msg)?;
        admin.close().await?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}
