//! The service, listening, over a database of its own with two tenants.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tenancy::{
    Membership, MemoryAuditSink, SystemRole, Tenancy, TenantRecord, TenantStatus, UserId,
    postgres::{PgDirectory, TenantPoolOptions, danger::SystemPool, schema::Installer},
};
use tenancy_tests::{
    Server, Template, TestDatabase, Version,
    notes::{self, PASSWORD},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::Instant};

use crate::client::Client;

/// How long something may take that does happen, on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// What the pool's connections are called in `pg_stat_activity`.
const POOL: &str = "live";

const TEMPLATE: Template = Template::new("live", |options| {
    Box::pin(async move {
        let mut admin: PgConnection = options.connect().await?;
        Installer::new()
            .passwords(PASSWORD, PASSWORD)
            .run_on(&mut admin, &live::MIGRATIONS)
            .await?;
        Ok(admin.close().await?)
    })
})
.fingerprint(include_str!("../../migrations/0001_notes.sql"));

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) tenancy: Tenancy,
    pub(crate) acme: TenantRecord,
    pub(crate) globex: TenantRecord,
    pub(crate) alice: UserId,
    pub(crate) bob: UserId,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), String>>,
}

impl World {
    /// Serves with a pool of so many connections.
    pub(crate) async fn start(connections: u32) -> anyhow::Result<Self> {
        let database = Server::start(Version::Default)
            .await?
            .database(&TEMPLATE)
            .await?;
        let tenancy = engine(&database).await?;
        let options = database
            .options_as("tenancy_app", Some(PASSWORD))
            .application_name(POOL);
        let pool = TenantPoolOptions::new()
            .max_connections(connections)
            .connect_with(options, &tenancy)
            .await?;
        let (alice, bob) = (UserId::new(), UserId::new());
        let acme = provision(&tenancy, "acme", alice).await?;
        let globex = provision(&tenancy, "globex", bob).await?;

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let engine = tenancy.clone();
        let served = tokio::spawn(async move {
            let interrupted = async { drop(stopped.await) };
            let served = live::serve(listener, &engine, pool, interrupted).await;
            served.map_err(|error| error.to_string())
        });
        Ok(Self {
            database,
            tenancy,
            acme,
            globex,
            alice,
            bob,
            address,
            stop,
            served,
        })
    }

    /// A user at a tenant's host.
    pub(crate) fn client(&self, tenant: &TenantRecord, user: UserId) -> Client {
        let host = format!("{}.notes.example", tenant.slug);
        Client::new(self.address, host, user)
    }

    pub(crate) fn alice(&self) -> Client {
        self.client(&self.acme, self.alice)
    }

    pub(crate) fn bob(&self) -> Client {
        self.client(&self.globex, self.bob)
    }

    /// Gives a user a role in a tenant, in the process that serves.
    pub(crate) async fn make(
        &self,
        user: UserId,
        role: SystemRole,
        tenant: &TenantRecord,
    ) -> anyhow::Result<()> {
        let membership = Membership::new(tenant.id, user, role.name());
        Ok(self
            .tenancy
            .admin(tenancy::testing::service())
            .put_membership(&membership)
            .await?)
    }

    /// The states of the pool's connections, by the server's account.
    async fn connections(&self) -> anyhow::Result<Vec<String>> {
        let mut admin = self.database.admin().await?;
        let states = sqlx::query_scalar(
            "SELECT coalesce(state, '') || coalesce(' on ' || wait_event_type, '') \
             FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1",
        );
        Ok(states.bind(POOL).fetch_all(&mut admin).await?)
    }

    /// Waits until the pool's connections are in a state, and returns their states.
    pub(crate) async fn connections_until(
        &self,
        reached: impl Fn(&[String]) -> bool,
    ) -> anyhow::Result<Vec<String>> {
        let deadline = Instant::now() + SOON;
        loop {
            let states = self.connections().await?;
            if reached(&states) {
                return Ok(states);
            }
            anyhow::ensure!(Instant::now() < deadline, "{states:?} is where it stays");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Asks the service to end.
    pub(crate) fn stop(self) -> (TestDatabase, JoinHandle<Result<(), String>>) {
        let _ = self.stop.send(());
        (self.database, self.served)
    }

    /// Ends the service and drops its database.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let (database, served) = self.stop();
        let served = tokio::time::timeout(SOON, served).await;
        served
            .context("the service does not end")??
            .map_err(anyhow::Error::msg)?;
        Ok(database.close().await?)
    }
}

/// An engine over the database; one more is another process, as far as the first can tell.
pub(crate) async fn engine(database: &TestDatabase) -> anyhow::Result<Tenancy> {
    let system = database.options_as("tenancy_system", Some(PASSWORD));
    let system = SystemPool::connect_with(system).await?;
    let app = database.options_as("tenancy_app", Some(PASSWORD));
    let directory = PgDirectory::connect_with(app, 4)
        .await?
        .with_system(&system);
    Ok(notes::builder(directory)?
        .audit(MemoryAuditSink::new(1_000))
        .poll_interval(Duration::from_millis(50))
        .build()?)
}

async fn provision(tenancy: &Tenancy, slug: &str, owner: UserId) -> anyhow::Result<TenantRecord> {
    let tenant = TenantRecord::new(slug.parse()?, slug);
    let admin = tenancy.admin(tenancy::testing::service());
    admin.create_tenant(&tenant).await?;
    let owner = Membership::new(tenant.id, owner, SystemRole::Owner.name());
    admin.put_membership(&owner).await?;
    Ok(admin.set_status(tenant.id, TenantStatus::Active).await?)
}
