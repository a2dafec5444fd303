//! Findings of a login by itself.

use anyhow::Context as _;
use sqlx::{Connection as _, Executor as _};
use tenancy_core::Tenancy;
use tenancy_sqlx::{
    PgDirectory, StartErrorKind, TenantPoolOptions,
    danger::SystemPool,
    schema::{self, FindingLevel},
};
use tenancy_tests::{
    Server, Template,
    notes::{self, PASSWORD, on_every_server},
};

use super::{Fault, found, is_found_and_mended};
use crate::{
    install::{installs, own_roles, quoted, remove},
    logins::Login,
};

/// Predefined roles differ between versions, and the ones of a version to come are refused unseen.
const PREDEFINED: &str = "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'pg\\_%'
    AND rolname NOT IN ('pg_checkpoint', 'pg_use_reserved_connections', 'pg_database_owner')";

fn faults() -> Vec<Fault> {
    let role = ("reaches-bypass", "{}_by");
    vec![
        Fault::new(
            "may create roles",
            "ALTER ROLE {} CREATEROLE",
            ("login-privileged", "{}"),
            "",
        ),
        Fault::new(
            "may replicate",
            "ALTER ROLE {} REPLICATION",
            ("login-privileged", "{}"),
            "",
        ),
        Fault::new(
            "member of a role with BYPASSRLS",
            "CREATE ROLE {}_by BYPASSRLS; GRANT {}_by TO {}",
            role,
            "DROP ROLE {}_by",
        ),
        Fault::new(
            "member of a superuser through a group that is not inherited",
            "CREATE ROLE {}_by SUPERUSER; CREATE ROLE {}_via NOINHERIT; GRANT {}_by TO {}_via;
             GRANT {}_via TO {}",
            role,
            "DROP ROLE {}_by; DROP ROLE {}_via",
        ),
        Fault::new(
            "the system role (D15)",
            "GRANT tenancy_system TO {}",
            ("reaches-system", "tenancy_system"),
            "",
        ),
        Fault::new(
            "the owner role through a group",
            "CREATE ROLE {}_via; GRANT tenancy_owner TO {}_via; GRANT {}_via TO {}",
            ("reaches-owner", "tenancy_owner"),
            "DROP ROLE {}_via",
        ),
        Fault::new(
            "owns a view",
            "CREATE VIEW own AS SELECT 1 AS n; ALTER VIEW own OWNER TO {}",
            ("owns-relations", "{}"),
            "DROP VIEW own",
        ),
        Fault::new(
            "owns a sequence through a group",
            "CREATE ROLE {}_via; GRANT {}_via TO {}; CREATE SEQUENCE own; ALTER SEQUENCE own OWNER TO {}_via",
            ("owns-relations", "{}_via"),
            "DROP SEQUENCE own; DROP ROLE {}_via",
        ),
        Fault::new(
            "owns a function",
            "CREATE FUNCTION own() RETURNS int LANGUAGE sql RETURN 1; ALTER FUNCTION own OWNER TO {}",
            ("owns-functions", "{}"),
            "DROP FUNCTION own",
        ),
        Fault::new(
            "owns a schema",
            "CREATE SCHEMA own AUTHORIZATION {}",
            ("owns-schemas", "{}"),
            "DROP SCHEMA own",
        ),
        Fault::new(
            "may create in public (D15)",
            "GRANT CREATE ON SCHEMA public TO {}",
            ("may-create", "public"),
            "",
        ),
        Fault::new(
            "everybody may create in a schema",
            "CREATE SCHEMA wide; GRANT CREATE ON SCHEMA wide TO PUBLIC",
            ("may-create", "wide"),
            "DROP SCHEMA wide",
        ),
        Fault::new(
            "a group may set session_replication_role (D15)",
            "CREATE ROLE {}_via; GRANT {}_via TO {};
             GRANT SET ON PARAMETER session_replication_role TO {}_via",
            ("may-set-parameter", "session_replication_role"),
            "DROP ROLE {}_via",
        ),
        Fault::new(
            "starts as a replica (D15)",
            "ALTER ROLE {} SET session_replication_role = 'replica'",
            ("default-setting", "session_replication_role"),
            "",
        ),
        Fault::new(
            "starts with a project",
            "ALTER ROLE {} SET tenancy.project_id = '00000000-0000-7000-8000-000000000001'",
            ("default-setting", "tenancy.project_id"),
            "",
        ),
        Fault::new(
            "starts as another role",
            "ALTER ROLE {} SET role = 'tenancy_app'",
            ("default-setting", "role"),
            "",
        ),
    ]
}

#[tokio::test]
async fn each_fault_of_a_login_is_found_and_its_mend_ends_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let login = Login::make(notes, "", "GRANT tenancy_app TO {}").await?;
        assert!(found(notes, &login.name).await?.is_empty());
        for fault in faults() {
            is_found_and_mended(notes, &login.name, &login.options, &fault)
                .await
                .context(fault.name)?;
        }
        let mut admin = notes.database.admin().await?;
        let predefined: Vec<String> = sqlx::query_scalar(PREDEFINED).fetch_all(&mut admin).await?;
        assert!(predefined.len() > 8 && predefined.contains(&"pg_read_all_data".to_owned()));
        for role in predefined {
            let plant = format!("GRANT {role} TO {{}}");
            // pg_monitor consists of others, which are not told beside it.
            let fault = Fault::new(
                "a predefined role (D15)",
                Box::leak(plant.into_boxed_str()),
                (
                    "reaches-predefined",
                    Box::leak(role.clone().into_boxed_str()),
                ),
                "",
            );
            is_found_and_mended(notes, &login.name, &login.options, &fault)
                .await
                .context(role)?;
        }
        let harmless = format!("GRANT pg_checkpoint TO {}", login.name);
        notes.as_admin(&harmless).await?;
        assert!(found(notes, &login.name).await?.is_empty());
        login.remove(notes).await
    })
    .await
}

/// Faults that only a login has which is no member of the app role, or can't be undone by a mend.
#[tokio::test]
async fn a_login_that_is_not_the_services_is_told_what_it_is() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for (attributes, then, codes) in [
            ("SUPERUSER", "", &["login-bypasses"][..]),
            ("BYPASSRLS", "GRANT tenancy_app TO {}", &["login-bypasses"]),
            ("", "", &["not-app"]),
            ("NOINHERIT", "GRANT tenancy_app TO {}", &["not-app"]),
            (
                "",
                "GRANT tenancy_system TO {}",
                &["not-app", "reaches-system"],
            ),
        ] {
            let login = Login::make(notes, attributes, then).await?;
            let findings = found(notes, &login.name).await?;
            let told: Vec<_> = findings.iter().map(schema::Finding::code).collect();
            assert_eq!(told, codes, "{attributes} {then}");
            for finding in &findings {
                // An administrator is to stay one: the service logs in as somebody else.
                if attributes == "SUPERUSER" {
                    assert_eq!(finding.mend(), None);
                    continue;
                }
                let mend = finding.mend().context("no mend")?;
                notes.as_admin(mend).await.context(mend.to_owned())?;
            }
            let left = found(notes, &login.name).await?;
            let left: Vec<_> = left.iter().map(schema::Finding::code).collect();
            let expected = if attributes == "SUPERUSER" {
                &["login-bypasses"][..]
            } else {
                &[]
            };
            assert_eq!(left, expected, "{attributes} {then}");
            login.remove(notes).await?;
        }
        let nobody = found(notes, "nobody of this name").await?;
        assert_eq!(nobody[0].code(), "no-such-login");
        assert!(found(notes, "tenancy_app").await?.is_empty());
        // The system login does not become the service's by a grant: log in as another one.
        let system = found(notes, "tenancy_system").await?;
        let mends: Vec<_> = (system.iter())
            .filter(|finding| finding.code() == "not-app")
            .map(schema::Finding::mend)
            .collect();
        assert_eq!(mends, [None], "{system:?}");
        Ok(())
    })
    .await
}

/// Everything that is wrong is in one refusal.
#[tokio::test]
async fn a_refusal_names_every_finding_with_its_mend() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let then = "GRANT tenancy_app, pg_monitor TO {}; GRANT CREATE ON SCHEMA public TO {};
            GRANT TRUNCATE ON notes TO {}; GRANT SELECT ON tenancy.api_keys TO {}";
        let login = Login::make(notes, "CREATEROLE", then).await?;
        for directory in [false, true] {
            let error = if directory {
                PgDirectory::connect_with(login.options.clone(), 1)
                    .await
                    .map(drop)
            } else {
                let pool = TenantPoolOptions::new();
                let pool = pool
                    .connect_with(login.options.clone(), &notes.tenancy)
                    .await;
                pool.map(drop)
            };
            let error = error.err().context("accepted")?;
            assert_eq!(error.kind(), StartErrorKind::LoginBypasses);
            let told = error.to_string();
            for part in [
                "NOCREATEROLE",
                "REVOKE pg_monitor FROM",
                "REVOKE CREATE ON SCHEMA public FROM",
                "REVOKE TRUNCATE ON public.notes FROM",
                "REVOKE SELECT ON tenancy.api_keys FROM",
            ] {
                assert!(told.contains(part), "no {part} in {told}");
            }
        }
        login.remove(notes).await
    })
    .await
}

/// D24: what a wrong login writes would fail much later.
#[tokio::test]
async fn a_system_pool_with_another_login_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let error = SystemPool::connect_with(notes.app_options())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StartErrorKind::WrongLogin);
        assert!(error.to_string().contains("`tenancy_system`"), "{error}");
        let member = Login::make(notes, "", "GRANT tenancy_system TO {}").await?;
        SystemPool::connect_with(member.options.clone())
            .await?
            .close()
            .await;
        let as_another = notes.database.options_as("tenancy_system", Some(PASSWORD));
        let as_another = as_another.options([("role", "tenancy_system")]);
        let error = SystemPool::connect_with(as_another).await.unwrap_err();
        assert_eq!(error.kind(), StartErrorKind::BadDefaults);
        member.remove(notes).await
    })
    .await
}

/// Faults of the owner, of the database and of a role `registry` need an installation of their own.
#[tokio::test]
async fn faults_of_the_owner_and_of_the_database_are_found_under_odd_names() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles(" o'\"dd");
        installs(&database, &roles).await?;
        let mut admin = database.admin().await?;
        let (owner, app) = (quoted(&roles.owner), quoted(&roles.app));
        let former: String = sqlx::query_scalar(
            "SELECT quote_ident(pg_get_userbyid(datdba)) FROM pg_database
                WHERE datname = current_database()",
        )
        .fetch_one(&mut admin)
        .await?;
        for (plant, code) in [
            (format!("ALTER ROLE {owner} BYPASSRLS"), "owner-bypasses"),
            (
                format!("ALTER DATABASE {} OWNER TO {app}", database.name()),
                "owns-database",
            ),
            (
                format!("GRANT CREATE ON DATABASE {} TO PUBLIC", database.name()),
                "may-create",
            ),
            (
                format!("GRANT TRIGGER ON notes TO {app}"),
                "privilege-past-guard",
            ),
            (
                format!("GRANT {} TO {app}", quoted(&roles.registry)),
                "reaches-registry",
            ),
            (
                "ALTER TABLE notes NO FORCE ROW LEVEL SECURITY".to_owned(),
                "guard-altered",
            ),
        ] {
            admin.execute(sqlx::AssertSqlSafe(plant.clone())).await?;
            let findings = schema::findings(&mut admin, &roles.app).await?;
            let [finding] = &findings[..] else {
                anyhow::bail!("{plant}: {findings:#?}");
            };
            assert_eq!(
                (finding.code(), finding.level()),
                (code, FindingLevel::Error)
            );
            let mend = finding.mend().context("no mend")?.to_owned();
            admin.execute(sqlx::AssertSqlSafe(mend)).await?;
            let left = schema::findings(&mut admin, &roles.app).await?;
            assert!(left.is_empty(), "{plant}: {left:#?}");
        }
        let back = format!("ALTER DATABASE {} OWNER TO {former}", database.name());
        admin.execute(sqlx::AssertSqlSafe(back)).await?;
        let tenancy = Tenancy::builder(tenancy_core::MemoryDirectory::new())
            .authenticator(notes::authenticator()?)
            .build()?;
        let app = database.options_as(&roles.app, Some(PASSWORD));
        let pool = TenantPoolOptions::new().connect_with(app, &tenancy).await?;
        assert!(pool.findings().await?.is_empty());
        pool.close().await;
        admin.close().await?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}
