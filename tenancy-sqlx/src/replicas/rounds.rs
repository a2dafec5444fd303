//! What is looked after from time to time: where the primary is, what is in doubt, and how far each
//! replica is.

use std::{sync::Arc, time::Duration};

use futures_util::future::{join, join_all};
use tokio::time::sleep;

use super::{
    Replicas,
    position::{Running, WRITTEN_AND_RUNNING},
};
use crate::{Error, connections::Connections, options::Timeouts, session};

/// The time between two rounds.
const PERIOD: Duration = Duration::from_secs(1);

/// Makes rounds until the pool is closed or dropped, in the runtime that makes the pool.
pub(super) fn start(replicas: &Arc<Replicas>) {
    let replicas = Arc::downgrade(replicas);
    tokio::spawn(async move {
        loop {
            sleep(PERIOD).await;
            match replicas.upgrade() {
                Some(replicas) if !replicas.primary.is_closed() => replicas.look_after().await,
                _ => return,
            }
        }
    });
}

impl Replicas {
    async fn look_after(&self) {
        let history = self.marks().history();
        let replicas = self.all.iter().map(|replica| replica.look_after(history));
        join(self.ask_primary(), join_all(replicas)).await;
        let positions = self.all.iter().filter_map(|replica| replica.replayed());
        if let Some(reached) = positions.min() {
            self.marks().reached(reached);
        }
    }

    async fn ask_primary(&self) {
        self.marks().asking();
        match running(&self.primary).await {
            Ok(Some(running)) => self.marks().answered(&running),
            Ok(None) => tracing::debug!("the primary is a standby"),
            // Whoever needs it hears it.
            Err(error) => tracing::debug!(%error, "the primary was not asked where it is"),
        }
    }
}

/// Where a primary is; `None` from a standby.
pub(super) async fn running(primary: &Connections) -> Result<Option<Running>, Error> {
    let batch = session::nobodys_batch("BEGIN READ ONLY", &Timeouts::LOOK_UP);
    let mut asking = session::begin(primary, batch).await?;
    let row = sqlx::query(WRITTEN_AND_RUNNING)
        .fetch_one(&mut *asking)
        .await?;
    asking.give_back();
    Ok(Running::of(&row)?)
}
