//! Seats: how many a tenant has, and what is told where all are taken.

use super::Admin;
use crate::{
    StoreError, TenantId,
    invitation::{SeatLimit, Seated},
    quota::SeatsDue,
};

/// The seats of one tenant, and what to say where there is none.
pub(in crate::engine) struct TenantSeats {
    pub(in crate::engine) limit: SeatLimit,
    due: SeatsDue,
}

impl Admin {
    /// The seats of a tenant; `None` if the engine counts none.
    pub(in crate::engine) async fn seats(
        &self,
        tenant: TenantId,
    ) -> Result<Option<TenantSeats>, StoreError> {
        let engine = &self.author.engine;
        let Some(quotas) = engine.quotas().filter(|quotas| quotas.counts_seats()) else {
            return Ok(None);
        };
        let record = self.record_of(tenant).await?;
        let by = self.measure_of(&record).await?;
        let now = engine.clock().now();
        let due = quotas.seats_of(&record, &by, now);
        let due = due.map_err(StoreError::limit_reached)?;
        Ok(Some(TenantSeats {
            limit: SeatLimit::new(due.most(), now),
            due,
        }))
    }
}

impl TenantSeats {
    /// What a store has said, as what the call says.
    pub(in crate::engine) fn seated(&self, seated: Seated) -> Result<(), StoreError> {
        match seated {
            Seated::Done => Ok(()),
            Seated::Full { taken } => Err(self.full(taken)),
        }
    }

    pub(in crate::engine) fn full(&self, taken: u64) -> StoreError {
        StoreError::limit_reached(self.due.refusal(taken))
    }
}
