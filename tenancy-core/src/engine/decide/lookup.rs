//! Looking things up for a decision: first what was loaded for this request, then the caches.

use std::sync::Arc;

use super::{Decider, Interrupt, Step, refuse, subject};
use crate::{
    AllowedTenants, EntryQuery, Membership, MembershipStatus, Principal, ProjectId, Refusal,
    RefusalKind, RoleName, RoleTable, TenantId, TenantKey, TenantRecord, UserId,
    cache::Probe,
    engine::load::{
        CachedFact, Entered, Fact, Load, MembershipOf, News, ProjectForUser, ProjectOf, RolesOf,
        TenantNamed,
    },
    engine::refusal_log::Refused,
    identification::KeyRef,
};

impl Decider<'_> {
    pub(super) fn membership(&self, tenant: TenantId, user: UserId) -> Step<Arc<Membership>> {
        let key = (tenant, user);
        let found = match self.known::<MembershipOf>(&key)? {
            Some(known) => known,
            // Of whom a name from outside may be another's, as much is asked as about a name that
            // is nobody's.
            None if self.facts.is_from_outside() => {
                return Err(self.not_entered::<MembershipOf>(key));
            }
            None => return Err(Interrupt::Load(Load::of::<MembershipOf>(key))),
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

    pub(super) fn project(
        &self,
        tenant: TenantId,
        (principal, user): (&Principal, Option<UserId>),
        role: Option<&RoleName>,
    ) -> Step<Option<Arc<ProjectForUser>>> {
        let confined_to = principal.project;
        match (&self.facts.project, confined_to) {
            (Err(fault), _) => return refuse(RefusalKind::TenantNotFound, fault.reason),
            (Ok(Some(named)), Some(own)) if *named != own => {
                return refuse(RefusalKind::TenantNotFound, "project-not-of-credential");
            }
            _ => {}
        }
        let Some(project) = self.wanted_project(confined_to) else {
            return Ok(None);
        };
        let key = (tenant, project, user);
        let found = match self.known::<ProjectOf>(&key)? {
            Some(known) => known,
            None => return Err(Interrupt::Load(Load::of::<ProjectOf>(key))),
        };
        match found {
            Some(access)
                if access.project.tenant == tenant
                    && access.project.id == project
                    && !access.project.archived
                    && access.lets_in(principal, role) =>
            {
                Ok(Some(access))
            }
            _ => refuse(RefusalKind::TenantNotFound, "project-unknown"),
        }
    }

    /// The project that the request names, or the one to which its credential is confined.
    pub(super) fn wanted_project(&self, confined_to: Option<ProjectId>) -> Option<ProjectId> {
        self.facts
            .project
            .as_ref()
            .ok()
            .copied()
            .flatten()
            .or(confined_to)
    }

    pub(super) fn tenant(&self, key: &KeyRef<'_>) -> Step<Option<Arc<TenantRecord>>> {
        if let Some(loaded) = self.loaded.get::<TenantNamed>(key) {
            return Ok(loaded.clone());
        }
        match self.cached(|| self.engine.probe_as::<TenantNamed>(key, None, self.now))? {
            Probe::Found(tenant, _) => Ok(Some(tenant)),
            Probe::Absent => Ok(None),
            Probe::Unknown => Err(self.not_entered::<TenantNamed>(key.to_key())),
        }
    }

    pub(super) fn roles(&self, tenant: TenantId) -> Step<Arc<RoleTable>> {
        match self.known::<RolesOf>(&tenant)? {
            Some(Some(table)) => Ok(table),
            Some(None) | None => Err(Interrupt::Load(Load::of::<RolesOf>(tenant))),
        }
    }

    /// What was loaded for this request or is cached, which may be that there is none; `None` if it has
    /// to be loaded.
    pub(super) fn known<F: CachedFact>(
        &self,
        key: &<F as CachedFact>::Key,
    ) -> Step<Option<Option<F::Found>>> {
        if let Some(loaded) = self.loaded.get::<F>(key) {
            return Ok(Some(loaded.clone()));
        }
        Ok(
            match self.cached(|| self.engine.probe::<F>(key, self.now))? {
                Probe::Found(found, _) => Some(Some(found)),
                Probe::Absent => Some(None),
                Probe::Unknown => None,
            },
        )
    }

    /// Asks for a thing; where it is needed to enter a tenant, for all that this takes, in one question
    /// about the first name that the request has.
    pub(super) fn not_entered<F: Fact>(&self, key: F::Key) -> Interrupt
    where
        F::Key: AboutTenant,
    {
        let Some(entering) = self.entering.get() else {
            return Interrupt::Load(Load::of::<F>(key));
        };
        if let Some(caller) = entering
            && self.facts.is_from_outside()
            && let Some(wait) = self.engine.unknown_names.wait(&caller.actor, self.now)
        {
            let spent = Refusal::new(RefusalKind::RateLimited, "unknown-names-spent");
            return Interrupt::Refused(Refused::of(spent.with_retry_after(wait)));
        }
        if self.loaded.first::<Entered>().is_some() {
            return Interrupt::Load(Load::of::<F>(key));
        }
        let hints = self.facts.hints.as_deref().unwrap_or_default();
        let name = hints
            .first()
            .map_or_else(|| key.name(), |hint| hint.key.to_key());
        let nobody = self.engine.strangers.nobody(&name);
        let caller = entering.as_deref();
        let confined_to = caller.and_then(|caller| match &caller.allowed_tenants {
            AllowedTenants::Bound(key) => Some(key.clone()),
            AllowedTenants::Set { .. } | AllowedTenants::Memberships => None,
        });
        let query = EntryQuery::new(name, caller.and_then(subject), nobody)
            .in_project(self.wanted_project(caller.and_then(|caller| caller.project)))
            .confined_to(confined_to)
            .for_visitors(self.facts.needs.anonymous_if_not_member)
            .without_roles_of(key.tenant().filter(|tenant| self.knows_roles(*tenant)));
        Interrupt::Load(Load::of::<Entered>(query))
    }

    fn knows_roles(&self, tenant: TenantId) -> bool {
        self.loaded.feed_answered() != Some(false)
            && matches!(
                self.engine.probe::<RolesOf>(&tenant, self.now),
                Probe::Found(..)
            )
    }

    /// Asks a cache, which counts only while the directory has been heard of recently.
    pub(super) fn cached<V>(&self, probe: impl FnOnce() -> Probe<V>) -> Step<Probe<V>> {
        let probe = match self.loaded.feed_answered() {
            Some(true) => probe(),
            Some(false) => Probe::Unknown,
            None if self.engine.feed.is_stale(self.now) => {
                return Err(Interrupt::Load(Load::of::<News>(None)));
            }
            None => probe(),
        };
        if let Probe::Found(_, read_at) = &probe {
            self.read_at.set(self.read_at.get().min(*read_at));
        }
        Ok(probe)
    }
}

/// A key that names a tenant.
pub(super) trait AboutTenant {
    fn name(&self) -> TenantKey;
    fn tenant(&self) -> Option<TenantId>;
}

impl AboutTenant for TenantKey {
    fn name(&self) -> TenantKey {
        self.clone()
    }

    fn tenant(&self) -> Option<TenantId> {
        None
    }
}

impl AboutTenant for (TenantId, UserId) {
    fn name(&self) -> TenantKey {
        TenantKey::Id(self.0)
    }

    fn tenant(&self) -> Option<TenantId> {
        Some(self.0)
    }
}
