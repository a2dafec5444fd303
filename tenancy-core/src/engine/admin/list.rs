//! Listings: what is stored, in pages, for whoever has the authority to see it.

use super::Admin;
use crate::engine::projects;
use crate::{
    MemberFilter, Membership, OperatorRight, Project, ProjectFilter, ProjectId, ProjectMembership,
    RoleDefinition, StoreError, TenantFilter, TenantId, TenantKey, TenantMembership, TenantRecord,
    UserId,
};

/// How many rows a page holds at most.
pub(super) const MAX_PAGE: u32 = 1_000;

impl Admin {
    /// Tenants in the order of their ids.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) if the authority is one tenant's, and
    /// [`StoreErrorKind::ReadOnly`](crate::StoreErrorKind::ReadOnly) if the store has no login that reaches every tenant.
    ///
    /// ```
    /// # use tenancy_core::{StoreError, Tenancy, TenantFilter, TenantStatus, danger};
    /// # async fn example(tenancy: Tenancy) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("weekly report")?);
    /// let suspended = TenantFilter::new().status(TenantStatus::Suspended).plan("trial");
    /// let mut after = None;
    /// loop {
    ///     let page = admin.list_tenants(&suspended, after, 100).await?;
    ///     let Some(last) = page.last() else { break };
    ///     after = Some(last.id);
    ///     for tenant in &page {
    ///         println!("{}: {}", tenant.slug, tenant.name);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list_tenants(
        &self,
        filter: &TenantFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRecord>, StoreError> {
        self.author
            .may_list("tenants", OperatorRight::ReadTenants, (None, None))
            .await?;
        let stores = self.stores();
        stores
            .tenant_store()?
            .list_tenants(filter, after, limit.min(MAX_PAGE))
            .await
    }

    /// A tenant's custom domains, and then its ids in other systems. Its slug is in its record.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn list_names(
        &self,
        tenant: TenantId,
        after: Option<&TenantKey>,
        limit: u32,
    ) -> Result<Vec<TenantKey>, StoreError> {
        self.author
            .may_list("names", OperatorRight::ReadTenants, (Some(tenant), None))
            .await?;
        let stores = self.stores();
        stores
            .name_store()?
            .list_names(tenant, after, limit.min(MAX_PAGE))
            .await
    }

    /// A tenant's members in the order of their ids, whatever the status of their membership.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn list_members(
        &self,
        tenant: TenantId,
        filter: &MemberFilter,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Membership>, StoreError> {
        self.author
            .may_list("members", OperatorRight::ReadTenants, (Some(tenant), None))
            .await?;
        let stores = self.stores();
        stores
            .membership_store()?
            .list_members(tenant, filter, after, limit.min(MAX_PAGE))
            .await
    }

    /// The tenants that a user is a member of, in the order of their ids, whatever the status of the membership.
    /// Deleted tenants are not told. For a page of the user's own there is
    /// [`Tenancy::tenants_of`](crate::Tenancy::tenants_of).
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) if the authority is one tenant's.
    pub async fn list_tenants_of(
        &self,
        user: UserId,
        filter: &MemberFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantMembership>, StoreError> {
        self.author
            .may_list("tenants-of-user", OperatorRight::ReadTenants, (None, None))
            .await?;
        let stores = self.stores();
        stores
            .membership_store()?
            .list_tenants_of(user, filter, after, limit.min(MAX_PAGE))
            .await
    }

    /// A tenant's projects in the order of their ids, archived ones among them. Where the authority is a caller's,
    /// those that [admit](crate::Project::admits) the caller. For a page of any member's own there is
    /// [`Tenancy::projects_of`](crate::Tenancy::projects_of).
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn list_projects(
        &self,
        tenant: TenantId,
        after: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<Project>, StoreError> {
        let caller = self
            .author
            .may_list("projects", OperatorRight::ReadTenants, (Some(tenant), None))
            .await?;
        let engine = &self.author.engine;
        let filter = match caller {
            Some(caller) => projects::that_admit(engine, &caller).await?,
            None => ProjectFilter::new(),
        };
        let stores = self.stores();
        stores
            .project_store()?
            .list_projects(tenant, &filter, after, limit.min(MAX_PAGE))
            .await
    }

    /// The members of a project of this tenant with their roles, in the order of the users' ids.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn list_project_members(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ProjectMembership>, StoreError> {
        self.author
            .may_list(
                "project-members",
                OperatorRight::ReadTenants,
                (Some(tenant), Some(project)),
            )
            .await?;
        let stores = self.stores();
        stores
            .project_store()?
            .list_project_members(tenant, project, after, limit.min(MAX_PAGE))
            .await
    }

    /// All roles of the tenant's own, by name: [`RoleTable::MAX_ROLES`](crate::RoleTable::MAX_ROLES) at most.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn list_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, StoreError> {
        self.author
            .may_list("roles", OperatorRight::ReadTenants, (Some(tenant), None))
            .await?;
        let stores = self.stores();
        stores.role_store()?.list_roles(tenant).await
    }
}
