//! Two tenants in a database of their own.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, migrate::Migrator};
use tenancy::{
    PermissionRegistry, Tenancy, TenantId,
    postgres::{
        PgAuditSink, PgDirectory, TenantPool, TenantPoolOptions,
        danger::SystemPool,
        schema::Installer,
        testing::{TestDatabase, TestDatabases},
    },
    testing::{TestTenant, TestTokens},
};
use tenancy_tests::{Server, Template, notes::PASSWORD};
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!();

pub(crate) struct World {
    pub(crate) tenancy: Tenancy,
    pub(crate) pool: TenantPool,
    pub(crate) system: SystemPool,
    pub(crate) acme: TestTenant,
    pub(crate) globex: TestTenant,
    database: TestDatabase,
}

/// Plays on each PostgreSQL that there is.
pub(crate) async fn on_every_server(
    play: impl AsyncFn(&World) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for server in Server::all().await? {
        let place = server.database(&Template::empty()).await?;
        let installer = Installer::new().passwords(PASSWORD, PASSWORD);
        let databases = TestDatabases::prepare(&place.url(), &installer, &MIGRATIONS).await?;
        let world = World::start(databases.create().await?).await?;
        play(&world).await?;
        world.pool.close().await;
        place.close().await?;
    }
    Ok(())
}

impl World {
    async fn start(database: TestDatabase) -> anyhow::Result<Self> {
        let system = SystemPool::connect_with(database.system()).await?;
        let directory = PgDirectory::connect_with(database.app(), 2).await?;
        let tokens = TestTokens::new("jobs");
        let tenancy = Tenancy::builder(directory.with_system(&system))
            .authenticator(tokens.verifier().build()?)
            .permissions(PermissionRegistry::builder().build()?)
            .audit(PgAuditSink::new(&system))
            .build()?;
        let acme = TestTenant::create(&tenancy, "acme").await?;
        let globex = TestTenant::create(&tenancy, "globex").await?;
        let pool = TenantPoolOptions::new();
        let pool = pool.connect_with(database.app(), &tenancy).await?;
        Ok(Self {
            tenancy,
            pool,
            system,
            acme,
            globex,
            database,
        })
    }

    /// Runs a statement as the administrator.
    pub(crate) async fn admin(&self, sql: &str) -> anyhow::Result<()> {
        let mut admin = PgConnection::connect_with(&self.database.admin()).await?;
        admin.execute(AssertSqlSafe(sql.to_owned())).await?;
        Ok(())
    }

    pub(crate) async fn write_draft(&self, of: &TestTenant, at: &str) -> anyhow::Result<()> {
        let tenant = of.record().id;
        let sql = format!(
            "INSERT INTO drafts (tenant_id, body, written_at) VALUES ('{tenant}', 'text', {at})"
        );
        self.admin(&sql).await
    }

    pub(crate) async fn write_mail(&self, of: &TestTenant, to: &str) -> anyhow::Result<()> {
        let (tenant, slug) = (of.record().id, &of.record().slug);
        let sql = format!(
            "INSERT INTO mails (tenant_id, recipient, body) VALUES ('{tenant}', '{to}', 'from {slug}')"
        );
        self.admin(&sql).await
    }

    /// What all tenants have: whose it is, and a text.
    pub(crate) async fn all(&self, sql: &str) -> anyhow::Result<Vec<(TenantId, String)>> {
        let mut admin = PgConnection::connect_with(&self.database.admin()).await?;
        let rows: Vec<(Uuid, String)> = sqlx::query_as(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut admin)
            .await?;
        Ok(rows
            .into_iter()
            .map(|(id, text)| (TenantId::from_uuid(id), text))
            .collect())
    }
}
