//! What a tenant has to say about impersonations: it agrees, looks, and ends.

use serde_json::json;

use super::{Admin, list::MAX_PAGE};
use crate::{
    Authority, ChangeAction, ChangeRecord, Impersonation, ImpersonationId, OperatorRight,
    StoreError, StoreErrorKind, TenantContext, TenantId, Timestamp, change::Change,
    engine::author::Stale, engine::operators::no_operators,
};

impl Admin {
    /// Has a tenant agree to impersonations until this moment, in the place of what it said before.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if the moment is past, and [`StoreErrorKind::Forbidden`] on an operator's authority,
    /// and on that of somebody who acts as a user.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tenancy_core::{Tenancy, TenantContext};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
    /// let until = tenancy.clock().now() + Duration::from_secs(24 * 3_600);
    /// let admin = tenancy.admin(context.authority("support:agree")?);
    /// admin.grant_support_access(context.tenant_id(), until).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn grant_support_access(
        &self,
        tenant: TenantId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let inner = self.author.engine.inner();
        let operators = inner.operators.as_ref().ok_or_else(no_operators)?;
        if until <= inner.now() {
            let message = "a tenant agrees until a moment that is yet to come";
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        let change = Change::new(ChangeAction::SupportAccessGrant, tenant)
            .to("tenant", tenant)
            .with(json!({ "until": until.to_string() }));
        self.author
            .make(change, Stale::Nothing, async |record: ChangeRecord| {
                let store = operators.impersonations();
                store.grant_support_access(tenant, until, &record).await
            })
            .await
    }

    /// Has a tenant agree to impersonations no more. All that are going on in it end.
    ///
    /// # Errors
    /// As [`grant_support_access`](Self::grant_support_access).
    pub async fn revoke_support_access(&self, tenant: TenantId) -> Result<(), StoreError> {
        let inner = self.author.engine.inner();
        let operators = inner.operators.as_ref().ok_or_else(no_operators)?;
        let change = Change::new(ChangeAction::SupportAccessRevoke, tenant).to("tenant", tenant);
        let at = inner.now();
        self.author
            .make(change, Some(tenant), async |record: ChangeRecord| {
                let store = operators.impersonations();
                store.revoke_support_access(tenant, at, &record).await
            })
            .await
    }

    /// Until when a tenant agrees to impersonations; `None` if it does not. The moment may be past.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn support_access(&self, tenant: TenantId) -> Result<Option<Timestamp>, StoreError> {
        self.author
            .may_list(
                "support-access",
                OperatorRight::ReadTenants,
                (Some(tenant), None),
            )
            .await?;
        let operators = self.author.engine.inner().operators.as_ref();
        let store = operators.ok_or_else(no_operators)?.impersonations();
        let found = store.find_support_access(tenant).await;
        found.map_err(StoreError::unavailable)
    }

    /// The impersonations in a tenant, or without one in all of them, in the order in which they began, whatever their
    /// state. A tenant may show its owners who has acted as whom, and why.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] if the authority is one tenant's, and the listing is not that tenant's.
    pub async fn list_impersonations(
        &self,
        tenant: Option<TenantId>,
        after: Option<ImpersonationId>,
        limit: u32,
    ) -> Result<Vec<Impersonation>, StoreError> {
        self.author
            .may_list("impersonations", OperatorRight::ReadTrail, (tenant, None))
            .await?;
        let operators = self.author.engine.inner().operators.as_ref();
        let store = operators.ok_or_else(no_operators)?.impersonations();
        store
            .list_impersonations(tenant, after, limit.min(MAX_PAGE))
            .await
    }

    /// Ends an impersonation in a tenant: for the tenant's owners as for operators. One that has ended stays as it is.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if the tenant has none of this id.
    pub async fn end_impersonation(
        &self,
        tenant: TenantId,
        id: ImpersonationId,
    ) -> Result<(), StoreError> {
        let inner = self.author.engine.inner();
        let operators = inner.operators.as_ref().ok_or_else(no_operators)?;
        let change = Change::new(ChangeAction::ImpersonationEnd, tenant).to("impersonation", id);
        let at = inner.now();
        self.author
            .make(change, Some(tenant), async |record: ChangeRecord| {
                let store = operators.impersonations();
                store.end_impersonation(tenant, id, at, &record).await
            })
            .await
    }
}

impl TenantContext {
    /// Ends the impersonation by which this request was made: for the link by which an operator leaves.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if nobody impersonates here, and a [`StoreError`] if the store did not answer.
    ///
    /// ```
    /// # async fn leave(context: tenancy_core::TenantContext) -> Result<(), tenancy_core::StoreError> {
    /// context.end_impersonation().await
    /// # }
    /// ```
    pub async fn end_impersonation(&self) -> Result<(), StoreError> {
        let Some(impersonation) = self.impersonation() else {
            let message = "the user acts itself, and there is nothing to end";
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        };
        let admin = self.tenancy().admin(Authority::of_leaving(self.clone()));
        admin
            .end_impersonation(impersonation.tenant, impersonation.id)
            .await
    }
}
