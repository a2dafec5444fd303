//! A pool looks at its login when it connects, and refuses one that could get past row security.

use sqlx::postgres::PgConnectOptions;
use tenancy_sqlx::{
    PgDirectory, StartError, StartErrorKind, TenantPoolOptions,
    danger::{self, SystemPool},
};
use tenancy_tests::{
    Template,
    notes::{Notes, PASSWORD, on_every_server},
};

use crate::logins::Login;

async fn refused(notes: &Notes, options: PgConnectOptions) -> anyhow::Result<StartError> {
    let pool = TenantPoolOptions::new().max_connections(1);
    match pool.connect_with(options, &notes.tenancy).await {
        Ok(pool) => anyhow::bail!("{pool:?} was accepted"),
        Err(error) => Ok(error),
    }
}

#[tokio::test]
async fn a_login_that_could_get_past_row_security_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for (attributes, then, fault) in [
            ("SUPERUSER", "", "is a superuser or has BYPASSRLS"),
            (
                "BYPASSRLS",
                "GRANT tenancy_app TO {}",
                "is a superuser or has BYPASSRLS",
            ),
            ("CREATEROLE", "GRANT tenancy_app TO {}", "may create roles"),
            (
                "REPLICATION",
                "GRANT tenancy_app TO {}",
                "may create roles or replicate",
            ),
            (
                "",
                "GRANT tenancy_app, tenancy_system TO {}",
                "the system login or a member of it",
            ),
            (
                "NOINHERIT",
                "GRANT tenancy_app, tenancy_owner TO {}; GRANT USAGE ON SCHEMA tenancy TO {};
                GRANT EXECUTE ON FUNCTION tenancy.schema_version() TO {}",
                "owns tables, or is a member",
            ),
            (
                "",
                "GRANT tenancy_app TO {}; CREATE TABLE own (n int); ALTER TABLE own OWNER TO {}",
                "owns tables, or is a member of their owner: own",
            ),
            (
                "",
                "GRANT tenancy_app, pg_execute_server_program TO {}",
                "member of pg_execute_server_program",
            ),
            (
                "",
                "GRANT tenancy_app TO {}; CREATE ROLE {}_by BYPASSRLS; GRANT {}_by TO {}",
                "is a member of",
            ),
        ] {
            let login = Login::make(notes, attributes, then).await?;
            let error = refused(notes, login.options.clone()).await?;

            assert_eq!(
                error.kind(),
                StartErrorKind::LoginBypasses,
                "{attributes} {then}"
            );
            let told = error.to_string();
            assert!(told.contains(&login.name) && told.contains(fault), "{told}");
            assert!(told.contains("connect as the app role"), "{told}");
            if then.contains("_by") {
                notes
                    .as_admin(&format!("DROP ROLE {}_by", login.name))
                    .await?;
            }
            login.remove(notes).await?;
        }

        let system = notes.database.options_as("tenancy_system", Some(PASSWORD));
        let error = refused(notes, system.clone()).await?;
        assert_eq!(error.kind(), StartErrorKind::LoginBypasses);
        let error = PgDirectory::connect_with(system, 1).await.unwrap_err();
        assert_eq!(error.kind(), StartErrorKind::LoginBypasses);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_login_that_starts_with_a_tenant_or_without_row_security_is_refused() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let here = format!("IN DATABASE {}", notes.database.name());
        for default in [
            format!(
                "ALTER ROLE {{}} SET tenancy.tenant_id = '{}'",
                notes.acme.id
            ),
            format!(
                "ALTER ROLE {{}} {here} SET tenancy.tenant_id = '{}'",
                notes.acme.id
            ),
            format!("ALTER ROLE {{}} {here} SET row_security = off"),
        ] {
            let then = format!("GRANT tenancy_app TO {{}}; {default}");
            let login = Login::make(notes, "", &then).await?;
            let error = refused(notes, login.options.clone()).await?;

            assert_eq!(error.kind(), StartErrorKind::BadDefaults, "{default}");
            let remedy = format!("ALTER ROLE {} RESET ALL", login.name);
            assert!(error.to_string().contains(&remedy), "{error}");
            login.remove(notes).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_database_without_the_schema_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let empty = notes.database.server().database(&Template::empty()).await?;
        let options = empty.options_as("tenancy_app", Some(PASSWORD));
        let error = refused(notes, options).await?;
        assert_eq!(error.kind(), StartErrorKind::NotInstalled);
        let told = error.to_string();
        assert!(
            told.contains("`tenancy_app`") && told.contains("schema::Installer"),
            "{told}"
        );
        empty.close().await?;

        let stranger = Login::make(notes, "", "").await?;
        let error = refused(notes, stranger.options.clone()).await?;
        assert_eq!(error.kind(), StartErrorKind::NotInstalled);
        stranger.remove(notes).await
    })
    .await
}

#[tokio::test]
async fn a_newer_schema_is_accepted_and_an_older_one_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let set = |version: i32| {
            format!(
                "CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer
                     LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN {version}"
            )
        };
        notes.as_admin(&set(1_000)).await?;
        notes.pool(TenantPoolOptions::new()).await?.ready().await?;

        notes.as_admin(&set(0)).await?;
        let error = refused(notes, notes.app_options()).await?;
        assert_eq!(error.kind(), StartErrorKind::SchemaTooOld);
        assert!(
            error
                .to_string()
                .contains("at version 0 and this program needs 21")
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_url_that_leads_nowhere_says_so() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let connect = |url: &str| {
            let url = url.to_owned();
            let options =
                TenantPoolOptions::new().acquire_timeout(std::time::Duration::from_secs(1));
            async move {
                options
                    .connect(&url, &notes.tenancy)
                    .await
                    .map(drop)
                    .unwrap_err()
            }
        };
        let error = connect("not a URL at all").await;
        assert_eq!(error.kind(), StartErrorKind::BadUrl);
        assert!(
            error
                .to_string()
                .contains("postgres://login:password@host:port/database")
        );

        let error = connect("postgres://tenancy_app:hidden@127.0.0.1:1/notes").await;
        assert_eq!(error.kind(), StartErrorKind::Unreachable);
        let told = error.to_string();
        for part in [
            "127.0.0.1:1/notes did not answer",
            "refused",
            "check that it runs",
        ] {
            assert!(told.contains(part), "no {part} in {told}");
        }
        assert!(
            !told.contains("hidden") && !told.contains("timed out"),
            "{told}"
        );
        let missing = notes.app_options().database("no_such_database");
        let error = refused(notes, missing).await?;
        assert_eq!(error.kind(), StartErrorKind::Unreachable);
        let told = error.to_string();
        for part in ["/no_such_database refused", "create the database"] {
            assert!(told.contains(part), "no {part} in {told}");
        }
        assert!(!told.contains(" at line "), "{told}");
        let nobody = notes.app_options().username("nobody_here");
        let told = refused(notes, nobody).await?.to_string();
        assert!(told.contains("refused the login `nobody_here`"), "{told}");
        assert!(told.contains("Installer::passwords"), "{told}");
        assert_eq!(
            SystemPool::connect("nonsense").await.unwrap_err().kind(),
            StartErrorKind::BadUrl
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_app_role_and_its_members_are_accepted() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let member = Login::make(notes, "", "GRANT tenancy_app TO {}").await?;
        for options in [notes.app_options(), member.options.clone()] {
            let pool = TenantPoolOptions::new()
                .connect_with(options, &notes.tenancy)
                .await?;
            let db = pool.tenant(&notes.context(&notes.acme))?;
            let seen = sqlx::query("SELECT FROM notes").fetch_all(&db).await?;
            assert_eq!(seen.len(), 3);
            pool.close().await;
        }
        member.remove(notes).await
    })
    .await
}

/// As under `#[sqlx::test]`: the login is a superuser, and row security must hold all the same,
/// also on a connection that has been lent before.
#[tokio::test]
async fn an_assumed_app_role_is_filtered_however_often_a_connection_is_lent() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let options = TenantPoolOptions::new().max_connections(1);
        let pool = danger::assume_app_role(options, "tenancy_app", "a test with one login")
            .connect_with(notes.database.admin_options(), &notes.tenancy)
            .await?;
        for (tenant, own) in [(&notes.acme, 3), (&notes.globex, 5)].repeat(3) {
            let mut tx = pool.begin(&notes.context(tenant)).await?;
            let seen = sqlx::query("SELECT FROM notes").fetch_all(&mut *tx).await?;
            assert_eq!(seen.len(), own);
            // This is how far it holds: SQL that takes the role off is a superuser's, until the
            // connection goes back.
            sqlx::query("SET ROLE NONE").execute(&mut *tx).await?;
            let seen = sqlx::query("SELECT FROM notes").fetch_all(&mut *tx).await?;
            assert_eq!(seen.len(), 8);
            tx.commit().await?;
        }
        Ok(())
    })
    .await
}

/// A table that nobody has protected says how that is done, where the service meets it.
#[tokio::test]
async fn a_table_that_is_closed_says_how_it_is_opened() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin("CREATE TABLE forgotten (title text)")
            .await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let closed = sqlx::query("SELECT FROM forgotten").execute(&db).await;
        let told = tenancy_sqlx::Error::from(closed.unwrap_err()).to_string();
        for part in [
            "SELECT tenancy.protect('forgotten')",
            "tenancy.share('forgotten')",
        ] {
            assert!(told.contains(part), "no {part} in {told}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn options_that_no_pool_can_keep_to_are_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for name in ["", "public.lock_board", "lock_board()"] {
            let options = TenantPoolOptions::new().session_functions([name]);
            let error = notes.pool(options).await.unwrap_err().to_string();
            assert!(error.contains("give the name alone"), "{error}");
        }
        let at_once = TenantPoolOptions::new().acquire_timeout(std::time::Duration::ZERO);
        let error = notes.pool(at_once).await.unwrap_err().to_string();
        assert!(error.contains("`acquire_timeout` of 0"), "{error}");
        Ok(())
    })
    .await
}
