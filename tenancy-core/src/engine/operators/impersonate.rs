//! Impersonations: begun, approved and ended by operators.

use serde_json::json;

use super::OperatorContext;
use crate::{
    ChangeAction, ChangeRecord, Impersonation, ImpersonationDigest, ImpersonationId,
    ImpersonationToken, MembershipStatus, NewImpersonation, OperatorRight, StartTerms, StoreError,
    StoreErrorKind, TenantId, TenantKey, Timestamp,
    change::Change,
    engine::author::{Author, Stale},
    impersonation::CheckedPolicy,
};

/// An impersonation that has begun, and the token for it: see [`OperatorContext::impersonate`].
///
/// ```
/// # use tenancy_core::{ImpersonationState, StartedImpersonation, Timestamp};
/// fn waits(started: &StartedImpersonation, now: Timestamp) -> bool {
///     started.impersonation.state(now) == ImpersonationState::Waiting
/// }
/// # let _ = waits;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct StartedImpersonation {
    /// The record, which is stored and in the audit trail by now.
    pub impersonation: Impersonation,
    /// What requests present. It is not stored, and nobody can ask for it again.
    pub token: ImpersonationToken,
}

impl OperatorContext {
    /// Begins to act as a user of one tenant, for a reason and for a while.
    ///
    /// The record, its entry in the audit trail and the event `impersonation.started` are durable before the token is
    /// made known. A request with the token is one of that user in that tenant, with the user's rights but for those
    /// that the [policy](crate::ImpersonationPolicy) leaves out. All that it does is recorded with the operator as the
    /// actor, on behalf of the user. It ends by its time, by [`end`](Self::end), with the operator's right, and it
    /// counts no more when the user's membership or the tenant's service ends.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] if the operator may not impersonate, the user is no active member, is an
    /// operator, or the tenant has not agreed where that is required; [`StoreErrorKind::Conflict`] if the operator
    /// acts as this user already, or as too many; [`StoreErrorKind::Invalid`] if the reason is blank or the time too
    /// long; [`StoreErrorKind::NotFound`] if there is no such tenant; [`StoreErrorKind::ReadOnly`] if the engine has no
    /// [policy](crate::Operators::impersonation).
    ///
    /// # Security
    /// Hand the token to this operator alone. Where it [waits](crate::ImpersonationState::Waiting), it counts once
    /// another operator has [approved](Self::approve) it.
    ///
    /// ```
    /// # use tenancy_core::{NewImpersonation, OperatorContext, StoreError, TenantId, UserId};
    /// # async fn handler(operator: OperatorContext, acme: TenantId, ann: UserId) -> Result<String, StoreError> {
    /// let asked = NewImpersonation::new(acme, ann, "ann can't see her invoice").ticket("4711");
    /// let started = operator.impersonate(asked).await?;
    /// # Ok(started.token.expose().to_owned())
    /// # }
    /// ```
    pub async fn impersonate(
        &self,
        asked: NewImpersonation,
    ) -> Result<StartedImpersonation, StoreError> {
        let inner = self.tenancy().inner();
        let operators = inner.operators.as_ref().ok_or_else(no_operators)?;
        let policy = operators.policy()?;
        let ttl = asked.checked_ttl(policy.ttl, policy.longest)?;
        let author = self.author(asked.tenant, OperatorRight::Impersonate, &asked.reason)?;
        let now = inner.now();
        let consent = operators.impersonations().find_support_access(asked.tenant);
        let consent = consent.await.map_err(StoreError::unavailable)?;
        let consent = consent.filter(|until| *until > now);
        let impersonation = self.begun(policy, &asked, (now, now + ttl), consent);
        let break_glass = breaks_glass(policy, consent);
        let allowed = self.may_become(policy, &asked, consent).await;

        let token = ImpersonationToken::mint()?;
        let digest = ImpersonationDigest::of(token.expose(), &policy.pepper);
        let change = Change::new(ChangeAction::ImpersonationStart, asked.tenant)
            .to("impersonation", impersonation.id)
            .to("user", asked.user)
            .with(json!({
                "operator": impersonation.operator,
                "until": impersonation.until.to_string(),
                "ticket": impersonation.ticket,
                "needs_approval": impersonation.needs_approval,
                "by_consent": consent.is_some(),
                "break_glass": break_glass,
            }));
        author
            .make(change, Stale::Nothing, async |record: ChangeRecord| {
                allowed?;
                let store = operators.impersonations();
                // Each was looked at a moment ago, and may be gone: what counts is what the store finds.
                let terms = match consent {
                    Some(_) if policy.consent => StartTerms::new(policy.most).on_consent(),
                    _ => StartTerms::new(policy.most),
                };
                store
                    .start_impersonation(&impersonation, &digest, terms, &record)
                    .await
            })
            .await?;
        Ok(StartedImpersonation {
            impersonation,
            token,
        })
    }

    /// Approves an impersonation that another operator has asked for. It counts from now on.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] if the operator may not approve, or has asked for it itself;
    /// [`StoreErrorKind::Conflict`] if it does not wait; [`StoreErrorKind::NotFound`] if the tenant has none of this id.
    pub async fn approve(
        &self,
        tenant: TenantId,
        id: ImpersonationId,
        reason: impl Into<String>,
    ) -> Result<Impersonation, StoreError> {
        let inner = self.tenancy().inner();
        let operators = inner.operators.as_ref().ok_or_else(no_operators)?;
        let reason = reason.into();
        let author = self.author(tenant, OperatorRight::ApproveImpersonations, &reason)?;
        let change = Change::new(ChangeAction::ImpersonationApprove, tenant)
            .to("impersonation", id)
            .with(json!({ "approved_by": self.operator().id }));
        let (by, now) = (self.operator().id, inner.now());
        author
            .make(change, Stale::Nothing, async |record: ChangeRecord| {
                let store = operators.impersonations();
                store
                    .approve_impersonation((tenant, id), by, now, &record)
                    .await
            })
            .await
    }

    /// Ends an impersonation, whoever began it. Requests with its token are refused from now on in every process, and
    /// streams end within [`max_staleness`](crate::Tenancy::max_staleness). One that has ended stays as it is.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] if the operator may not end it, and [`StoreErrorKind::NotFound`] if the tenant has
    /// none of this id.
    pub async fn end(
        &self,
        tenant: TenantId,
        id: ImpersonationId,
        reason: impl Into<String>,
    ) -> Result<(), StoreError> {
        let authority = self.authority(tenant, OperatorRight::EndImpersonations, reason)?;
        let admin = self.tenancy().admin(authority);
        admin.end_impersonation(tenant, id).await
    }

    fn author(
        &self,
        tenant: TenantId,
        right: OperatorRight,
        reason: &str,
    ) -> Result<Author, StoreError> {
        Ok(Author {
            engine: self.tenancy().clone(),
            authority: self.authority(tenant, right, reason)?,
        })
    }

    /// The record as it begins.
    fn begun(
        &self,
        policy: &CheckedPolicy,
        asked: &NewImpersonation,
        (now, until): (Timestamp, Timestamp),
        consent: Option<Timestamp>,
    ) -> Impersonation {
        let until = match consent {
            Some(consented) if policy.consent => until.min(consented),
            _ => until,
        };
        let whose = (asked.tenant, asked.user);
        let reason = asked.reason.clone();
        let mut begun = Impersonation::new(self.operator().id, whose, reason, (now, until));
        begun.ticket.clone_from(&asked.ticket);
        begun.needs_approval = policy.two_operators || breaks_glass(policy, consent);
        begun
    }

    /// Whether the operator may become this user at all.
    async fn may_become(
        &self,
        policy: &CheckedPolicy,
        asked: &NewImpersonation,
        consent: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let inner = self.tenancy().inner();
        let refused = |message| Err(StoreError::new(StoreErrorKind::Forbidden, message));
        let key = TenantKey::Id(asked.tenant);
        match inner
            .directory
            .find_tenant(&key)
            .await
            .map_err(StoreError::unavailable)?
        {
            Some(tenant) if tenant.status.is_served() => {}
            Some(_) => return refused("the tenant is not served"),
            None => {
                let message = format!("there is no tenant `{}`", asked.tenant);
                return Err(StoreError::new(StoreErrorKind::NotFound, message));
            }
        }
        if policy.consent && consent.is_none() && !policy.break_glass {
            return Err(StoreError::no_consent());
        }
        let member = inner.directory.find_membership(asked.tenant, asked.user);
        let member = member.await.map_err(StoreError::unavailable)?;
        if member.is_none_or(|member| member.status != MembershipStatus::Active) {
            return Err(StoreError::nobody_to_become());
        }
        let operators = inner.operators.as_ref().ok_or_else(no_operators)?;
        let is_operator = operators.store().is_operator(asked.user);
        if is_operator.await.map_err(StoreError::unavailable)? {
            return refused("the user is an operator, and nobody acts as one");
        }
        Ok(())
    }
}

/// Whether it takes the place of the tenant's consent.
const fn breaks_glass(policy: &CheckedPolicy, consent: Option<Timestamp>) -> bool {
    policy.consent && policy.break_glass && consent.is_none()
}

/// What a call fails with that needs operators.
pub(in crate::engine) fn no_operators() -> StoreError {
    StoreError::new(
        StoreErrorKind::ReadOnly,
        "this engine has no operators; give it some with `TenancyBuilder::operators`",
    )
}
