//! A directory that can be switched off, and made to wait.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tenancy_core::{
    DirectoryError, DirectoryStore, DomainName, FeedCursor, FeedPage, GenerationFeed, Membership,
    MembershipDirectory, MemoryDirectory, Project, ProjectDirectory, ProjectId, ProjectMembership,
    RoleDefinition, RoleDirectory, RoleName, Settings, StoreError, Tenant, TenantDirectory,
    TenantId, TenantKey, TenantStatus, UserId, async_trait,
};
use tokio::sync::watch;

/// What the log may say about a failing directory, and a response never.
pub(crate) const OUTAGE: &str = "connection to 10.1.2.3:5432 as tenancy_app was reset";

#[derive(Debug, Clone)]
pub(crate) struct SwitchedDirectory(Arc<Inner>);

struct Inner {
    directory: MemoryDirectory,
    down: AtomicBool,
    open: watch::Sender<bool>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inner")
    }
}

impl SwitchedDirectory {
    pub(crate) fn new(directory: MemoryDirectory) -> Self {
        let open = watch::Sender::new(true);
        Self(Arc::new(Inner {
            directory,
            down: AtomicBool::new(false),
            open,
        }))
    }

    /// From now on nothing is answered but errors.
    pub(crate) fn fail(&self) {
        self.0.down.store(true, Ordering::Relaxed);
    }

    /// From now on questions wait.
    pub(crate) fn close(&self) {
        self.0.open.send_replace(false);
    }

    /// Answers those who wait, and everyone after them.
    pub(crate) fn open(&self) {
        self.0.open.send_replace(true);
    }

    async fn passed(&self) -> Result<&MemoryDirectory, DirectoryError> {
        let mut open = self.0.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
        if self.0.down.load(Ordering::Relaxed) {
            return Err(DirectoryError::new(OUTAGE));
        }
        Ok(&self.0.directory)
    }
}

#[async_trait]
impl TenantDirectory for SwitchedDirectory {
    async fn find_tenant(&self, key: &TenantKey) -> Result<Option<Tenant>, DirectoryError> {
        self.passed().await?.find_tenant(key).await
    }
}

#[async_trait]
impl MembershipDirectory for SwitchedDirectory {
    async fn find_membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Option<Membership>, DirectoryError> {
        self.passed().await?.find_membership(tenant, user).await
    }
}

#[async_trait]
impl ProjectDirectory for SwitchedDirectory {
    async fn find_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<Option<Project>, DirectoryError> {
        self.passed().await?.find_project(tenant, project).await
    }

    async fn find_project_role(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
    ) -> Result<Option<RoleName>, DirectoryError> {
        self.passed()
            .await?
            .find_project_role(tenant, project, user)
            .await
    }
}

#[async_trait]
impl RoleDirectory for SwitchedDirectory {
    async fn find_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, DirectoryError> {
        self.passed().await?.find_roles(tenant).await
    }
}

#[async_trait]
impl GenerationFeed for SwitchedDirectory {
    async fn changes_since(&self, cursor: Option<FeedCursor>) -> Result<FeedPage, DirectoryError> {
        self.passed().await?.changes_since(cursor).await
    }
}

#[async_trait]
impl DirectoryStore for SwitchedDirectory {
    async fn create_tenant(&self, tenant: &Tenant) -> Result<(), StoreError> {
        self.0.directory.create_tenant(tenant).await
    }

    async fn set_status(&self, tenant: TenantId, to: TenantStatus) -> Result<Tenant, StoreError> {
        self.0.directory.set_status(tenant, to).await
    }

    async fn set_settings(&self, tenant: TenantId, settings: &Settings) -> Result<(), StoreError> {
        self.0.directory.set_settings(tenant, settings).await
    }

    async fn bind_domain(&self, tenant: TenantId, domain: &DomainName) -> Result<(), StoreError> {
        self.0.directory.bind_domain(tenant, domain).await
    }

    async fn bind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        self.0.directory.bind_external(tenant, provider, id).await
    }

    async fn put_membership(&self, membership: &Membership) -> Result<(), StoreError> {
        self.0.directory.put_membership(membership).await
    }

    async fn remove_membership(&self, tenant: TenantId, user: UserId) -> Result<(), StoreError> {
        self.0.directory.remove_membership(tenant, user).await
    }

    async fn put_project(&self, project: &Project) -> Result<(), StoreError> {
        self.0.directory.put_project(project).await
    }

    async fn put_project_membership(&self, one: &ProjectMembership) -> Result<(), StoreError> {
        self.0.directory.put_project_membership(one).await
    }

    async fn put_role(&self, tenant: TenantId, role: &RoleDefinition) -> Result<(), StoreError> {
        self.0.directory.put_role(tenant, role).await
    }
}
