//! A directory in memory: for tests, for first steps, for services whose tenants are in a file.

mod accounts;
mod audit;
mod domain_joins;
mod invitations;
mod issuers;
mod keys;
mod list;
mod members;
mod operators;
mod overrides;
mod ownership;
mod plans;
mod provisioning;
mod slugs;
mod stores;
mod token_revocations;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;

use super::{
    Directory, DirectoryError, EntryDirectory, FeedCursor, FeedPage, GenerationFeed,
    MembershipDirectory, ProjectDirectory, RoleDirectory, StoreError, StoreErrorKind, Stores,
    TenantDirectory,
};
use crate::{
    Account, ChangeRecord, Clock, DomainName, Impersonation, ImpersonationDigest, ImpersonationId,
    InvitationId, IssuerRecord, KeyId, Membership, Operator, OperatorId, OwnershipOffer,
    PlanVersion, Project, ProjectId, RoleDefinition, RoleName, TenantId, TenantKey, TenantRecord,
    Timestamp, UserId,
    invitation::Invitation,
    key::{ApiKey, Environment, KeyHandle},
    outbox::MemoryOutbox,
    quota::LimitOverride,
};
use accounts::Resets;
use provisioning::Provisioned;
use slugs::RestingSlugs;
use token_revocations::TokenRevocations;

/// Tenants, memberships, projects, roles and API keys in memory; clones share them.
///
/// ```
/// use tenancy_core::{MemoryDirectory, Membership, Tenancy, TenantRecord, TenantStatus, UserId, danger};
/// # use tenancy_core::jwt::{Algorithm, JwtAuthenticator, VerificationKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
/// let tenancy = Tenancy::builder(MemoryDirectory::new()).authenticator(tokens).build()?;
/// let admin = tenancy.admin(danger::service("first steps")?);
/// let acme = TenantRecord::new("acme".parse()?, "Acme Ltd").with_status(TenantStatus::Active);
/// admin.create_tenant(&acme).await?;
/// admin.put_membership(&Membership::new(acme.id, UserId::new(), "owner".parse()?)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryDirectory {
    state: Arc<RwLock<State>>,
    outbox: MemoryOutbox,
    page_size: usize,
}

/// How many changes a page of the feed tells at most.
const PAGE_SIZE: usize = 10_000;

impl Default for MemoryDirectory {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            outbox: MemoryOutbox::new(),
            page_size: PAGE_SIZE,
        }
    }
}

#[derive(Default)]
struct State {
    tenants: HashMap<TenantId, TenantRecord>,
    /// Slugs, domains and external ids.
    names: HashMap<TenantKey, TenantId>,
    resting: RestingSlugs,
    memberships: HashMap<(TenantId, UserId), Membership>,
    ownership_offers: HashMap<TenantId, OwnershipOffer>,
    projects: HashMap<(TenantId, ProjectId), Project>,
    project_roles: HashMap<(TenantId, ProjectId, UserId), RoleName>,
    roles: HashMap<TenantId, BTreeMap<RoleName, RoleDefinition>>,
    keys: BTreeMap<KeyId, ApiKey>,
    invitations: BTreeMap<InvitationId, Invitation>,
    domain_joins: BTreeMap<(TenantId, DomainName), domain_joins::Kept>,
    issuers: BTreeMap<String, IssuerRecord>,
    plans: BTreeMap<(String, u32), PlanVersion>,
    overrides: BTreeMap<(TenantId, String), LimitOverride>,
    operators: BTreeMap<OperatorId, Operator>,
    impersonations: BTreeMap<ImpersonationId, (Impersonation, ImpersonationDigest)>,
    /// Until when a tenant agrees to impersonations.
    support_access: HashMap<TenantId, Timestamp>,
    provisioned: Provisioned,
    accounts: HashMap<UserId, Account>,
    resets: Resets,
    handles: HashMap<(Environment, KeyHandle), KeyId>,
    /// When each tenant last changed, as a number of this directory's own.
    changed: BTreeMap<u64, TenantId>,
    changed_at: HashMap<TenantId, u64>,
    token_revocations: TokenRevocations,
    changes: u64,
}

impl MemoryDirectory {
    /// An empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty directory for which this clock tells when a slug has rested, and when leases of its outbox end.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            outbox: MemoryOutbox::with_clock(clock),
            ..Self::default()
        }
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

    /// The outbox into which changes of this directory put their events, and the trail in which their
    /// entries are.
    #[must_use]
    pub const fn outbox(&self) -> &MemoryOutbox {
        &self.outbox
    }

    /// Makes a change; if it is made, its entry and its events are written, before anybody sees it.
    fn change<T>(
        &self,
        record: &ChangeRecord,
        make: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.write();
        state.require_caller(record)?;
        let made = make(&mut state)?;
        self.outbox
            .commit(record)
            .map_err(StoreError::unavailable)?;
        Ok(made)
    }
}

impl State {
    /// Refuses a caller who is not any more what the change was permitted on.
    fn require_caller(&self, record: &ChangeRecord) -> Result<(), StoreError> {
        let Some(seen) = &record.caller else {
            return Ok(());
        };
        seen.check(self.memberships.get(&(seen.tenant, seen.user)))
    }

    fn tenant(&mut self, id: TenantId) -> Result<&mut TenantRecord, StoreError> {
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

    fn unbind(&mut self, key: &TenantKey, tenant: TenantId) -> Result<(), StoreError> {
        if self.names.get(key) == Some(&tenant) {
            self.names.remove(key);
        }
        self.touch(tenant)
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
    async fn find_tenant(&self, key: &TenantKey) -> Result<Option<TenantRecord>, DirectoryError> {
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
        changes.extend(state.token_revocations.changes_since(next.unwrap_or(0)));
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
        let token_revocations = state.token_revocations.between(next.unwrap_or(0), until);
        let page = FeedPage::new(FeedCursor::at(until), changed, token_revocations);
        Ok(if last.is_some() {
            page.with_more()
        } else {
            page
        })
    }
}

impl EntryDirectory for MemoryDirectory {}

impl Directory for MemoryDirectory {
    fn stores(self: Arc<Self>) -> Stores {
        let own = || Self::clone(&self);
        Stores::of(&self)
            .audit(own())
            .ownership(own())
            .domain_joins(own())
            .invitations(own())
            .issuers(own())
            .plans(own())
            .limit_overrides(own())
            .provisioning(own())
            .accounts(own())
            .password_resets(own())
    }
}

impl fmt::Debug for MemoryDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDirectory")
            .field("tenants", &self.read().tenants.len())
            .finish_non_exhaustive()
    }
}
