//! The decision: one synchronous function from facts and caches to an answer or to what is missing.
//!
//! Each step is the only way to the next: credential → principal → tenant → membership → status →
//! role → project → context. What a store has answered for this very request lies in [`Fills`] and
//! goes before the caches, so that each thing is loaded at most once per request.

use std::sync::Arc;

use super::{
    Admitted, Inner, Tenancy,
    facts::{Facts, Presented},
    fill::{Fills, Miss, ProjectAccess, anonymous},
    refused::Refused,
    remembered::Asking,
};
use crate::{
    Actor, Credential, Membership, MembershipStatus, PermissionSet, Principal, ProjectId, Reach,
    RefusalKind, RoleMask, RoleName, RoleTable, Tenant, TenantContext, TenantId, TenantKey,
    TenantNeed, TenantStatus, Timestamp, UserId, Verdict, cache::Probe, context::Parts,
    identification::KeyRef,
};

/// Why there is no answer yet, or no good one.
pub(super) enum Stop {
    Refused(Refused),
    Miss(Miss),
}

type Step<T> = Result<T, Stop>;

fn refuse<T>(kind: RefusalKind, reason: &'static str) -> Step<T> {
    Err(Stop::Refused(Refused::new(kind, reason)))
}

impl Tenancy {
    /// Decides about a request, or says what has to be loaded first.
    pub(super) fn decide(
        &self,
        facts: &Facts<'_>,
        fills: &Fills,
        now: Timestamp,
    ) -> Step<Admitted> {
        let decision = Decision {
            engine: self.inner(),
            facts,
            fills,
            now,
        };
        let before = self.inner().stamps.of_any();
        let principal = decision.principal()?;
        let asking = decision.asking(principal.as_ref());
        if let Some(parts) = decision.remembered(asking.as_ref())? {
            let context = TenantContext::new(self.clone(), parts, facts.ip);
            return Ok(Admitted::Tenant(context));
        }
        let with_actor = |mut stop: Stop| {
            if let (Stop::Refused(refused), Some(principal)) = (&mut stop, &principal) {
                refused.actor = Some(principal.actor.clone());
            }
            stop
        };
        let decided = decision.context_parts(principal.as_ref());
        let Some(parts) = decided.map_err(with_actor)? else {
            return Ok(Admitted::NoTenant(principal));
        };
        let parts = Arc::new(parts);
        if let (Some(asking), true) = (&asking, fills.are_empty()) {
            let inner = self.inner();
            inner.remembered.keep(asking, &parts, &inner.stamps, before);
        }
        let context = TenantContext::new(self.clone(), parts, facts.ip);
        Ok(Admitted::Tenant(context))
    }
}

struct Decision<'a> {
    engine: &'a Inner,
    facts: &'a Facts<'a>,
    fills: &'a Fills,
    now: Timestamp,
}

impl Decision<'_> {
    /// What is asked, if it is a question whose answer can be remembered.
    fn asking<'p>(&'p self, principal: Option<&'p Arc<Principal>>) -> Option<Asking<'p>> {
        if self.facts.needs.tenant == TenantNeed::Central {
            return None;
        }
        Some(Asking {
            principal: principal?,
            hints: self.facts.hints.as_ref().ok()?,
            project: self.facts.project.ok()?,
        })
    }

    /// The answer to the same question before.
    fn remembered(&self, asking: Option<&Asking<'_>>) -> Step<Option<Arc<Parts>>> {
        let Some(asking) = asking else {
            return Ok(None);
        };
        let stamps = &self.engine.stamps;
        let known = || match self.engine.remembered.get(asking, stamps) {
            Some(parts) => Probe::Found(parts),
            None => Probe::Unknown,
        };
        match self.cached(known)? {
            Probe::Found(parts) => Ok(Some(parts)),
            Probe::Absent | Probe::Unknown => Ok(None),
        }
    }

    /// Who is asking; `None` if nobody said and the route can do without.
    fn principal(&self) -> Step<Option<Arc<Principal>>> {
        let credential = match &self.facts.presented {
            Presented::Nothing => {
                let needs = self.facts.needs;
                let dispensable = needs.anonymous || needs.tenant != TenantNeed::Required;
                return if dispensable {
                    Ok(None)
                } else {
                    refuse(RefusalKind::Unauthenticated, "credential-absent")
                };
            }
            Presented::Fault(fault) => return refuse(RefusalKind::Unauthenticated, fault.reason()),
            Presented::Text(text) => *text,
            Presented::OwnedText(text) => Credential::new(text),
            Presented::Verified(principal) => return self.holding(Arc::clone(principal)),
        };
        for (index, authenticator) in self.engine.authenticators.iter().enumerate() {
            let verdict = match self.fills.verdict(index) {
                Some(verdict) => verdict,
                None => authenticator.probe(credential, self.now),
            };
            return match verdict {
                Verdict::NotMine => continue,
                Verdict::Verified(principal) => self.holding(principal),
                Verdict::Rejected(rejection) => {
                    refuse(RefusalKind::Unauthenticated, rejection.reason())
                }
                Verdict::NeedsLookup => Err(Stop::Miss(Miss::Credential(index))),
            };
        }
        refuse(RefusalKind::Unauthenticated, "credential-unknown-kind")
    }

    /// A verified credential must hold now, also when it came from a cache.
    fn holding(&self, principal: Arc<Principal>) -> Step<Option<Arc<Principal>>> {
        if principal.holds_at(self.now) {
            Ok(Some(principal))
        } else {
            refuse(RefusalKind::Unauthenticated, "credential-expired")
        }
    }

    /// Everything a context consists of; `None` if the request has no tenant and needs none.
    fn context_parts(&self, principal: Option<&Arc<Principal>>) -> Step<Option<Parts>> {
        if self.facts.needs.tenant == TenantNeed::Central {
            return Ok(None);
        }
        if principal.is_none() && !self.facts.needs.anonymous {
            return Ok(None);
        }
        let hinted = self.hinted_tenant()?;
        let Some(tenant) = self.agreed_tenant(principal, hinted)? else {
            return match self.facts.needs.tenant {
                TenantNeed::Required => refuse(RefusalKind::TenantRequired, "tenant-not-named"),
                _ => Ok(None),
            };
        };
        let id = tenant.id;
        self.parts_of(principal, tenant)
            .map(Some)
            .map_err(|mut stop| {
                if let Stop::Refused(refused) = &mut stop {
                    refused.tenant = Some(id);
                }
                stop
            })
    }

    fn parts_of(&self, principal: Option<&Arc<Principal>>, tenant: Arc<Tenant>) -> Step<Parts> {
        let principal = match principal {
            Some(principal) => Arc::clone(principal),
            None => anonymous(),
        };
        // Membership comes before status: a stranger does not learn that a tenant is suspended.
        let role = match &principal.actor {
            Actor::User(user) => Some(self.membership(tenant.id, *user)?.role.clone()),
            Actor::Service(_) | Actor::Anonymous | Actor::System => None,
        };
        match tenant.status {
            status if status.is_served() => {}
            TenantStatus::Deleted => {
                return refuse(RefusalKind::TenantNotFound, "tenant-deleted");
            }
            // A visitor who belongs to nobody learns no more than that there is nothing to see.
            _ if principal.actor == Actor::Anonymous => {
                return refuse(RefusalKind::TenantNotFound, "tenant-not-served");
            }
            TenantStatus::Suspended => {
                return refuse(RefusalKind::TenantSuspended, "tenant-suspended");
            }
            _ => return refuse(RefusalKind::TenantInactive, "tenant-inactive"),
        }
        let project = self.project(tenant.id, principal.user())?;
        let permissions =
            self.permissions(&principal, tenant.id, role.as_ref(), project.as_deref())?;
        Ok(Parts {
            tenant,
            principal,
            role,
            project: project.map(|access| access.project.id),
            permissions,
        })
    }

    /// The one tenant that every hint names; `None` without hints.
    fn hinted_tenant(&self) -> Step<Option<Arc<Tenant>>> {
        let hints = match &self.facts.hints {
            Ok(hints) => hints,
            Err(fault) => {
                let refused = Refused::new(RefusalKind::TenantNotFound, fault.reason)
                    .target(fault.source.as_str().to_owned());
                return Err(Stop::Refused(refused));
            }
        };
        let mut agreed: Option<Arc<Tenant>> = None;
        for hint in hints {
            let about = |reason| {
                let target = format!("{}={}", hint.source.as_str(), hint.key.to_key());
                Refused::new(RefusalKind::TenantNotFound, reason).target(target)
            };
            let Some(tenant) = self.tenant(&hint.key)? else {
                return Err(Stop::Refused(about("tenant-unknown")));
            };
            match &agreed {
                Some(other) if other.id != tenant.id => {
                    return Err(Stop::Refused(about("hints-contradict")));
                }
                _ => agreed = Some(tenant),
            }
        }
        Ok(agreed)
    }

    /// The tenant that hints and credential agree on; `None` if neither names one.
    fn agreed_tenant(
        &self,
        principal: Option<&Arc<Principal>>,
        hinted: Option<Arc<Tenant>>,
    ) -> Step<Option<Arc<Tenant>>> {
        let Some(principal) = principal else {
            return Ok(hinted);
        };
        match (&principal.reach, hinted) {
            (Reach::Bound(key), hinted) => {
                let Some(own) = self.tenant(&KeyRef::Owned(key.clone()))? else {
                    return refuse(RefusalKind::TenantNotFound, "tenant-of-credential-unknown");
                };
                match hinted {
                    Some(hinted) if hinted.id != own.id => {
                        let refused = Refused::new(
                            RefusalKind::TenantNotFound,
                            "credential-of-another-tenant",
                        )
                        .target(format!("tenant={}", hinted.id));
                        Err(Stop::Refused(refused))
                    }
                    _ => Ok(Some(own)),
                }
            }
            // Rights of an actor that is no user come from its credential alone, which must then
            // name its tenant.
            (_, _) if principal.user().is_none() => {
                refuse(RefusalKind::TenantNotFound, "credential-not-bound")
            }
            (Reach::Set { tenants, .. }, Some(hinted)) => {
                if tenants.iter().any(|key| names(key, &hinted)) {
                    Ok(Some(hinted))
                } else {
                    let refused =
                        Refused::new(RefusalKind::TenantNotFound, "tenant-not-in-credential")
                            .target(format!("tenant={}", hinted.id));
                    Err(Stop::Refused(refused))
                }
            }
            (Reach::Set { tenants, default }, None) => {
                let only = match tenants.as_slice() {
                    [only] => Some(only),
                    _ => None,
                };
                match default.as_ref().or(only) {
                    None => Ok(None),
                    Some(key) => match self.tenant(&KeyRef::Owned(key.clone()))? {
                        Some(tenant) => Ok(Some(tenant)),
                        None => refuse(RefusalKind::TenantNotFound, "tenant-of-credential-unknown"),
                    },
                }
            }
            (Reach::Memberships, hinted) => Ok(hinted),
        }
    }

    fn membership(&self, tenant: TenantId, user: UserId) -> Step<Arc<Membership>> {
        let found = match self.fills.membership(tenant, user) {
            Some(filled) => filled,
            None => {
                let stamp = || self.engine.stamps.of(tenant);
                let key = (tenant, user);
                let cache = &self.engine.memberships;
                match self.cached(|| cache.probe(&key, |_| stamp(), stamp, self.now))? {
                    Probe::Found(membership) => Some(membership),
                    Probe::Absent => None,
                    Probe::Unknown => return Err(Stop::Miss(Miss::Membership(tenant, user))),
                }
            }
        };
        match found {
            // A store that answers with another's membership must not open anything.
            Some(m) if m.tenant != tenant || m.user != user => {
                refuse(RefusalKind::TenantNotFound, "membership-of-another")
            }
            Some(m) if m.status == MembershipStatus::Active => Ok(m),
            Some(_) => refuse(RefusalKind::TenantNotFound, "membership-not-active"),
            None => refuse(RefusalKind::TenantNotFound, "not-a-member"),
        }
    }

    fn permissions(
        &self,
        principal: &Principal,
        tenant: TenantId,
        role: Option<&RoleName>,
        project: Option<&ProjectAccess>,
    ) -> Step<PermissionSet> {
        let Some(role) = role else {
            return Ok(match principal.actor {
                Actor::Service(_) | Actor::System => principal.scope,
                Actor::User(_) | Actor::Anonymous => PermissionSet::EMPTY,
            });
        };
        let table = self.roles(tenant)?;
        // A role that is gone may have carried a denial; nobody knows, so nothing is allowed.
        let mask = |role: &RoleName| {
            table.mask(role).unwrap_or_else(|| {
                tracing::warn!(tenant.id = %tenant, role = %role, "unknown role: nothing is allowed");
                RoleMask::SEALED
            })
        };
        let in_project = project.and_then(|access| access.role.as_ref());
        let combined = match in_project {
            Some(project_role) => mask(role).combine(mask(project_role)),
            None => mask(role),
        };
        Ok(combined.effective().intersection(principal.scope))
    }

    fn project(&self, tenant: TenantId, user: Option<UserId>) -> Step<Option<Arc<ProjectAccess>>> {
        let project: ProjectId = match &self.facts.project {
            Ok(Some(project)) => *project,
            Ok(None) => return Ok(None),
            Err(fault) => return refuse(RefusalKind::TenantNotFound, fault.reason),
        };
        let key = (tenant, project, user);
        let found = match self.fills.project(&key) {
            Some(filled) => filled,
            None => {
                let stamp = || self.engine.stamps.of(tenant);
                let cache = &self.engine.projects;
                match self.cached(|| cache.probe(&key, |_| stamp(), stamp, self.now))? {
                    Probe::Found(access) => Some(access),
                    Probe::Absent => None,
                    Probe::Unknown => {
                        return Err(Stop::Miss(Miss::Project(tenant, project, user)));
                    }
                }
            }
        };
        match found {
            Some(access)
                if access.project.tenant == tenant
                    && access.project.id == project
                    && !access.project.archived =>
            {
                Ok(Some(access))
            }
            _ => refuse(RefusalKind::TenantNotFound, "project-unknown"),
        }
    }

    fn tenant(&self, key: &KeyRef<'_>) -> Step<Option<Arc<Tenant>>> {
        if let Some(filled) = self.fills.tenant(key) {
            return Ok(filled);
        }
        let stamps = &self.engine.stamps;
        let found = |tenant: &Arc<Tenant>| stamps.of(tenant.id);
        let cache = &self.engine.tenants;
        match self.cached(|| cache.probe(key, found, || stamps.of_any(), self.now))? {
            Probe::Found(tenant) => Ok(Some(tenant)),
            Probe::Absent => Ok(None),
            Probe::Unknown => Err(Stop::Miss(Miss::Tenant(key.to_key()))),
        }
    }

    fn roles(&self, tenant: TenantId) -> Step<Arc<RoleTable>> {
        if let Some(filled) = self.fills.roles(tenant) {
            return Ok(filled);
        }
        let stamp = || self.engine.stamps.of(tenant);
        let cache = &self.engine.roles;
        match self.cached(|| cache.probe(&tenant, |_| stamp(), stamp, self.now))? {
            Probe::Found(table) => Ok(table),
            Probe::Absent | Probe::Unknown => Err(Stop::Miss(Miss::Roles(tenant))),
        }
    }

    /// Asks a cache, which counts only while the directory has been heard of recently.
    fn cached<V>(&self, probe: impl FnOnce() -> Probe<V>) -> Step<Probe<V>> {
        match self.fills.feed_answered() {
            Some(true) => Ok(probe()),
            Some(false) => Ok(Probe::Unknown),
            None if self.engine.feed.is_stale(self.now) => Err(Stop::Miss(Miss::Feed)),
            None => Ok(probe()),
        }
    }
}

/// Whether a key from a credential means this tenant.
fn names(key: &TenantKey, tenant: &Tenant) -> bool {
    match key {
        TenantKey::Id(id) => *id == tenant.id,
        TenantKey::Slug(slug) => *slug == tenant.slug,
        // Credentials list ids or slugs; anything else names nothing here.
        TenantKey::Domain(_) | TenantKey::External { .. } => false,
    }
}
