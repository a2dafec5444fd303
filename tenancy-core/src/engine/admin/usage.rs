//! What tenants have used of their limits, for operators and for a tenant's own administrators.

use super::Admin;
use crate::{
    OperatorRight, ProjectId, Refusal, RefusalKind, StoreError, StoreErrorKind, TenantFilter,
    TenantId, TenantKey, TenantRecord,
    engine::load::{OverridesOf, load},
    quota::{LimitUsage, Measure, QuotaService, TenantUsage},
};

use super::list::MAX_PAGE;

impl Admin {
    /// What a tenant has used of its limits, what is left and when it is back: the numbers that are enforced, with
    /// [overrides](crate::quota::QuotaService::put_override). Nobody has to be calling.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if there is no such tenant, [`StoreErrorKind::ReadOnly`] if the engine was built
    /// without [quotas](crate::TenancyBuilder::quotas), [`StoreErrorKind::Unavailable`] if directory or counters did not
    /// answer.
    ///
    /// ```
    /// # use tenancy_core::{Tenancy, TenantContext};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = tenancy.admin(context.authority("billing:read")?);
    /// for limit in admin.usage(context.tenant_id()).await?.limits {
    ///     println!("{}: {} left", limit.name, limit.standing.remaining);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn usage(&self, tenant: TenantId) -> Result<TenantUsage, StoreError> {
        self.author
            .may_list("usage", OperatorRight::ReadTenants, (Some(tenant), None))
            .await?;
        let quotas = self.quotas()?;
        let record = self.record_of(tenant).await?;
        self.usage_of(quotas, record).await
    }

    /// The same of many tenants, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] if the authority is one tenant's, [`StoreErrorKind::ReadOnly`] if the engine has no
    /// quotas or the store no login that reaches every tenant, [`StoreErrorKind::Unavailable`] if store or counters did
    /// not answer.
    ///
    /// ```
    /// # use tenancy_core::{StoreError, Tenancy, TenantFilter, danger};
    /// # async fn example(tenancy: Tenancy) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("who is about to need another plan?")?);
    /// let free = TenantFilter::new().plan("free");
    /// let mut after = None;
    /// loop {
    ///     let page = admin.list_usage(&free, after, 100).await?;
    ///     let Some(last) = page.last() else { break };
    ///     after = Some(last.record.id);
    ///     for tenant in &page {
    ///         let used_up = tenant.limits.iter().filter(|limit| limit.standing.remaining == 0);
    ///         println!("{}: {} limits are used up", tenant.record.slug, used_up.count());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list_usage(
        &self,
        filter: &TenantFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantUsage>, StoreError> {
        self.author
            .may_list("usage", OperatorRight::ReadTenants, (None, None))
            .await?;
        let quotas = self.quotas()?;
        let store = self.stores().tenant_store()?;
        let tenants = store
            .list_tenants(filter, after, limit.min(MAX_PAGE))
            .await?;
        let mut page = Vec::with_capacity(tenants.len());
        for record in tenants {
            page.push(self.usage_of(quotas, record).await?);
        }
        Ok(page)
    }

    /// The same of one project: the limits that count for each project by itself.
    ///
    /// # Errors
    /// As [`usage`](Self::usage), and [`StoreErrorKind::NotFound`] if the tenant has no such project, or, where the
    /// authority is a caller's, none that [admits](crate::Project::admits) the caller.
    ///
    /// ```
    /// # use tenancy_core::{Tenancy, TenantContext};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = tenancy.admin(context.authority("billing:read")?);
    /// if let Some(project) = context.project_id() {
    ///     for limit in admin.usage_in(context.tenant_id(), project).await? {
    ///         println!("{}: {} left", limit.name, limit.standing.remaining);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn usage_in(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<Vec<LimitUsage>, StoreError> {
        self.author
            .may_list(
                "usage",
                OperatorRight::ReadTenants,
                (Some(tenant), Some(project)),
            )
            .await?;
        let quotas = self.quotas()?;
        let record = self.record_of(tenant).await?;
        self.is_there(tenant, project).await?;
        let by = self.measure_of(&record).await?;
        let usage = quotas.usage_in((&record, project), &by).await;
        usage.map_err(|refusal| no_answer(&refusal))
    }

    /// Refuses where the tenant has no such project.
    pub(super) async fn is_there(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<(), StoreError> {
        let directory = &self.author.engine.inner().directory;
        let found = directory.find_project(tenant, project).await;
        match found.map_err(StoreError::unavailable)? {
            Some(_) => Ok(()),
            None => {
                let message = format!("there is no project `{project}` in the tenant");
                Err(StoreError::new(StoreErrorKind::NotFound, message))
            }
        }
    }

    async fn usage_of(
        &self,
        quotas: &QuotaService,
        record: TenantRecord,
    ) -> Result<TenantUsage, StoreError> {
        let by = self.measure_of(&record).await?;
        let usage = quotas.usage_of(record, by).await;
        usage.map_err(|refusal| no_answer(&refusal))
    }

    /// By what a tenant's use is measured.
    pub(in crate::engine) async fn measure_of(
        &self,
        record: &TenantRecord,
    ) -> Result<Measure, StoreError> {
        let engine = &self.author.engine;
        let plans = engine.plans();
        let plan_name = plans.and_then(|plans| plans.name_of(record));
        let plan = self.plan_of(record).await?;
        let overrides = match engine.inner().stored_overrides {
            Some(_) => load::<OverridesOf>(engine, &record.id).await,
            None => Ok(None),
        };
        Ok(Measure {
            has_plans: plans.is_some(),
            plan_name,
            plan,
            overrides: overrides.map_err(StoreError::unavailable)?,
        })
    }

    /// A tenant's record.
    pub(in crate::engine) async fn record_of(
        &self,
        tenant: TenantId,
    ) -> Result<TenantRecord, StoreError> {
        let directory = &self.author.engine.inner().directory;
        let found = directory.find_tenant(&TenantKey::Id(tenant)).await;
        found
            .map_err(StoreError::unavailable)?
            .ok_or_else(|| StoreError::new(StoreErrorKind::NotFound, "there is no such tenant"))
    }

    pub(super) fn quotas(&self) -> Result<&QuotaService, StoreError> {
        self.author.engine.quotas().ok_or_else(|| {
            let message = "the engine counts nothing that could be listed; give it limits with \
                           `TenancyBuilder::quotas`";
            StoreError::new(StoreErrorKind::ReadOnly, message)
        })
    }
}

pub(super) fn no_answer(refusal: &Refusal) -> StoreError {
    match refusal.kind() {
        RefusalKind::Unavailable => StoreError::unavailable(refusal.to_string()),
        _ => StoreError::new(StoreErrorKind::Invalid, refusal.to_string()),
    }
}
