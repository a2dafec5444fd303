//! Writing through.

use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::SwitchedDirectory;
use crate::{
    ChangeRecord, DomainName, MemberFilter, MemberHoldings, Membership, MembershipChange,
    MembershipRemoval, MembershipStore, NameStore, Project, ProjectFilter, ProjectId,
    ProjectMembership, ProjectStore, RevocationStore, RevokedBefore, RoleDefinition, RoleName,
    RoleSeen, RoleStore, Settings, Slug, StoreError, TenantFilter, TenantId, TenantKey,
    TenantMembership, TenantRecord, TenantStatus, TenantStore, Timestamp, TokenSubject, UserId,
    invitation::{SeatLimit, Seated},
};

#[async_trait]
impl TenantStore for SwitchedDirectory {
    async fn create_tenant(
        &self,
        tenant: &TenantRecord,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0.directory.create_tenant(tenant, record).await
    }

    async fn set_status(
        &self,
        tenant: TenantId,
        to: TenantStatus,
        record: &ChangeRecord,
    ) -> Result<TenantRecord, StoreError> {
        let done = self.0.directory.set_status(tenant, to, record).await;
        if self.0.holds_writes.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        done
    }

    async fn set_settings(
        &self,
        tenant: TenantId,
        settings: &Settings,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0
            .directory
            .set_settings(tenant, settings, record)
            .await
    }

    async fn set_plan(
        &self,
        tenant: TenantId,
        plan: Option<&str>,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0.directory.set_plan(tenant, plan, record).await
    }

    async fn replace_plan(
        &self,
        tenant: TenantId,
        from: Option<&str>,
        plan: Option<&str>,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0
            .directory
            .replace_plan(tenant, from, plan, record)
            .await
    }

    async fn rename(
        &self,
        tenant: TenantId,
        name: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0.directory.rename(tenant, name, record).await
    }

    async fn set_slug(
        &self,
        tenant: TenantId,
        slug: &Slug,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0.directory.set_slug(tenant, slug, record).await
    }

    async fn list_tenants(
        &self,
        filter: &TenantFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRecord>, StoreError> {
        self.0.directory.list_tenants(filter, after, limit).await
    }
}

#[async_trait]
impl NameStore for SwitchedDirectory {
    async fn bind_domain(
        &self,
        tenant: TenantId,
        domain: &DomainName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0.directory.bind_domain(tenant, domain, record).await
    }

    async fn bind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0
            .directory
            .bind_external(tenant, provider, id, record)
            .await
    }

    async fn unbind_domain(
        &self,
        tenant: TenantId,
        domain: &DomainName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0.directory.unbind_domain(tenant, domain, record).await
    }

    async fn unbind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0
            .directory
            .unbind_external(tenant, provider, id, record)
            .await
    }

    async fn list_names(
        &self,
        tenant: TenantId,
        after: Option<&TenantKey>,
        limit: u32,
    ) -> Result<Vec<TenantKey>, StoreError> {
        self.0.directory.list_names(tenant, after, limit).await
    }
}

#[async_trait]
impl MembershipStore for SwitchedDirectory {
    async fn put_membership(
        &self,
        membership: &Membership,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let directory = &self.0.directory;
        directory.put_membership(membership, seen, record).await
    }

    async fn change_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        change: &MembershipChange,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<Membership, StoreError> {
        self.0
            .directory
            .change_membership(tenant, user, change, seen, record)
            .await
    }

    async fn put_membership_within(
        &self,
        membership: &Membership,
        seen: &RoleSeen,
        seats: SeatLimit,
        record: &ChangeRecord,
    ) -> Result<Seated, StoreError> {
        self.0
            .directory
            .put_membership_within(membership, seen, seats, record)
            .await
    }

    async fn remove_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        removal: &MembershipRemoval,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0
            .directory
            .remove_membership(tenant, user, removal, record)
            .await
    }

    async fn find_holdings(
        &self,
        tenant: TenantId,
        user: UserId,
        at: Timestamp,
    ) -> Result<Option<MemberHoldings>, StoreError> {
        let directory = self.passed().await.map_err(StoreError::unavailable)?;
        directory.find_holdings(tenant, user, at).await
    }

    async fn list_members(
        &self,
        tenant: TenantId,
        filter: &MemberFilter,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Membership>, StoreError> {
        self.0
            .directory
            .list_members(tenant, filter, after, limit)
            .await
    }

    async fn list_tenants_of(
        &self,
        user: UserId,
        filter: &MemberFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantMembership>, StoreError> {
        let directory = self.passed().await.map_err(StoreError::unavailable)?;
        directory.list_tenants_of(user, filter, after, limit).await
    }
}

#[async_trait]
impl ProjectStore for SwitchedDirectory {
    async fn put_project(
        &self,
        project: &Project,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0.directory.put_project(project, record).await
    }

    async fn put_project_membership(
        &self,
        one: &ProjectMembership,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0
            .directory
            .put_project_membership(one, seen, record)
            .await
    }

    async fn remove_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0
            .directory
            .remove_project(tenant, project, at, record)
            .await
    }

    async fn remove_project_membership(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0
            .directory
            .remove_project_membership(tenant, project, user, seen, record)
            .await
    }

    async fn list_projects(
        &self,
        tenant: TenantId,
        filter: &ProjectFilter,
        after: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<Project>, StoreError> {
        self.0
            .directory
            .list_projects(tenant, filter, after, limit)
            .await
    }

    async fn list_project_members(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ProjectMembership>, StoreError> {
        self.0
            .directory
            .list_project_members(tenant, project, after, limit)
            .await
    }
}

#[async_trait]
impl RoleStore for SwitchedDirectory {
    async fn put_role(
        &self,
        tenant: TenantId,
        role: &RoleDefinition,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0.directory.put_role(tenant, role, record).await
    }

    async fn remove_role(
        &self,
        tenant: TenantId,
        role: &RoleName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.0.directory.remove_role(tenant, role, record).await
    }

    async fn list_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, StoreError> {
        self.0.directory.list_roles(tenant).await
    }
}

#[async_trait]
impl RevocationStore for SwitchedDirectory {
    async fn revoke_before(
        &self,
        of: &TokenSubject,
        to: RevokedBefore,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let done = self.0.directory.revoke_before(of, to, record).await;
        if self.0.holds_writes.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        done
    }

    async fn forget_token_revocations(
        &self,
        before: RevokedBefore,
        record: &ChangeRecord,
    ) -> Result<u64, StoreError> {
        self.0
            .directory
            .forget_token_revocations(before, record)
            .await
    }
}
