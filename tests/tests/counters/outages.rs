//! A database that is stopped: what each limit says counts, and all processes together stay within it.

use std::{sync::Arc, time::Instant};

use anyhow::{Context as _, ensure};
use sqlx::Executor as _;
use tenancy_core::{
    Cost, MemoryAuditSink, MemoryDirectory, Tenancy, TenantContext, TenantRecord, TenantStatus,
    quota::{Limit, Meter, OnOutage, Period, Quotas},
    testing::StoreDirectly as _,
};
use tenancy_sqlx::PgCounters;
use tenancy_tests::{
    Server, Version,
    notes::{Notes, seal_of_the_run},
};

use crate::{LONG, registry};

/// How many processes serve.
const PROCESSES: u32 = 10;

/// One of them, with connections of its own.
struct Process {
    counters: PgCounters,
    audit: Arc<MemoryAuditSink>,
    tenancy: Tenancy,
    context: TenantContext,
}

impl Process {
    async fn start(
        notes: &Notes,
        directory: &MemoryDirectory,
        acme: &TenantRecord,
    ) -> anyhow::Result<Self> {
        let counters = PgCounters::new(&registry(notes).await?);
        let quotas = Quotas::new()
            .meter(Meter::consumed("exports"))
            .meter(Meter::consumed("open"))
            .meter(Meter::consumed("closed"))
            .meter(Meter::held("projects"))
            .limit(
                Limit::per_period("exports", 105, Period::Month)
                    .on_outage(OnOutage::LocalShare { of: PROCESSES }),
            )
            .limit(Limit::per_period("open", 1, Period::Month).on_outage(OnOutage::Open))
            .limit(Limit::per_period("closed", 100, Period::Month))
            .limit(Limit::held("projects", 100))
            .counters(counters.clone());
        let audit = Arc::new(MemoryAuditSink::new(100));
        let tenancy = Tenancy::builder(directory.clone())
            .established_principals()
            .shared_audit(audit.clone())
            .quotas(quotas)
            .build()?;
        let context = tenancy.enter(acme.id, "a test").await?;
        Ok(Self {
            counters,
            audit,
            tenancy,
            context,
        })
    }

    /// Takes one, and keeps it. The reason if it is refused.
    async fn take(&self, meter: &str) -> Result<(), &'static str> {
        let quotas = self.tenancy.quotas().ok_or("no quotas")?;
        let reserved = quotas.reserve(&self.context, &[Cost::new(meter, 1)]).await;
        let kept = reserved.map_err(|refusal| refusal.reason())?.commit().await;
        kept.map_err(|refusal| refusal.reason())
    }

    fn audited(&self) -> usize {
        let entries = self.audit.entries();
        let told = entries
            .iter()
            .filter(|entry| entry.action.starts_with("quota.outage"));
        told.count()
    }
}

#[tokio::test]
async fn ten_processes_on_a_stopped_database_admit_no_more_than_the_limit() -> anyhow::Result<()> {
    for version in [Version::Default, Version::V18] {
        let Some(server) = Server::fresh_or_skip(version, "").await? else {
            continue;
        };
        let clock = Arc::new(tenancy_core::SystemClock);
        let notes =
            Notes::start_sealed(&server, seal_of_the_run()?, clock, |builder| builder).await?;
        let directory = MemoryDirectory::new();
        let mut acme = TenantRecord::new("acme".parse()?, "Acme");
        acme.status = TenantStatus::Active;
        directory.create_tenant(&acme).await?;
        let mut processes = Vec::new();
        for _ in 0..PROCESSES {
            processes.push(Process::start(&notes, &directory, &acme).await?);
        }
        for process in &processes {
            ensure!(process.take("exports").await.is_ok());
        }
        server.stop().await?;

        let mut passed = 0;
        for process in &processes {
            for _ in 0..20 {
                match process.take("exports").await {
                    Ok(()) => passed += 1,
                    Err(reason) => ensure!(reason == "share-used-up", "{reason}"),
                }
            }
            ensure!(process.take("open").await.is_ok());
            ensure!(process.take("open").await.is_ok());
            for meter in ["closed", "projects"] {
                ensure!(process.take(meter).await == Err("counters-unavailable"));
            }
            let outages = process.tenancy.quotas().context("quotas")?.outages();
            ensure!(outages.since.is_some() && outages.begun == 1, "{outages:?}");
            ensure!(
                outages.admitted_uncounted == 2 && outages.refused == 2,
                "{outages:?}"
            );
            ensure!(process.audited() == 1);
        }
        // What one has in hand from before is the store's, and there is little of it.
        ensure!((100..=105).contains(&passed), "{passed}");

        server.start_again().await?;
        for process in &processes {
            let began = Instant::now();
            while process.take("closed").await.is_err() {
                ensure!(began.elapsed() < LONG, "it does not come back");
                tokio::task::yield_now().await;
            }
            // Also when a connection broke late: until it is quiet.
            while process
                .tenancy
                .quotas()
                .context("quotas")?
                .outages()
                .since
                .is_some()
            {
                let _ = process.take("projects").await;
                ensure!(began.elapsed() < LONG, "it goes on");
                tokio::task::yield_now().await;
            }
            ensure!(process.audited() == 2);
            process.counters.close().await;
        }
        // Nothing of the shares is carried back.
        let mut admin = notes.database.admin().await?;
        let debited = admin
            .fetch_one(
                "SELECT debited FROM tenancy.quota_counts WHERE limit_name = 'exports-monthly'",
            )
            .await?;
        let debited: i64 = sqlx::Row::try_get(&debited, 0)?;
        ensure!(debited < 20, "{debited}");
        notes.database.close().await?;
    }
    Ok(())
}
