//! Rows that are counted with their insert, in the application's transaction; and what its login can't do.

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tenancy_core::{
    Cost, RefusalKind, Tenancy, TenantContext, TenantRecord,
    quota::{Limit, Meter, OperationId, QuotaService, Quotas},
    testing::{self, ContextBuilder},
};
use tenancy_sqlx::{ErrorKind, PgCounters, TenantPool, TenantPoolOptions};
use tenancy_tests::notes::{Notes, PASSWORD, builder, on_every_server, sqlstate};

use crate::counting;

/// A service whose tenants may keep 3 notes.
struct Service {
    tenancy: Tenancy,
    pool: TenantPool,
    counters: PgCounters,
    quotas: QuotaService,
}

impl Service {
    async fn start(notes: &Notes) -> anyhow::Result<Self> {
        let counters = counting(notes).await?.build();
        let quotas = Quotas::new()
            .meter(Meter::held("notes"))
            .limit(Limit::held("notes", 3).warn_at([60, 100]))
            .counters(counters.clone());
        let tenancy = builder(notes.directory.clone())?.quotas(quotas).build()?;
        let options = notes.with_key(TenantPoolOptions::new().max_connections(8))?;
        let pool = options.connect_with(notes.app_options(), &tenancy).await?;
        let quotas = tenancy.quotas().context("there are quotas")?.clone();
        Ok(Self {
            tenancy,
            pool,
            counters,
            quotas,
        })
    }

    fn context(&self, tenant: &TenantRecord) -> TenantContext {
        ContextBuilder::new(&self.tenancy, tenant.clone()).build()
    }

    /// Inserts a note, if there is room for one.
    async fn insert(&self, context: &TenantContext) -> anyhow::Result<bool> {
        let reserved = match self.quotas.reserve(context, &[Cost::new("notes", 1)]).await {
            Ok(reserved) => reserved,
            Err(refused) => {
                ensure!(refused.kind().status() == 402, "{refused}");
                return Ok(false);
            }
        };
        let mut tx = self.pool.begin(context).await?;
        tx.execute("INSERT INTO notes (body) VALUES ('counted')")
            .await?;
        tx.keep(reserved).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn used(&self, context: &TenantContext) -> anyhow::Result<u64> {
        let usage = self.quotas.usage(context).await?;
        Ok(usage.first().context("a limit")?.standing.used)
    }

    async fn close(self) {
        self.pool.close().await;
        self.counters.close().await;
    }
}

async fn rows(notes: &Notes) -> anyhow::Result<i64> {
    let mut admin = notes.database.admin().await?;
    let count = "SELECT count(*) FROM notes WHERE body = 'counted'";
    Ok(sqlx::query_scalar(count).fetch_one(&mut admin).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_50_inserts_at_once_on_a_limit_of_3_exactly_3_are_there() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let service = Service::start(notes).await?;
        let context = service.context(&notes.acme);
        let inserts = join_all((0..50).map(|_| service.insert(&context))).await;
        let mut inserted = 0;
        for one in inserts {
            inserted += u32::from(one?);
        }
        ensure!(inserted == 3, "{inserted}");
        ensure!(rows(notes).await? == 3);
        ensure!(service.used(&context).await? == 3);
        // Another tenant has room.
        ensure!(service.insert(&service.context(&notes.globex)).await?);
        service.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_counted_commits_and_rolls_back_with_its_rows() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let service = Service::start(notes).await?;
        let context = service.context(&notes.acme);
        let cost = Cost::new("notes", 1);
        for is_dropped in [true, false] {
            let reserved = service.quotas.reserve(&context, std::slice::from_ref(&cost)).await?;
            let mut tx = service.pool.begin(&context).await?;
            tx.execute("INSERT INTO notes (body) VALUES ('counted')").await?;
            tx.keep(reserved).await?;
            match is_dropped {
                true => drop(tx),
                false => tx.rollback().await?,
            }
            // It is released by a task, once the rollback is done.
            let began = std::time::Instant::now();
            while service.used(&context).await? > 0 {
                ensure!(began.elapsed() < crate::LONG, "it stays reserved");
                tokio::task::yield_now().await;
            }
        }
        for _ in 0..3 {
            ensure!(service.insert(&context).await?);
        }
        ensure!(!service.insert(&context).await?);

        // A removal that is rolled back gives nothing back; one that commits does, at once.
        for commits in [false, true] {
            let freed = service.quotas.prepare_give_back(&context, &cost).await?;
            let mut tx = service.pool.begin(&context).await?;
            let remove = "DELETE FROM notes WHERE id IN (SELECT id FROM notes WHERE body = 'counted' LIMIT 1)";
            ensure!(tx.execute(remove).await?.rows_affected() == 1);
            tx.give_back(freed).await?;
            ensure!(!service.insert(&context).await?, "others do not see it yet");
            match commits {
                true => tx.commit().await?,
                false => tx.rollback().await?,
            }
            let expected = if commits { 2 } else { 3 };
            ensure!(service.used(&context).await? == expected);
            ensure!(rows(notes).await? == i64::try_from(expected)?);
        }
        ensure!(service.insert(&context).await?);
        ensure!(!service.insert(&context).await?);
        service.close().await;
        Ok(())
    })
    .await
}

/// While a transaction that has kept something is open, others of its tenant insert.
#[tokio::test]
async fn an_open_transaction_keeps_nobody_waiting() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let service = Service::start(notes).await?;
        let context = service.context(&notes.acme);
        let reserved = service
            .quotas
            .reserve(&context, &[Cost::new("notes", 1)])
            .await?;
        let mut open = service.pool.begin(&context).await?;
        open.keep(reserved).await?;
        ensure!(service.insert(&context).await? && service.insert(&context).await?);
        ensure!(!service.insert(&context).await?);
        open.commit().await?;
        ensure!(service.used(&context).await? == 3);
        service.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn only_its_own_tenants_transaction_keeps_a_reservation_and_once() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let service = Service::start(notes).await?;
        let (acme, globex) = (service.context(&notes.acme), service.context(&notes.globex));
        let cost = Cost::new("notes", 1);
        let of_acme = service
            .quotas
            .reserve(&acme, std::slice::from_ref(&cost))
            .await?;
        let mut tx = service.pool.begin(&globex).await?;
        let refused = tx.keep(of_acme).await.unwrap_err();
        ensure!(refused.kind() == ErrorKind::NotReserved, "{refused}");
        drop(tx);
        let freed = service.quotas.prepare_give_back(&acme, &cost).await?;
        let mut tx = service.pool.begin(&globex).await?;
        ensure!(tx.give_back(freed).await.is_err());
        drop(tx);
        // Counters in memory know nothing of transactions.
        let quotas = Quotas::new()
            .meter(Meter::held("notes"))
            .limit(Limit::held("notes", 3));
        let tenancy = builder(notes.directory.clone())?.quotas(quotas).build()?;
        let context = ContextBuilder::new(&tenancy, notes.acme.clone()).build();
        let quotas = tenancy.quotas().context("there are quotas")?;
        let refused = quotas.prepare_give_back(&context, &cost).await.unwrap_err();
        ensure!(refused.kind() == RefusalKind::Unavailable);
        service.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_threshold_is_an_event_once_and_of_its_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let service = Service::start(notes).await?;
        let context = service.context(&notes.acme);
        for _ in 0..4 {
            service.insert(&context).await?;
        }
        let mut admin = notes.database.admin().await?;
        let told: Vec<(uuid::Uuid, serde_json::Value)> = sqlx::query_as(
            "SELECT tenant_id, payload FROM tenancy.outbox_events
             WHERE kind = 'quota.threshold-reached' ORDER BY id",
        )
        .fetch_all(&mut admin)
        .await?;
        let percents: Vec<_> = told
            .iter()
            .map(|(_, payload)| payload["percent"].as_i64())
            .collect();
        ensure!(percents == [Some(60), Some(100)], "{told:?}");
        ensure!(
            told.iter()
                .all(|(tenant, _)| *tenant == notes.acme.id.as_uuid())
        );
        ensure!(
            told[1].1["limit"] == "notes-held" && told[1].1["used"] == 3,
            "{told:?}"
        );
        service.close().await;
        Ok(())
    })
    .await
}

/// What the logins that serve tenants may not do with counters.
#[tokio::test]
async fn no_sql_of_a_tenant_gives_it_more() -> anyhow::Result<()> {
    const REFUSED: &str = "42501";
    on_every_server(async |notes| {
        let service = Service::start(notes).await?;
        let context = service.context(&notes.acme);
        ensure!(service.insert(&context).await?);
        let mut statements: Vec<String> =
            ["counts", "leases", "holdings", "reservations", "operations"]
                .iter()
                .flat_map(|table| {
                    [
                        format!("SELECT FROM tenancy.quota_{table}"),
                        format!("DELETE FROM tenancy.quota_{table}"),
                        format!("INSERT INTO tenancy.quota_{table} DEFAULT VALUES"),
                    ]
                })
                .collect();
        for function in ["lease", "reserve", "settle", "renew", "offer", "standings"] {
            statements.push(format!("SELECT tenancy.quota_{function}('{{}}'::jsonb)"));
        }
        statements.extend([
            "UPDATE tenancy.quota_holdings SET kept = 0".to_owned(),
            "UPDATE tenancy.quota_counts SET debited = 0".to_owned(),
            "SELECT tenancy.quota_clean(1)".to_owned(),
            "SELECT tenancy.quota_hold(NULL, 'a', 'b', now())".to_owned(),
        ]);
        let mut tx = service.pool.begin(&context).await?;
        for statement in &statements {
            let mut inner = tx.savepoint().await?;
            let done = inner.execute(AssertSqlSafe(statement.clone())).await;
            ensure!(sqlstate(done) == REFUSED, "{statement}");
            inner.rollback().await?;
        }
        // What it may call finds nothing to confirm.
        let guessed = "SELECT tenancy.quota_confirm(gen_random_uuid())";
        let confirmed: i32 = sqlx::query_scalar(guessed).fetch_one(&mut *tx).await?;
        ensure!(confirmed == 0);
        drop(tx);
        // The registry login counts by functions, and reads no table.
        let options = notes
            .database
            .options_as("tenancy_registry", Some(PASSWORD));
        let mut registry = PgConnection::connect_with(&options).await?;
        for statement in statements.iter().filter(|one| one.contains("_holdings")) {
            let done = registry.execute(AssertSqlSafe(statement.clone())).await;
            ensure!(sqlstate(done) == REFUSED, "{statement}");
        }
        service.close().await;
        Ok(())
    })
    .await
}

/// The application has rows from before it counted them.
#[tokio::test]
async fn rows_from_before_are_imported_once_and_stay_above_the_limit() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let service = Service::start(notes).await?;
        let context = service.context(&notes.acme);
        let admin = service.tenancy.admin(testing::service());
        let (five, id) = (Cost::new("notes", 5), OperationId::unique());
        for _ in 0..2 {
            admin.import_held(notes.acme.id, &five, id).await?;
            ensure!(service.used(&context).await? == 5);
        }
        ensure!(!service.insert(&context).await?);
        ensure!(service.used(&service.context(&notes.globex)).await? == 0);
        let three = Cost::new("notes", 3);
        service
            .quotas
            .give_back(&context, &three, OperationId::unique())
            .await?;
        ensure!(service.insert(&context).await?);
        ensure!(!service.insert(&context).await?);
        service.close().await;
        Ok(())
    })
    .await
}
