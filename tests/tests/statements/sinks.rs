//! A sink that does not keep up costs no statement anything, nor another sink.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use sqlx::Executor as _;
use tenancy_sqlx::{
    TenantPoolOptions,
    statement_log::{StatementRecord, StatementSink},
};
use tenancy_tests::notes::on_every_server;

use crate::world::Logged;

/// Takes nothing until it is let go.
#[derive(Clone, Default)]
struct Stuck(Arc<(Mutex<bool>, Condvar)>);

impl Stuck {
    fn let_go(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }
}

impl StatementSink for Stuck {
    fn record(
        &self,
        _record: &StatementRecord,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let (may_go_on, changed) = &*self.0;
        let may_go_on = may_go_on.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_while(may_go_on, |may| !*may));
        Ok(())
    }
}

#[tokio::test]
async fn a_sink_that_is_stuck_fails_no_statement_and_takes_nothing_from_another()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stuck = Stuck::default();
        let logged = Logged::start(notes, TenantPoolOptions::new(), |log| {
            log.sample_one_in(1).queue(200).sink("stuck", stuck.clone())
        })
        .await?;
        let acme = logged.pool.tenant(&notes.context(&notes.acme))?;
        for _ in 0..300 {
            assert_eq!(
                acme.reader()
                    .fetch_all("SELECT body FROM notes")
                    .await?
                    .len(),
                3
            );
        }
        // One tenant has filled its part, and not what others need.
        let globex = logged.pool.tenant(&notes.context(&notes.globex))?;
        for _ in 0..20 {
            assert_eq!(
                globex
                    .reader()
                    .fetch_all("SELECT body FROM notes")
                    .await?
                    .len(),
                5
            );
        }
        let stats = logged.log.stats();
        assert_eq!(stats.recorded, 320);
        let [memory, full] = &stats.sinks[..] else {
            anyhow::bail!("{stats:?}");
        };
        assert_eq!(
            (memory.name.as_str(), full.name.as_str()),
            ("memory", "stuck")
        );
        // One of acme's may have left the queue for the sink.
        assert!((249..=250).contains(&full.dropped), "{full:?}");
        assert_eq!((full.taken, full.failed), (0, 0));

        stuck.let_go();
        let records = logged.records().await;
        assert_eq!(records.len() as u64 + memory.dropped, 320);
        let stats = logged.log.stats();
        assert_eq!(stats.sinks[1].waiting, 0);
        assert_eq!(stats.sinks[1].taken + stats.sinks[1].dropped, 320);
        globex.reader().fetch_all("SELECT body FROM notes").await?;
        logged.log.flush().await;
        assert_eq!(logged.log.stats().sinks[1].taken, stats.sinks[1].taken + 1);
        Ok(())
    })
    .await
}
