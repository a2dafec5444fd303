//! The pools that are compared.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
    types::Uuid,
};
use tenancy_core::TenantContext;
use tenancy_sqlx::{
    SessionMode, TenantPool, TenantPoolOptions,
    statement_log::{MemoryStatements, StatementLog},
};
use tenancy_tests::notes::Notes;

use super::CONNECTIONS;

const ONE: &str = "SELECT body FROM notes WHERE id = $1";
const ONE_OF: &str = "SELECT body FROM notes WHERE id = $1 AND tenant_id = $2";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Other,
    Switched,
    Pinned,
    /// With a statement log.
    Logged,
}

#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) is_sealed: bool,
    pool: Pool,
    counted: Arc<[AtomicU64; 2]>,
}

#[derive(Clone)]
enum Pool {
    /// Names the tenant in the statement, as a service without row security does.
    Bare(PgPool),
    /// Names the tenant in hooks.
    Hooked(PgPool),
    Ours(TenantPool),
}

tokio::task_local! {
    static TENANT: Uuid;
}

/// Every side, sqlx's own pool first.
pub(crate) async fn all(world: &Notes, app: &PgConnectOptions) -> anyhow::Result<Vec<Side>> {
    let quiet = || {
        let options = PgPoolOptions::new().max_connections(CONNECTIONS);
        options.test_before_acquire(false)
    };
    let side = |name, kind, pool| Side {
        name,
        kind,
        is_sealed: world.seal.is_some(),
        pool,
        counted: Arc::default(),
    };
    let bare = quiet().connect_with(app.clone().username("tenancy_system"));
    let bare = Pool::Bare(bare.await?);
    let mut sides = vec![side("sqlx's pool, autocommit", Kind::Other, bare)];
    if world.seal.is_none() {
        let hooked = hooks(quiet()).connect_with(app.clone());
        let hooked = Pool::Hooked(hooked.await?);
        sides.push(side("hooks at acquire and release", Kind::Other, hooked));
    }
    for (name, kind, mode) in [
        ("transaction", Kind::Other, SessionMode::Transaction),
        ("switched", Kind::Switched, SessionMode::Switched),
        ("pinned", Kind::Pinned, SessionMode::Pinned),
    ] {
        let options = TenantPoolOptions::new().max_connections(CONNECTIONS);
        let options = options.sessions(mode).check_session_every(1024);
        let options = world.with_key(options)?;
        let pool = options.connect_with(app.clone(), &world.tenancy).await?;
        sides.push(side(name, kind, Pool::Ours(pool)));
    }
    Ok(sides)
}

/// The same pool without a statement log, with one that samples, and with one that is told of each statement.
pub(crate) async fn logged(world: &Notes, app: &PgConnectOptions) -> anyhow::Result<Vec<Side>> {
    let mut sides = Vec::new();
    for (name, kind, one_in) in [
        ("without a statement log", Kind::Other, None),
        ("with one, one in 1,000 told", Kind::Logged, Some(1_000)),
        ("with one, each told", Kind::Other, Some(1)),
    ] {
        let mut options = TenantPoolOptions::new()
            .max_connections(CONNECTIONS)
            .check_session_every(1024);
        if let Some(one_in) = one_in {
            let log = StatementLog::builder()
                .sample_one_in(one_in)
                .sink("memory", MemoryStatements::new(1_000))
                .build()?;
            options = options.statement_log(&log);
        }
        let pool = options.connect_with(app.clone(), &world.tenancy).await?;
        sides.push(Side {
            name,
            kind,
            is_sealed: false,
            pool: Pool::Ours(pool),
            counted: Arc::default(),
        });
    }
    Ok(sides)
}

fn hooks(options: PgPoolOptions) -> PgPoolOptions {
    async fn name(connection: &mut sqlx::PgConnection) -> Result<(), sqlx::Error> {
        if let Ok(tenant) = TENANT.try_get() {
            let name = sqlx::query("SELECT set_config('tenancy.tenant_id', $1, false)");
            name.bind(tenant.to_string()).execute(connection).await?;
        }
        Ok(())
    }
    options
        .after_connect(|connection, _| Box::pin(name(connection)))
        .before_acquire(|connection, _| {
            Box::pin(async move {
                name(connection).await?;
                Ok(true)
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                let reset = sqlx::query("RESET tenancy.tenant_id");
                reset.execute(connection).await?;
                Ok(true)
            })
        })
}

impl Side {
    pub(crate) async fn read(&self, (context, note): &(TenantContext, Uuid)) -> anyhow::Result<()> {
        let tenant = context.tenant_id().as_uuid();
        let _: String = match &self.pool {
            Pool::Bare(pool) => {
                let one = sqlx::query_scalar(ONE_OF).bind(note).bind(tenant);
                one.fetch_one(pool).await?
            }
            Pool::Hooked(pool) => {
                let one = sqlx::query_scalar(ONE).bind(note);
                TENANT.scope(tenant, one.fetch_one(pool)).await?
            }
            Pool::Ours(pool) => {
                let one = sqlx::query_scalar(ONE).bind(note);
                one.fetch_one(&pool.tenant(context)?.reader()).await?
            }
        };
        Ok(())
    }

    /// Which part of the statements since the last call found their session named.
    pub(crate) fn take_counts(&self) -> Option<f64> {
        let Pool::Ours(pool) = &self.pool else {
            return None;
        };
        let stats = pool.stats();
        let since = |at: usize, now: u64| {
            let before = self
                .counted
                .get(at)
                .map(|count| count.swap(now, Ordering::Relaxed));
            now - before.unwrap_or_default()
        };
        let (pinned, switched) = (since(0, stats.pinned), since(1, stats.switched));
        (self.kind == Kind::Pinned && pinned + switched > 0)
            .then(|| pinned as f64 / (pinned + switched) as f64)
    }
}
