//! Managing tenants on somebody's authority.

mod chains;
mod domain_joins;
mod grants;
mod importing;
mod issuers;
mod list;
mod members;
mod name;
mod operators;
mod overrides;
mod ownership;
mod plans;
mod provision;
mod roles;
pub(super) mod seats;
mod support;
mod trail;
mod usage;

use std::borrow::Cow;

use serde_json::json;
pub use trail::{AuditExport, AuditTail, ExportError, Exported, TailOptions};

use self::name::check_name;
use super::{Authority, Tenancy, TenantContext, author::Author};
use crate::{
    ChangeAction, ChangeRecord, DomainName, Project, ProjectId, ProjectMembership, Settings, Slug,
    StoreError, StoreErrorKind, Stores, TenantId, TenantRecord, TenantStatus, Timestamp, UserId,
    change::Change,
};

/// Changes and lists the directory on somebody's [authority](Authority); made by [`Tenancy::admin`].
///
/// Each change is one transaction of the directory, with its entry in the audit trail and its events in the
/// [outbox](crate::outbox). It ends what this process has cached about the tenant. Other processes follow within
/// [`Tenancy::max_staleness`]. Removing what is not there is no error, as long as there is such a tenant.
///
/// Listings come in pages of at most 1,000, whatever is asked for, and each goes on behind the last of the page
/// before. The page that is empty is the last. They read the store and no cache. A page that an operator lists is
/// recorded before it is read, as `operator.list`: of the [reader](crate::OperatorContext::reader) each, and of
/// [`danger::operator`](crate::danger::operator) each that spans tenants. Others leave no entry, but for what [reads the trail](Self::list_entries).
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
    pub(super) author: Author,
}

impl Admin {
    pub(super) fn new(engine: Tenancy, authority: Authority) -> Self {
        Self {
            author: Author { engine, authority },
        }
    }

    /// Adds a tenant.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) if its id or slug is taken, or the slug rests, and
    /// [`StoreErrorKind::Invalid`](crate::StoreErrorKind::Invalid) if its name is blank, has more than 200 characters
    /// or a line break.
    pub async fn create_tenant(&self, tenant: &TenantRecord) -> Result<(), StoreError> {
        check_name(&tenant.name)?;
        let mut tenant = Cow::Borrowed(tenant);
        let plan = self.resolved_plan(tenant.plan.as_deref()).await?;
        if plan != tenant.plan {
            tenant.to_mut().plan = plan;
        }
        let change = Change::new(ChangeAction::TenantCreate, tenant.id)
            .to("tenant", tenant.id)
            .with(json!({ "slug": tenant.slug, "plan": tenant.plan }));
        let stores = self.stores();
        self.make(change, async |record| {
            let store = stores.tenant_store()?;
            store.create_tenant(&tenant, &record).await
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
        let stores = self.stores();
        self.make(change, async |record| {
            stores.tenant_store()?.set_status(id, to, &record).await
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
        let stores = self.stores();
        self.make(change, async |record| {
            stores
                .tenant_store()?
                .set_settings(id, settings, &record)
                .await
        })
        .await
    }

    /// Puts a tenant on another plan, or on none. What its members and keys may do follows. What it holds stays, also
    /// where the plan has room for less; no more is admitted then.
    ///
    /// Of a [stored plan](crate::TenancyBuilder::stored_plans) the tenant gets a version, which its record names: the
    /// newest, or the one that is named here, such as `pro@2`.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant; or no such plan, in the book or stored, where the engine has
    /// [plans](crate::TenancyBuilder::plans).
    pub async fn set_plan(&self, id: TenantId, plan: Option<&str>) -> Result<(), StoreError> {
        let plan = self.resolved_plan(plan).await?;
        let plan = plan.as_deref();
        let change = Change::new(ChangeAction::TenantSetPlan, id)
            .to("tenant", id)
            .with(json!({ "plan": plan }));
        let stores = self.stores();
        self.make(change, async |record| {
            stores.tenant_store()?.set_plan(id, plan, &record).await
        })
        .await
    }

    /// The same as [`set_plan`](Self::set_plan), if the tenant is on this plan now: `from` as its record has it, such as `pro@2`.
    /// For jobs that have decided by what the tenant had before, which somebody may have changed meanwhile.
    ///
    /// # Errors
    /// As [`set_plan`](Self::set_plan), and of the kind [`Conflict`](crate::StoreErrorKind::Conflict) if the tenant is on another
    /// plan.
    ///
    /// ```
    /// # use tenancy_core::{StoreError, Tenancy, TenantRecord, danger};
    /// # async fn example(tenancy: Tenancy, acme: TenantRecord) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("the free plan ends")?);
    /// admin.replace_plan(acme.id, acme.plan.as_deref(), Some("starter")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn replace_plan(
        &self,
        id: TenantId,
        from: Option<&str>,
        plan: Option<&str>,
    ) -> Result<(), StoreError> {
        let plan = self.resolved_plan(plan).await?;
        let plan = plan.as_deref();
        let change = Change::new(ChangeAction::TenantSetPlan, id)
            .to("tenant", id)
            .with(json!({ "plan": plan, "from": from }));
        let stores = self.stores();
        self.make(change, async |record| {
            stores
                .tenant_store()?
                .replace_plan(id, from, plan, &record)
                .await
        })
        .await
    }

    /// Gives a tenant another name for people to read.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant, or the name is blank, has more than 200 characters or a line break.
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
        check_name(name)?;
        let change = Change::new(ChangeAction::TenantRename, id)
            .to("tenant", id)
            .with(json!({ "name": name }));
        let stores = self.stores();
        self.make(change, async |record| {
            stores.tenant_store()?.rename(id, name, &record).await
        })
        .await
    }

    /// Gives a tenant another slug. The old one names nobody from then on, and rests before another tenant may
    /// take it.
    ///
    /// In PostgreSQL this waits for open transactions that have written rows of the tenant, for 5 seconds at
    /// most.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) if the slug is taken or rests for another tenant, or
    /// the tenant has [`Slug::MAX_RESTING`] resting slugs, and a [`StoreError`] if
    /// there is no such tenant.
    ///
    /// # Security
    /// Links, bookmarks and cookies of the old slug's host still lead there. So the old slug rests for
    /// [`Slug::REST`] before another tenant may take it. A cookie that lives longer reaches the tenant that takes it next.
    ///
    /// ```
    /// use tenancy_core::StoreErrorKind;
    /// # use tenancy_core::{Tenancy, TenantId, danger};
    ///
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
        let stores = self.stores();
        self.make(change, async |record| {
            stores.tenant_store()?.set_slug(id, slug, &record).await
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
        let stores = self.stores();
        self.make(change, async |record| {
            stores.name_store()?.bind_domain(id, domain, &record).await
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
        let stores = self.stores();
        self.make(change, async |record| {
            stores
                .name_store()?
                .bind_external(tenant, provider, id, &record)
                .await
        })
        .await
    }

    /// Makes a custom domain of this tenant name nobody. One of another tenant stays as it is.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn unbind_domain(&self, id: TenantId, domain: &DomainName) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::TenantUnbindDomain, id).to("domain", domain);
        let stores = self.stores();
        self.make(change, async |record| {
            stores
                .name_store()?
                .unbind_domain(id, domain, &record)
                .await
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
        let stores = self.stores();
        self.make(change, async |record| {
            stores
                .name_store()?
                .unbind_external(tenant, provider, id, &record)
                .await
        })
        .await
    }

    /// Adds or replaces a project.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant, or the slug is taken in it, or the name is blank, has more than 200
    /// characters or a line break. [`StoreErrorKind::NotFound`](crate::StoreErrorKind::NotFound) where the authority is
    /// a caller's, and there is such a project that does not [admit](Project::admits) the caller.
    pub async fn put_project(&self, project: &Project) -> Result<(), StoreError> {
        check_name(&project.name)?;
        let change = Change::new(ChangeAction::ProjectPut, project.tenant)
            .to("project", project.id)
            .with(json!({
                "slug": project.slug,
                "archived": project.archived,
                "access": project.access.as_str(),
            }));
        let stores = self.stores();
        self.make_as(change, async |caller, record| {
            let impersonates = caller
                .as_ref()
                .is_some_and(|caller| caller.impersonation().is_some());
            self.may_change(caller, project.tenant, project.id).await?;
            if impersonates {
                self.keeps_access(project).await?;
            }
            stores.project_store()?.put_project(project, &record).await
        })
        .await
    }

    /// Whom a project admits is for the user itself to say, and for nobody who acts as the user.
    async fn keeps_access(&self, project: &Project) -> Result<(), StoreError> {
        let directory = &self.author.engine.inner().directory;
        let found = directory.find_project(project.tenant, project.id).await;
        let found = found.map_err(StoreError::unavailable)?;
        if found.is_none_or(|found| found.access == project.access) {
            return Ok(());
        }
        let message = "whom a project admits is for the user itself to change, and for nobody who acts as the user";
        Err(StoreError::new(StoreErrorKind::Forbidden, message))
    }

    /// Adds or replaces a member's role in a project.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such project in that tenant, or the user is no member of the tenant.
    /// [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) where the authority is a caller's, and the
    /// role, or the one before, is more than the caller [may grant](crate::RoleTable::may_grant) in the project, and
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) where the role before has changed meanwhile.
    pub async fn put_project_membership(
        &self,
        membership: &ProjectMembership,
    ) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::ProjectMembershipPut, membership.tenant)
            .within(Some(membership.project))
            .to("project", membership.project)
            .to("user", membership.user)
            .with(json!({ "role": membership.role }));
        let stores = self.stores();
        let (tenant, user) = (membership.tenant, membership.user);
        self.make_as(change, async |caller, record| {
            let role = Some(&membership.role);
            let seen = self
                .may_replace_in(membership.project, caller, (tenant, user), role)
                .await?;
            stores
                .project_store()?
                .put_project_membership(membership, &seen, &record)
                .await
        })
        .await
    }

    /// Removes a project, and with it every user's role in it. API keys that are confined to it are revoked:
    /// their records stay, and name no project any more. The event `project.removed` stands for these too.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) while the application has rows that refer to
    /// the project, and a [`StoreError`] if there is no such tenant, or, where the authority is a caller's, if there is
    /// such a project that does not [admit](Project::admits) the caller. Archive a project with
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
        let (stores, now) = (self.stores(), self.now());
        self.make_as(change, async |caller, record| {
            self.may_change(caller, tenant, project).await?;
            stores
                .project_store()?
                .remove_project(tenant, project, now, &record)
                .await
        })
        .await
    }

    /// Takes a user's role in a project away. What the user may do in the tenant stays.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant. [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden)
    /// where the authority is a caller's, and the role is more than the caller
    /// [may grant](crate::RoleTable::may_grant) in the project, and
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) where it has changed meanwhile.
    pub async fn remove_project_membership(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
    ) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::ProjectMembershipRemove, tenant)
            .within(Some(project))
            .to("project", project)
            .to("user", user);
        let stores = self.stores();
        self.make_as(change, async |caller, record| {
            let seen = self
                .may_replace_in(project, caller, (tenant, user), None)
                .await?;
            stores
                .project_store()?
                .remove_project_membership(tenant, project, user, &seen, &record)
                .await
        })
        .await
    }

    /// Whether a caller may change a project as a whole: not one that does not admit the caller, whatever the caller
    /// may do in the tenant.
    async fn may_change(
        &self,
        caller: Option<TenantContext>,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<(), StoreError> {
        let Some(caller) = caller else { return Ok(()) };
        let directory = &self.author.engine.inner().directory;
        let found = directory.find_project(tenant, project).await;
        match found.map_err(StoreError::unavailable)? {
            Some(_) => self.author.admits(&caller, project).await,
            None => Ok(()),
        }
    }

    fn stores(&self) -> &Stores {
        &self.author.engine.inner().stores
    }

    fn now(&self) -> Timestamp {
        self.author.engine.clock().now()
    }

    async fn make<T>(
        &self,
        change: Change,
        store: impl AsyncFnOnce(ChangeRecord) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let stale = change.tenant;
        self.author.make(change, stale, store).await
    }

    /// The same, where what may be changed depends on the caller.
    async fn make_as<T>(
        &self,
        change: Change,
        store: impl AsyncFnOnce(Option<TenantContext>, ChangeRecord) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let stale = change.tenant;
        self.author.make_as(change, stale, store).await
    }
}
