//! Passwords of the logins: set by every way of installing, and to be read nowhere.

use std::borrow::Cow;

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    migrate::Migrator,
};
use tenancy_sqlx::schema::{DatabaseRoles, InstallError, Installer};
use tenancy_tests::{
    Server, Template, logwatch,
    notes::{MIGRATIONS, PASSWORD},
};

use crate::install::{own_roles, remove};

/// A password that has to be quoted, and that no other test has.
fn own_password() -> String {
    let password = format!("o'\\{}", uuid::Uuid::now_v7().simple());
    logwatch::issued(&password);
    password
}

/// Whether a login has this password, which the server is told to keep in a form that shows it.
async fn has(admin: &mut PgConnection, role: &str, password: &str) -> anyhow::Result<bool> {
    let select =
        "SELECT rolpassword = 'md5' || md5($1 || rolname) FROM pg_authid WHERE rolname = $2";
    let select = sqlx::query_scalar(select).bind(password).bind(role);
    Ok(select.fetch_one(admin).await?)
}

fn with_passwords(installer: Installer, [app, system, registry, audit]: &[String; 4]) -> Installer {
    installer
        .passwords(app, system)
        .registry_password(registry)
        .audit_password(audit)
}

async fn all_set(
    admin: &mut PgConnection,
    roles: &DatabaseRoles,
    [app, system, registry, audit]: &[String; 4],
) -> anyhow::Result<()> {
    for (role, password) in [
        (&roles.app, app),
        (&roles.system, system),
        (&roles.registry, registry),
        (&roles.audit, audit),
    ] {
        anyhow::ensure!(
            has(admin, role, password).await?,
            "{role} has another password"
        );
    }
    Ok(())
}

#[tokio::test]
async fn they_are_set_and_no_statement_that_is_logged_has_them() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let mut admin = database.admin().await?;
        let mut logged = database.admin_options().connect().await?;
        for connection in [&mut admin, &mut logged] {
            connection
                .execute("SET password_encryption = 'md5'")
                .await?;
        }
        for _ in 0..2 {
            let before = logwatch::seen().lines;
            let passwords = std::array::from_fn(|_| own_password());
            let installer = with_passwords(Installer::new().roles(roles.clone()), &passwords);
            installer.run_on(&mut logged, &MIGRATIONS).await?;
            // Whatever had a password in it would have ended the process.
            assert!(logwatch::seen().lines > before, "no statement was logged");
            all_set(&mut admin, &roles, &passwords).await?;
        }
        logged.close().await?;
        admin.close().await?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}

#[tokio::test]
async fn they_are_set_by_a_migrator_that_has_them_in_its_text() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let passwords = std::array::from_fn(|_| own_password());
        let installer = with_passwords(Installer::new().roles(roles.clone()), &passwords);
        let mut admin = database.admin().await?;
        admin.execute("SET password_encryption = 'md5'").await?;
        let merged = installer.merged(&Migrator {
            migrations: Cow::Borrowed(&MIGRATIONS.migrations),
            ..Migrator::DEFAULT
        });
        merged.run_direct(None, &mut admin, false).await?;
        all_set(&mut admin, &roles, &passwords).await?;
        admin.close().await?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}

/// PostgreSQL tells with an error the statement that it is of.
#[tokio::test]
async fn the_error_of_somebody_who_may_not_set_them_has_none() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let mut admin = database.admin().await?;
        let installer = Installer::new().roles(roles.clone());
        installer.run_on(&mut admin, &MIGRATIONS).await?;
        let stranger = format!("stranger_{}", uuid::Uuid::now_v7().simple());
        let make = format!("CREATE ROLE {stranger} LOGIN PASSWORD '{PASSWORD}'");
        admin.execute(AssertSqlSafe(make)).await?;
        let mut connection = database
            .options_as(&stranger, Some(PASSWORD))
            .connect()
            .await?;
        let passwords = std::array::from_fn(|_| own_password());
        let installer = with_passwords(installer, &passwords);
        let error = installer
            .run_on(&mut connection, &MIGRATIONS)
            .await
            .unwrap_err();
        connection.close().await?;
        let InstallError::Database { source, .. } = &error else {
            anyhow::bail!("{error:?}");
        };
        let said = source.as_database_error().and_then(|said| said.code());
        assert_eq!(said.as_deref(), Some("42501"), "{error:?}");
        for password in passwords {
            let shown = format!("{error} {error:?} {source:?}");
            let end = &password[password.len() - 12..];
            assert!(!shown.contains(end), "{shown}");
        }
        admin
            .execute(AssertSqlSafe(format!("DROP ROLE {stranger}")))
            .await?;
        admin.close().await?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}
