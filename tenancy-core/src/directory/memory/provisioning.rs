//! Tenants that are made with all that they begin with, in memory.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use async_trait::async_trait;

use super::{MemoryDirectory, State};
use crate::{
    ChangeRecord, Idempotency, NewTenant, ProvisionedBefore, ProvisioningStore, StoreError,
    StoreErrorKind, TenantKey, Timestamp,
};

/// For how long a request is remembered.
const REMEMBERED: Duration = Duration::from_secs(Idempotency::HOURS as u64 * 3_600);

/// How many that are forgotten go with each that comes.
const CLEANED: usize = 16;

/// What was made with which key, until when it is remembered.
#[derive(Debug, Default)]
pub(super) struct Provisioned {
    by_key: HashMap<[u8; 32], (ProvisionedBefore, Timestamp)>,
    /// In the order in which they are forgotten.
    ends: VecDeque<[u8; 32]>,
}

impl Provisioned {
    fn find(&self, key: &[u8; 32], now: Timestamp) -> Option<&ProvisionedBefore> {
        let (before, until) = self.by_key.get(key)?;
        (now < *until).then_some(before)
    }

    fn remember(&mut self, key: [u8; 32], made: ProvisionedBefore, now: Timestamp) {
        for _ in 0..CLEANED {
            let Some(oldest) = self.ends.front() else {
                break;
            };
            if self.find(oldest, now).is_some() {
                break;
            }
            self.by_key.remove(oldest);
            self.ends.pop_front();
        }
        self.by_key.insert(key, (made, now + REMEMBERED));
        self.ends.push_back(key);
    }
}

impl State {
    /// Whether everything of a unit is free.
    fn is_free(&self, unit: &NewTenant, now: Timestamp) -> Result<(), StoreError> {
        let taken = |what: String| Err(StoreError::new(StoreErrorKind::Conflict, what));
        let key = unit.idempotency.as_ref().map(|of| &of.key);
        if key.is_some_and(|key| self.provisioned.find(key, now).is_some()) {
            return taken("a tenant was made with this idempotency key".into());
        }
        let (id, slug) = (unit.tenant.id, &unit.tenant.slug);
        if self.tenants.contains_key(&id) || self.names.contains_key(&TenantKey::Slug(slug.clone()))
        {
            return taken(format!("the id `{id}` or the slug `{slug}` is taken"));
        }
        for name in &unit.names {
            if self.names.contains_key(name) {
                return taken(format!("`{name}` is taken"));
            }
        }
        let handle = unit.key.as_ref().and_then(|key| key.verifier.handle());
        let is_taken = |key: &crate::key::ApiKey| {
            let handle = handle.map(|handle| (key.environment, handle.clone()));
            self.keys.contains_key(&key.id)
                || handle.is_some_and(|handle| self.handles.contains_key(&handle))
        };
        if unit.key.as_ref().is_some_and(is_taken) {
            return taken("the id or the handle of the key is taken".into());
        }
        match &unit.account {
            Some(account) => self.is_free_account(account),
            None => Ok(()),
        }
    }

    fn make(&mut self, unit: &NewTenant, now: Timestamp) -> Result<(), StoreError> {
        self.is_free(unit, now)?;
        let tenant = &unit.tenant;
        self.take_slug(tenant.id, &tenant.slug, now)?;
        self.names
            .insert(TenantKey::Slug(tenant.slug.clone()), tenant.id);
        self.tenants.insert(tenant.id, tenant.clone());
        let names = unit.names.iter().map(|name| (name.clone(), tenant.id));
        self.names.extend(names);
        let owner = &unit.owner;
        self.memberships
            .insert((tenant.id, owner.user), owner.clone());
        if let Some(project) = &unit.project {
            self.projects
                .insert((tenant.id, project.id), project.clone());
        }
        if let Some(member) = &unit.project_membership {
            let of = (tenant.id, member.project, member.user);
            self.project_roles.insert(of, member.role.clone());
        }
        if let Some(key) = &unit.key {
            self.insert_key(key)?;
        }
        if let Some(account) = &unit.account {
            self.accounts.insert(account.user, account.clone());
        }
        if let (Some(of), Some(made)) = (&unit.idempotency, unit.as_before()) {
            self.provisioned.remember(of.key, made, now);
        }
        self.note_change(tenant.id);
        Ok(())
    }
}

#[async_trait]
impl ProvisioningStore for MemoryDirectory {
    async fn provision(&self, unit: &NewTenant, record: &ChangeRecord) -> Result<(), StoreError> {
        self.change(record, |state| state.make(unit, self.outbox.now()))
    }

    async fn find_provisioned(
        &self,
        key: &[u8; 32],
    ) -> Result<Option<ProvisionedBefore>, StoreError> {
        let state = self.read();
        Ok(state.provisioned.find(key, self.outbox.now()).cloned())
    }
}
