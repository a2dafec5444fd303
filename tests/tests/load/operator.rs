//! Tenants are suspended and made active again while their clients ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tenancy_core::{StoreError, Tenancy};
use tenancy_tests::Random;
use tokio::task::JoinHandle;

use crate::crowd::Crowd;

pub(crate) struct Operator {
    stop: Arc<AtomicBool>,
    working: JoinHandle<Result<u64, StoreError>>,
}

impl Operator {
    pub(crate) fn start(crowd: &Arc<Crowd>, tenancy: &Tenancy, mut random: Random) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (crowd, asked, admin) = (
            Arc::clone(crowd),
            Arc::clone(&stop),
            tenancy.admin(tenancy_core::testing::service()),
        );
        let working = tokio::spawn(async move {
            let mut suspensions = 0;
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
                suspensions += 1;
            }
            Ok(suspensions)
        });
        Self { stop, working }
    }

    /// Ends when every tenant is active; how often one was suspended.
    pub(crate) async fn stop(self) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.working.await??)
    }
}
