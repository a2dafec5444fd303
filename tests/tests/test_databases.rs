//! What `tenancy_sqlx::testing` gives to the tests of applications: a database for each test, from a template.

use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection};
use tenancy_core::{
    SystemRole, Tenancy,
    testing::{TestTenant, TestTokens},
};
use tenancy_sqlx::{
    PgDirectory, RegistryPool, TenantPoolOptions,
    schema::{DatabaseRoles, Installer},
    testing::TestDatabases,
};
use tenancy_tests::{
    Server, Template, Version,
    notes::{MIGRATIONS, PASSWORD},
};
use tokio::sync::Mutex;

/// Databases are the server's, so that these tests run one after the other.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Names that no other test of this server uses: roles are the server's.
fn roles(suffix: &str) -> DatabaseRoles {
    let name = |kind: &str| format!("kit_{kind}_{suffix}");
    DatabaseRoles {
        owner: name("owner"),
        app: name("app"),
        registry: name("registry"),
        audit: name("audit"),
        system: name("system"),
        sealer: name("sealer"),
    }
}

fn installer(suffix: &str) -> Installer {
    Installer::new()
        .roles(roles(suffix))
        .passwords(PASSWORD, PASSWORD)
        .registry_password(PASSWORD)
        .audit_password(PASSWORD)
}

async fn databases(admin: &mut PgConnection, begin: &str) -> anyhow::Result<Vec<String>> {
    let names =
        "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1) ORDER BY datname";
    Ok(sqlx::query_scalar(names)
        .bind(begin)
        .fetch_all(admin)
        .await?)
}

#[tokio::test]
async fn each_test_gets_its_own_copy_and_the_template_is_installed_once() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    for server in Server::all().await? {
        let place = server.database(&Template::empty()).await?;
        let mut admin = place.admin().await?;
        let before = databases(&mut admin, "tenancy_testbase_").await?;
        let installer = installer("copies");
        // At the same time, as tests begin.
        let url = place.url();
        let prepare = || TestDatabases::prepare(&url, &installer, &MIGRATIONS);
        let (one, other) = tokio::try_join!(prepare(), prepare())?;
        let made = databases(&mut admin, "tenancy_testbase_").await?;
        assert_eq!(made.len(), before.len() + 1);
        let (first, second) = tokio::try_join!(one.create(), other.create())?;
        assert_ne!(first.name(), second.name());

        // Acme has a note in the first database, and the second has neither note nor tenant.
        let tokens = TestTokens::new("notes");
        let registry = RegistryPool::connect_with(first.registry()).await?;
        let directory = PgDirectory::connect_with(first.app(), 1).await?;
        let tenancy = Tenancy::builder(directory.with_registry(&registry))
            .authenticator(tokens.verifier().build()?)
            .build()?;
        let acme = TestTenant::create(&tenancy, "acme").await?;
        let globex = TestTenant::create(&tenancy, "globex").await?;
        let alice = acme.member(SystemRole::Owner).await?;
        let pool = TenantPoolOptions::new()
            .connect_with(first.app(), &tenancy)
            .await?;
        let context = acme.context(alice, SystemRole::Owner);
        let db = pool.tenant(&context)?;
        sqlx::query("INSERT INTO notes (body) VALUES ('own')")
            .execute(&db)
            .await?;
        let count = "SELECT count(*) FROM notes";
        let seen: i64 = sqlx::query_scalar(count).fetch_one(&db).await?;
        assert_eq!(seen, 1);
        let other = globex.context(alice, SystemRole::Owner);
        let hidden: i64 = sqlx::query_scalar(count)
            .fetch_one(&pool.tenant(&other)?)
            .await?;
        assert_eq!(hidden, 0);
        let mut all = first.admin().connect().await?;
        let stored: i64 = sqlx::query_scalar(count).fetch_one(&mut all).await?;
        assert_eq!(stored, 1);
        let mut there = second.system().connect().await?;
        for empty in ["notes", "tenancy.tenants"] {
            let count = AssertSqlSafe(format!("SELECT count(*) FROM {empty}"));
            let stored: i64 = sqlx::query_scalar(count).fetch_one(&mut there).await?;
            assert_eq!(stored, 0, "{empty}");
        }
        for login in [second.registry(), second.audit()] {
            login.connect().await?;
        }

        // Whoever prepares says which passwords hold, also where the template is there already.
        let secret = "SELECT rolpassword FROM pg_authid WHERE rolname = 'kit_app_copies'";
        let before: String = sqlx::query_scalar(secret).fetch_one(&mut admin).await?;
        let other = installer.clone().passwords("another", PASSWORD);
        TestDatabases::prepare(&url, &other, &MIGRATIONS).await?;
        let after: String = sqlx::query_scalar(secret).fetch_one(&mut admin).await?;
        assert_ne!(before, after);
        assert_eq!(databases(&mut admin, "tenancy_testbase_").await?, made);

        // Removed with whoever is connected, when it is closed and when it is dropped.
        let names = [first.name().to_owned(), second.name().to_owned()];
        second.close().await?;
        drop(first);
        for name in names {
            assert_eq!(databases(&mut admin, &name).await?, [""; 0], "{name}");
        }
        remove(&mut admin, "copies", &made).await?;
        place.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_killed_runs_have_left_is_removed_and_what_is_in_use_is_not() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    for server in Server::all().await? {
        let place = server.database(&Template::empty()).await?;
        let mut admin = place.admin().await?;
        let (old, new) = (
            "tenancy_testdb_1000000000_00000000aaaa",
            "tenancy_testdb_4000000000_00000000aaaa",
        );
        let (template, half) = (
            "tenancy_testbase_00000000000000aa_1000000000",
            "tenancy_testdb_notes",
        );
        for name in [old, new, template, half] {
            admin
                .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
                .await?;
        }
        let mark = format!("ALTER DATABASE {template} ALLOW_CONNECTIONS false IS_TEMPLATE true");
        admin.execute(AssertSqlSafe(mark)).await?;
        TestDatabases::prepare(&place.url(), &installer("left"), &MIGRATIONS).await?;
        for (name, stays) in [(old, false), (new, true), (template, false), (half, true)] {
            assert_eq!(
                databases(&mut admin, name).await?.len(),
                usize::from(stays),
                "{name}"
            );
        }
        for name in [new, half] {
            admin
                .execute(AssertSqlSafe(format!("DROP DATABASE {name}")))
                .await?;
        }
        let made = databases(&mut admin, "tenancy_testbase_").await?;
        remove(&mut admin, "left", &made).await?;
        place.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_installation_that_fails_leaves_no_template() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let server = Server::start(Version::Default).await?;
    let place = server.database(&Template::empty()).await?;
    let mut admin = place.admin().await?;
    let before = databases(&mut admin, "tenancy_testbase_").await?;
    let roles = DatabaseRoles {
        app: "pg_app".into(),
        ..roles("fails")
    };
    let failed =
        TestDatabases::prepare(&place.url(), &Installer::new().roles(roles), &MIGRATIONS).await;
    assert!(failed.unwrap_err().to_string().contains("pg_app"));
    assert_eq!(databases(&mut admin, "tenancy_testbase_").await?, before);
    let url = "postgres://nobody@127.0.0.1:1/none";
    let down = TestDatabases::prepare(url, &Installer::new(), &MIGRATIONS).await;
    assert!(down.unwrap_err().to_string().contains("connecting"));
    place.close().await?;
    Ok(())
}

/// Removes this test's templates and roles, so that the server is as before.
async fn remove(
    admin: &mut PgConnection,
    suffix: &str,
    templates: &[String],
) -> anyhow::Result<()> {
    for name in templates {
        let no_template = format!("ALTER DATABASE {name} IS_TEMPLATE false");
        admin.execute(AssertSqlSafe(no_template)).await?;
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        admin.execute(AssertSqlSafe(drop)).await?;
    }
    let roles = roles(suffix);
    for role in [
        roles.owner,
        roles.app,
        roles.registry,
        roles.audit,
        roles.system,
        roles.sealer,
    ] {
        admin
            .execute(AssertSqlSafe(format!("DROP ROLE IF EXISTS {role}")))
            .await?;
    }
    Ok(())
}
