//! A pool with a log whose records are kept.

use std::{sync::Arc, time::Duration};

use tenancy_core::TenantRecord;
use tenancy_sqlx::{
    TenantPool, TenantPoolOptions,
    statement_log::{MemoryStatements, StatementLog, StatementLogBuilder, StatementRecord},
};
use tenancy_tests::notes::Notes;

pub(crate) struct Logged {
    pub(crate) pool: TenantPool,
    pub(crate) log: StatementLog,
    kept: Arc<MemoryStatements>,
}

impl Logged {
    /// A pool with a log that has these options.
    pub(crate) async fn start(
        notes: &Notes,
        pool: TenantPoolOptions,
        options: impl FnOnce(StatementLogBuilder) -> StatementLogBuilder,
    ) -> anyhow::Result<Self> {
        let kept = Arc::new(MemoryStatements::new(10_000));
        let builder = StatementLog::builder()
            .slower_than(Duration::MAX)
            .sink("memory", Arc::clone(&kept));
        let log = options(builder).build()?;
        let pool = notes.pool(pool.statement_log(&log)).await?;
        Ok(Self { pool, log, kept })
    }

    /// The same, told of each statement.
    pub(crate) async fn whole(notes: &Notes) -> anyhow::Result<Self> {
        Self::start(notes, TenantPoolOptions::new(), |log| log.sample_one_in(1)).await
    }

    pub(crate) async fn records(&self) -> Vec<StatementRecord> {
        self.log.flush().await;
        self.kept.records()
    }

    /// Those of one tenant.
    pub(crate) async fn records_of(&self, tenant: &TenantRecord) -> Vec<StatementRecord> {
        let mut records = self.records().await;
        records.retain(|record| record.tenant == Some(tenant.id));
        records
    }
}
