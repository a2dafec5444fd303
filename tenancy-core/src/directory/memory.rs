//! A directory in memory: for tests, for first steps, for services whose tenants are in a file.

mod epochs;
mod keys;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;

use super::{
    DirectoryError, DirectoryStore, EntryDirectory, FeedCursor, FeedPage, GenerationFeed,
    MembershipDirectory, ProjectDirectory, RoleDirectory, StoreError, StoreErrorKind,
    TenantDirectory,
};
use crate::{
    DomainName, Epoch, KeyId, Membership, Project, ProjectId, ProjectMembership, RoleDefinition,
    RoleName, RoleTable, Settings, Tenant, TenantId, TenantKey, TenantStatus, TokensOf, UserId,
    key::{ApiKey, Environment, KeyHandle},
};
use epochs::Epochs;

/// Tenants, memberships, projects, roles and API keys in memory; clones share them.
///
/// ```
/// use tenancy_core::{DirectoryStore, MemoryDirectory, Membership, Tenant, TenantStatus, UserId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = MemoryDirectory::new();
/// let acme = Tenant::new("acme".parse()?, "Acme Ltd").with_status(TenantStatus::Active);
/// directory.create_tenant(&acme).await?;
/// directory.put_membership(&Membership::new(acme.id, UserId::new(), "owner".parse()?)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryDirectory {
    state: Arc<RwLock<State>>,
    page_size: usize,
}

/// How many changes a page of the feed tells at most.
const PAGE_SIZE: usize = 10_000;

impl Default for MemoryDirectory {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            page_size: PAGE_SIZE,
        }
    }
}

#[derive(Default)]
struct State {
    tenants: HashMap<TenantId, Tenant>,
    /// Slugs, domains and external ids.
    names: HashMap<TenantKey, TenantId>,
    memberships: HashMap<(TenantId, UserId), Membership>,
    projects: HashMap<(TenantId, ProjectId), Project>,
    project_roles: HashMap<(TenantId, ProjectId, UserId), RoleName>,
    roles: HashMap<TenantId, BTreeMap<RoleName, RoleDefinition>>,
    keys: BTreeMap<KeyId, ApiKey>,
    handles: HashMap<(Environment, KeyHandle), KeyId>,
    /// When each tenant last changed, as a number of this directory's own.
    changed: BTreeMap<u64, TenantId>,
    changed_at: HashMap<TenantId, u64>,
    epochs: Epochs,
    changes: u64,
}

impl MemoryDirectory {
    /// An empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, whose feed tells at most so many changes on a page. Default: 10,000.
    #[must_use]
    pub fn with_pages_of(mut self, changes: usize) -> Self {
        self.page_size = changes.max(1);
        self
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tenant(&mut self, id: TenantId) -> Result<&mut Tenant, StoreError> {
        self.tenants.get_mut(&id).ok_or_else(|| unknown_tenant(id))
    }

    /// Advances a tenant's generation and remembers when.
    fn touch(&mut self, id: TenantId) -> Result<(), StoreError> {
        let tenant = self.tenant(id)?;
        tenant.generation = tenant.generation.next();
        self.note_change(id);
        Ok(())
    }

    fn note_change(&mut self, id: TenantId) {
        self.changes += 1;
        if let Some(before) = self.changed_at.insert(id, self.changes) {
            self.changed.remove(&before);
        }
        self.changed.insert(self.changes, id);
    }

    fn bind(&mut self, key: TenantKey, tenant: TenantId) -> Result<(), StoreError> {
        self.tenant(tenant)?;
        match self.names.get(&key) {
            Some(owner) if *owner != tenant => Err(StoreError::new(
                StoreErrorKind::Conflict,
                format!("`{key}` is taken"),
            )),
            _ => {
                self.names.insert(key, tenant);
                self.touch(tenant)
            }
        }
    }
}

fn unknown_tenant(id: TenantId) -> StoreError {
    StoreError::new(
        StoreErrorKind::NotFound,
        format!("there is no tenant `{id}`"),
    )
}

#[async_trait]
impl TenantDirectory for MemoryDirectory {
    async fn find_tenant(&self, key: &TenantKey) -> Result<Option<Tenant>, DirectoryError> {
        let state = self.read();
        let id = match key {
            TenantKey::Id(id) => Some(id),
            named => state.names.get(named),
        };
        Ok(id.and_then(|id| state.tenants.get(id)).cloned())
    }
}

#[async_trait]
impl MembershipDirectory for MemoryDirectory {
    async fn find_membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Option<Membership>, DirectoryError> {
        Ok(self.read().memberships.get(&(tenant, user)).cloned())
    }
}

#[async_trait]
impl ProjectDirectory for MemoryDirectory {
    async fn find_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<Option<Project>, DirectoryError> {
        Ok(self.read().projects.get(&(tenant, project)).cloned())
    }

    async fn find_project_role(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
    ) -> Result<Option<RoleName>, DirectoryError> {
        Ok(self
            .read()
            .project_roles
            .get(&(tenant, project, user))
            .cloned())
    }
}

#[async_trait]
impl RoleDirectory for MemoryDirectory {
    async fn find_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, DirectoryError> {
        let state = self.read();
        Ok(state
            .roles
            .get(&tenant)
            .map(|r| r.values().cloned().collect())
            .unwrap_or_default())
    }
}

#[async_trait]
impl GenerationFeed for MemoryDirectory {
    async fn changes_since(&self, cursor: Option<FeedCursor>) -> Result<FeedPage, DirectoryError> {
        let state = self.read();
        let next = cursor.as_ref().map(|seen| seen.number.saturating_add(1));
        let told = |change: &u64| cursor.is_some().then_some(*change);
        let changes = state.changed.range(next.unwrap_or(0)..);
        let mut changes: Vec<_> = changes.filter_map(|(change, _)| told(change)).collect();
        changes.extend(state.epochs.changes_since(next.unwrap_or(0)));
        changes.sort_unstable();
        let last = self.page_size.checked_sub(1).and_then(|last| {
            let last = changes.get(last).copied();
            last.filter(|last| changes.last() != Some(last))
        });
        let until = last.unwrap_or(state.changes);
        let within = |change: u64| change <= until;
        let changed = state
            .changed
            .range(next.unwrap_or(u64::MAX)..)
            .filter(|(change, _)| within(**change))
            .filter_map(|(_, id)| state.tenants.get(id).map(|t| (*id, t.generation)))
            .collect();
        let epochs = state.epochs.between(next.unwrap_or(0), until);
        let page = FeedPage::new(FeedCursor::at(until), changed, epochs);
        Ok(if last.is_some() {
            page.with_more()
        } else {
            page
        })
    }
}

impl EntryDirectory for MemoryDirectory {}

#[async_trait]
impl DirectoryStore for MemoryDirectory {
    async fn create_tenant(&self, tenant: &Tenant) -> Result<(), StoreError> {
        let mut state = self.write();
        let slug = TenantKey::Slug(tenant.slug.clone());
        if state.tenants.contains_key(&tenant.id) || state.names.contains_key(&slug) {
            let taken = format!(
                "the id `{}` or the slug `{}` is taken",
                tenant.id, tenant.slug
            );
            return Err(StoreError::new(StoreErrorKind::Conflict, taken));
        }
        state.names.insert(slug, tenant.id);
        state.tenants.insert(tenant.id, tenant.clone());
        state.note_change(tenant.id);
        Ok(())
    }

    async fn set_status(&self, tenant: TenantId, to: TenantStatus) -> Result<Tenant, StoreError> {
        let mut state = self.write();
        let record = state.tenant(tenant)?;
        record.status = record.status.transition_to(to)?;
        state.touch(tenant)?;
        state.tenant(tenant).cloned()
    }

    async fn set_settings(&self, tenant: TenantId, settings: &Settings) -> Result<(), StoreError> {
        let mut state = self.write();
        state.tenant(tenant)?.settings = Settings::new(settings.as_json().clone());
        state.touch(tenant)
    }

    async fn set_plan(&self, tenant: TenantId, plan: Option<&str>) -> Result<(), StoreError> {
        let mut state = self.write();
        state.tenant(tenant)?.plan = plan.map(str::to_owned);
        state.touch(tenant)
    }

    async fn bind_domain(&self, tenant: TenantId, domain: &DomainName) -> Result<(), StoreError> {
        self.write().bind(TenantKey::Domain(domain.clone()), tenant)
    }

    async fn bind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        self.write().bind(
            TenantKey::External {
                provider: provider.into(),
                id: id.into(),
            },
            tenant,
        )
    }

    async fn put_membership(&self, membership: &Membership) -> Result<(), StoreError> {
        let mut state = self.write();
        state.touch(membership.tenant)?;
        state
            .memberships
            .insert((membership.tenant, membership.user), membership.clone());
        Ok(())
    }

    async fn remove_membership(&self, tenant: TenantId, user: UserId) -> Result<(), StoreError> {
        let mut state = self.write();
        state.touch(tenant)?;
        state.memberships.remove(&(tenant, user));
        let of_user = |(at, _, who): &(TenantId, ProjectId, UserId)| *at == tenant && *who == user;
        state.project_roles.retain(|key, _| !of_user(key));
        Ok(())
    }

    async fn put_project(&self, project: &Project) -> Result<(), StoreError> {
        let mut state = self.write();
        let clash = state.projects.values().any(|other| {
            (other.id == project.id && other.tenant != project.tenant)
                || (other.tenant == project.tenant
                    && other.slug == project.slug
                    && other.id != project.id)
        });
        if clash {
            let taken = format!(
                "the id `{}` or the slug `{}` is taken",
                project.id, project.slug
            );
            return Err(StoreError::new(StoreErrorKind::Conflict, taken));
        }
        state.touch(project.tenant)?;
        state
            .projects
            .insert((project.tenant, project.id), project.clone());
        Ok(())
    }

    async fn put_project_membership(
        &self,
        membership: &ProjectMembership,
    ) -> Result<(), StoreError> {
        let mut state = self.write();
        let ProjectMembership {
            tenant,
            project,
            user,
            role,
        } = membership;
        if !state.projects.contains_key(&(*tenant, *project)) {
            let unknown = format!("there is no project `{project}` in tenant `{tenant}`");
            return Err(StoreError::new(StoreErrorKind::NotFound, unknown));
        }
        state.touch(*tenant)?;
        state
            .project_roles
            .insert((*tenant, *project, *user), role.clone());
        Ok(())
    }

    async fn put_role(&self, tenant: TenantId, role: &RoleDefinition) -> Result<(), StoreError> {
        let mut state = self.write();
        let own = state.roles.get(&tenant);
        let others = own.map_or(0, |own| {
            own.keys().filter(|name| **name != role.name).count()
        });
        if others >= RoleTable::MAX_ROLES {
            return Err(StoreError::too_many_roles());
        }
        state.touch(tenant)?;
        state
            .roles
            .entry(tenant)
            .or_default()
            .insert(role.name.clone(), role.clone());
        Ok(())
    }

    async fn raise_epoch(&self, of: &TokensOf, to: Epoch) -> Result<(), StoreError> {
        let mut state = self.write();
        state.changes += 1;
        let change = state.changes;
        state.epochs.raise(of, to, change);
        Ok(())
    }

    async fn forget_epochs(&self, before: Epoch) -> Result<u64, StoreError> {
        Ok(self.write().epochs.forget(before))
    }
}

impl fmt::Debug for MemoryDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDirectory")
            .field("tenants", &self.read().tenants.len())
            .finish_non_exhaustive()
    }
}
