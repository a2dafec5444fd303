//! Rules by which people join by their address's domain, in memory.

use async_trait::async_trait;

use super::{MemoryDirectory, State};
use crate::{
    ChangeRecord, DomainName, Membership, StoreError, StoreErrorKind, TenantId, UserId,
    domain_join::{DomainJoin, DomainJoinStore, DomainJoined, JoinMode},
    invitation::{SeatLimit, Seated},
};

/// How many rules are told at most of one domain.
const MAX_FOUND: usize = 100;

/// How many rules are told at most of one tenant.
const MAX_LISTED: usize = 1_000;

impl State {
    fn is_taken(&self, rule: &DomainJoin) -> bool {
        let mut others = self.domain_joins.values();
        rule.mode == JoinMode::Automatic
            && others.any(|one| {
                one.domain == rule.domain
                    && one.mode == JoinMode::Automatic
                    && one.tenant != rule.tenant
            })
    }
}

#[async_trait]
impl DomainJoinStore for MemoryDirectory {
    async fn put_domain_join(
        &self,
        rule: &DomainJoin,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.tenant(rule.tenant)?;
            if state.is_taken(rule) {
                let taken = format!("the domain `{}` is taken", rule.domain);
                return Err(StoreError::new(StoreErrorKind::Conflict, taken));
            }
            let key = (rule.tenant, rule.domain.clone());
            state.domain_joins.insert(key, rule.clone());
            Ok(())
        })
    }

    async fn remove_domain_join(
        &self,
        tenant: TenantId,
        domain: &DomainName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.tenant(tenant)?;
            state.domain_joins.remove(&(tenant, domain.clone()));
            Ok(())
        })
    }

    async fn list_domain_joins(&self, tenant: TenantId) -> Result<Vec<DomainJoin>, StoreError> {
        let state = self.read();
        let own = state.domain_joins.values();
        let own = own.filter(|one| one.tenant == tenant);
        Ok(own.take(MAX_LISTED).cloned().collect())
    }

    async fn find_domain_joins(&self, domain: &str) -> Result<Vec<DomainJoin>, StoreError> {
        let state = self.read();
        let these = state.domain_joins.values();
        let these = these.filter(|one| one.domain.as_str() == domain);
        let mut found: Vec<_> = these.cloned().collect();
        found.sort_by_key(|one| (one.mode != JoinMode::Automatic, one.tenant));
        found.truncate(MAX_FOUND);
        Ok(found)
    }

    async fn join_by_domain(
        &self,
        rule: &DomainJoin,
        user: UserId,
        seats: Option<SeatLimit>,
        record: &ChangeRecord,
    ) -> Result<DomainJoined, StoreError> {
        let tenant = rule.tenant;
        let mut state = self.write();
        if !state.tenant(tenant)?.status.is_served() {
            return Ok(DomainJoined::NotServed);
        }
        let found = state.domain_joins.get(&(tenant, rule.domain.clone()));
        if found != Some(rule) {
            return Ok(DomainJoined::Gone);
        }
        if state.memberships.contains_key(&(tenant, user)) {
            return Ok(DomainJoined::AlreadyMember);
        }
        if let Some(Seated::Full { taken }) = seats.map(|seats| state.seat(tenant, user, seats)) {
            return Ok(DomainJoined::Full { taken });
        }
        let recorded = self.outbox.commit(record);
        recorded.map_err(StoreError::unavailable)?;
        let member = Membership::new(tenant, user, rule.role.clone());
        state.forget_roles(tenant, user);
        state.memberships.insert((tenant, user), member);
        state.touch(tenant)?;
        Ok(DomainJoined::Done)
    }
}
