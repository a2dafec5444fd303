//! The recipes of `docs/operations.md`, played on servers of their own: dumps, restores, replicas,
//! and who may read every tenant's rows.

mod dump;
mod logical;
mod outbox;
mod owner_dump;
mod programs;
mod reporting;
mod standby;
mod younger;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    postgres::PgConnectOptions,
};
use tenancy_core::{
    Admission, Admitted, ManualClock, Refusal, RouteNeeds, Tenancy, TenantContext, UserId,
    testing::FakeRequest,
};
use tenancy_sqlx::{PgDirectory, TenantPool, TenantPoolOptions};
use tenancy_tests::{
    Server, Version,
    notes::{self, Notes, PASSWORD},
};

/// A service over a database, of which time stands still: what it hears, it hears of the feed.
struct Service {
    tenancy: Tenancy,
    pool: TenantPool,
}

impl Service {
    /// With the login of the service, wherever these options lead.
    async fn over(options: PgConnectOptions) -> anyhow::Result<Self> {
        let options = options.username("tenancy_app").password(PASSWORD);
        let directory = PgDirectory::connect_with(options.clone(), 2).await?;
        let clock = Arc::new(ManualClock::now_frozen());
        let tenancy = notes::builder(directory)?.clock(clock).build()?;
        let pool = TenantPoolOptions::new();
        let pool = pool.connect_with(options, &tenancy).await?;
        Ok(Self { tenancy, pool })
    }

    async fn admit(&self, user: UserId, slug: &str) -> Result<TenantContext, Refusal> {
        let token = notes::token(user).unwrap_or_default();
        let request = FakeRequest::new("/notes")
            .header("host", format!("{slug}.notes.example"))
            .bearer(&token);
        let admitted = match self.tenancy.admit(&request, RouteNeeds::tenant()) {
            Admission::Ready(decided) => decided?,
            Admission::Pending(pending) => pending.resolve().await?,
        };
        match admitted {
            Admitted::Tenant(context) => Ok(context),
            Admitted::NoTenant(_) => unreachable!("the route needs a tenant"),
        }
    }

    /// The status and the reason of the refusal, or 200.
    async fn answer(&self, user: UserId, slug: &str) -> (u16, &'static str) {
        match self.admit(user, slug).await {
            Ok(_) => (200, ""),
            Err(refusal) => (refusal.kind().status(), refusal.reason()),
        }
    }

    /// How many notes a user sees in a tenant.
    async fn notes(&self, user: UserId, slug: &str) -> anyhow::Result<i64> {
        let context = self.admit(user, slug).await?;
        let db = self.pool.tenant(&context)?;
        let count = sqlx::query_scalar("SELECT count(*) FROM notes");
        Ok(count.fetch_one(&db).await?)
    }

    /// `acme` has 3 notes and `globex` 5, and neither sees the other's, nor nobody any.
    async fn keeps_apart(
        &self,
        options: PgConnectOptions,
        (alice, bob): (UserId, UserId),
    ) -> anyhow::Result<()> {
        let mut admin = options.clone().connect().await?;
        let per_tenant = "SELECT array_agg(n ORDER BY n) FROM
            (SELECT count(*) AS n FROM notes GROUP BY tenant_id) AS counted";
        let there: Vec<i64> = sqlx::query_scalar(per_tenant).fetch_one(&mut admin).await?;
        ensure!(there == [3, 5], "the rows are not there: {there:?}");
        ensure!(self.notes(alice, "acme").await? == 3);
        ensure!(self.notes(bob, "globex").await? == 5);
        let mut nobody = options.username("tenancy_app").connect().await?;
        let count = sqlx::query_scalar("SELECT count(*) FROM notes");
        let seen: i64 = count.fetch_one(&mut nobody).await?;
        ensure!(seen == 0, "a session without a tenant sees {seen} notes");
        Ok(())
    }

    /// Waits until a user is answered so, by what the feed tells.
    async fn will_answer(
        &self,
        user: UserId,
        slug: &str,
        expected: (u16, &'static str),
    ) -> anyhow::Result<()> {
        eventually(async || {
            // Fails while connections are replaced.
            let _ = self.tenancy.catch_up().await;
            let answer = self.answer(user, slug).await;
            ensure!(answer == expected, "{answer:?}");
            Ok(())
        })
        .await
    }
}

/// Waits until something that happens elsewhere has happened.
async fn eventually(condition: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match condition().await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error.context("gave up waiting")),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Runs statements as the superuser of a server.
async fn run(options: &PgConnectOptions, sql: &str) -> anyhow::Result<()> {
    let mut admin = options
        .clone()
        .disable_statement_logging()
        .connect()
        .await?;
    let done = admin.execute(AssertSqlSafe(sql.to_owned())).await;
    done.with_context(|| sql.to_owned())?;
    Ok(admin.close().await?)
}

async fn ask<T>(connection: &mut PgConnection, sql: &'static str) -> anyhow::Result<T>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    let answer = sqlx::query_scalar(sql).fetch_one(connection).await;
    answer.context(sql)
}

/// The application with 3 notes of `acme` and 5 of `globex`, on a server of its own whose transaction
/// ids are well ahead of a new server's. `None` where servers of one's own can't be had.
async fn aged(settings: &'static str) -> anyhow::Result<Option<Notes>> {
    let Some(server) = Server::fresh_or_skip(Version::Default, settings).await? else {
        return Ok(None);
    };
    let notes = Notes::start(&server).await?;
    notes.seed(&notes.acme, 3).await?;
    notes.seed(&notes.globex, 5).await?;
    let age = "DO $$ BEGIN
            FOR n IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP;
        END $$";
    notes.as_admin(age).await?;
    notes
        .as_admin("UPDATE tenancy.tenants SET name = name")
        .await?;
    Ok(Some(notes))
}

/// New servers: of the default version, and PostgreSQL 18 unless skipped.
async fn bare() -> anyhow::Result<Vec<Server>> {
    let mut servers = Vec::new();
    for version in [Version::Default, Version::V18] {
        servers.extend(Server::fresh_or_skip(version, "").await?);
    }
    Ok(servers)
}
