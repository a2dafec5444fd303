//! Directories: where tenants, memberships, projects and roles are kept.
//!
//! Reading is split into one trait per capability; [`Directory`] is all of them, and what the
//! engine is built over. Writing is split likewise: [`Stores`] has one store for each [`Capability`] that there
//! is, and [`DirectoryStore`] is a value with all of them. Everything here is a contract that [`conformance`]
//! checks for any implementation.

mod capability;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod entry;
mod error;
mod listing;
mod memory;
mod stores;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

pub use capability::{Capability, Stores};
pub use entry::{Entry, EntryQuery};
pub use error::{DirectoryError, StoreError, StoreErrorKind};
pub use listing::{MemberFilter, ProjectFilter, TenantFilter};
pub use memory::MemoryDirectory;
pub use stores::{
    DirectoryStore, MembershipStore, NameStore, ProjectStore, RevocationStore, RoleStore,
    TenantStore,
};

use crate::{
    Generation, Membership, MembershipStatus, Project, ProjectId, RevokedBefore, RoleDefinition,
    RoleName, TenantId, TenantKey, TenantRecord, TokenSubject, UserId,
};

/// Finds tenants.
#[async_trait]
pub trait TenantDirectory: Send + Sync {
    /// The tenant a key stands for; `None` if there is none.
    ///
    /// Returns the record whatever its status, and only a record the key really names.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_tenant(&self, key: &TenantKey) -> Result<Option<TenantRecord>, DirectoryError>;
}

/// Finds memberships.
#[async_trait]
pub trait MembershipDirectory: Send + Sync {
    /// The user's membership of the tenant, whatever its status.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Option<Membership>, DirectoryError>;
}

/// Finds projects.
#[async_trait]
pub trait ProjectDirectory: Send + Sync {
    /// A project of this tenant; a project of another tenant is not found.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<Option<Project>, DirectoryError>;

    /// The user's role in a project of this tenant.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_project_role(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
    ) -> Result<Option<RoleName>, DirectoryError>;
}

/// Finds the roles a tenant defined for itself.
#[async_trait]
pub trait RoleDirectory: Send + Sync {
    /// All of the tenant's own roles. A definition that can't be read is a role all the same:
    /// [`RoleDefinition::unreadable`].
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, DirectoryError>;
}

/// Answers in one question all that entering a tenant takes.
///
/// Every method has a default, which asks one thing after the other: `impl EntryDirectory for …
/// {}` is enough. A directory for which each question costs a round trip answers with one.
#[async_trait]
pub trait EntryDirectory:
    TenantDirectory + MembershipDirectory + ProjectDirectory + RoleDirectory
{
    /// The tenant that a name stands for, with what a decision about this caller needs besides.
    ///
    /// # Security
    /// A name that no tenant has, and a name of a tenant that is not the caller's, have to take equally long:
    /// a membership is looked for in either case, and nothing else of the tenant is read for whom it is
    /// not.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_entry(&self, query: &EntryQuery) -> Result<Entry, DirectoryError> {
        let tenant = self.find_tenant(&query.tenant).await?;
        let reached = tenant.as_ref().filter(|tenant| query.reaches(tenant));
        let id = reached.map_or(query.nobody, |tenant| tenant.id);
        let membership = match query.user {
            Some(user) => self.find_membership(id, user).await?,
            None => None,
        };
        let is_member = (membership.as_ref()).is_some_and(|m| m.status == MembershipStatus::Active);
        let (mut roles, mut project) = (None, None);
        if is_member && query.known_roles != Some(id) {
            roles = Some(self.find_roles(id).await?);
        }
        if let (Some(wanted), Some(user), true) = (query.project, query.user, is_member) {
            let found = self.find_project(id, wanted).await?;
            let role = self.find_project_role(id, wanted, user).await?;
            let in_tenant = membership.as_ref().map(|member| &member.role);
            project = found
                .filter(|found| found.admits(in_tenant, role.as_ref()))
                .map(|found| (found, role));
        }
        Ok(Entry {
            tenant,
            membership,
            roles,
            project,
        })
    }
}

/// Knows since when tokens count.
#[async_trait]
pub trait TokenRevocationDirectory: Send + Sync {
    /// The newest token revocation of any of these; [`RevokedBefore::NONE`] if nothing of theirs was taken back.
    ///
    /// Asked where the feed is silent; else what it told is used.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_token_revocation(
        &self,
        of: &[TokenSubject],
    ) -> Result<RevokedBefore, DirectoryError>;
}

/// A place in a directory's stream of changes. Only the directory knows what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedCursor {
    /// Never decreases from one page to the next.
    pub number: u64,
    /// What else the directory needs to go on from here; nothing by default.
    pub mark: Arc<str>,
}

impl FeedCursor {
    /// A place that a number alone tells.
    #[must_use]
    pub fn at(number: u64) -> Self {
        Self {
            number,
            mark: Arc::default(),
        }
    }

    /// The same, with what else the directory needs to go on from there.
    #[must_use]
    pub fn marked(mut self, mark: impl Into<Arc<str>>) -> Self {
        self.mark = mark.into();
        self
    }
}

/// What changed since a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedPage {
    /// Where to go on.
    pub cursor: FeedCursor,
    /// The tenants that changed, each with its newest generation. May repeat earlier news.
    pub changed: Vec<(TenantId, Generation)>,
    /// The token revocations that were raised; without a cursor, all there are.
    pub token_revocations: Vec<(TokenSubject, RevokedBefore)>,
    /// Which database tells this, if there can be another in its place one day. A cursor means
    /// something to the one alone that gave it.
    pub origin: String,
    /// Whether there is more to tell than fitted on this page: a call with its cursor returns the
    /// next. Only the page after which there is no more vouches for anything.
    pub more: bool,
}

impl FeedPage {
    /// A page of changes, and the last one.
    #[must_use]
    pub const fn new(
        cursor: FeedCursor,
        changed: Vec<(TenantId, Generation)>,
        token_revocations: Vec<(TokenSubject, RevokedBefore)>,
    ) -> Self {
        Self {
            cursor,
            changed,
            token_revocations,
            origin: String::new(),
            more: false,
        }
    }

    /// The same, told by this database.
    #[must_use]
    pub fn told_by(mut self, origin: impl Into<String>) -> Self {
        self.origin = origin.into();
        self
    }

    /// The same, with more to come.
    #[must_use]
    pub const fn with_more(mut self) -> Self {
        self.more = true;
        self
    }
}

/// Tells which tenants changed, so that what is cached about them is dropped, and which tokens were
/// taken back.
///
/// # What moves a generation on
/// Whatever an earlier decision may rest on, and nothing else: identity and rights. That is a tenant's
/// record (name, status, plan, settings), what names it (slug, domains, other systems' ids), its
/// memberships, its roles, its projects and their members' roles, and its API keys' records.
///
/// What happens in the daily course of a service never does, however often: last uses of keys, usage,
/// counters, limits spent, jobs, entries of the audit trail, and rows of the application. Each move
/// drops what every process has cached of that tenant, and is told to each of them: a generation that
/// moves with every request is a cache that never hits. What needs no decision to be taken anew belongs in
/// a table that the feed does not look at.
#[async_trait]
pub trait GenerationFeed: Send + Sync {
    /// The changes since a cursor; without one the newest cursor, no tenant, and every token revocation.
    ///
    /// A page is bounded in size, so that many changes at once are told within the time that an answer
    /// may take; [`FeedPage::more`] says that there is another. The last page's cursor is as old as
    /// the first page: what changed since is told by the next call.
    ///
    /// # Security
    /// No change may be lost: one that becomes visible after this call must be reported by a call
    /// with the returned cursor, however long its transaction had been open. Reporting a change
    /// again is allowed, but a change that is reported by every call, because some transaction is
    /// open for long, costs every process a look-up each time. Cursors never decrease. One whose number does
    /// drops everything that is cached, and so does an [`origin`](FeedPage::origin) that is another
    /// one: the directory was restored, or another took its place. It is then asked again without a
    /// cursor.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn changes_since(&self, cursor: Option<FeedCursor>) -> Result<FeedPage, DirectoryError>;
}

/// Everything the engine reads.
///
/// A directory tells what it holds, and which tenants' identity or rights have changed: see
/// [`GenerationFeed`] for what counts as such a change, and what never may.
///
/// A directory that only reads, with one tenant from a configuration file:
///
/// ```
///
/// use tenancy_core::{
///     DirectoryError, EntryDirectory, FeedCursor, FeedPage, GenerationFeed, Membership,
///     MembershipDirectory, Project, ProjectDirectory, ProjectId, RevokedBefore, RoleDefinition,
///     RoleDirectory, RoleName, TenantDirectory, TenantId, TenantKey, TenantRecord,
///     TokenRevocationDirectory, TokenSubject, UserId, async_trait,
/// };
///
/// #[derive(Debug)]
/// struct OneTenant {
///     tenant: TenantRecord,
///     members: Vec<Membership>,
/// }
///
/// #[async_trait]
/// impl TenantDirectory for OneTenant {
///     async fn find_tenant(&self, key: &TenantKey) -> Result<Option<TenantRecord>, DirectoryError> {
///         let named = match key {
///             TenantKey::Id(id) => *id == self.tenant.id,
///             TenantKey::Slug(slug) => *slug == self.tenant.slug,
///             _ => false,
///         };
///         Ok(named.then(|| self.tenant.clone()))
///     }
/// }
///
/// #[async_trait]
/// impl MembershipDirectory for OneTenant {
///     async fn find_membership(
///         &self,
///         tenant: TenantId,
///         user: UserId,
///     ) -> Result<Option<Membership>, DirectoryError> {
///         let of = |member: &&Membership| member.tenant == tenant && member.user == user;
///         Ok(self.members.iter().find(of).cloned())
///     }
/// }
///
/// #[async_trait]
/// impl ProjectDirectory for OneTenant {
///     async fn find_project(&self, _: TenantId, _: ProjectId) -> Result<Option<Project>, DirectoryError> {
///         Ok(None)
///     }
///
///     async fn find_project_role(
///         &self,
///         _: TenantId,
///         _: ProjectId,
///         _: UserId,
///     ) -> Result<Option<RoleName>, DirectoryError> {
///         Ok(None)
///     }
/// }
///
/// #[async_trait]
/// impl RoleDirectory for OneTenant {
///     async fn find_roles(&self, _: TenantId) -> Result<Vec<RoleDefinition>, DirectoryError> {
///         Ok(Vec::new())
///     }
/// }
///
/// #[async_trait]
/// impl TokenRevocationDirectory for OneTenant {
///     async fn find_token_revocation(&self, _: &[TokenSubject]) -> Result<RevokedBefore, DirectoryError> {
///         Ok(RevokedBefore::NONE)
///     }
/// }
///
/// #[async_trait]
/// impl GenerationFeed for OneTenant {
///     async fn changes_since(&self, _: Option<FeedCursor>) -> Result<FeedPage, DirectoryError> {
///         // Nothing ever changes.
///         Ok(FeedPage::new(FeedCursor::at(0), Vec::new(), Vec::new()))
///     }
/// }
///
/// // One thing after the other, as is the default.
/// impl EntryDirectory for OneTenant {}
///
/// // It changes nothing, and needs no store.
/// impl tenancy_core::Directory for OneTenant {}
///
/// # fn is_directory(_: impl tenancy_core::Directory) {}
/// # let acme = TenantRecord::new("acme".parse().unwrap(), "Acme Ltd");
/// is_directory(OneTenant { tenant: acme, members: Vec::new() });
/// ```
///
/// One that also changes what it holds says so by
/// [`stores`](Self::stores):
///
/// ```
/// # use std::sync::Arc;
/// # use tenancy_core::{
/// #     DirectoryError, EntryDirectory, FeedCursor, FeedPage, GenerationFeed, Membership,
/// #     MembershipDirectory, MemoryDirectory, Project, ProjectDirectory, ProjectId, RevokedBefore,
/// #     RoleDefinition, RoleDirectory, RoleName, TenantDirectory, TenantId, TenantKey, TenantRecord,
/// #     TokenRevocationDirectory, TokenSubject, UserId, async_trait,
/// # };
/// use tenancy_core::{Directory, Stores};
/// # #[derive(Debug)]
/// # struct Registry(MemoryDirectory);
/// # #[async_trait]
/// # impl TenantDirectory for Registry {
/// #     async fn find_tenant(&self, key: &TenantKey) -> Result<Option<TenantRecord>, DirectoryError> {
/// #         self.0.find_tenant(key).await
/// #     }
/// # }
/// # #[async_trait]
/// # impl MembershipDirectory for Registry {
/// #     async fn find_membership(&self, tenant: TenantId, user: UserId) -> Result<Option<Membership>, DirectoryError> {
/// #         self.0.find_membership(tenant, user).await
/// #     }
/// # }
/// # #[async_trait]
/// # impl ProjectDirectory for Registry {
/// #     async fn find_project(&self, tenant: TenantId, project: ProjectId) -> Result<Option<Project>, DirectoryError> {
/// #         self.0.find_project(tenant, project).await
/// #     }
/// #     async fn find_project_role(&self, tenant: TenantId, project: ProjectId, user: UserId) -> Result<Option<RoleName>, DirectoryError> {
/// #         self.0.find_project_role(tenant, project, user).await
/// #     }
/// # }
/// # #[async_trait]
/// # impl RoleDirectory for Registry {
/// #     async fn find_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, DirectoryError> {
/// #         self.0.find_roles(tenant).await
/// #     }
/// # }
/// # impl EntryDirectory for Registry {}
/// # #[async_trait]
/// # impl TokenRevocationDirectory for Registry {
/// #     async fn find_token_revocation(&self, of: &[TokenSubject]) -> Result<RevokedBefore, DirectoryError> {
/// #         self.0.find_token_revocation(of).await
/// #     }
/// # }
/// # #[async_trait]
/// # impl GenerationFeed for Registry {
/// #     async fn changes_since(&self, cursor: Option<FeedCursor>) -> Result<FeedPage, DirectoryError> {
/// #         self.0.changes_since(cursor).await
/// #     }
/// # }
///
/// // `Registry` reads a registry that others manage, and has a store of roles.
/// impl Directory for Registry {
///     fn stores(self: Arc<Self>) -> Stores {
///         Stores::none().roles(self.0.clone())
///     }
/// }
/// ```
pub trait Directory:
    TenantDirectory
    + MembershipDirectory
    + ProjectDirectory
    + RoleDirectory
    + EntryDirectory
    + TokenRevocationDirectory
    + GenerationFeed
    + fmt::Debug
    + 'static
{
    /// What this directory can also change. Default: nothing.
    ///
    /// A value with every capability answers [`Stores::of`]. What is missing can be
    /// [given](crate::TenancyBuilder::stores) to the engine apart.
    fn stores(self: Arc<Self>) -> Stores {
        Stores::none()
    }

    /// The engine has changed something of a tenant's, or of several for `None`, or was told that somebody has. Called
    /// before the engine drops what it has cached: for a directory that remembers answers, which must not give it one
    /// from before the change again. Default: nothing, which is right for a directory that looks up each time.
    ///
    /// Must not block. A directory that passes questions on to another passes this on too.
    fn changed(&self, tenant: Option<TenantId>) {
        let _ = tenant;
    }
}
