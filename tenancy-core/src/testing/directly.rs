//! Writing a store past the engine, as another process does.

use async_trait::async_trait;

use crate::{
    Actor, AuditEntry, ChangeRecord, Clock as _, DirectoryStore, DomainName, KeyId, MemberFilter,
    Membership, MembershipChange, MembershipRemoval, Outcome, Project, ProjectFilter, ProjectId,
    ProjectMembership, RevokedBefore, RoleDefinition, RoleName, RoleSeen, Settings, Slug,
    StoreError, SystemClock, TenantFilter, TenantId, TenantKey, TenantMembership, TenantRecord,
    TenantStatus, Timestamp, TokenSubject, UserId,
    key::{ApiKey, KeyChange, KeyDigest, KeyRange, KeyRotation, KeyStore},
};

/// A record of a change that a test makes past the engine: by the service itself, without events.
#[must_use]
pub fn unattributed() -> ChangeRecord {
    let entry = AuditEntry::new(SystemClock.now(), "test.change", Outcome::Allowed);
    ChangeRecord::new(entry.actor(Actor::System))
}

/// The methods of a store with a [record](unattributed) of no interest: for tests that change something past
/// the engine, as another process does. Import it in place of the stores' traits.
///
/// ```
/// use tenancy_core::{MemoryDirectory, StoreError, TenantRecord, testing::StoreDirectly as _};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = MemoryDirectory::new();
/// directory.create_tenant(&TenantRecord::new("acme".parse()?, "Acme Ltd")).await?;
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait StoreDirectly: DirectoryStore {
    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn create_tenant(&self, tenant: &TenantRecord) -> Result<(), StoreError> {
        crate::TenantStore::create_tenant(self, tenant, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn set_status(
        &self,
        tenant: TenantId,
        to: TenantStatus,
    ) -> Result<TenantRecord, StoreError> {
        crate::TenantStore::set_status(self, tenant, to, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn set_settings(&self, tenant: TenantId, settings: &Settings) -> Result<(), StoreError> {
        crate::TenantStore::set_settings(self, tenant, settings, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn set_plan(&self, tenant: TenantId, plan: Option<&str>) -> Result<(), StoreError> {
        crate::TenantStore::set_plan(self, tenant, plan, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn bind_domain(&self, tenant: TenantId, domain: &DomainName) -> Result<(), StoreError> {
        crate::NameStore::bind_domain(self, tenant, domain, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn bind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        crate::NameStore::bind_external(self, tenant, provider, id, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn put_membership(&self, membership: &Membership) -> Result<(), StoreError> {
        let seen = RoleSeen::Any;
        crate::MembershipStore::put_membership(self, membership, &seen, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn change_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        change: &MembershipChange,
    ) -> Result<Membership, StoreError> {
        let seen = RoleSeen::Any;
        let record = unattributed();
        crate::MembershipStore::change_membership(self, tenant, user, change, &seen, &record).await
    }

    /// As that of the store, where all keys of the user are revoked.
    ///
    /// # Errors
    /// As that of the store.
    async fn remove_membership(&self, tenant: TenantId, user: UserId) -> Result<(), StoreError> {
        let removal = MembershipRemoval::new(SystemClock.now());
        crate::MembershipStore::remove_membership(self, tenant, user, &removal, &unattributed())
            .await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn put_project(&self, project: &Project) -> Result<(), StoreError> {
        crate::ProjectStore::put_project(self, project, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn put_project_membership(
        &self,
        membership: &ProjectMembership,
    ) -> Result<(), StoreError> {
        let seen = RoleSeen::Any;
        crate::ProjectStore::put_project_membership(self, membership, &seen, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn put_role(&self, tenant: TenantId, role: &RoleDefinition) -> Result<(), StoreError> {
        crate::RoleStore::put_role(self, tenant, role, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn rename(&self, tenant: TenantId, name: &str) -> Result<(), StoreError> {
        crate::TenantStore::rename(self, tenant, name, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn set_slug(&self, tenant: TenantId, slug: &Slug) -> Result<(), StoreError> {
        crate::TenantStore::set_slug(self, tenant, slug, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn list_tenants(
        &self,
        filter: &TenantFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRecord>, StoreError> {
        crate::TenantStore::list_tenants(self, filter, after, limit).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn unbind_domain(&self, tenant: TenantId, domain: &DomainName) -> Result<(), StoreError> {
        crate::NameStore::unbind_domain(self, tenant, domain, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn unbind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        crate::NameStore::unbind_external(self, tenant, provider, id, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn list_names(
        &self,
        tenant: TenantId,
        after: Option<&TenantKey>,
        limit: u32,
    ) -> Result<Vec<TenantKey>, StoreError> {
        crate::NameStore::list_names(self, tenant, after, limit).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn list_members(
        &self,
        tenant: TenantId,
        filter: &MemberFilter,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Membership>, StoreError> {
        crate::MembershipStore::list_members(self, tenant, filter, after, limit).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn list_tenants_of(
        &self,
        user: UserId,
        filter: &MemberFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantMembership>, StoreError> {
        crate::MembershipStore::list_tenants_of(self, user, filter, after, limit).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn remove_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        crate::ProjectStore::remove_project(self, tenant, project, at, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn remove_project_membership(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
    ) -> Result<(), StoreError> {
        let (seen, record) = (RoleSeen::Any, unattributed());
        crate::ProjectStore::remove_project_membership(self, tenant, project, user, &seen, &record)
            .await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn list_projects(
        &self,
        tenant: TenantId,
        filter: &ProjectFilter,
        after: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<Project>, StoreError> {
        crate::ProjectStore::list_projects(self, tenant, filter, after, limit).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn list_project_members(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ProjectMembership>, StoreError> {
        crate::ProjectStore::list_project_members(self, tenant, project, after, limit).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn remove_role(&self, tenant: TenantId, role: &RoleName) -> Result<(), StoreError> {
        crate::RoleStore::remove_role(self, tenant, role, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn list_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, StoreError> {
        crate::RoleStore::list_roles(self, tenant).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn revoke_before(&self, of: &TokenSubject, to: RevokedBefore) -> Result<(), StoreError> {
        crate::RevocationStore::revoke_before(self, of, to, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn forget_token_revocations(&self, before: RevokedBefore) -> Result<u64, StoreError> {
        crate::RevocationStore::forget_token_revocations(self, before, &unattributed()).await
    }
}

impl<S: DirectoryStore> StoreDirectly for S {}

/// The same for a store of API keys.
#[async_trait]
pub trait KeyStoreDirectly: KeyStore {
    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn insert_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        KeyStore::insert_key(self, key, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn change_key(
        &self,
        tenant: TenantId,
        key: KeyId,
        change: &KeyChange,
    ) -> Result<ApiKey, StoreError> {
        KeyStore::change_key(self, tenant, key, change, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn rotate_key(
        &self,
        tenant: TenantId,
        rotation: &KeyRotation,
    ) -> Result<ApiKey, StoreError> {
        KeyStore::rotate_key(self, tenant, rotation, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn revoke_tenant_keys(&self, tenant: TenantId, at: Timestamp) -> Result<u64, StoreError> {
        KeyStore::revoke_tenant_keys(self, tenant, at, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn revoke_key_range(
        &self,
        range: &KeyRange,
        at: Timestamp,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        KeyStore::revoke_key_range(self, range, at, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn revoke_creator_keys(
        &self,
        creator: UserId,
        at: Timestamp,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        KeyStore::revoke_creator_keys(self, creator, at, &unattributed()).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn record_last_used(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        KeyStore::record_last_used(self, uses).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn replace_digest(
        &self,
        key: KeyId,
        expected: &KeyDigest,
        new: &KeyDigest,
    ) -> Result<bool, StoreError> {
        KeyStore::replace_digest(self, key, expected, new).await
    }

    /// As that of the store.
    ///
    /// # Errors
    /// As that of the store.
    async fn list_keys(
        &self,
        tenant: TenantId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        KeyStore::list_keys(self, tenant, after, limit).await
    }
}

impl<S: KeyStore> KeyStoreDirectly for S {}
