//! Reads on a real standby: a tenant sees there all that it has written, or the primary is read.

mod caps;
mod doubts;
mod isolation;
mod lag;
mod marks;
mod outages;
mod reads;
mod start;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, postgres::PgConnectOptions};
use tenancy_core::TenantRecord;
use tenancy_sqlx::{ReplicaStats, TenantDb, TenantPool, TenantPoolOptions, WriteMark};
use tenancy_tests::{
    Server, Version,
    notes::{Notes, PASSWORD},
};

const INSERT: &str = "INSERT INTO notes (body) VALUES ('written')";
/// A standby hears of some positions only when the primary writes its next snapshot for standbys, every
/// 15 seconds.
const PATIENCE: Duration = Duration::from_secs(40);
const COUNT: &str = "SELECT count(*) FROM notes";

/// A primary with `acme`'s 3 notes and `globex`'s 5, and a standby of it.
struct World {
    notes: Notes,
    standby: Server,
}

impl World {
    async fn start(version: Version) -> anyhow::Result<Option<Self>> {
        let Some(server) = Server::fresh_or_skip(version, "").await? else {
            return Ok(None);
        };
        let notes = Notes::start(&server).await?;
        notes.seed(&notes.acme, 3).await?;
        notes.seed(&notes.globex, 5).await?;
        let standby = server.standby().await?;
        Ok(Some(Self { notes, standby }))
    }

    /// The service's login at the standby.
    fn replica(&self) -> PgConnectOptions {
        let standby = self.standby.admin_options();
        let options = standby.database(self.notes.database.name());
        options.username("tenancy_app").password(PASSWORD)
    }

    async fn pool_with(&self, options: TenantPoolOptions) -> anyhow::Result<TenantPool> {
        self.notes.pool(options.replica_with(self.replica())).await
    }

    async fn pool(&self) -> anyhow::Result<TenantPool> {
        self.pool_with(TenantPoolOptions::new()).await
    }

    /// A pool that is used, of whose replica `acme` and `globex` read.
    async fn used_pool(&self, options: TenantPoolOptions) -> anyhow::Result<(TenantDb, TenantDb)> {
        let pool = self.pool_with(options).await?;
        let (acme, globex) = (
            self.db(&pool, &self.notes.acme)?,
            self.db(&pool, &self.notes.globex)?,
        );
        for db in [&acme, &globex] {
            reads_replica(db).await?;
        }
        Ok((acme, globex))
    }

    fn db(&self, pool: &TenantPool, tenant: &TenantRecord) -> anyhow::Result<TenantDb> {
        Ok(pool.tenant(&self.notes.context(tenant))?)
    }

    /// Runs statements as the superuser of the standby.
    async fn at_standby(&self, sql: &str) -> anyhow::Result<()> {
        let admin = self.standby.admin_options();
        let mut admin = admin.database(self.notes.database.name()).connect().await?;
        admin.execute(AssertSqlSafe(sql.to_owned())).await?;
        Ok(())
    }

    async fn pause(&self) -> anyhow::Result<()> {
        self.at_standby("SELECT pg_wal_replay_pause()").await?;
        eventually(async || {
            let admin = self.standby.admin_options();
            let state: String = sqlx::query_scalar("SELECT pg_get_wal_replay_pause_state()")
                .fetch_one(&mut admin.connect().await?)
                .await?;
            ensure!(state == "paused", "replay is {state}");
            Ok(())
        })
        .await
    }

    async fn resume(&self) -> anyhow::Result<()> {
        self.at_standby("SELECT pg_wal_replay_resume()").await
    }
}

/// Runs a test on PostgreSQL 15 and 18.
async fn on_every_version(test: impl AsyncFn(&World) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for version in [Version::Default, Version::V18] {
        if let Some(world) = World::start(version).await? {
            test(&world).await.with_context(|| format!("{version:?}"))?;
        }
    }
    Ok(())
}

/// Whether a reader's statement is answered by a standby.
async fn is_on_replica(db: &TenantDb) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_is_in_recovery()")
        .fetch_one(&db.reader())
        .await
}

/// Waits until a reader's statements are answered by the standby.
async fn reads_replica(db: &TenantDb) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_on_replica(db).await? {
        ensure!(Instant::now() < deadline, "the primary goes on answering");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// How many notes a tenant sees, and whether a standby says so.
async fn seen(db: &TenantDb) -> Result<(i64, bool), sqlx::Error> {
    sqlx::query_as("SELECT count(*), pg_is_in_recovery() FROM notes")
        .fetch_one(&db.reader())
        .await
}

async fn write(db: &TenantDb) -> anyhow::Result<()> {
    sqlx::query(INSERT).execute(db).await?;
    Ok(())
}

/// Waits until what is known of a tenant's writes is something else than it was.
async fn is_settled(db: &TenantDb, before: Option<WriteMark>) -> anyhow::Result<()> {
    eventually(async || {
        let now = db.pool().last_write(db.context())?;
        ensure!(now != before, "still {now:?}");
        Ok(())
    })
    .await
}

fn stats(pool: &TenantPool) -> anyhow::Result<ReplicaStats> {
    pool.stats().replicas.pop().context("a replica")
}

async fn eventually(condition: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match condition().await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error.context("gave up waiting")),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
