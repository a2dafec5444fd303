//! Authorities: who makes a change, proven.

use std::{fmt, net::IpAddr};

use super::operators::Staff;
use crate::{
    Actor, AuditEntry, JobName, PermissionSet, Principal, Refusal, StoreError, StoreErrorKind,
    TenantContext, TenantId, UserId, cut::cut, invitation::Inviter,
};

/// Who makes a change, and what for: each one is made by an authority, and its entry in the audit trail says
/// which.
///
/// There are six ways to come by one:
/// * a caller's context that holds a permission: [`TenantContext::authority`]. It is good for the
///   caller's own tenant, and only for as long as the caller would still be admitted with that permission;
/// * an operator's request, for one tenant and one right, or to read across tenants:
///   [`OperatorContext::authority`](crate::OperatorContext::authority) and
///   [`OperatorContext::reader`](crate::OperatorContext::reader);
/// * a user's context, for the user's own place in the tenant alone: [`TenantContext::own_authority`];
/// * somebody whom the application takes for an operator, for any tenant, with a reason: [`danger::operator`](crate::danger::operator);
/// * the service itself, for any tenant, with a reason: [`danger::service`](crate::danger::service);
/// * a named job of the service, for any tenant, and for the reason of its run:
///   [`JobRun::authority`](crate::JobRun::authority).
///
/// ```compile_fail
/// // There is no public constructor.
/// let authority = tenancy_core::Authority { who: todo!(), reason: None };
/// ```
///
/// ```
/// # use tenancy_core::{Refusal, StoreError, Tenancy, TenantContext, UserId};
/// # async fn handler(tenancy: Tenancy, context: TenantContext, left: UserId) -> Result<(), Box<dyn std::error::Error>> {
/// let authority = context.authority("members:manage")?.because("left the company");
/// tenancy.admin(authority).remove_membership(context.tenant_id(), left).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Authority {
    pub(super) who: Who,
    reason: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
}

#[derive(Clone)]
pub(super) enum Who {
    /// A caller, who holds this permission.
    Caller(TenantContext, String),
    /// A caller who impersonates, and wants no more than to end that.
    Leaving(TenantContext),
    /// An operator whom the engine has admitted.
    Staff(Box<Staff>),
    /// A user, for nothing but the user's own place in the tenant.
    Own(TenantContext),
    /// Somebody whom the application takes for one of its operators.
    Operator(Operator),
    Service,
    /// A named job of the service: its actor.
    Job(Actor),
    /// Somebody who becomes a member, by this credential.
    Joining(Actor, &'static str),
}

#[derive(Clone)]
pub(crate) struct Operator {
    actor: Actor,
    on_behalf_of: Option<UserId>,
    credential: String,
    ip: Option<IpAddr>,
}

impl TenantContext {
    /// The authority to make changes in this tenant, if the caller holds a permission.
    ///
    /// # Errors
    /// As [`require`](Self::require), and as it is recorded.
    ///
    /// # Security
    /// Which permission a change takes is the application's to say. When the change is made, the engine decides about the
    /// caller again: a membership that has ended, a permission that was taken away, and a credential that
    /// has expired or was revoked since, are refused.
    pub fn authority(&self, permission: &str) -> Result<Authority, Refusal> {
        self.require(permission)?;
        Ok(Authority::new(Who::Caller(
            self.clone(),
            permission.to_owned(),
        )))
    }

    /// The authority of a user over the user's own place in this tenant, which takes no permission: to
    /// [leave](crate::Admin::leave), to offer the ownership and to accept or decline it, and to see what hangs on the
    /// own membership. It is good for nothing else.
    ///
    /// # Errors
    /// A [`Refusal`] with status 403, which is recorded, unless the caller is a user whose credential may be used for
    /// all that the user may do, in the whole tenant.
    ///
    /// # Security
    /// An API key, a token with narrower scopes and one that is confined to a project are given to others, to whom
    /// nobody gives with it the place in the tenant. An operator who acts as the user has none either. When a change is made, the engine decides about the user again.
    ///
    /// ```
    /// # use tenancy_core::{Tenancy, TenantContext};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
    /// tenancy.admin(context.own_authority()?).leave().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn own_authority(&self) -> Result<Authority, Refusal> {
        let principal = self.principal();
        let is_whole = principal.scope == PermissionSet::ALL && principal.project.is_none();
        if self.user_id().is_none() || !is_whole || self.impersonation().is_some() {
            return Err(self.denied("membership:own"));
        }
        Ok(Authority::new(Who::Own(self.clone())))
    }
}

impl Authority {
    const fn new(who: Who) -> Self {
        Self {
            who,
            reason: None,
            user_agent: None,
            request_id: None,
        }
    }

    pub(super) fn of_staff(staff: Staff) -> Self {
        Self::new(Who::Staff(Box::new(staff)))
    }

    pub(super) fn of_leaving(context: TenantContext) -> Self {
        Self::new(Who::Leaving(context))
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn of_service(reason: &str) -> Self {
        Self::new(Who::Service).because(reason)
    }

    pub(super) fn of_job(name: JobName, reason: &str) -> Self {
        Self::new(Who::Job(Actor::Job(name))).because(reason)
    }

    /// A user who is no member yet, and becomes one by what was verified.
    pub(super) fn of_joining(user: UserId, by: &'static str, reason: &str) -> Self {
        Self::new(Who::Joining(Actor::User(user), by)).because(reason)
    }

    /// Who has to be able to give, when it is accepted, what is offered now.
    pub(super) fn inviter(&self) -> Inviter {
        match &self.who {
            Who::Caller(context, permission) => {
                let principal = context.principal();
                let permission = permission.clone();
                match (&principal.actor, principal.on_behalf_of) {
                    (Actor::User(user), _) => Inviter::Member {
                        user: *user,
                        permission,
                    },
                    (Actor::Key(key), Some(user)) => Inviter::Key {
                        key: *key,
                        user,
                        permission,
                    },
                    (Actor::Service(account), _) => Inviter::Account(*account),
                    _ => Inviter::Service,
                }
            }
            Who::Staff(staff) => Inviter::Operator(staff.operator.operator().id),
            // None of them is a member who could lose the right; and whoever may not invite is refused before.
            Who::Operator(_)
            | Who::Service
            | Who::Job(_)
            | Who::Joining(..)
            | Who::Own(_)
            | Who::Leaving(_) => Inviter::Service,
        }
    }

    /// The same, with a reason for the audit trail.
    ///
    /// ```
    /// # use tenancy_core::danger;
    /// # fn example(context: &tenancy_core::TenantContext) -> Result<(), tenancy_core::Refusal> {
    /// let authority = context.authority("members:manage")?.because("left the company");
    /// assert_eq!(authority.reason(), Some("left the company"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(cut(reason.into(), 4_096));
        self
    }

    /// The same, with the id that the service gave the request, for the audit trail.
    ///
    /// Not needed for a caller's where the engine reads the id of each request: see
    /// [`TenancyBuilder::request_id_header`](crate::TenancyBuilder::request_id_header).
    ///
    /// ```
    /// let authority = tenancy_core::danger::service("nightly clean-up")?
    ///     .request_id("5f1d7c1e-cleanup-2027-01-15");
    /// # drop(authority);
    /// # Ok::<(), tenancy_core::StoreError>(())
    /// ```
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(cut(id.into(), 128));
        self
    }

    /// The same, with the caller's user agent, for the audit trail.
    ///
    /// ```
    /// # fn example(context: &tenancy_core::TenantContext, user_agent: &str) -> Result<(), tenancy_core::Refusal> {
    /// // Of the header field `User-Agent`.
    /// let authority = context.authority("members:manage")?.user_agent(user_agent);
    /// # drop(authority);
    /// # Ok(())
    /// # }
    /// ```
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = Some(cut(agent.into(), 256));
        self
    }

    /// The tenant outside of which it is good for nothing; `None` if it is good for any.
    #[must_use]
    pub fn tenant(&self) -> Option<TenantId> {
        match &self.who {
            Who::Caller(context, _) | Who::Own(context) | Who::Leaving(context) => {
                Some(context.tenant_id())
            }
            Who::Staff(staff) => staff.tenant(),
            Who::Operator(_) | Who::Service | Who::Job(_) | Who::Joining(..) => None,
        }
    }

    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        match &self.who {
            Who::Caller(context, _) | Who::Own(context) | Who::Leaving(context) => {
                &context.principal().actor
            }
            Who::Staff(staff) => staff.actor(),
            Who::Operator(operator) => &operator.actor,
            Who::Service => &Actor::System,
            Who::Job(actor) | Who::Joining(actor, _) => actor,
        }
    }

    /// Whether it is an operator's, known to the engine or not.
    pub(super) const fn is_operators(&self) -> bool {
        matches!(self.who, Who::Staff(_) | Who::Operator(_))
    }

    /// The tenant and the user, if it is a user's over the user's own place in the tenant.
    pub(crate) fn oneself(&self) -> Option<(TenantId, UserId)> {
        match &self.who {
            Who::Own(context) => Some((context.tenant_id(), context.user_id()?)),
            _ => None,
        }
    }

    /// The reason, if one was given.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Refuses an authority without a reason for the audit trail.
    pub(crate) fn require_reason(&self) -> Result<(), StoreError> {
        if self.reason().is_none_or(|reason| reason.trim().is_empty()) {
            let message = "this needs a reason for the audit trail; give one that is not blank, where the \
                           authority is made or with `Authority::because`";
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        Ok(())
    }

    /// Fills in who acts.
    pub(crate) fn sign(&self, entry: &mut AuditEntry) {
        entry.actor = Some(self.actor().clone());
        entry.reason = self.reason.clone().map(Into::into);
        entry.user_agent.clone_from(&self.user_agent);
        entry.request_id.clone_from(&self.request_id);
        match &self.who {
            Who::Caller(context, _) | Who::Own(context) | Who::Leaving(context) => {
                let principal = context.principal();
                entry.on_behalf_of = principal.on_behalf_of;
                entry.credential = Some(principal.issuer.to_string());
                context.client().sign(entry);
            }
            Who::Staff(staff) => staff.sign(entry),
            Who::Operator(operator) => {
                entry.on_behalf_of = operator.on_behalf_of;
                entry.credential = Some(operator.credential.clone());
                entry.ip = operator.ip;
            }
            Who::Job(Actor::Job(name)) => entry.credential = Some(name.issuer()),
            Who::Joining(_, by) => entry.credential = Some((*by).to_owned()),
            Who::Service | Who::Job(_) => {}
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("actor", self.actor())
            .field("tenant", &self.tenant())
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// Authorities that reach every tenant. Each demands a reason, which the audit trail has.
///
/// # Security
/// Nothing here asks who is calling: guard what leads here. Where the engine knows its
/// [operators](crate::Operators), [`OperatorContext`](crate::OperatorContext) asks, and reaches less.
pub mod danger {
    use super::{Authority, IpAddr, Operator, Principal, StoreError, Who};

    /// The service itself: for a scheduled job, a sign-up, a start-up task, a migration.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`](crate::StoreErrorKind::Invalid) if the reason is blank.
    ///
    /// ```
    /// let authority = tenancy_core::danger::service("nightly clean-up of trials")?;
    /// assert_eq!(authority.tenant(), None);
    /// # Ok::<(), tenancy_core::StoreError>(())
    /// ```
    pub fn service(reason: impl Into<String>) -> Result<Authority, StoreError> {
        given(Authority::new(Who::Service), reason.into())
    }

    /// One of the application's operators, known by a verified principal.
    ///
    /// ```
    /// use tenancy_core::{Actor, AllowedTenants, Principal, UserId, danger};
    ///
    /// // Your middleware has verified that this is one of your operators.
    /// let me = Principal::new(Actor::User(UserId::new()), AllowedTenants::Memberships, "staff-sso");
    /// let authority = danger::operator(&me, None, "ticket 4711: the customer has left")?;
    /// assert_eq!(authority.actor(), &me.actor);
    /// assert!(danger::operator(&me, None, " ").is_err(), "an operator gives a reason");
    /// # Ok::<(), tenancy_core::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`](crate::StoreErrorKind::Invalid) if the reason is blank.
    ///
    /// # Security
    /// The application has made sure that the principal is an operator's. A tenant's role is no such proof.
    pub fn operator(
        principal: &Principal,
        ip: Option<IpAddr>,
        reason: impl Into<String>,
    ) -> Result<Authority, StoreError> {
        let operator = Operator {
            actor: principal.actor.clone(),
            on_behalf_of: principal.on_behalf_of,
            credential: principal.issuer.to_string(),
            ip,
        };
        given(Authority::new(Who::Operator(operator)), reason.into())
    }

    fn given(authority: Authority, reason: String) -> Result<Authority, StoreError> {
        let authority = authority.because(reason);
        authority.require_reason()?;
        Ok(authority)
    }
}
