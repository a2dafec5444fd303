//! The login of self-service, while it names one tenant, lists, removes and renames nothing of another.

use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection};
use tenancy_core::{
    Clock as _, DirectoryStore, KeyId, MemberFilter, Membership, Project, ProjectFilter,
    SystemClock, SystemRole, TenantRecord, UserId,
    key::{ApiKey, Environment, KeyDigest, KeyStore},
    testing::{KeyStoreDirectly, StoreDirectly},
};
use tenancy_sqlx::{PgDirectory, RegistryPool};
use tenancy_tests::notes::{Notes, PASSWORD, on_every_server, seal_key};

use crate::registry::fill;

const TABLES: [&str; 7] = [
    "domains",
    "external_ids",
    "memberships",
    "roles",
    "projects",
    "project_memberships",
    "api_keys",
];

/// How many rows of each table are a tenant's, past row security. There are some of each.
async fn rows(notes: &Notes, tenant: &TenantRecord) -> anyhow::Result<Vec<i64>> {
    let mut rows = Vec::new();
    for table in TABLES {
        let count = notes.count(&format!("tenancy.{table}"), tenant).await?;
        anyhow::ensure!(count > 0, "{} has rows in {table}", tenant.slug);
        rows.push(count);
    }
    Ok(rows)
}

/// Gives globex something of everything, and a key that is confined to its project.
async fn prepare(notes: &Notes) -> anyhow::Result<(Project, ApiKey)> {
    fill(notes, &notes.globex).await?;
    let globex = notes.globex.id;
    let projects =
        StoreDirectly::list_projects(&notes.directory, globex, &ProjectFilter::new(), None, 10)
            .await?;
    let [project] = projects.as_slice() else {
        anyhow::bail!("globex has {} projects", projects.len());
    };
    let digest = KeyDigest::new(1, [7; 32]);
    let (id, now) = (KeyId::new(), SystemClock.now());
    let mut key = ApiKey::new(id, globex, UserId::new(), Environment::Live, digest, now);
    key.project = Some(project.id);
    let creator = Membership::new(globex, key.creator, SystemRole::Member.name());
    StoreDirectly::put_membership(&notes.directory, &creator).await?;
    KeyStoreDirectly::insert_key(&notes.directory, &key).await?;
    Ok((project.clone(), key))
}

/// What globex has, told as the operators: so that it can be compared with what it was.
async fn state<D: DirectoryStore + KeyStore>(
    directory: &D,
    of: &TenantRecord,
) -> anyhow::Result<String> {
    let (all, id) = (MemberFilter::new(), of.id);
    Ok(format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        StoreDirectly::list_names(directory, id, None, 100).await?,
        StoreDirectly::list_members(directory, id, &all, None, 100).await?,
        StoreDirectly::list_projects(directory, id, &ProjectFilter::new(), None, 100).await?,
        StoreDirectly::list_roles(directory, id).await?,
        KeyStore::list_keys(directory, id, None, 100).await?,
    ))
}

async fn of_self_service(notes: &Notes) -> anyhow::Result<PgDirectory> {
    let login = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    let registry = match notes.seal {
        Some(_) => RegistryPool::connect_sealed(login, &seal_key()?).await?,
        None => RegistryPool::connect_with(login).await?,
    };
    let directory = notes.directory(notes.app_options(), 2).await?;
    Ok(directory.with_registry(&registry))
}

#[tokio::test]
async fn no_call_for_one_tenant_lists_or_removes_what_is_anothers() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (project, _) = prepare(notes).await?;
        let (before, state_before) = (
            rows(notes, &notes.globex).await?,
            state(&notes.directory, &notes.globex).await?,
        );
        let directory = of_self_service(notes).await?;
        let (acme, all) = (notes.acme.id, MemberFilter::new());
        let slug = notes.globex.slug.as_str();
        let domain = format!("{slug}.example").parse()?;
        directory.unbind_domain(acme, &domain).await?;
        directory.unbind_external(acme, "clerk", slug).await?;
        directory.remove_membership(acme, notes.bob).await?;
        directory.remove_role(acme, &"editor".parse()?).await?;
        let now = SystemClock.now();
        directory.remove_project(acme, project.id, now).await?;
        assert_eq!(rows(notes, &notes.globex).await?, before);
        assert_eq!(state(&notes.directory, &notes.globex).await?, state_before);

        let members = directory.list_members(acme, &all, None, 100).await?;
        // Alice, and the other owner.
        assert_eq!(members.len(), 2);
        assert!(members.iter().any(|member| member.user == notes.alice));
        assert!(directory.list_names(acme, None, 100).await?.is_empty());
        assert!(
            directory
                .list_projects(acme, &ProjectFilter::new(), None, 100)
                .await?
                .is_empty()
        );
        assert!(directory.list_roles(acme).await?.is_empty());
        let in_it = directory.list_project_members(acme, project.id, None, 100);
        assert!(in_it.await?.is_empty());
        // For its own tenant, each of these is seen.
        let seen = state(&directory, &notes.globex).await?;
        assert_eq!(seen, state_before);
        Ok(())
    })
    .await
}

/// The same, whatever the statement says.
#[tokio::test]
async fn no_statement_of_the_login_reaches_what_is_anothers() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (_, key) = prepare(notes).await?;
        let (before, state_before) = (
            rows(notes, &notes.globex).await?,
            state(&notes.directory, &notes.globex).await?,
        );
        let login = notes
            .database
            .options_as("tenancy_registry", Some(PASSWORD));
        let mut login: PgConnection = login.connect().await?;
        sqlx::query("SELECT set_config('tenancy.tenant_id', $1, false)")
            .bind(notes.acme.id.to_string())
            .execute(&mut login)
            .await?;
        // In a sealed database, a name without a seal is nobody's.
        let own = u64::from(notes.seal.is_none());
        let globex = notes.globex.id;
        for table in TABLES {
            let sql = format!("SELECT count(*) FROM tenancy.{table} WHERE tenant_id = '{globex}'");
            let seen: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut login)
                .await?;
            assert_eq!(seen, 0, "{table}");
        }
        for (statement, rows) in [
            ("DELETE FROM tenancy.project_memberships".to_owned(), 0),
            ("DELETE FROM tenancy.projects".to_owned(), 0),
            ("DELETE FROM tenancy.roles".to_owned(), 0),
            ("DELETE FROM tenancy.domains".to_owned(), 0),
            ("DELETE FROM tenancy.external_ids".to_owned(), 0),
            // Acme's own.
            (
                format!(
                    "DELETE FROM tenancy.memberships WHERE user_id IN ('{}', '{}')",
                    notes.alice, notes.bob
                ),
                own,
            ),
            ("UPDATE tenancy.tenants SET slug = 'mine'".to_owned(), own),
            (
                "UPDATE tenancy.api_keys SET project_id = NULL, revoked_at = now()".to_owned(),
                0,
            ),
            (
                format!(
                    "UPDATE tenancy.api_keys SET project_id = NULL WHERE id = '{}'",
                    key.id
                ),
                0,
            ),
        ] {
            let done = login.execute(AssertSqlSafe(statement.clone())).await?;
            assert_eq!(done.rows_affected(), rows, "{statement}");
        }
        assert_eq!(rows(notes, &notes.globex).await?, before);
        assert_eq!(state(&notes.directory, &notes.globex).await?, state_before);
        Ok(())
    })
    .await
}
