//! Operators, impersonations and tenants' consent in memory.

use async_trait::async_trait;

use super::{MemoryDirectory, State, list::page, unknown_tenant};
use crate::{
    ChangeRecord, DirectoryError, Impersonation, ImpersonationDigest, ImpersonationId,
    ImpersonationLookup, ImpersonationState, ImpersonationStore, MembershipStatus, Operator,
    OperatorId, OperatorRight, OperatorStore, StartTerms, StoreError, StoreErrorKind, TenantId,
    Timestamp, UserId, invitation::Inviter,
};

#[async_trait]
impl OperatorStore for MemoryDirectory {
    async fn find_operator(
        &self,
        issuer: &str,
        subject: UserId,
    ) -> Result<Option<Operator>, DirectoryError> {
        let state = self.read();
        let mut all = state.operators.values();
        let found = all.find(|one| one.issuer == issuer && one.subject == subject);
        Ok(found.cloned())
    }

    async fn is_operator(&self, user: UserId) -> Result<bool, DirectoryError> {
        let state = self.read();
        let mut all = state.operators.values();
        Ok(all.any(|one| one.subject == user || one.user == Some(user)))
    }

    async fn put_operator(
        &self,
        operator: &Operator,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        operator.check()?;
        self.change(record, |state| {
            let is_taken = |one: &Operator| {
                one.id != operator.id
                    && one.issuer == operator.issuer
                    && one.subject == operator.subject
            };
            if state.operators.values().any(is_taken) {
                let message = "the subject is another operator's at this issuer";
                return Err(StoreError::new(StoreErrorKind::Conflict, message));
            }
            state.operators.insert(operator.id, operator.clone());
            if !operator.may(OperatorRight::ChangeAccess) {
                state.revoke_invitations_by(&Inviter::Operator(operator.id));
            }
            if !operator.may(OperatorRight::Impersonate) {
                state.end_impersonations(record.entry.at, |one| one.operator == operator.id)?;
            }
            Ok(())
        })
    }

    async fn list_operators(
        &self,
        after: Option<OperatorId>,
        limit: u32,
    ) -> Result<Vec<Operator>, StoreError> {
        let state = self.read();
        Ok(page(state.operators.values(), |one| one.id, after, limit))
    }
}

impl State {
    /// Ends those of the impersonations that have not ended.
    pub(super) fn end_impersonations(
        &mut self,
        at: Timestamp,
        which: impl Fn(&Impersonation) -> bool,
    ) -> Result<(), StoreError> {
        let mut touched = Vec::new();
        for (one, _) in self.impersonations.values_mut() {
            if one.ended_at.is_none() && at < one.until && which(one) {
                one.ended_at = Some(at);
                touched.push(one.tenant);
            }
        }
        touched
            .into_iter()
            .try_for_each(|tenant| self.touch(tenant))
    }

    fn has_right(&self, operator: OperatorId, right: OperatorRight) -> Result<(), StoreError> {
        let Some(found) = self.operators.get(&operator) else {
            return Err(StoreError::no_operator(operator));
        };
        if found.may(right) {
            Ok(())
        } else {
            Err(StoreError::operator_lacks(right))
        }
    }

    fn impersonation(
        &mut self,
        tenant: TenantId,
        id: ImpersonationId,
    ) -> Result<&mut Impersonation, StoreError> {
        let found = self.impersonations.get_mut(&id);
        let found = found.filter(|(one, _)| one.tenant == tenant);
        found.map(|(one, _)| one).ok_or_else(|| {
            let message = format!("the tenant has no impersonation `{id}`");
            StoreError::new(StoreErrorKind::NotFound, message)
        })
    }
}

#[async_trait]
impl ImpersonationStore for MemoryDirectory {
    async fn start_impersonation(
        &self,
        impersonation: &Impersonation,
        digest: &ImpersonationDigest,
        terms: StartTerms,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.tenant(impersonation.tenant)?;
            state.has_right(impersonation.operator, OperatorRight::Impersonate)?;
            let whose = (impersonation.tenant, impersonation.user);
            let member = state.memberships.get(&whose);
            if member.is_none_or(|member| member.status != MembershipStatus::Active) {
                return Err(StoreError::nobody_to_become());
            }
            let agreed = state.support_access.get(&impersonation.tenant);
            if terms.needs_consent && agreed.is_none_or(|until| *until < impersonation.until) {
                return Err(StoreError::no_consent());
            }
            let now = impersonation.started_at;
            let going_on = |one: &&Impersonation| {
                one.operator == impersonation.operator
                    && one.state(now) != ImpersonationState::Ended
            };
            let all = state.impersonations.values().map(|(one, _)| one);
            let going_on: Vec<_> = all.filter(going_on).collect();
            if going_on.iter().any(|one| (one.tenant, one.user) == whose) {
                let message = "the operator acts as this user already; end that first";
                return Err(StoreError::new(StoreErrorKind::Conflict, message));
            }
            if going_on.len() >= usize::try_from(terms.at_once).unwrap_or(usize::MAX) {
                let message = "the operator acts as as many users as it may; end one first";
                return Err(StoreError::new(StoreErrorKind::Conflict, message));
            }
            let stored = (impersonation.clone(), *digest);
            state.impersonations.insert(impersonation.id, stored);
            Ok(())
        })
    }

    async fn approve_impersonation(
        &self,
        (tenant, id): (TenantId, ImpersonationId),
        by: OperatorId,
        now: Timestamp,
        record: &ChangeRecord,
    ) -> Result<Impersonation, StoreError> {
        self.change(record, |state| {
            state.has_right(by, OperatorRight::ApproveImpersonations)?;
            let asked = state.impersonation(tenant, id)?.operator;
            let [approver, asker] = [by, asked].map(|id| state.operators.get(&id));
            let same = approver
                .zip(asker)
                .is_some_and(|(a, b)| a.is_same_person(b));
            if asked == by || same {
                return Err(StoreError::own_approval());
            }
            let found = state.impersonation(tenant, id)?;
            if found.state(now) != ImpersonationState::Waiting {
                let message = "the impersonation does not wait for anybody";
                return Err(StoreError::new(StoreErrorKind::Conflict, message));
            }
            found.approved_by = Some(by);
            Ok(found.clone())
        })
    }

    async fn end_impersonation(
        &self,
        tenant: TenantId,
        id: ImpersonationId,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.impersonation(tenant, id)?;
            state.end_impersonations(at, |one| one.id == id)
        })
    }

    async fn find_impersonation(
        &self,
        by: &ImpersonationLookup,
    ) -> Result<Option<Impersonation>, DirectoryError> {
        let state = self.read();
        let found = match by {
            ImpersonationLookup::Id(id) => state.impersonations.get(id),
            ImpersonationLookup::Token(digest) => {
                let mut all = state.impersonations.values();
                all.find(|(_, stored)| stored == digest)
            }
        };
        Ok(found.map(|(one, _)| one.clone()))
    }

    async fn list_impersonations(
        &self,
        tenant: Option<TenantId>,
        after: Option<ImpersonationId>,
        limit: u32,
    ) -> Result<Vec<Impersonation>, StoreError> {
        let state = self.read();
        let all = state.impersonations.values().map(|(one, _)| one);
        let these = all.filter(|one| tenant.is_none_or(|tenant| one.tenant == tenant));
        Ok(page(these, |one| one.id, after, limit))
    }

    async fn grant_support_access(
        &self,
        tenant: TenantId,
        until: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.tenant(tenant)?;
            state.support_access.insert(tenant, until);
            Ok(())
        })
    }

    async fn revoke_support_access(
        &self,
        tenant: TenantId,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            if !state.tenants.contains_key(&tenant) {
                return Err(unknown_tenant(tenant));
            }
            state.support_access.remove(&tenant);
            state.end_impersonations(at, |one| one.tenant == tenant)
        })
    }

    async fn find_support_access(
        &self,
        tenant: TenantId,
    ) -> Result<Option<Timestamp>, DirectoryError> {
        Ok(self.read().support_access.get(&tenant).copied())
    }
}
