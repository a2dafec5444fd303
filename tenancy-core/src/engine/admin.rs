//! Managing tenants: through the directory, audited, and known to this process at once.

use super::Tenancy;
use crate::{
    AuditEntry, DomainName, Membership, Outcome, Project, ProjectMembership, RoleDefinition,
    Settings, StoreError, Tenant, TenantId, TenantStatus, UserId,
};

/// Writes the directory on behalf of an operator or of the service itself.
///
/// Each change is one transaction of the directory, ends what this process has cached about the
/// tenant, and is audited. Other processes follow within [`Tenancy::max_staleness`].
///
/// # Security
/// Nothing here asks who is calling: guard the routes that lead here.
#[derive(Debug, Clone)]
pub struct Admin {
    engine: Tenancy,
}

impl Admin {
    pub(super) fn new(engine: Tenancy) -> Self {
        Self { engine }
    }

    /// Adds a tenant.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) if its id or slug is taken.
    pub async fn create_tenant(&self, tenant: &Tenant) -> Result<(), StoreError> {
        let done = self.engine.inner().store.create_tenant(tenant).await;
        self.note("tenant.create", tenant.id, tenant.slug.to_string(), done)
    }

    /// Moves a tenant to another status.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or no such step.
    pub async fn set_status(&self, id: TenantId, to: TenantStatus) -> Result<Tenant, StoreError> {
        let done = self.engine.inner().store.set_status(id, to).await;
        self.note("tenant.set-status", id, to.to_string(), done)
    }

    /// Suspends a tenant: its requests are refused from now on.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or it can't be suspended from where it stands.
    pub async fn suspend(&self, id: TenantId) -> Result<Tenant, StoreError> {
        self.set_status(id, TenantStatus::Suspended).await
    }

    /// Makes a tenant active, also again.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or it can't be made active from where it stands.
    pub async fn activate(&self, id: TenantId) -> Result<Tenant, StoreError> {
        self.set_status(id, TenantStatus::Active).await
    }

    /// Replaces a tenant's settings.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn set_settings(&self, id: TenantId, settings: &Settings) -> Result<(), StoreError> {
        let done = self.engine.inner().store.set_settings(id, settings).await;
        self.note("tenant.set-settings", id, String::new(), done)
    }

    /// Makes a custom domain name this tenant.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or the domain is taken.
    ///
    /// # Security
    /// Make sure that the tenant owns the domain first.
    pub async fn bind_domain(&self, id: TenantId, domain: &DomainName) -> Result<(), StoreError> {
        let done = self.engine.inner().store.bind_domain(id, domain).await;
        self.note("tenant.bind-domain", id, domain.to_string(), done)
    }

    /// Makes another system's id name this tenant.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or the id is taken.
    pub async fn bind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        let done = self
            .engine
            .inner()
            .store
            .bind_external(tenant, provider, id)
            .await;
        self.note(
            "tenant.bind-external",
            tenant,
            format!("{provider}:{id}"),
            done,
        )
    }

    /// Adds or replaces a membership.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn put_membership(&self, membership: &Membership) -> Result<(), StoreError> {
        let done = self.engine.inner().store.put_membership(membership).await;
        let target = format!("user:{} role:{}", membership.user, membership.role);
        self.note("membership.put", membership.tenant, target, done)
    }

    /// Removes a membership; the user's requests are refused from now on.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn remove_membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<(), StoreError> {
        let done = self
            .engine
            .inner()
            .store
            .remove_membership(tenant, user)
            .await;
        self.note("membership.remove", tenant, format!("user:{user}"), done)
    }

    /// Adds or replaces a project.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant, or the slug is taken in it.
    pub async fn put_project(&self, project: &Project) -> Result<(), StoreError> {
        let done = self.engine.inner().store.put_project(project).await;
        self.note(
            "project.put",
            project.tenant,
            format!("project:{}", project.id),
            done,
        )
    }

    /// Adds or replaces a user's role in a project.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such project in that tenant.
    pub async fn put_project_membership(
        &self,
        membership: &ProjectMembership,
    ) -> Result<(), StoreError> {
        let done = self
            .engine
            .inner()
            .store
            .put_project_membership(membership)
            .await;
        let target = format!("project:{} user:{}", membership.project, membership.user);
        self.note("project-membership.put", membership.tenant, target, done)
    }

    /// Adds or replaces a role of the tenant's own.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn put_role(&self, id: TenantId, role: &RoleDefinition) -> Result<(), StoreError> {
        let done = self.engine.inner().store.put_role(id, role).await;
        self.note("role.put", id, role.name.to_string(), done)
    }

    /// Ends what is cached, also after an error: it may have been done all the same.
    fn note<T>(
        &self,
        action: &'static str,
        tenant: TenantId,
        target: String,
        done: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let inner = self.engine.inner();
        inner.stamps.drop_tenant(tenant);
        let outcome = if done.is_ok() {
            Outcome::Allowed
        } else {
            Outcome::Failed
        };
        let entry = AuditEntry::new(inner.clock.now(), action, outcome).tenant(tenant);
        inner.audit.record(if target.is_empty() {
            entry
        } else {
            entry.target(target)
        });
        done
    }
}
