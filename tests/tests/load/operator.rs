//! Tenants are suspended and made active again while their clients ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tenancy_core::{StoreError, Tenancy};
use tenancy_tests::Random;
use tokio::task::JoinHandle;

use crate::crowd::Crowd;

pub(crate) struct Operator {
    stop: Arc<AtomicBool>,
    suspensions: Arc<AtomicU64>,
    working: JoinHandle<Result<(), StoreError>>,
}

impl Operator {
    pub(crate) fn start(crowd: &Arc<Crowd>, tenancy: &Tenancy, mut random: Random) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let suspensions = Arc::new(AtomicU64::new(0));
        let (crowd, asked, counted, admin) = (
            Arc::clone(crowd),
            Arc::clone(&stop),
            Arc::clone(&suspensions),
            tenancy.admin(tenancy_core::testing::service()),
        );
        let working = tokio::spawn(async move {
            while !asked.load(Ordering::Relaxed) {
                let number = crowd.number(&mut random);
                let account = crowd.at(number);
                crowd.in_question.store(number, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(random.below(20))).await;
                account.step();
                let began = Instant::now();
                admin.suspend(account.is.tenant).await?;
                account.step();
                // For longer where the machine is slow: somebody is to ask meanwhile.
                let took = began.elapsed();
                tokio::time::sleep(Duration::from_millis(20 + random.below(60)) + took * 4).await;
                account.step();
                admin.activate(account.is.tenant).await?;
                account.step();
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Self {
            stop,
            suspensions,
            working,
        }
    }

    /// How often a tenant was suspended until now.
    pub(crate) fn suspensions(&self) -> u64 {
        self.suspensions.load(Ordering::Relaxed)
    }

    /// Ends when every tenant is active; how often one was suspended.
    pub(crate) async fn stop(self) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.working.await??;
        Ok(self.suspensions.load(Ordering::Relaxed))
    }
}
