//! Members of a tenant: added, changed, suspended and removed, and gone of their own accord.

mod departing;

use serde_json::json;

use super::{Admin, grants::By};
use crate::{
    ChangeAction, KeysGo, Membership, MembershipChange, MembershipRemoval, RoleName, RoleSeen,
    StoreError, StoreErrorKind, TenantId, UserId, change::Change,
};

impl Admin {
    /// Adds or replaces a membership.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if the tenant would lose its last active owner, or the membership changes meanwhile.
    /// A [`StoreError`] if there is no such tenant. [`StoreErrorKind::Forbidden`] where the
    /// authority is a caller's, and the role is not defined or has a fault, or it, or the one that the user has, is
    /// more than the caller [may grant](crate::RoleTable::may_grant).
    /// [`StoreErrorKind::LimitReached`](crate::StoreErrorKind::LimitReached) where the user is no member yet and all
    /// [seats](crate::TenancyBuilder::seats) are taken, whosever authority it is.
    ///
    /// # Security
    /// A tenant that has an active owner keeps one, whoever makes the change: see
    /// [`MembershipStore`](crate::MembershipStore#security). A role that nobody defined is stored, and allows nothing.
    pub async fn put_membership(&self, membership: &Membership) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::MembershipPut, membership.tenant)
            .to("user", membership.user)
            .with(json!({
                "role": membership.role,
                "status": membership.status.as_str(),
            }));
        let stores = self.stores();
        let (tenant, user) = (membership.tenant, membership.user);
        self.make_as(change, async |caller, record| {
            let by = By::Role(&membership.role);
            let seen = self
                .may_replace(caller.as_ref(), (tenant, user), by)
                .await?;
            let store = stores.membership_store()?;
            match self.seats(tenant).await? {
                None => store.put_membership(membership, &seen, &record).await,
                Some(seats) => {
                    let done = store.put_membership_within(membership, &seen, seats.limit, &record);
                    seats.seated(done.await?)
                }
            }
        })
        .await
    }

    /// Gives a member another role. The status stays: who is invited is invited to the new role. In this process it
    /// counts from the next request on, elsewhere within [`Tenancy::max_staleness`](crate::Tenancy::max_staleness).
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if the user is no member, and else as
    /// [`put_membership`](Self::put_membership).
    ///
    /// ```
    /// # use tenancy_core::{StoreErrorKind, SystemRole, Tenancy, TenantContext, UserId};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext, bob: UserId) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = tenancy.admin(context.authority("members:manage")?);
    /// match admin.change_role(context.tenant_id(), bob, SystemRole::Viewer.name()).await {
    ///     Err(last) if last.kind() == StoreErrorKind::Conflict => println!("{last}"),
    ///     done => drop(done?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn change_role(
        &self,
        tenant: TenantId,
        user: UserId,
        role: RoleName,
    ) -> Result<Membership, StoreError> {
        let change = Change::new(ChangeAction::MembershipSetRole, tenant)
            .to("user", user)
            .with(json!({ "role": role }));
        let to = MembershipChange::Role(role.clone());
        self.change_member(change, (tenant, user), By::Role(&role), &to)
            .await
    }

    /// Suspends a member: the user's requests in this tenant are refused until the member is
    /// [resumed](Self::resume_member), and so are those of API keys that the user has made in it. Role and roles in
    /// projects stay.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if the user is no member, [`StoreErrorKind::IllegalTransition`] if the user is
    /// invited and has not accepted, [`StoreErrorKind::Conflict`] if it is the last active owner or the membership
    /// changes meanwhile, and [`StoreErrorKind::Forbidden`] where the authority is a caller's, and the
    /// user's role is more than the caller [may grant](crate::RoleTable::may_grant).
    pub async fn suspend_member(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Membership, StoreError> {
        let change = Change::new(ChangeAction::MembershipSuspend, tenant).to("user", user);
        let to = MembershipChange::Suspend;
        self.change_member(change, (tenant, user), By::Nothing, &to)
            .await
    }

    /// Makes a suspended member active again, with the role from before.
    ///
    /// # Errors
    /// As [`suspend_member`](Self::suspend_member).
    pub async fn resume_member(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Membership, StoreError> {
        let change = Change::new(ChangeAction::MembershipResume, tenant).to("user", user);
        let to = MembershipChange::Resume;
        self.change_member(change, (tenant, user), By::Itself, &to)
            .await
    }

    /// Removes a membership; the user's requests are refused from now on. What would wait for a user who comes back
    /// goes with it: see [`remove_membership_with`](Self::remove_membership_with), and
    /// [`departure`](Self::departure) to know it before.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if it is the last active owner, or the membership changes meanwhile. A
    /// [`StoreError`] if there is no such tenant. [`StoreErrorKind::Forbidden`] where the
    /// authority is a caller's, and the user's role is more than the caller [may grant](crate::RoleTable::may_grant).
    pub async fn remove_membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<(), StoreError> {
        self.remove_membership_with(tenant, user, KeysGo::Revoked)
            .await
    }

    /// Removes a membership, with the user's roles in projects and an offer of ownership that the user has made or got,
    /// and says where the keys go that the user has made in the tenant. All of it is one change: the event
    /// `membership.removed` stands for it. Keys of the user in other tenants stay.
    ///
    /// # Errors
    /// As [`remove_membership`](Self::remove_membership), and where keys go to another holder:
    /// [`StoreErrorKind::Conflict`] if that is no other active member or a key changes meanwhile,
    /// [`StoreErrorKind::NotFound`] if the user is no member, [`StoreErrorKind::Invalid`] if there are more keys than
    /// [`MemberHoldings::MAX_KEYS`](crate::MemberHoldings::MAX_KEYS), and [`StoreErrorKind::Forbidden`] where the
    /// authority is a caller's, who does not hold what a key could do then.
    pub async fn remove_membership_with(
        &self,
        tenant: TenantId,
        user: UserId,
        keys: KeysGo,
    ) -> Result<(), StoreError> {
        let details = match keys {
            KeysGo::Revoked => json!({ "keys": "revoked" }),
            KeysGo::To(holder) => json!({ "keys": "handed-over", "keys_to": holder }),
        };
        let change = Change::new(ChangeAction::MembershipRemove, tenant)
            .to("user", user)
            .with(details);
        let stores = self.stores();
        self.make_as(change, async |caller, record| {
            let seen = self
                .may_replace(caller.as_ref(), (tenant, user), By::Nothing)
                .await?;
            let mut removal = MembershipRemoval::new(self.now()).seen(seen);
            if let KeysGo::To(holder) = keys {
                let (seen, handover) = self
                    .handover(caller.as_ref(), (tenant, user), holder)
                    .await?;
                if removal.seen == RoleSeen::Any {
                    removal.seen = seen;
                }
                removal = removal.handover(handover);
            }
            stores
                .membership_store()?
                .remove_membership(tenant, user, &removal, &record)
                .await
        })
        .await
    }

    /// Ends the caller's own membership of the caller's tenant, with all that
    /// [`remove_membership`](Self::remove_membership) ends. Takes no permission: the authority is the user's
    /// [own](crate::TenantContext::own_authority).
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if the caller is the last active owner, and [`StoreErrorKind::Forbidden`] if the
    /// authority is another one, or the caller is a member no more.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let (tenant, user) = self.oneself()?;
        let change = Change::new(ChangeAction::MembershipLeave, tenant)
            .to("user", user)
            .with(json!({ "keys": "revoked" }))
            .own();
        let stores = self.stores();
        self.make(change, async |record| {
            let removal = MembershipRemoval::new(self.now());
            stores
                .membership_store()?
                .remove_membership(tenant, user, &removal, &record)
                .await
        })
        .await
    }

    /// The tenant and the user whose own authority this is.
    pub(super) fn oneself(&self) -> Result<(TenantId, UserId), StoreError> {
        self.author.authority.oneself().ok_or_else(|| {
            let message = "this is the user's own to do; make the authority with `TenantContext::own_authority`";
            StoreError::new(StoreErrorKind::Forbidden, message)
        })
    }

    async fn change_member(
        &self,
        change: Change,
        (tenant, user): (TenantId, UserId),
        by: By<'_>,
        to: &MembershipChange,
    ) -> Result<Membership, StoreError> {
        let stores = self.stores();
        self.make_as(change, async |caller, record| {
            let seen = self
                .may_replace(caller.as_ref(), (tenant, user), by)
                .await?;
            stores
                .membership_store()?
                .change_membership(tenant, user, to, &seen, &record)
                .await
        })
        .await
    }
}
