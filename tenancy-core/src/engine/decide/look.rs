//! Looking things up for a decision: first what was loaded for this request, then the caches.

use std::sync::Arc;

use super::{Decision, Step, Stop, refuse};
use crate::{
    Membership, MembershipStatus, ProjectId, RefusalKind, RoleTable, Tenant, TenantId, UserId,
    cache::Probe,
    engine::fill::{Miss, ProjectAccess},
    identification::KeyRef,
};

impl Decision<'_> {
    pub(super) fn membership(&self, tenant: TenantId, user: UserId) -> Step<Arc<Membership>> {
        let found = match self.fills.membership(tenant, user) {
            Some(filled) => filled,
            None => {
                let stamp = || self.engine.stamps.of(tenant);
                let key = (tenant, user);
                let cache = &self.engine.memberships;
                match self.cached(|| cache.probe(&key, |_| stamp(), stamp, self.now))? {
                    Probe::Found(membership, _) => Some(membership),
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

    pub(super) fn project(
        &self,
        tenant: TenantId,
        user: Option<UserId>,
        confined_to: Option<ProjectId>,
    ) -> Step<Option<Arc<ProjectAccess>>> {
        let named = match &self.facts.project {
            Ok(named) => *named,
            Err(fault) => return refuse(RefusalKind::TenantNotFound, fault.reason),
        };
        let project: ProjectId = match (named, confined_to) {
            (Some(named), Some(own)) if named != own => {
                return refuse(RefusalKind::TenantNotFound, "project-not-of-credential");
            }
            (Some(project), _) | (None, Some(project)) => project,
            (None, None) => return Ok(None),
        };
        let key = (tenant, project, user);
        let found = match self.fills.project(&key) {
            Some(filled) => filled,
            None => {
                let stamp = || self.engine.stamps.of(tenant);
                let cache = &self.engine.projects;
                match self.cached(|| cache.probe(&key, |_| stamp(), stamp, self.now))? {
                    Probe::Found(access, _) => Some(access),
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

    pub(super) fn tenant(&self, key: &KeyRef<'_>) -> Step<Option<Arc<Tenant>>> {
        if let Some(filled) = self.fills.tenant(key) {
            return Ok(filled);
        }
        let stamps = &self.engine.stamps;
        let found = |tenant: &Arc<Tenant>| stamps.of(tenant.id);
        let cache = &self.engine.tenants;
        match self.cached(|| cache.probe(key, found, || stamps.of_any(), self.now))? {
            Probe::Found(tenant, _) => Ok(Some(tenant)),
            Probe::Absent => Ok(None),
            Probe::Unknown => Err(Stop::Miss(Miss::Tenant(key.to_key()))),
        }
    }

    pub(super) fn roles(&self, tenant: TenantId) -> Step<Arc<RoleTable>> {
        if let Some(filled) = self.fills.roles(tenant) {
            return Ok(filled);
        }
        let stamp = || self.engine.stamps.of(tenant);
        let cache = &self.engine.roles;
        match self.cached(|| cache.probe(&tenant, |_| stamp(), stamp, self.now))? {
            Probe::Found(table, _) => Ok(table),
            Probe::Absent | Probe::Unknown => Err(Stop::Miss(Miss::Roles(tenant))),
        }
    }

    /// Asks a cache, which counts only while the directory has been heard of recently.
    pub(super) fn cached<V>(&self, probe: impl FnOnce() -> Probe<V>) -> Step<Probe<V>> {
        let probe = match self.fills.feed_answered() {
            Some(true) => probe(),
            Some(false) => Probe::Unknown,
            None if self.engine.feed.is_stale(self.now) => {
                return Err(Stop::Miss(Miss::Feed(None)));
            }
            None => probe(),
        };
        if let Probe::Found(_, read_at) = &probe {
            self.read_at.set(self.read_at.get().min(*read_at));
        }
        Ok(probe)
    }
}
