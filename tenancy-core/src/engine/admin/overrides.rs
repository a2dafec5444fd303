//! Limits of single tenants: given, taken back and listed.

use serde_json::json;

use super::Admin;
use crate::{
    ChangeAction, OperatorRight, StoreError, StoreErrorKind, TenantId,
    change::Change,
    quota::{LimitOverride, QuotaService},
};

impl Admin {
    /// Gives a tenant a limit of its own in the place of the one of that name, for a time or for good. It counts in
    /// every process that reads [stored overrides](crate::TenancyBuilder::stored_overrides). What is used stays used.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if there is no limit of that name in any plan of the book or in the tenant's
    /// stored one, it is one of another meter or scope, or the limit can't be meant; and a [`StoreError`] if there is
    /// no such tenant.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tenancy_core::{StoreError, Tenancy, TenantId, danger, quota::{Limit, LimitOverride, Period}};
    /// # async fn example(tenancy: Tenancy, acme: TenantId) -> Result<(), StoreError> {
    /// // A good will of 100 exports more, for a week.
    /// let week = tenancy.clock().now() + Duration::from_secs(7 * 24 * 3_600);
    /// let more = LimitOverride::new(Limit::per_period("exports", 200, Period::Month)).until(week);
    /// let admin = tenancy.admin(danger::service("exports failed on Monday, ticket 4711")?);
    /// admin.put_limit_override(acme, &more).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Security
    /// Whoever may put one decides what the tenant may use: on a caller's authority, ask for a permission that only
    /// you give.
    pub async fn put_limit_override(
        &self,
        tenant: TenantId,
        with: &LimitOverride,
    ) -> Result<(), StoreError> {
        let invalid =
            |error: crate::ConfigError| StoreError::new(StoreErrorKind::Invalid, error.to_string());
        let quotas = self.quotas_with_overrides()?;
        self.know_plan_of(tenant).await?;
        let with = quotas.named_override(with).map_err(invalid)?;
        let definition = with.definition().map_err(invalid)?;
        // As it is read again, which shows now that it can be.
        let with = LimitOverride::from_stored(with.meter(), &definition, with.ends_at());
        let with = with.map_err(invalid)?;
        let until = with.ends_at().map(|until| until.to_string());
        let change = Change::new(ChangeAction::LimitOverridePut, tenant)
            .to("tenant", tenant)
            .with(json!({ "limit": with.limit_name(), "until": until }));
        let stores = self.stores();
        self.make(change, async |record| {
            let store = stores.limit_override_store()?;
            store.put_limit_override(tenant, &with, &record).await
        })
        .await
    }

    /// Takes back what a tenant has in the place of the limit of this name: the plan's own counts again.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn remove_limit_override(
        &self,
        tenant: TenantId,
        limit: &str,
    ) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::LimitOverrideRemove, tenant)
            .to("tenant", tenant)
            .with(json!({ "limit": limit }));
        let stores = self.stores();
        self.make(change, async |record| {
            let store = stores.limit_override_store()?;
            store.remove_limit_override(tenant, limit, &record).await
        })
        .await
    }

    /// What a tenant has in the place of limits of its plan, by the limits' names; also what has ended.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn list_limit_overrides(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<LimitOverride>, StoreError> {
        self.author
            .may_list(
                "limit-overrides",
                OperatorRight::ReadTenants,
                (Some(tenant), None),
            )
            .await?;
        let store = self.stores().limit_override_store()?;
        let found = store.find_limit_overrides(tenant).await;
        found.map_err(StoreError::unavailable)
    }

    /// Reads the version of a stored plan that a tenant is on, if this process does not know it: its limits are those
    /// that can be replaced.
    async fn know_plan_of(&self, tenant: TenantId) -> Result<(), StoreError> {
        let directory = &self.author.engine.inner().directory;
        let found = directory.find_tenant(&tenant.into()).await;
        match found.map_err(StoreError::unavailable)? {
            Some(record) => self.plan_of(&record).await.map(drop),
            None => Ok(()),
        }
    }

    fn quotas_with_overrides(&self) -> Result<&QuotaService, StoreError> {
        let inner = self.author.engine.inner();
        let quotas = inner
            .quotas
            .as_ref()
            .filter(|_| inner.stored_overrides.is_some());
        quotas.ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::ReadOnly,
                "this engine does not read stored overrides; give it quotas and \
                 `TenancyBuilder::stored_overrides`",
            )
        })
    }
}
