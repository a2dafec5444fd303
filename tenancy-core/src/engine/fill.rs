//! Loading what a decision missed.

use std::sync::{Arc, LazyLock};

use super::Tenancy;
#[cfg(feature = "argon2")]
use super::keys::Proof;
#[cfg(feature = "argon2")]
use crate::key::SecretHash;
use crate::{
    Actor, Credential, DirectoryError, Epoch, LookupError, Membership, Principal, Project,
    ProjectId, Reach, RoleName, RoleTable, Tenant, TenantId, TenantKey, Timestamp, TokensOf,
    UserId, Verdict,
    cache::Stamp,
    identification::KeyRef,
    key::{KeyName, KnownKey},
};

/// A project as asked for by one user, or by nobody who is a user.
pub(super) type ProjectKey = (TenantId, ProjectId, Option<UserId>);

/// Something a decision needs and the caches do not have.
#[derive(Debug, Clone)]
pub(super) enum Miss {
    /// The directory has not been heard of recently, or not since this tenant was found to have changed.
    Feed(Option<TenantId>),
    /// An authenticator, by position, needs to look the credential up.
    Credential(usize),
    Key(KeyName),
    /// The secret of an imported key, if there is one, from this address.
    #[cfg(feature = "argon2")]
    Secret(Option<Arc<KnownKey>>, Option<std::net::IpAddr>),
    Epoch(Vec<TokensOf>),
    Tenant(TenantKey),
    Membership(TenantId, UserId),
    Roles(TenantId),
    Project(TenantId, ProjectId, Option<UserId>),
}

/// A project as one user sees it.
#[derive(Debug)]
pub(crate) struct ProjectAccess {
    pub(crate) project: Project,
    pub(crate) role: Option<RoleName>,
}

/// What was loaded for one request.
#[derive(Debug, Default)]
pub(super) struct Fills {
    /// When the first of it began to be loaded.
    began: Option<Timestamp>,
    /// When the first answer about names began to be loaded, and the stamp of strangers before.
    answers_began: Option<(Timestamp, Stamp)>,
    feed_answered: Option<bool>,
    verdicts: Vec<(usize, Arc<Principal>)>,
    rejected: Option<(usize, crate::Rejection)>,
    not_mine: Vec<usize>,
    key: Option<(KeyName, Option<Arc<KnownKey>>)>,
    #[cfg(feature = "argon2")]
    proof: Option<(Option<SecretHash>, Proof)>,
    epochs: Vec<(Vec<TokensOf>, Epoch)>,
    tenants: Vec<(TenantKey, Option<Arc<Tenant>>)>,
    membership: Option<(TenantId, UserId, Option<Arc<Membership>>)>,
    roles: Option<(TenantId, Arc<RoleTable>)>,
    project: Option<(ProjectKey, Option<Arc<ProjectAccess>>)>,
}

static ANONYMOUS: LazyLock<Arc<Principal>> = LazyLock::new(|| {
    let mut principal = Principal::new(Actor::Anonymous, Reach::Memberships, "anonymous");
    principal.scope = crate::PermissionSet::EMPTY;
    Arc::new(principal)
});

/// The principal of a caller without a credential: nobody, with no permission.
pub(super) fn anonymous() -> Arc<Principal> {
    Arc::clone(&ANONYMOUS)
}

impl Fills {
    /// Whether nothing has been loaded: then a decision rests on caches alone.
    pub(super) fn are_empty(&self) -> bool {
        self.feed_answered.is_none()
            && self.verdicts.is_empty()
            && self.key.is_none()
            && self.epochs.is_empty()
            && self.tenants.is_empty()
            && self.membership.is_none()
            && self.roles.is_none()
            && self.project.is_none()
    }

    /// Whether the directory told its news when asked for this request; `None` if it was not asked.
    ///
    /// If it did not, nothing cached is used, and everything is asked for.
    pub(super) fn feed_answered(&self) -> Option<bool> {
        self.feed_answered
    }

    /// When the first thing began to be loaded, if anything was.
    pub(super) fn began(&self) -> Option<Timestamp> {
        self.began
    }

    /// The same of everything but news, with the stamp of what is kept about strangers.
    pub(super) fn answers_began(&self) -> Option<(Timestamp, Stamp)> {
        self.answers_began
    }

    /// Whether a tenant was looked up, whether or not it was found.
    pub(super) fn holds_a_tenant(&self) -> bool {
        !self.tenants.is_empty()
    }

    pub(super) fn verdict(&self, index: usize) -> Option<Verdict> {
        if let Some((_, principal)) = self.verdicts.iter().find(|(at, _)| *at == index) {
            return Some(Verdict::Verified(Arc::clone(principal)));
        }
        match &self.rejected {
            Some((at, rejection)) if *at == index => Some(Verdict::Rejected(rejection.clone())),
            _ => self.not_mine.contains(&index).then_some(Verdict::NotMine),
        }
    }

    pub(super) fn key(&self, name: &KeyName) -> Option<Option<Arc<KnownKey>>> {
        match &self.key {
            Some((at, found)) if at == name => Some(found.clone()),
            _ => None,
        }
    }

    /// What came of holding the secret of this request against this very hash, or against none.
    #[cfg(feature = "argon2")]
    pub(super) fn proof(&self, hash: Option<&SecretHash>) -> Option<Proof> {
        match &self.proof {
            Some((against, proof)) if against.as_ref() == hash => Some(*proof),
            _ => None,
        }
    }

    pub(super) fn epoch(&self, of: &[TokensOf]) -> Option<Epoch> {
        let mut epochs = self.epochs.iter();
        epochs.find(|(at, _)| at == of).map(|(_, epoch)| *epoch)
    }

    pub(super) fn tenant(&self, key: &KeyRef<'_>) -> Option<Option<Arc<Tenant>>> {
        use quick_cache::Equivalent as _;
        self.tenants
            .iter()
            .find(|(at, _)| key.equivalent(at))
            .map(|(_, tenant)| tenant.clone())
    }

    pub(super) fn membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Option<Option<Arc<Membership>>> {
        match &self.membership {
            Some((t, u, found)) if *t == tenant && *u == user => Some(found.clone()),
            _ => None,
        }
    }

    pub(super) fn roles(&self, tenant: TenantId) -> Option<Arc<RoleTable>> {
        match &self.roles {
            Some((at, table)) if *at == tenant => Some(Arc::clone(table)),
            _ => None,
        }
    }

    pub(super) fn project(&self, key: &ProjectKey) -> Option<Option<Arc<ProjectAccess>>> {
        match &self.project {
            Some((at, found)) if at == key => Some(found.clone()),
            _ => None,
        }
    }
}

/// A store that did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FillError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Credential(#[from] LookupError),
}

impl Tenancy {
    /// Loads what is missing into `fills` and, where it may be kept, into the caches.
    pub(super) async fn fill(
        &self,
        miss: Miss,
        credential: Option<Credential<'_>>,
        fills: &mut Fills,
        now: Timestamp,
    ) -> Result<(), FillError> {
        fills.began.get_or_insert(now);
        if !matches!(miss, Miss::Feed(_)) {
            let stamps = &self.inner().stamps;
            (fills.answers_began).get_or_insert_with(|| (now, stamps.of_any()));
        }
        match miss {
            Miss::Feed(tenant) => {
                let polled = self.poll_if_stale(tenant).await;
                if let Err(error) = &polled {
                    tracing::warn!(%error, "no news of tenants; asking the directory each time");
                }
                fills.feed_answered = Some(polled.is_ok());
            }
            Miss::Credential(index) => {
                self.fill_credential(index, credential, fills, now).await?;
            }
            Miss::Key(name) => {
                let found = self.load_key(name.clone(), now).await?;
                fills.key = Some((name, found));
            }
            #[cfg(feature = "argon2")]
            Miss::Secret(known, ip) => {
                let hash = known.as_deref().and_then(KnownKey::hash).cloned();
                fills.proof = Some((hash, self.prove(credential, known, ip, now).await));
            }
            Miss::Epoch(of) => {
                let epoch = self.inner().directory.find_epoch(&of).await?;
                fills.epochs.push((of, epoch));
            }
            Miss::Tenant(key) => {
                let found = self.load_tenant(key.clone(), now).await?;
                fills.tenants.push((key, found));
            }
            Miss::Membership(tenant, user) => {
                let found = self.load_membership(tenant, user, now).await?;
                fills.membership = Some((tenant, user, found));
            }
            Miss::Roles(tenant) => {
                fills.roles = Some((tenant, self.load_roles(tenant, now).await?))
            }
            Miss::Project(tenant, project, user) => {
                let key = (tenant, project, user);
                fills.project = Some((key, self.load_project(key, now).await?));
            }
        }
        Ok(())
    }

    async fn fill_credential(
        &self,
        index: usize,
        credential: Option<Credential<'_>>,
        fills: &mut Fills,
        now: Timestamp,
    ) -> Result<(), FillError> {
        let (Some(credential), Some(authenticator)) =
            (credential, self.inner().authenticators.get(index))
        else {
            fills.not_mine.push(index);
            return Ok(());
        };
        match authenticator.verify(credential, now).await? {
            Verdict::Verified(principal) => fills.verdicts.push((index, principal)),
            Verdict::Rejected(rejection) => fills.rejected = Some((index, rejection)),
            // An authenticator that still can't tell is one that does not recognize it.
            Verdict::NotMine | Verdict::NeedsLookup => fills.not_mine.push(index),
        }
        Ok(())
    }

    async fn load_tenant(
        &self,
        key: TenantKey,
        now: Timestamp,
    ) -> Result<Option<Arc<Tenant>>, DirectoryError> {
        let inner = self.inner();
        let before = inner.stamps.of_any();
        // Which tenant a name stands for is known only afterwards; a change of any tenant in the
        // meantime may have been this one's.
        let keep = |tenant: &Arc<Tenant>| {
            let stamp = inner.stamps.of(tenant.id);
            inner.stamps.undisturbed_since(before).then_some(stamp)
        };
        let directory = Arc::clone(&inner.directory);
        let wanted = key.clone();
        let load = || async move {
            let found = directory.find_tenant(&wanted).await?;
            // A store that answers with another tenant's record must not open anything.
            let found = found.filter(|tenant| match &wanted {
                TenantKey::Id(id) => tenant.id == *id,
                TenantKey::Slug(slug) => tenant.slug == *slug,
                TenantKey::Domain(_) | TenantKey::External { .. } => true,
            });
            Ok(found.map(Arc::new))
        };
        inner.tenants.load(key, before, keep, now, load).await
    }

    async fn load_membership(
        &self,
        tenant: TenantId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Arc<Membership>>, DirectoryError> {
        let inner = self.inner();
        let before = inner.stamps.of(tenant);
        let directory = Arc::clone(&inner.directory);
        let load =
            || async move { Ok(directory.find_membership(tenant, user).await?.map(Arc::new)) };
        inner
            .memberships
            .load((tenant, user), before, |_| Some(before), now, load)
            .await
    }

    async fn load_roles(
        &self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Arc<RoleTable>, DirectoryError> {
        let inner = self.inner();
        let before = inner.stamps.of(tenant);
        let engine = self.clone();
        let load = || async move {
            let inner = engine.inner();
            let mut own = inner.directory.find_roles(tenant).await?;
            if own.is_empty() {
                return Ok(Some(Arc::clone(&inner.base_roles)));
            }
            if own.len() > RoleTable::MAX_ROLES {
                // The rest are roles that the tenant does not have, which allow nothing.
                tracing::warn!(tenant.id = %tenant, count = own.len(), "a tenant has too many roles");
                own.sort_by(|one, other| one.name.cmp(&other.name));
                own.truncate(RoleTable::MAX_ROLES);
            }
            let table =
                RoleTable::compile(&inner.permissions, &own).map_err(DirectoryError::new)?;
            for problem in table.problems() {
                tracing::warn!(tenant.id = %tenant, %problem, "a tenant's role definition has a fault");
            }
            Ok(Some(Arc::new(table)))
        };
        let table = inner
            .roles
            .load(tenant, before, |_| Some(before), now, load)
            .await?;
        Ok(table.unwrap_or_else(|| Arc::clone(&inner.base_roles)))
    }

    async fn load_project(
        &self,
        key: ProjectKey,
        now: Timestamp,
    ) -> Result<Option<Arc<ProjectAccess>>, DirectoryError> {
        let inner = self.inner();
        let (tenant, project, user) = key;
        let before = inner.stamps.of(tenant);
        let directory = Arc::clone(&inner.directory);
        let load = || async move {
            let Some(record) = directory.find_project(tenant, project).await? else {
                return Ok(None);
            };
            let role = match user {
                Some(user) => directory.find_project_role(tenant, project, user).await?,
                None => None,
            };
            Ok(Some(Arc::new(ProjectAccess {
                project: record,
                role,
            })))
        };
        inner
            .projects
            .load(key, before, |_| Some(before), now, load)
            .await
    }
}
