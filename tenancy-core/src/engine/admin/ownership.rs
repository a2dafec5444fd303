//! Ownership that is handed on: offered by an owner, and accepted by another member.

use serde_json::json;

use super::{Admin, grants::mask};
use crate::{
    ChangeAction, ChangeRecord, MembershipStatus, OperatorRight, OwnershipOffer, OwnershipTerms,
    RoleMask, RoleName, StoreError, StoreErrorKind, SystemRole, TenantId, UserId, change::Change,
    outbox::NewEvent,
};

impl Admin {
    /// Offers the ownership of the caller's tenant to another active member, on the caller's
    /// [own authority](crate::TenantContext::own_authority). Nothing changes before it is
    /// [accepted](Self::accept_ownership). See [`OwnershipOffer`] for what ends it.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if another offer is open, the caller is no active owner, or the other user no
    /// active member or an owner already; [`StoreErrorKind::Invalid`] if the terms name a role that is not defined or
    /// has a fault, or a time that is too long; [`StoreErrorKind::Forbidden`] if the authority is another one.
    ///
    /// ```
    /// # use tenancy_core::{OwnershipTerms, Tenancy, TenantContext, UserId};
    /// # async fn handler(tenancy: Tenancy, alice: TenantContext, bob: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
    /// let bobs = bob.user_id().ok_or("not a user")?;
    /// let admin = tenancy.admin(alice.own_authority()?);
    /// admin.offer_ownership(bobs, &OwnershipTerms::new()).await?;
    ///
    /// // Later, in a request of bob's:
    /// tenancy.admin(bob.own_authority()?).accept_ownership().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn offer_ownership(
        &self,
        to: UserId,
        terms: &OwnershipTerms,
    ) -> Result<OwnershipOffer, StoreError> {
        let (tenant, from) = self.oneself()?;
        terms.check()?;
        let offer = OwnershipOffer::new(tenant, from, to, terms, self.now());
        let change = change_of(ChangeAction::OwnershipOffer, &offer).own();
        let stores = self.stores();
        self.make(change, async |record| {
            self.is_a_role(&offer, StoreErrorKind::Invalid).await?;
            let store = stores.ownership_store()?;
            store.put_ownership_offer(&offer, self.now(), &record).await
        })
        .await?;
        Ok(offer)
    }

    /// The offer of ownership that is open in a tenant. On a user's
    /// [own authority](crate::TenantContext::own_authority): if the user has made it or got it.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn find_ownership_offer(
        &self,
        tenant: TenantId,
    ) -> Result<Option<OwnershipOffer>, StoreError> {
        let own = self.author.authority.oneself();
        match own {
            Some((_, user)) => self.author.permits_about(tenant, user).await?,
            None => {
                self.author
                    .may_list(
                        "ownership-offer",
                        OperatorRight::ReadTenants,
                        (Some(tenant), None),
                    )
                    .await?
            }
        };
        let store = self.stores().ownership_store()?;
        let found = store.find_ownership_offer(tenant, self.now()).await?;
        let concerns = |offer: &OwnershipOffer| {
            own.is_none_or(|(_, user)| [offer.from, offer.to].contains(&user))
        };
        Ok(found.filter(concerns))
    }

    /// Accepts the ownership that is offered to the caller, on the caller's
    /// [own authority](crate::TenantContext::own_authority): the caller is an owner then, and who made the offer has
    /// the role that the offer says. An offer is accepted once.
    ///
    /// Besides `ownership.transferred` there is an event `membership.changed` of each of both.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if no offer to the caller is open, [`StoreErrorKind::Conflict`] if who made it is
    /// no active owner any more, or would get a role that is not defined any more or has a fault, and
    /// [`StoreErrorKind::Forbidden`] if the authority is another one.
    pub async fn accept_ownership(&self) -> Result<(), StoreError> {
        let offer = self.offer_to_me().await?;
        let change = change_of(ChangeAction::OwnershipAccept, &offer).own();
        let stores = self.stores();
        self.make(change, async |record| {
            // It may have been removed, or have got a fault, since it was offered.
            self.is_a_role(&offer, StoreErrorKind::Conflict).await?;
            let owner = SystemRole::Owner.name();
            let record = and_changed(record, &offer, offer.to, &owner)?;
            let record = and_changed(record, &offer, offer.from, &offer.from_becomes)?;
            let store = stores.ownership_store()?;
            store.accept_ownership(&offer, self.now(), &record).await
        })
        .await
    }

    /// Declines the ownership that is offered to the caller, on the caller's
    /// [own authority](crate::TenantContext::own_authority).
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if no offer to the caller is open, and [`StoreErrorKind::Forbidden`] if the
    /// authority is another one.
    pub async fn decline_ownership(&self) -> Result<(), StoreError> {
        let offer = self.offer_to_me().await?;
        let change = change_of(ChangeAction::OwnershipDecline, &offer).own();
        self.end_offer(change, &offer).await
    }

    /// Takes back the offer of ownership that is open in a tenant: whoever made it, on the
    /// [own authority](crate::TenantContext::own_authority), or another one who may make owners.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if none is open, or none of the user's own, and [`StoreErrorKind::Forbidden`]
    /// where the authority is a caller's who may not make owners.
    pub async fn withdraw_ownership_offer(&self, tenant: TenantId) -> Result<(), StoreError> {
        let own = self.author.authority.oneself();
        let found = self.find_ownership_offer(tenant).await?;
        let offer = found
            .filter(|offer| own.is_none_or(|(_, user)| offer.from == user))
            .ok_or_else(StoreError::no_ownership_offer)?;
        let mut change = change_of(ChangeAction::OwnershipWithdraw, &offer);
        change.own = own.is_some();
        self.end_offer(change, &offer).await
    }

    /// Whether who makes an offer can have the role that it says.
    async fn is_a_role(
        &self,
        offer: &OwnershipOffer,
        otherwise: StoreErrorKind,
    ) -> Result<(), StoreError> {
        let table = self.table(offer.tenant).await?;
        if mask(&table, Some(&offer.from_becomes)) != RoleMask::SEALED {
            return Ok(());
        }
        let message = format!(
            "the role `{}` is not defined, or has a fault and denies everything; define it first, or name another one",
            offer.from_becomes
        );
        Err(StoreError::new(otherwise, message))
    }

    /// The open offer to the user whose own authority this is.
    async fn offer_to_me(&self) -> Result<OwnershipOffer, StoreError> {
        let (tenant, user) = self.oneself()?;
        let found = self.find_ownership_offer(tenant).await?;
        found
            .filter(|offer| offer.to == user)
            .ok_or_else(StoreError::no_ownership_offer)
    }

    async fn end_offer(&self, change: Change, offer: &OwnershipOffer) -> Result<(), StoreError> {
        let stores = self.stores();
        let is_own = change.own;
        self.make_as(change, async |caller, record| {
            if let Some(caller) = caller.filter(|_| !is_own) {
                self.may_make_owners(&caller).await?;
            }
            let store = stores.ownership_store()?;
            store.end_ownership_offer(offer, self.now(), &record).await
        })
        .await
    }
}

fn change_of(action: ChangeAction, offer: &OwnershipOffer) -> Change {
    Change::new(action, offer.tenant)
        .to("user", offer.to)
        .with(json!({ "from": offer.from, "from_becomes": offer.from_becomes }))
}

/// The record, which also tells that a member has another role.
fn and_changed(
    record: ChangeRecord,
    offer: &OwnershipOffer,
    user: UserId,
    role: &RoleName,
) -> Result<ChangeRecord, StoreError> {
    let status = MembershipStatus::Active.as_str();
    let told = json!({ "user": user, "role": role, "status": status });
    let event = NewEvent::new("membership.changed", told)
        .map_err(|error| StoreError::new(StoreErrorKind::Invalid, error.to_string()))?;
    Ok(record.event(event.of_tenant(offer.tenant)))
}
