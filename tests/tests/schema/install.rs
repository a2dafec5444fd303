//! Installing: once, again, all at once, under other names, and by somebody who is no superuser.

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    migrate::Migrator,
};
use tenancy_core::{TenantRecord, TenantStatus, testing::StoreDirectly as _};
use tenancy_sqlx::{
    PgDirectory, TenantPoolOptions,
    danger::SystemPool,
    schema::{DatabaseRoles, InstallError, Installer},
};
use tenancy_tests::{
    Server, Template, TestDatabase,
    notes::{self, MIGRATIONS, Notes, PASSWORD, on_every_server, sqlstate},
    warned,
};

/// Names that no other test uses, so that the roles are really made.
pub(crate) fn own_roles(odd: &str) -> DatabaseRoles {
    let unique = uuid::Uuid::now_v7().simple().to_string();
    let name = |kind: &str| format!("{kind}{odd} {unique}");
    DatabaseRoles {
        owner: name("O"),
        app: name("A"),
        registry: name("R"),
        audit: name("T"),
        system: name("S"),
        sealer: name("L"),
    }
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) async fn remove(server: &Server, roles: &DatabaseRoles) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect_with(&server.admin_options()).await?;
    let logins = [&roles.app, &roles.registry, &roles.audit, &roles.system];
    for role in logins.into_iter().chain([&roles.owner, &roles.sealer]) {
        // The sealer is missing where it could not be made.
        let drop = format!("DROP ROLE IF EXISTS {}", quoted(role));
        admin.execute(AssertSqlSafe(drop)).await?;
    }
    Ok(())
}

/// Uses an installation as a service would: two tenants, and each sees its own note.
async fn serves_two_tenants(database: &TestDatabase, roles: &DatabaseRoles) -> anyhow::Result<()> {
    let system = database.options_as(&roles.system, Some(PASSWORD));
    let system = SystemPool::connect_with(system).await?;
    let app = database.options_as(&roles.app, Some(PASSWORD));
    let directory = PgDirectory::connect_with(app.clone(), 1)
        .await?
        .with_system(&system);
    let tenancy = notes::builder(directory.clone())?.build()?;
    let pool = TenantPoolOptions::new().connect_with(app, &tenancy).await?;
    for slug in ["one", "two"] {
        let tenant = TenantRecord::new(slug.parse()?, slug).with_status(TenantStatus::Active);
        directory.create_tenant(&tenant).await?;
        let context = tenancy.enter(tenant.id, "test").await?;
        let db = pool.tenant(&context)?;
        sqlx::query("INSERT INTO notes (body) VALUES ('x')")
            .execute(&db)
            .await?;
        let seen = sqlx::query("SELECT FROM notes").fetch_all(&db).await?.len();
        anyhow::ensure!(seen == 1, "{slug} sees {seen} notes");
    }
    pool.close().await;
    directory.close().await;
    system.close().await;
    Ok(())
}

/// What an installation makes, as one text: whoever changes anything changes this.
pub(crate) const STATE: &str = "SELECT md5(concat_ws('|',
            (SELECT string_agg(concat_ws(' ', oid, relname, relowner, relacl, relrowsecurity, relforcerowsecurity), '|' ORDER BY oid)
             FROM pg_class WHERE relnamespace::regnamespace::text IN ('tenancy', 'tenancy_seal', 'public')),
            (SELECT string_agg(concat_ws(' ', oid, polname, obj_description(oid, 'pg_policy')), '|' ORDER BY oid) FROM pg_policy),
            (SELECT string_agg(concat_ws(' ', oid, proname, proacl), '|' ORDER BY oid)
             FROM pg_proc WHERE pronamespace::regnamespace::text IN ('tenancy', 'tenancy_seal')),
            (SELECT string_agg(concat_ws(' ', defaclrole, defaclobjtype, defaclacl), '|' ORDER BY oid) FROM pg_default_acl),
            (SELECT string_agg(r::text, '|' ORDER BY r.kind) FROM tenancy.role_names AS r),
            (SELECT string_agg(version::text, '|' ORDER BY version) FROM tenancy.migrations)))";

#[tokio::test]
async fn a_second_time_changes_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut admin = notes.database.admin().await?;
        let before: String = sqlx::query_scalar(STATE).fetch_one(&mut admin).await?;

        let mut installing = notes.database.admin().await?;
        for _ in 0..2 {
            Installer::new()
                .run_on(&mut installing, &MIGRATIONS)
                .await?;
        }
        let after: String = sqlx::query_scalar(STATE).fetch_one(&mut admin).await?;
        assert_eq!(before, after);
        // The connection is the administrator's again.
        let user: String = sqlx::query_scalar("SELECT current_user::text")
            .fetch_one(&mut installing)
            .await?;
        assert_ne!(user, "tenancy_owner");
        Ok(())
    })
    .await
}

pub(crate) async fn installs(
    database: &TestDatabase,
    roles: &DatabaseRoles,
) -> Result<(), InstallError> {
    Installer::new()
        .roles(roles.clone())
        .passwords(PASSWORD, PASSWORD)
        .run(&database.url(), &MIGRATIONS)
        .await
}

#[tokio::test]
async fn four_at_a_time_into_one_database_all_succeed() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let install = || installs(&database, &roles);
        tokio::try_join!(install(), install(), install(), install())?;

        serves_two_tenants(&database, &roles).await?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}

#[tokio::test]
async fn into_four_databases_of_one_server_at_a_time_all_succeed() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let roles = own_roles("");
        let mut databases = Vec::new();
        for _ in 0..4 {
            databases.push(server.database(&Template::empty()).await?);
        }
        let [a, b, c, d] = [0, 1, 2, 3].map(|index| installs(&databases[index], &roles));
        tokio::try_join!(a, b, c, d)?;

        for database in databases {
            serves_two_tenants(&database, &roles).await?;
            database.close().await?;
        }
        remove(&server, &roles).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_installation_has_the_server_warn_of_nothing() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        for _ in 0..2 {
            let (installed, warnings) = warned(installs(&database, &roles)).await;
            installed?;
            assert_eq!(warnings, [""; 0]);
        }
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}

#[tokio::test]
async fn roles_may_have_odd_names() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles(" o'D\"d\\ %I $1");
        for _ in 0..2 {
            installs(&database, &roles).await?;
        }
        serves_two_tenants(&database, &roles).await?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}

/// As on a managed server: the administrator may make roles and owns the database, and that is all.
#[tokio::test]
async fn the_administrator_need_not_be_a_superuser() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let admin = format!("admin_{}", uuid::Uuid::now_v7().simple());
        let mut superuser = database.admin().await?;
        let make = format!(
            "CREATE ROLE {admin} LOGIN CREATEROLE PASSWORD '{PASSWORD}';
             ALTER DATABASE {} OWNER TO {admin}",
            database.name()
        );
        superuser.execute(AssertSqlSafe(make)).await?;

        let mut connection = database
            .options_as(&admin, Some(PASSWORD))
            .connect()
            .await?;
        let installer = Installer::new()
            .roles(roles.clone())
            .passwords(PASSWORD, PASSWORD);
        for _ in 0..2 {
            installer.run_on(&mut connection, &MIGRATIONS).await?;
        }
        connection.close().await?;
        serves_two_tenants(&database, &roles).await?;

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

#[tokio::test]
async fn roles_that_exist_are_used_as_they_are() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let admin = format!("admin_{}", uuid::Uuid::now_v7().simple());
        let mut superuser = database.admin().await?;
        let make = format!(
            "CREATE ROLE {0} NOLOGIN; CREATE ROLE {1} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 17;
             CREATE ROLE {2} LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE {5}; CREATE ROLE {6};
             CREATE ROLE {admin} LOGIN PASSWORD '{PASSWORD}';
             GRANT {0} TO {admin} {3}; ALTER DATABASE {4} OWNER TO {admin}",
            quoted(&roles.owner),
            quoted(&roles.app),
            quoted(&roles.system),
            if server.version_num().await? < 160_000 { "" } else { "WITH SET TRUE, INHERIT TRUE" },
            database.name(),
            quoted(&roles.registry),
            quoted(&roles.audit)
        );
        superuser.execute(AssertSqlSafe(make)).await?;

        let mut connection = database
            .options_as(&admin, Some(PASSWORD))
            .connect()
            .await?;
        let installer = Installer::new().roles(roles.clone());
        installer.run_on(&mut connection, &MIGRATIONS).await?;
        connection.close().await?;
        serves_two_tenants(&database, &roles).await?;
        let limit: i32 = sqlx::query_scalar("SELECT rolconnlimit FROM pg_roles WHERE rolname = $1")
            .bind(&roles.app)
            .fetch_one(&mut superuser)
            .await?;
        assert_eq!(limit, 17);

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

#[tokio::test]
async fn a_table_of_a_later_day_is_closed_until_it_is_protected_or_shared() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let make = "CREATE TABLE later (id bigserial, n int); INSERT INTO later (n) VALUES (7);
             CREATE TABLE countries (code text); INSERT INTO countries VALUES ('de');
             SELECT tenancy.share('countries')";
        crate::as_owner(notes, make).await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let closed = sqlx::query("SELECT n FROM later").fetch_all(&db).await;
        assert_eq!(sqlstate(closed), "42501");
        let shared: String = sqlx::query_scalar("SELECT code FROM countries")
            .fetch_one(&db)
            .await?;
        assert_eq!(shared, "de");
        let write = "INSERT INTO countries VALUES ('fr')";
        assert_eq!(sqlstate(sqlx::query(write).execute(&db).await), "42501");

        let protect = "DELETE FROM later; SELECT tenancy.protect('later')";
        crate::as_owner(notes, protect).await?;
        let refused = crate::as_owner(notes, "SELECT tenancy.share('later')").await;
        assert!(refused.unwrap_err().to_string().contains("it is protected"));
        sqlx::query("INSERT INTO later (n) VALUES (1)")
            .execute(&db)
            .await?;
        assert_eq!(notes.count("later", &notes.acme).await?, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_application_migration_that_fails_is_named_and_undone() -> anyhow::Result<()> {
    on_every_server(async |notes: &Notes| {
        let broken = tempfile::tempdir()?;
        std::fs::write(
            broken.path().join("0009_broken.sql"),
            "CREATE TABLE half (n int); SELECT tenancy.protect('no_such_table');",
        )?;
        let mut migrator = Migrator::new(broken.path()).await?;
        migrator.set_ignore_missing(true);
        let mut admin = notes.database.admin().await?;
        let failed = Installer::new()
            .run_on(&mut admin, &migrator)
            .await
            .unwrap_err();

        assert!(
            failed
                .to_string()
                .starts_with("the application's migrations"),
            "{failed}"
        );
        let half = crate::told(notes, "SELECT to_regclass('half')::text").await?;
        assert_eq!(half, None);
        let user: String = sqlx::query_scalar("SELECT current_user::text")
            .fetch_one(&mut admin)
            .await?;
        assert_ne!(user, "tenancy_owner");
        Ok(())
    })
    .await
}

/// What a newcomer's migration meets first: the tenant is part of each key, and none is set.
#[tokio::test]
async fn a_migration_that_forgets_the_tenant_is_told_how_to_name_it() -> anyhow::Result<()> {
    on_every_server(async |notes: &Notes| {
        for (number, (sql, said)) in [
            (
                "INSERT INTO notes (body) VALUES ('nobody''s')",
                "INSERT INTO … (tenant_id, …)",
            ),
            (
                "CREATE TABLE pages (note uuid REFERENCES notes)",
                "tenancy.protect_all(",
            ),
            (
                "CREATE TABLE addresses (email text UNIQUE, tenant_id uuid);
                 SELECT tenancy.protect('addresses');
                 INSERT INTO addresses (email) VALUES ('a@example.com') ON CONFLICT (email) DO NOTHING",
                "ON CONFLICT (tenant_id, …)",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let broken = tempfile::tempdir()?;
            let file = broken.path().join(format!("{}_forgets.sql", 900 + number));
            std::fs::write(file, sql)?;
            let mut migrator = Migrator::new(broken.path()).await?;
            migrator.set_ignore_missing(true);
            let mut admin = notes.database.admin().await?;
            let failed = Installer::new().run_on(&mut admin, &migrator).await;
            let failed = failed.unwrap_err().to_string();
            assert!(failed.contains(said), "{failed}");
            assert!(!failed.contains("OWNER TO"), "{failed}");
        }
        Ok(())
    })
    .await
}

/// A database that the service's own login has migrated before, and that has rows.
#[tokio::test]
async fn a_database_with_data_is_adopted_as_the_readme_says() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let folder = tempfile::tempdir()?;
        let before =
            "CREATE TABLE letters (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text)";
        std::fs::write(folder.path().join("0001_letters.sql"), before)?;
        let mut admin = database.admin().await?;
        let old = Migrator::new(folder.path()).await?;
        old.run_direct(None, &mut admin, false).await?;
        admin
            .execute("INSERT INTO letters (body) VALUES ('old')")
            .await?;

        let adopt = "INSERT INTO tenancy.tenants (id, slug, name, status)
                 VALUES ('00000000-0000-7000-8000-000000000001', 'first', 'First', 'active');
             ALTER TABLE letters ADD COLUMN tenant_id uuid;
             UPDATE letters SET tenant_id = '00000000-0000-7000-8000-000000000001';
             SELECT tenancy.protect('letters')";
        std::fs::write(folder.path().join("0002_tenants.sql"), adopt)?;
        let new = Migrator::new(folder.path()).await?;
        let installer = Installer::new().passwords(PASSWORD, PASSWORD);
        let refused = installer.run_on(&mut admin, &new).await.unwrap_err();
        assert!(
            refused.to_string().contains("OWNER TO tenancy_owner"),
            "{refused}"
        );

        admin
            .execute(
                "ALTER TABLE _sqlx_migrations OWNER TO tenancy_owner;
                 ALTER TABLE letters OWNER TO tenancy_owner",
            )
            .await?;
        installer.run_on(&mut admin, &new).await?;
        let options = database.options_as("tenancy_app", Some(PASSWORD));
        let mut app: PgConnection = options.connect().await?;
        assert_eq!(app.fetch_all("SELECT FROM letters").await?.len(), 0);
        app.execute(
            "SELECT set_config('tenancy.tenant_id', '00000000-0000-7000-8000-000000000001', false)",
        )
        .await?;
        assert_eq!(app.fetch_all("SELECT FROM letters").await?.len(), 1);
        drop((admin, app));
        database.close().await?;
    }
    Ok(())
}

/// A lock that somebody holds for longer than a statement waits, as the server tells it.
#[tokio::test]
async fn an_installation_that_waits_in_vain_tries_again_and_then_says_why() -> anyhow::Result<()> {
    for server in Server::all().await? {
        for (failures, succeeds) in [(2, true), (1000, false)] {
            let database = server.database(&Template::empty()).await?;
            let roles = own_roles("");
            let mut admin = database.admin().await?;
            // A sequence counts on although each try is rolled back.
            let fail = format!(
                "CREATE SEQUENCE tries;
                 CREATE FUNCTION fail() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
                 BEGIN
                     IF nextval('public.tries') <= {failures} THEN
                         RAISE EXCEPTION 'canceling statement due to lock timeout'
                             USING ERRCODE = 'lock_not_available';
                     END IF;
                 END $$;
                 CREATE EVENT TRIGGER fail ON ddl_command_start EXECUTE FUNCTION fail()"
            );
            admin.execute(AssertSqlSafe(fail)).await?;
            let installed = installs(&database, &roles).await;
            let tries: i64 = sqlx::query_scalar("SELECT last_value FROM tries")
                .fetch_one(&mut admin)
                .await?;
            if succeeds {
                installed?;
                admin
                    .execute("DROP EVENT TRIGGER fail; DROP FUNCTION fail()")
                    .await?;
                serves_two_tenants(&database, &roles).await?;
                assert!(tries > failures);
            } else {
                let told = installed.unwrap_err().to_string();
                assert!(told.contains("pg_stat_activity"), "{told}");
                assert_eq!(tries, 4);
                // The roles went with the transaction that would have made them.
                installs_nothing(&mut admin, &roles).await?;
            }
            admin.close().await?;
            database.close().await?;
            if succeeds {
                remove(&server, &roles).await?;
            }
        }
    }
    Ok(())
}

async fn installs_nothing(admin: &mut PgConnection, roles: &DatabaseRoles) -> anyhow::Result<()> {
    let role: Option<String> =
        sqlx::query_scalar("SELECT rolname::text FROM pg_roles WHERE rolname = $1")
            .bind(&roles.app)
            .fetch_optional(admin)
            .await?;
    anyhow::ensure!(role.is_none(), "{role:?} is there");
    Ok(())
}
