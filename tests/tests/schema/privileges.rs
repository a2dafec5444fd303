//! Every privilege in the schema `tenancy`, as a golden file: the same after a new installation and
//! after an upgrade, whatever was granted before.
//!
//! `PRIVILEGES=write cargo test -p tenancy-tests --test schema privileges` writes the file anew.

use std::{borrow::Cow, fs, path::PathBuf};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, migrate::Migrator};
use tenancy_sqlx::schema::DatabaseRoles;
use tenancy_tests::{Server, Template, TestDatabase, notes::PASSWORD};

use crate::{
    install::{installs, own_roles, quoted, remove},
    upgrade::OURS,
};

/// One line for each privilege of anybody but the owner, and for each policy.
const PRIVILEGES: &str = "
    WITH acl (what, acl) AS (
        SELECT 'schema', n.nspacl FROM pg_namespace AS n WHERE n.nspname = 'tenancy'
        UNION ALL
        SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || c.relname,
            coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END,
                c.relowner))
        FROM pg_class AS c
        WHERE c.relnamespace = 'tenancy'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
        UNION ALL
        SELECT format('column %s.%s', c.relname, a.attname), a.attacl
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'tenancy'::regnamespace
        UNION ALL
        SELECT format('function %s(%s)', p.proname, pg_get_function_identity_arguments(p.oid)),
            coalesce(p.proacl, acldefault('f', p.proowner))
        FROM pg_proc AS p WHERE p.pronamespace = 'tenancy'::regnamespace
        UNION ALL
        SELECT 'schema tenancy_seal', n.nspacl FROM pg_namespace AS n WHERE n.nspname = 'tenancy_seal'
        UNION ALL
        SELECT 'table tenancy_seal.' || c.relname, coalesce(c.relacl, acldefault('r', c.relowner))
        FROM pg_class AS c
        WHERE c.relnamespace = to_regnamespace('tenancy_seal') AND c.relkind = 'r'
        UNION ALL
        SELECT format('function tenancy_seal.%s(%s)', p.proname, pg_get_function_identity_arguments(p.oid)),
            coalesce(p.proacl, acldefault('f', p.proowner))
        FROM pg_proc AS p WHERE p.pronamespace = to_regnamespace('tenancy_seal')
        UNION ALL
        SELECT format('default %s %s', coalesce(n.nspname, 'everywhere'), d.defaclobjtype),
            d.defaclacl
        FROM pg_default_acl AS d LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
        WHERE d.defaclrole = (SELECT nspowner FROM pg_namespace WHERE nspname = 'tenancy')
    )
    SELECT format('%s: %s %s%s', acl.what,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END,
        a.privilege_type, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM acl, aclexplode(acl.acl) AS a
    WHERE (a.grantee <> (SELECT nspowner FROM pg_namespace WHERE nspname = 'tenancy')
            OR strpos(acl.what, 'tenancy_seal') > 0)
        AND a.grantee IS DISTINCT FROM
            (SELECT nspowner FROM pg_namespace WHERE nspname = 'tenancy_seal')
        -- What everybody may do with any function, where a role has default privileges at all.
        AND NOT (acl.what = 'default everywhere f' AND a.grantee = 0)
    UNION ALL
    SELECT format('policy %s.%s: %s %s TO %s USING %s CHECK %s', p.tablename, p.policyname,
        p.permissive, p.cmd, array_to_string(p.roles, ', '), regexp_replace(p.qual, '\\s+', ' ', 'g'),
        regexp_replace(p.with_check, '\\s+', ' ', 'g'))
    FROM pg_policies AS p WHERE p.schemaname = 'tenancy'
    UNION ALL
    SELECT format('row security: %s', c.relname)
    FROM pg_class AS c WHERE c.relnamespace = 'tenancy'::regnamespace AND c.relrowsecurity";

async fn privileges(database: &TestDatabase, roles: &DatabaseRoles) -> anyhow::Result<String> {
    let lines: Vec<String> = sqlx::query_scalar(PRIVILEGES)
        .fetch_all(&mut database.admin().await?)
        .await?;
    let mut text = lines.join("\n");
    for (name, kind) in [
        (&roles.app, "app"),
        (&roles.registry, "registry"),
        (&roles.audit, "audit"),
        (&roles.system, "system"),
        (&roles.owner, "owner"),
        (&roles.sealer, "sealer"),
    ] {
        text = text.replace(name, kind);
    }
    let mut lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.sort_unstable();
    Ok(lines.join("\n") + "\n")
}

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/schema/privileges.golden")
}

#[tokio::test]
async fn d22_every_privilege_is_this_after_a_new_installation() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        installs(&database, &roles).await?;
        let found = privileges(&database, &roles).await?;
        if std::env::var("PRIVILEGES").as_deref() == Ok("write") {
            fs::write(golden(), &found)?;
        }
        similar(&found, "a new installation")?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}

fn similar(found: &str, after: &str) -> anyhow::Result<()> {
    let golden = fs::read_to_string(golden())?;
    let missing = golden
        .lines()
        .filter(|line| !found.lines().any(|one| one == *line));
    let missing: Vec<_> = missing.collect();
    let more = found
        .lines()
        .filter(|line| !golden.lines().any(|one| one == *line));
    let more: Vec<_> = more.collect();
    anyhow::ensure!(
        missing.is_empty() && more.is_empty(),
        "after {after}, too many:\n{}\nmissing:\n{}\n`PRIVILEGES=write` writes the file anew",
        more.join("\n"),
        missing.join("\n")
    );
    Ok(())
}

/// Runs our migrations up to one, as the owner.
async fn install_until(
    admin: &mut PgConnection,
    roles: &DatabaseRoles,
    newest: i64,
) -> anyhow::Result<()> {
    let owner = quoted(&roles.owner);
    let others = [&roles.app, &roles.registry, &roles.audit, &roles.system];
    let make =
        others.map(|name| format!("CREATE ROLE {} LOGIN PASSWORD '{PASSWORD}';", quoted(name)));
    let prepare = format!(
        "CREATE ROLE {owner}; {} CREATE SCHEMA tenancy AUTHORIZATION {owner};
         GRANT USAGE, CREATE ON SCHEMA public TO {owner}; SET ROLE {owner}",
        make.concat()
    );
    admin.execute(AssertSqlSafe(prepare)).await?;
    let older = OURS.iter().filter(|one| one.version <= newest);
    let mut older = Migrator {
        migrations: Cow::Owned(older.cloned().collect()),
        ..Migrator::DEFAULT
    };
    older.dangerous_set_table_name("tenancy.migrations");
    older.run_direct(None, &mut *admin, false).await?;
    Ok(())
}

/// Grants what an earlier release did, and worse.
async fn grant_too_much(admin: &mut PgConnection, roles: &DatabaseRoles) -> anyhow::Result<()> {
    let logins = [&roles.app, &roles.registry, &roles.audit, &roles.system];
    let logins = logins.map(|name| quoted(name)).join(", ");
    let grant = format!(
        "GRANT ALL ON SCHEMA tenancy TO {logins}, PUBLIC;
         GRANT ALL ON ALL TABLES IN SCHEMA tenancy TO {logins} WITH GRANT OPTION;
         GRANT SELECT ON ALL TABLES IN SCHEMA tenancy TO PUBLIC;
         GRANT UPDATE (name) ON tenancy.role_names TO {logins}, PUBLIC;
         GRANT ALL ON ALL FUNCTIONS IN SCHEMA tenancy TO {logins}, PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {logins}, PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO {logins};
         ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO {logins};
         ALTER DEFAULT PRIVILEGES IN SCHEMA tenancy GRANT ALL ON TABLES TO {logins}, PUBLIC;
         ALTER DEFAULT PRIVILEGES IN SCHEMA tenancy GRANT ALL ON FUNCTIONS TO {logins}, PUBLIC;
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {logins} WITH GRANT OPTION;
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO {logins}"
    );
    admin.execute(AssertSqlSafe(grant)).await?;
    Ok(())
}

#[tokio::test]
async fn d22_an_upgraded_database_ends_up_as_a_new_one() -> anyhow::Result<()> {
    for server in Server::all().await? {
        for state in OURS.iter().map(|one| one.version) {
            let database = server.database(&Template::empty()).await?;
            let roles = own_roles("");
            let mut admin = database.admin().await?;
            install_until(&mut admin, &roles, state).await?;
            grant_too_much(&mut admin, &roles).await?;
            admin.execute("RESET ROLE").await?;
            let before = privileges(&database, &roles).await?;
            anyhow::ensure!(similar(&before, "").is_err(), "nothing was to be mended");

            installs(&database, &roles).await?;
            let found = privileges(&database, &roles).await?;
            similar(&found, &format!("an upgrade from migration {state}"))?;
            admin.close().await?;
            database.close().await?;
            remove(&server, &roles).await?;
        }
    }
    Ok(())
}

/// The program that was there before the upgrade goes on: by these statements it read and wrote.
#[tokio::test]
async fn the_statements_of_the_release_before_go_on_after_an_upgrade() -> anyhow::Result<()> {
    const TENANT: &str = "'00000000-0000-7000-8000-000000000001'";
    for server in Server::all().await? {
        let database = server.database(&Template::empty()).await?;
        let roles = own_roles("");
        let mut admin = database.admin().await?;
        install_until(&mut admin, &roles, 10).await?;
        admin.execute("RESET ROLE").await?;
        installs(&database, &roles).await?;
        let system = database.options_as(&roles.system, Some(PASSWORD));
        let mut system = PgConnection::connect_with(&system).await?;
        for statement in [
            "INSERT INTO tenancy.tenants (id, slug, name, status, plan, settings, created_at)
                 VALUES ($T, 'one', 'One', 'active', NULL, '{}', now())",
            "UPDATE tenancy.tenants SET status = 'active', status_changed_at = now() WHERE id = $T",
            "SELECT FROM tenancy.tenants AS t WHERE t.id = $T FOR UPDATE",
            "INSERT INTO tenancy.domains AS d (domain, tenant_id) VALUES ('one.example', $T)
                 ON CONFLICT (domain) DO UPDATE SET bound_at = d.bound_at WHERE d.tenant_id = $T",
            "INSERT INTO tenancy.memberships (tenant_id, user_id, role, status)
                 VALUES ($T, $T, 'owner', 'active')
                 ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = EXCLUDED.role",
            "INSERT INTO tenancy.projects (tenant_id, id, slug, name, archived)
                 VALUES ($T, $T, 'p', 'P', false)",
            "INSERT INTO tenancy.roles (tenant_id, name, definition) VALUES ($T, 'editor', '{}')",
            "INSERT INTO tenancy.project_memberships (tenant_id, project_id, user_id, role)
                 VALUES ($T, $T, $T, 'owner')",
            "INSERT INTO tenancy.api_keys (id, tenant_id, creator, environment, name, scopes, networks,
                 metadata, digest, digest_version, created_at, disabled)
                 VALUES ($T, $T, $T, 'live', 'k', '{*}', '{}', '{}', decode(repeat('07', 32), 'hex'), 1,
                     now(), false)",
            "UPDATE tenancy.api_keys SET revoked_at = now() WHERE id = $T",
            "INSERT INTO tenancy.token_epochs AS e (kind, subject, valid_after)
                 VALUES ('user', $T, now()) ON CONFLICT (kind, subject) DO UPDATE
                 SET valid_after = excluded.valid_after, changed_xid = pg_current_xact_id()",
            "DELETE FROM tenancy.token_epochs WHERE valid_after < now() - interval '1 day'",
            "INSERT INTO tenancy.audit_log (id, at, tenant_id, action, outcome)
                 VALUES ($T, now(), $T, 'test', 'allowed') ON CONFLICT (id) DO NOTHING",
            "SELECT FROM tenancy.audit_log",
        ] {
            let as_told = AssertSqlSafe(statement.replace("$T", TENANT));
            let done = system.execute(as_told).await?;
            anyhow::ensure!(done.rows_affected() == 1 || statement.contains("DELETE"), "{statement}");
        }
        let app = database.options_as(&roles.app, Some(PASSWORD));
        let mut app = PgConnection::connect_with(&app).await?;
        app.execute(AssertSqlSafe(format!(
            "SELECT set_config('tenancy.tenant_id', {TENANT}, false)"
        )))
        .await?;
        for (statement, rows) in [
            ("SELECT * FROM tenancy.tenants", 1),
            ("SELECT * FROM tenancy.memberships", 1),
            ("SELECT * FROM tenancy.projects", 1),
            ("SELECT * FROM tenancy.project_memberships", 1),
            ("SELECT * FROM tenancy.roles", 1),
            ("SELECT * FROM tenancy.domains", 1),
            ("SELECT * FROM tenancy.external_ids", 0),
            ("SELECT * FROM tenancy.generations", 1),
            ("SELECT tenancy.resolve_tenant('slug', '', 'one')", 1),
            ("SELECT * FROM tenancy.changes_since(NULL)", 1),
            ("SELECT * FROM tenancy.epochs_since(NULL)", 1),
            ("SELECT * FROM tenancy.find_epoch('{user}', '{x}')", 1),
            ("SELECT * FROM tenancy.find_imported_key('live', 'x')", 0),
            ("SELECT tenancy.note_key_uses('{}', '{}')", 1),
            ("SELECT tenancy.schema_version()", 1),
        ] {
            let seen = app.fetch_all(statement).await?.len();
            assert_eq!(seen, rows, "{statement}");
        }
        drop((system, app));
        admin.close().await?;
        database.close().await?;
        remove(&server, &roles).await?;
    }
    Ok(())
}
