//! Managing tenants on somebody's authority.

mod list;
mod roles;

use std::sync::Arc;

use serde_json::json;

use super::{
    Tenancy,
    load::{MembershipOf, RolesOf},
};
use crate::{
    Authority, ChangeAction, ChangeRecord, DomainName, Membership, Project, ProjectId,
    ProjectMembership, RoleName, Settings, Slug, StoreError, StoreErrorKind, TenantId,
    TenantRecord, TenantStatus, UserId, authority::Who, change::Change,
};

/// Changes and lists the directory on somebody's [authority](Authority); made by [`Tenancy::admin`].
///
/// Each change is one transaction of the directory, with its entry in the audit trail and its events in the
/// [outbox](crate::outbox). It ends what this process has cached about the tenant. Other processes follow within
/// [`Tenancy::max_staleness`]. Removing what is not there is no error, as long as there is such a tenant.
///
/// Listings come in pages of at most 1,000, whatever is asked for, and each goes on behind the last of the page
/// before. The page that is empty is the last. They read the store and no cache, and leave no entry in the audit
/// trail.
///
/// # Errors
/// Besides what each method names: [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) if the authority
/// is not good for the change, which is recorded as refused, or for the listing.
///
/// ```
/// # use tenancy_core::{MemberFilter, MembershipStatus, StoreError, Tenancy, TenantContext};
/// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
/// // Withdraws every open invitation to the caller's tenant.
/// let tenant = context.tenant_id();
/// let admin = tenancy.admin(context.authority("members:manage")?);
/// let invited = MemberFilter::new().status(MembershipStatus::Invited);
/// let mut after = None;
/// loop {
///     let page = admin.list_members(tenant, &invited, after, 100).await?;
///     let Some(last) = page.last() else { break };
///     after = Some(last.user);
///     for member in &page {
///         admin.remove_membership(tenant, member.user).await?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Admin {
    pub(super) engine: Tenancy,
    pub(super) authority: Authority,
}

impl Admin {
    pub(super) fn new(engine: Tenancy, authority: Authority) -> Self {
        Self { engine, authority }
    }

    /// Adds a tenant.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) if its id or slug is taken.
    pub async fn create_tenant(&self, tenant: &TenantRecord) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::TenantCreate, tenant.id)
            .to("tenant", tenant.id)
            .with(json!({ "slug": tenant.slug, "plan": tenant.plan }));
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store.create_tenant(tenant, &record).await
        })
        .await
    }

    /// Moves a tenant to another status.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or no such step.
    pub async fn set_status(
        &self,
        id: TenantId,
        to: TenantStatus,
    ) -> Result<TenantRecord, StoreError> {
        let change = Change::new(ChangeAction::TenantSetStatus, id)
            .to("tenant", id)
            .with(json!({ "status": to.to_string() }));
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store.set_status(id, to, &record).await
        })
        .await
    }

    /// Suspends a tenant: its requests are refused from now on.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or it can't be suspended from where it stands.
    pub async fn suspend(&self, id: TenantId) -> Result<TenantRecord, StoreError> {
        self.set_status(id, TenantStatus::Suspended).await
    }

    /// Makes a tenant active, also again.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or it can't be made active from where it stands.
    pub async fn activate(&self, id: TenantId) -> Result<TenantRecord, StoreError> {
        self.set_status(id, TenantStatus::Active).await
    }

    /// Replaces a tenant's settings.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn set_settings(&self, id: TenantId, settings: &Settings) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::TenantSetSettings, id).to("tenant", id);
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store.set_settings(id, settings, &record).await
        })
        .await
    }

    /// Puts a tenant on another plan, or on none. What its members and keys may do follows.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn set_plan(&self, id: TenantId, plan: Option<&str>) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::TenantSetPlan, id)
            .to("tenant", id)
            .with(json!({ "plan": plan }));
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store.set_plan(id, plan, &record).await
        })
        .await
    }

    /// Gives a tenant another name for people to read.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    ///
    /// ```
    /// # use tenancy_core::{StoreError, Tenancy, TenantId, danger};
    /// # async fn example(tenancy: Tenancy, acme: TenantId) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("the company changed its name")?);
    /// admin.rename(acme, "Acme & Daughters").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn rename(&self, id: TenantId, name: &str) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::TenantRename, id)
            .to("tenant", id)
            .with(json!({ "name": name }));
        let store = &self.engine.inner().store;
        self.make(change, async |record| store.rename(id, name, &record).await)
            .await
    }

    /// Gives a tenant another slug. The old one names nobody from then on, and is free for other tenants.
    ///
    /// In PostgreSQL this waits for open transactions that have written rows of the tenant, for 5 seconds at
    /// most.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) if the slug is taken, and a [`StoreError`] if
    /// there is no such tenant.
    ///
    /// # Security
    /// Links, bookmarks and cookies of the old slug's host lead to whoever takes it next. Where that matters, keep
    /// it taken: by a tenant of your own that is never active.
    ///
    /// ```
    /// # use tenancy_core::{StoreError, StoreErrorKind, Tenancy, TenantId, danger};
    /// # async fn example(tenancy: Tenancy, acme: TenantId) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = tenancy.admin(danger::service("asked for by the owner, ticket 4711")?);
    /// match admin.set_slug(acme, &"acme-and-daughters".parse()?).await {
    ///     Err(taken) if taken.kind() == StoreErrorKind::Conflict => println!("choose another one"),
    ///     done => done?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_slug(&self, id: TenantId, slug: &Slug) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::TenantSetSlug, id)
            .to("tenant", id)
            .with(json!({ "slug": slug }));
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store.set_slug(id, slug, &record).await
        })
        .await
    }

    /// Makes a custom domain name this tenant.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant or the domain is taken.
    ///
    /// # Security
    /// Make sure that the tenant owns the domain first.
    pub async fn bind_domain(&self, id: TenantId, domain: &DomainName) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::TenantBindDomain, id).to("domain", domain);
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store.bind_domain(id, domain, &record).await
        })
        .await
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
        let change = Change::new(ChangeAction::TenantBindExternal, tenant)
            .to("external-id", id)
            .with(json!({ "provider": provider }));
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store.bind_external(tenant, provider, id, &record).await
        })
        .await
    }

    /// Makes a custom domain of this tenant name nobody. One of another tenant stays as it is.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn unbind_domain(&self, id: TenantId, domain: &DomainName) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::TenantUnbindDomain, id).to("domain", domain);
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store.unbind_domain(id, domain, &record).await
        })
        .await
    }

    /// Makes another system's id of this tenant name nobody. One of another tenant stays as it is.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn unbind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::TenantUnbindExternal, tenant)
            .to("external-id", id)
            .with(json!({ "provider": provider }));
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store.unbind_external(tenant, provider, id, &record).await
        })
        .await
    }

    /// Adds or replaces a membership.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant. [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) where the
    /// authority is a caller's, and the role, or the one that the user has, is more than the caller
    /// [may grant](crate::RoleTable::may_grant).
    ///
    /// # Security
    /// Whether one owner is left is the application's to see to. A role that nobody defined is stored, and allows
    /// nothing.
    pub async fn put_membership(&self, membership: &Membership) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::MembershipPut, membership.tenant)
            .to("user", membership.user)
            .with(json!({
                "role": membership.role,
                "status": membership.status.as_str(),
            }));
        let store = &self.engine.inner().store;
        let (tenant, user) = (membership.tenant, membership.user);
        self.make(change, async |record| {
            self.may_replace(tenant, user, Some(&membership.role))
                .await?;
            store.put_membership(membership, &record).await
        })
        .await
    }

    /// Removes a membership; the user's requests are refused from now on.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant. [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) where the
    /// authority is a caller's, and the user's role is more than the caller [may grant](crate::RoleTable::may_grant).
    pub async fn remove_membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::MembershipRemove, tenant).to("user", user);
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            self.may_replace(tenant, user, None).await?;
            store.remove_membership(tenant, user, &record).await
        })
        .await
    }

    /// Adds or replaces a project.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant, or the slug is taken in it.
    pub async fn put_project(&self, project: &Project) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::ProjectPut, project.tenant)
            .to("project", project.id)
            .with(json!({ "slug": project.slug, "archived": project.archived }));
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store.put_project(project, &record).await
        })
        .await
    }

    /// Adds or replaces a user's role in a project.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such project in that tenant.
    pub async fn put_project_membership(
        &self,
        membership: &ProjectMembership,
    ) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::ProjectMembershipPut, membership.tenant)
            .to("project", membership.project)
            .to("user", membership.user)
            .with(json!({ "role": membership.role }));
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store.put_project_membership(membership, &record).await
        })
        .await
    }

    /// Removes a project, and with it every user's role in it. API keys that are confined to it are revoked:
    /// their records stay, and name no project any more. The event `project.removed` stands for these too.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) while the application has rows that refer to
    /// the project, and a [`StoreError`] if there is no such tenant. Archive a project with
    /// [`put_project`](Self::put_project) before its rows are removed: then nobody adds any.
    ///
    /// ```
    /// # use tenancy_core::{Project, StoreError, Tenancy, TenantContext};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext, mut project: Project) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = tenancy.admin(context.authority("projects:manage")?);
    /// project.archived = true;
    /// admin.put_project(&project).await?;
    /// // … the application removes its rows …
    /// admin.remove_project(project.tenant, project.id).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn remove_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::ProjectRemove, tenant).to("project", project);
        let inner = self.engine.inner();
        let now = inner.clock.now();
        self.make(change, async |record| {
            let store = &inner.store;
            store.remove_project(tenant, project, now, &record).await
        })
        .await
    }

    /// Takes a user's role in a project away. What the user may do in the tenant stays.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn remove_project_membership(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
    ) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::ProjectMembershipRemove, tenant)
            .to("project", project)
            .to("user", user);
        let store = &self.engine.inner().store;
        self.make(change, async |record| {
            store
                .remove_project_membership(tenant, project, user, &record)
                .await
        })
        .await
    }

    /// Whether a caller may take a user's role away, and give this one.
    async fn may_replace(
        &self,
        tenant: TenantId,
        user: UserId,
        by: Option<&RoleName>,
    ) -> Result<(), StoreError> {
        let Who::Caller(context, _) = &self.authority.who else {
            return Ok(());
        };
        let table = self.engine.load::<RolesOf>(&tenant).await;
        let table = table.map_err(StoreError::unavailable)?;
        let table = table.unwrap_or_else(|| Arc::clone(&self.engine.inner().base_roles));
        let member = self.engine.load::<MembershipOf>(&(tenant, user)).await;
        let member = member.map_err(StoreError::unavailable)?;
        // The caller's as of now: it was decided about again a moment ago.
        let caller = self.engine.revalidate(context).await;
        let caller = caller.map_err(|refusal| StoreError::unavailable(refusal.to_string()))?;
        let has = member.as_ref().map(|member| &member.role);
        for role in has.into_iter().chain(by) {
            // Who has a role that nobody defined has nothing.
            let is_defined = table.mask(role).is_some();
            if is_defined && !table.may_grant(caller.role(), caller.permissions(), role) {
                let message = format!(
                    "the role `{role}` is more than the caller may give or take away; somebody who holds as \
                     much has to do it"
                );
                return Err(StoreError::new(StoreErrorKind::Forbidden, message));
            }
        }
        Ok(())
    }

    async fn make<T>(
        &self,
        change: Change,
        store: impl AsyncFnOnce(ChangeRecord) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let stale = change.tenant;
        self.engine
            .make(&self.authority, change, stale, store)
            .await
    }
}
