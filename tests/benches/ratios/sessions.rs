//! Tenant transactions beside plain sqlx, on loopback and at a round trip of 0.5 ms.

use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
    types::Uuid,
};
use tenancy_core::{TenantContext, TenantRecord, TenantStatus, testing::ContextBuilder};
use tenancy_sqlx::{TenantPool, TenantPoolOptions};
use tenancy_tests::{
    DelayProxy, Server, Version,
    notes::{self, Notes},
};

use crate::ratio::{self, Bound};

/// Enough that one call does not wait until the connection of the call before has been given back:
/// every side finishes that, its rollback or its ping, behind the caller's back.
const CONNECTIONS: u32 = 8;

const ONE: &str = "SELECT body FROM notes WHERE id = $1";
const ONE_OF: &str = "SELECT body FROM notes WHERE id = $1 AND tenant_id = $2";

pub(crate) async fn run() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let many = if ratio::hurries() { 100 } else { 100_000 };
    for tenants in [10, many] {
        let world = Notes::start(&server).await?;
        let rows = Rows::new(&world, tenants).await?;
        let direct = world
            .database
            .options_as("tenancy_app", Some(notes::PASSWORD));
        ratio::heading(&format!("Sessions, {tenants} tenants, loopback (µs)"));
        rows.compare(&direct, 20, [Bound::AtMost(1.2), Bound::None])
            .await?;

        let proxy = DelayProxy::for_options(&direct, Duration::from_micros(250))?;
        ratio::heading(&format!(
            "Sessions, {tenants} tenants, round trip 0.5 ms (µs)"
        ));
        let delayed = proxy.reroute(direct);
        rows.compare(&delayed, 4, [Bound::AtMost(1.05), Bound::AtMost(1.05)])
            .await?;
        world.database.close().await?;
    }
    Ok(())
}

/// One note of each of many tenants.
struct Rows<'a> {
    world: &'a Notes,
    notes: Vec<(TenantContext, Uuid)>,
}

impl<'a> Rows<'a> {
    async fn new(world: &'a Notes, tenants: i32) -> anyhow::Result<Self> {
        let crowd = world.crowd(tenants).await?;
        let context = |tenant| {
            let slug = "a-tenant".parse()?;
            let mut record = TenantRecord::new(slug, "A tenant").with_status(TenantStatus::Active);
            record.id = tenant;
            anyhow::Ok(ContextBuilder::new(&world.tenancy, record).build())
        };
        let rows = crowd
            .iter()
            .map(|one| anyhow::Ok((context(one.tenant)?, *one.notes.first().unwrap())));
        Ok(Self {
            world,
            notes: rows.collect::<Result<_, _>>()?,
        })
    }

    async fn compare(
        &self,
        options: &PgConnectOptions,
        calls: u32,
        [transaction, read]: [Bound; 2],
    ) -> anyhow::Result<()> {
        let ours = TenantPoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect_with(options.clone(), &self.world.tenancy)
            .await?;
        // The bare side sees every row and names the tenant itself, as a service without row
        // security does.
        let bare = options.clone().username("tenancy_system");
        let quiet = pool(&bare, false).await?;
        let pinging = pool(&bare, true).await?;

        let rounds = ratio::by_turns(
            calls,
            async || self.transaction(&ours).await.unwrap(),
            async || self.plain_transaction(&quiet).await.unwrap(),
        )
        .await;
        ratio::pair(
            "tenant transaction : BEGIN; q; COMMIT (ping off)",
            &rounds,
            "µs",
            transaction,
        );

        let unreset = TenantPoolOptions::new()
            .max_connections(CONNECTIONS)
            .reset_session(false)
            .connect_with(options.clone(), &self.world.tenancy)
            .await?;
        let rounds = ratio::by_turns(
            calls,
            async || self.transaction(&ours).await.unwrap(),
            async || self.transaction(&unreset).await.unwrap(),
        )
        .await;
        let name = "tenant transaction : the same without session reset";
        ratio::pair(name, &rounds, "µs", Bound::None);

        let rounds = ratio::by_turns(
            calls,
            async || self.read(&ours).await.unwrap(),
            async || self.autocommit(&pinging).await.unwrap(),
        )
        .await;
        ratio::pair(
            "tenant read : autocommit query (sqlx default)",
            &rounds,
            "µs",
            read,
        );

        let rounds = ratio::by_turns(
            calls,
            async || self.single(&ours).await.unwrap(),
            async || self.autocommit(&quiet).await.unwrap(),
        )
        .await;
        ratio::pair(
            "&TenantDb : autocommit query (ping off)",
            &rounds,
            "µs",
            Bound::None,
        );
        Ok(())
    }

    fn next(&self) -> &(TenantContext, Uuid) {
        let at = uuid::Uuid::now_v7().as_u128() as usize % self.notes.len();
        self.notes.get(at).unwrap()
    }

    async fn transaction(&self, pool: &TenantPool) -> anyhow::Result<()> {
        let (context, note) = self.next();
        let mut tx = pool.begin(context).await?;
        let _: String = sqlx::query_scalar(ONE)
            .bind(note)
            .fetch_one(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    async fn plain_transaction(&self, pool: &PgPool) -> anyhow::Result<()> {
        let (context, note) = self.next();
        let mut tx = pool.begin().await?;
        let tenant = context.tenant_id().as_uuid();
        let _: String = sqlx::query_scalar(ONE_OF)
            .bind(note)
            .bind(tenant)
            .fetch_one(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    async fn read(&self, pool: &TenantPool) -> anyhow::Result<()> {
        let (context, note) = self.next();
        let db = pool.tenant(context)?.reader();
        let _: String = sqlx::query_scalar(ONE).bind(note).fetch_one(&db).await?;
        Ok(())
    }

    async fn single(&self, pool: &TenantPool) -> anyhow::Result<()> {
        let (context, note) = self.next();
        let db = pool.tenant(context)?;
        let _: String = sqlx::query_scalar(ONE).bind(note).fetch_one(&db).await?;
        Ok(())
    }

    async fn autocommit(&self, pool: &PgPool) -> anyhow::Result<()> {
        let (context, note) = self.next();
        let tenant = context.tenant_id().as_uuid();
        let _: String = sqlx::query_scalar(ONE_OF)
            .bind(note)
            .bind(tenant)
            .fetch_one(pool)
            .await?;
        Ok(())
    }
}

async fn pool(options: &PgConnectOptions, ping: bool) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(ping)
        .connect_with(options.clone())
        .await
}
