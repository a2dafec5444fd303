//! The context of an operator's request: proof that it is an operator, and the authorities that follow.

use std::{fmt, net::IpAddr, sync::Arc};

use super::authenticate::current;
use crate::{
    Actor, AuditEntry, Authority, ChangeAction, Operator, OperatorRight, Principal, Refusal,
    RefusalKind, StoreError, StoreErrorKind, Tenancy, TenantId,
    change::Change,
    engine::{facts::ClientInfo, refusal_log::Refused},
};

/// An operator who has sent a request. Only the engine makes one, from a credential of the staff and the operator's
/// record; there is no way from it to a tenant's data but an [impersonation](Self::impersonate).
///
/// What the operator does takes an [`Authority`], which is for one of two things: to [read](Self::reader) across
/// tenants, or to [change](Self::authority) one of them. Each demands a reason. The operator's record is read again
/// when the authority is used.
///
/// ```compile_fail
/// // There is no public constructor.
/// let operator = tenancy_core::OperatorContext { engine: todo!(), operator: todo!(), principal: todo!(), client: todo!() };
/// ```
///
/// ```
/// # use tenancy_core::{OperatorContext, OperatorRight, StoreError, Tenancy, TenantId};
/// # async fn handler(tenancy: Tenancy, operator: OperatorContext, acme: TenantId) -> Result<(), StoreError> {
/// let authority = operator.authority(acme, OperatorRight::ChangeTenants, "ticket 4711: unpaid")?;
/// tenancy.admin(authority).suspend(acme).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OperatorContext {
    engine: Tenancy,
    operator: Arc<Operator>,
    actor: Actor,
    principal: Arc<Principal>,
    client: ClientInfo,
}

/// An operator who uses an authority, and how far that reaches.
#[derive(Clone)]
pub(in crate::engine) struct Staff {
    pub(in crate::engine) operator: OperatorContext,
    pub(in crate::engine) reach: Reach,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::engine) enum Reach {
    /// Listing, everywhere.
    Read,
    /// Changing one tenant, by one right.
    One(TenantId, OperatorRight),
    /// Changing what is no single tenant's, by one right.
    Service(OperatorRight),
}

impl OperatorContext {
    pub(super) fn new(
        engine: Tenancy,
        operator: Arc<Operator>,
        principal: Arc<Principal>,
        client: ClientInfo,
    ) -> Self {
        Self {
            engine,
            actor: Actor::Operator(operator.id),
            operator,
            principal,
            client,
        }
    }

    /// The operator's record as it was when the request came.
    #[must_use]
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// The engine that made this context.
    #[must_use]
    pub const fn tenancy(&self) -> &Tenancy {
        &self.engine
    }

    /// The address of the operator, as far as the trusted proxies tell it.
    #[must_use]
    pub const fn client_ip(&self) -> Option<IpAddr> {
        self.client.ip
    }

    /// Whether the operator has a right. Records nothing.
    #[must_use]
    pub fn may(&self, right: OperatorRight) -> bool {
        self.operator.may(right)
    }

    /// Requires a right for what the application itself does, and records a refusal.
    ///
    /// # Errors
    /// A [`Refusal`] with status 403 if no role of the operator has it.
    pub fn require(&self, right: OperatorRight) -> Result<(), Refusal> {
        if self.may(right) {
            return Ok(());
        }
        let refusal = Refusal::new(RefusalKind::PermissionDenied, "operator-lacks-right");
        let mut refused = Refused::of(refusal).target(right.to_string());
        refused.note_actor(self.actor.clone());
        let refusals = &self.engine.inner().refusals;
        Err(refusals.record("operator.check", refused, &self.client))
    }

    /// The authority to change one tenant, by one right. Of the changes of [`Admin`](crate::Admin) and
    /// [`KeyAdmin`](crate::KeyAdmin) it is good for those that need this right, and it lists what belongs to the tenant.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] if the operator has not the right, [`StoreErrorKind::Invalid`] if the reason is
    /// blank.
    pub fn authority(
        &self,
        tenant: TenantId,
        right: OperatorRight,
        reason: impl Into<String>,
    ) -> Result<Authority, StoreError> {
        self.with(Reach::One(tenant, right), Some(right), reason)
    }

    /// The authority for what is no single tenant's: who the operators are, versions of plans, and by
    /// [`OperatorRight::Revoke`] what is taken back everywhere, and from whichever tenant.
    ///
    /// # Errors
    /// As [`authority`](Self::authority).
    pub fn authority_over_service(
        &self,
        right: OperatorRight,
        reason: impl Into<String>,
    ) -> Result<Authority, StoreError> {
        self.with(Reach::Service(right), Some(right), reason)
    }

    /// The authority to list what is there, in one tenant or in all. It changes nothing. Each page that is listed is
    /// recorded before it is read, as `operator.list`; an export or a tail of the audit trail once, when it begins. If the [audit sink](crate::AuditSink) can't make that durable, as a
    /// log can't, nothing is listed.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] if the operator may read nothing, [`StoreErrorKind::Invalid`] if the reason is
    /// blank.
    pub fn reader(&self, reason: impl Into<String>) -> Result<Authority, StoreError> {
        let rights = [OperatorRight::ReadTenants, OperatorRight::ReadTrail];
        let may_read = rights.iter().any(|right| self.may(*right));
        let lacking = (!may_read).then_some(OperatorRight::ReadTenants);
        self.with(Reach::Read, lacking, reason)
    }

    fn with(
        &self,
        reach: Reach,
        right: Option<OperatorRight>,
        reason: impl Into<String>,
    ) -> Result<Authority, StoreError> {
        if let Some(right) = right.filter(|right| !self.may(*right)) {
            // A route that asks for it in vain is told as one that a guard refuses.
            let _ = self.require(right);
            return Err(lacks(right));
        }
        let staff = Staff {
            operator: self.clone(),
            reach,
        };
        let authority = Authority::of_staff(staff).because(reason);
        authority.require_reason()?;
        Ok(authority)
    }
}

impl Staff {
    pub(in crate::engine) const fn actor(&self) -> &Actor {
        &self.operator.actor
    }

    pub(in crate::engine) const fn tenant(&self) -> Option<TenantId> {
        match self.reach {
            Reach::One(tenant, _) => Some(tenant),
            Reach::Read | Reach::Service(_) => None,
        }
    }

    /// Fills in who acts.
    pub(in crate::engine) fn sign(&self, entry: &mut AuditEntry) {
        let OperatorContext {
            principal, client, ..
        } = &self.operator;
        entry.credential = Some(principal.issuer.to_string());
        client.sign(entry);
    }

    /// Whether the operator may make a change, as of now.
    pub(in crate::engine) async fn may_change(
        &self,
        engine: &Tenancy,
        change: &Change,
    ) -> Result<(), StoreError> {
        let right = match (self.reach, change.tenant) {
            (Reach::Read, _) => {
                return refused(
                    "this authority reads, and changes nothing; make one with \
                     `OperatorContext::authority`",
                );
            }
            (Reach::One(own, right), Some(tenant)) if own == tenant => right,
            (Reach::One(..), _) => {
                return refused(
                    "the authority is good for one tenant alone, and this concerns another \
                     or several",
                );
            }
            (Reach::Service(right), None) => right,
            // The tenant is only made by it.
            (Reach::Service(right @ OperatorRight::ChangeTenants), Some(_))
                if change.action == ChangeAction::TenantProvision =>
            {
                right
            }
            // Whoever finds a key in public does not know whose it is.
            (Reach::Service(OperatorRight::Revoke), Some(_)) => OperatorRight::Revoke,
            (Reach::Service(_), Some(_)) => {
                return refused(
                    "the authority is good for no tenant; make one with \
                     `OperatorContext::authority`",
                );
            }
        };
        match change.action.operator_right() {
            Some(needed) if needed == right => self.has(engine, right).await,
            Some(needed) => refused(format!(
                "`{}` needs the right `{needed}`, and the authority is for `{right}`",
                change.action
            )),
            None => refused(format!(
                "`{}` is for the tenant itself, and for no operator",
                change.action
            )),
        }
    }

    /// Whether the operator may list what takes this right, in a tenant or in all.
    pub(in crate::engine) async fn may_list(
        &self,
        engine: &Tenancy,
        right: OperatorRight,
        tenant: Option<TenantId>,
    ) -> Result<(), StoreError> {
        match self.reach {
            Reach::Read => {}
            Reach::One(own, _) if tenant == Some(own) => {}
            Reach::One(..) | Reach::Service(_) => {
                return refused("to list across tenants takes `OperatorContext::reader`");
            }
        }
        self.has(engine, right).await
    }

    /// Whether the operator has a right, by its record as it is now.
    async fn has(&self, engine: &Tenancy, right: OperatorRight) -> Result<(), StoreError> {
        let OperatorContext {
            engine: own,
            operator,
            principal,
            ..
        } = &self.operator;
        if !engine.is(own) {
            return refused(
                "the authority is of another engine; make it from a context that this one has \
                 made",
            );
        }
        if !principal.holds_at(engine.inner().now()) {
            return refused("the operator's credential has expired");
        }
        let found = current(engine, principal).await;
        match found.map_err(StoreError::unavailable)? {
            Some(found) if found.id == operator.id && found.may(right) => Ok(()),
            Some(found) if found.id == operator.id => Err(lacks(right)),
            _ => refused("the operator is let in no more"),
        }
    }
}

fn refused<T>(message: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::new(StoreErrorKind::Forbidden, message))
}

fn lacks(right: OperatorRight) -> StoreError {
    let message = format!("no role of the operator has the right `{right}`");
    StoreError::new(StoreErrorKind::Forbidden, message)
}

impl fmt::Debug for OperatorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorContext")
            .field("operator", &self.operator.id)
            .field("roles", &self.operator.roles)
            .finish_non_exhaustive()
    }
}
