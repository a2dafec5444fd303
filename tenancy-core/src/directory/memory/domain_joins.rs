//! Rules by which people join by their address's domain, in memory.

use async_trait::async_trait;

use super::MemoryDirectory;
use crate::{
    ChangeRecord, DomainName, Membership, StoreError, TenantId, UserId,
    domain_join::{DomainJoin, DomainJoinStore, DomainJoined, JoinMode},
    invitation::{SeatLimit, Seated},
};

/// How many rules are told at most of one domain.
const MAX_FOUND: usize = 100;

/// How many rules are told at most of one tenant.
const MAX_LISTED: usize = 1_000;

/// A rule, and the number of the change by which it became what it is in its mode.
#[derive(Debug)]
pub(super) struct Kept {
    rule: DomainJoin,
    since: u64,
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
            let key = (rule.tenant, rule.domain.clone());
            let before = state.domain_joins.get(&key);
            let before = before.filter(|before| before.rule.mode == rule.mode);
            let since = before.map(|before| before.since).unwrap_or_else(|| {
                let all = state.domain_joins.values().map(|one| one.since);
                all.max().map_or(0, |last| last + 1)
            });
            let rule = rule.clone();
            state.domain_joins.insert(key, Kept { rule, since });
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
        let own = state.domain_joins.values().map(|one| &one.rule);
        let own = own.filter(|one| one.tenant == tenant);
        Ok(own.take(MAX_LISTED).cloned().collect())
    }

    async fn find_domain_joins(&self, domain: &str) -> Result<Vec<DomainJoin>, StoreError> {
        let state = self.read();
        let these = state.domain_joins.values();
        let these = these.filter(|one| one.rule.domain.as_str() == domain);
        let mut found: Vec<_> = these.collect();
        found.sort_by_key(|one| match one.rule.mode {
            JoinMode::Automatic => (false, one.since, one.rule.tenant),
            JoinMode::Suggested => (true, 0, one.rule.tenant),
        });
        let first = found.into_iter().take(MAX_FOUND);
        Ok(first.map(|one| one.rule.clone()).collect())
    }

    async fn find_domain_join(
        &self,
        tenant: TenantId,
        domain: &str,
    ) -> Result<Option<DomainJoin>, StoreError> {
        let state = self.read();
        let mut own = state.domain_joins.values().map(|one| &one.rule);
        let found = own.find(|one| one.tenant == tenant && one.domain.as_str() == domain);
        Ok(found.cloned())
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
        if found.map(|found| &found.rule) != Some(rule) {
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
