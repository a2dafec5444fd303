//! Offers of ownership in memory.

use async_trait::async_trait;

use super::{MemoryDirectory, State};
use crate::{
    ChangeRecord, Membership, OwnershipOffer, OwnershipStore, StoreError, SystemRole, TenantId,
    Timestamp,
};

impl State {
    pub(super) fn open_offer(&self, tenant: TenantId, at: Timestamp) -> Option<&OwnershipOffer> {
        let offer = self.ownership_offers.get(&tenant);
        offer.filter(|offer| offer.is_open_at(at))
    }

    /// Ends the tenant's offer, if it rests on nothing any more.
    pub(super) fn end_stale_offer(&mut self, tenant: TenantId) {
        let stale = self
            .ownership_offers
            .get(&tenant)
            .is_some_and(|offer| !self.rests(offer));
        if stale {
            self.ownership_offers.remove(&tenant);
        }
    }

    fn rests(&self, offer: &OwnershipOffer) -> bool {
        self.is_active_owner(offer.tenant, offer.from)
            && self.is_active_member(offer.tenant, offer.to)
    }

    /// Whether this very offer is open.
    fn has_offer(&self, offer: &OwnershipOffer, at: Timestamp) -> Result<(), StoreError> {
        if self.open_offer(offer.tenant, at) == Some(offer) {
            Ok(())
        } else {
            Err(StoreError::no_ownership_offer())
        }
    }
}

#[async_trait]
impl OwnershipStore for MemoryDirectory {
    async fn put_ownership_offer(
        &self,
        offer: &OwnershipOffer,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.tenant(offer.tenant)?;
            if state.open_offer(offer.tenant, at).is_some() {
                return Err(StoreError::another_ownership_offer());
            }
            let owns_already = state.is_active_owner(offer.tenant, offer.to);
            if offer.from == offer.to || owns_already || !state.rests(offer) {
                return Err(StoreError::ownership_parties());
            }
            state.ownership_offers.insert(offer.tenant, offer.clone());
            Ok(())
        })
    }

    async fn find_ownership_offer(
        &self,
        tenant: TenantId,
        at: Timestamp,
    ) -> Result<Option<OwnershipOffer>, StoreError> {
        Ok(self.read().open_offer(tenant, at).cloned())
    }

    async fn accept_ownership(
        &self,
        offer: &OwnershipOffer,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.has_offer(offer, at)?;
            if !state.rests(offer) {
                return Err(StoreError::ownership_parties());
            }
            state.ownership_offers.remove(&offer.tenant);
            let owner = SystemRole::Owner.name();
            state.set_membership(Membership::new(offer.tenant, offer.to, owner))?;
            let before = Membership::new(offer.tenant, offer.from, offer.from_becomes.clone());
            state.set_membership(before)
        })
    }

    async fn end_ownership_offer(
        &self,
        offer: &OwnershipOffer,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.has_offer(offer, at)?;
            state.ownership_offers.remove(&offer.tenant);
            Ok(())
        })
    }
}
