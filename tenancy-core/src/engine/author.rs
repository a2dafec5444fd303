//! Who makes changes: each is made on an authority, in one transaction with its entry and its events.

use serde_json::{Value, json};

use super::{Authority, Tenancy, TenantContext, authority::Who, projects};
use crate::{
    AuditEntry, AuditTarget, ChangeAction, OperatorRight, Outcome, ProjectId, StoreError,
    StoreErrorKind, TenantId, UserId,
    change::{CallerSeen, Change, ChangeRecord},
    outbox::NewEvent,
};

/// What is cached and no longer true after a change.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stale {
    Tenant(TenantId),
    Everything,
    Nothing,
}

impl From<Option<TenantId>> for Stale {
    /// Without a tenant, everything.
    fn from(tenant: Option<TenantId>) -> Self {
        tenant.map_or(Self::Everything, Self::Tenant)
    }
}

/// An engine, and the authority on which changes are made with it.
#[derive(Debug, Clone)]
pub(super) struct Author {
    pub(super) engine: Tenancy,
    pub(super) authority: Authority,
}

impl Author {
    /// Makes a change: the store writes the change, its entry and its events in one transaction. Then what
    /// was cached and is stale ends, whatever came of it: also a change that failed, or whose caller gave up
    /// on it, may have been made.
    pub(super) async fn make<T>(
        &self,
        change: Change,
        stale: impl Into<Stale>,
        store: impl AsyncFnOnce(ChangeRecord) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.make_as(change, stale, async |_, record| store(record).await)
            .await
    }

    /// The same, where what may be changed depends on the caller whose authority it is, as of now; `None`
    /// where it is no caller's.
    pub(super) async fn make_as<T>(
        &self,
        change: Change,
        stale: impl Into<Stale>,
        store: impl AsyncFnOnce(Option<TenantContext>, ChangeRecord) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut entry = self.entry_of(&change);
        let caller = match self.may_change(&change).await {
            Ok(caller) => caller,
            Err(refused) => {
                // A store that did not answer has refused nobody.
                if matches!(
                    refused.kind(),
                    StoreErrorKind::Forbidden | StoreErrorKind::NotFound
                ) {
                    entry.outcome = Outcome::Refused;
                }
                entry.reason = Some(refused.to_string().into());
                self.engine.inner().audit.record(entry);
                return Err(refused);
            }
        };
        let mut record = ChangeRecord::new(entry.clone());
        record.entry.outcome = Outcome::Allowed;
        match change.action.event().map(|kind| event(kind, &change)) {
            Some(Ok(event)) => record = record.event(event),
            Some(Err(error)) => {
                entry.reason = Some(error.to_string().into());
                self.engine.inner().audit.record(entry);
                return Err(error);
            }
            None => {}
        }
        if let Some(seen) = caller.as_ref().and_then(|caller| seen(caller, &change)) {
            record = record.by(seen);
        }
        let reason = entry.reason.replace("given-up".into());
        let mut guard = AuditGuard {
            engine: &self.engine,
            stale: stale.into(),
            tenant: change.tenant,
            entry: Some(entry),
        };
        let done = store(caller, record).await;
        if let Some(entry) = &mut guard.entry {
            entry.reason = reason;
            match &done {
                Ok(_) => entry.outcome = Outcome::Allowed,
                Err(error) if is_refusal(error.kind()) => {
                    entry.outcome = Outcome::Refused;
                    entry.reason = Some(error.to_string().into());
                }
                Err(_) => {}
            }
        }
        done
    }

    fn entry_of(&self, change: &Change) -> AuditEntry {
        let now = self.engine.inner().clock.now();
        let mut entry = AuditEntry::new(now, change.action.as_str(), Outcome::Failed);
        entry.tenant = change.tenant;
        entry.project = change.project;
        entry.targets.clone_from(&change.targets);
        let targets = change.targets.iter();
        let texts: Vec<_> = targets.map(|to| format!("{}:{}", to.kind, to.id)).collect();
        entry.target = (!texts.is_empty()).then(|| texts.join(" "));
        entry.details = (!change.details.is_null()).then(|| change.details.clone());
        self.authority.sign(&mut entry);
        entry
    }

    /// Whether the authority is good for this change. Returns the caller where it is made, as of now, if it is a
    /// caller's.
    async fn may_change(&self, change: &Change) -> Result<Option<TenantContext>, StoreError> {
        if matches!(
            change.action,
            ChangeAction::TrailPrune | ChangeAction::TrailErase
        ) {
            self.require_service()?;
        }
        let is_consent = matches!(
            change.action,
            ChangeAction::SupportAccessGrant | ChangeAction::SupportAccessRevoke
        );
        match &self.authority.who {
            Who::Staff(staff) => {
                self.authority.require_reason()?;
                staff.may_change(&self.engine, change).await?;
                return Ok(None);
            }
            Who::Operator(_) if is_consent => {
                return refused(
                    "what a tenant agrees to is for the tenant itself, and for no operator",
                );
            }
            Who::Operator(_) if change.action.speaks_for_a_user() => {
                return refused(
                    "whoever gets the text of a key acts as its creator, whoever runs an issuer signs tokens of any \
                     member, and no operator does either; where the application itself moves keys or sets up an \
                     issuer, use `danger::service`",
                );
            }
            Who::Leaving(context) => {
                let own = change.tenant == Some(context.tenant_id());
                if own && change.action == ChangeAction::ImpersonationEnd {
                    return Ok(None);
                }
                return refused("this authority ends an impersonation, and nothing else");
            }
            _ => {}
        }
        let caller = if change.own {
            Some(self.permits_own(change.tenant).await?)
        } else {
            self.permits(change.tenant, change.project).await?
        };
        let impersonates = |caller: &TenantContext| caller.impersonation().is_some();
        if caller.as_ref().is_some_and(impersonates)
            && !change.action.may_be_done_as_somebody_else()
        {
            return refused(format!(
                "`{}` is for the user itself, and for nobody who acts as the user",
                change.action
            ));
        }
        Ok(caller)
    }

    /// Refuses whoever could remove what was recorded of it: callers of a tenant, and operators whom the engine knows.
    pub(super) fn require_service(&self) -> Result<(), StoreError> {
        match &self.authority.who {
            Who::Operator(_) | Who::Service | Who::Job(_) => self.authority.require_reason(),
            _ => refused(
                "what the trail has is removed by the service alone; make the authority with `danger::service` in a \
                 job of its own",
            ),
        }
    }

    /// Whether the authority is good for listing something, which takes an operator this right, in a tenant, or in any
    /// where there is none. What an operator lists is recorded before it is read, and durably if the engine knows the
    /// operator. Returns the caller, as of now, if it is a caller's.
    pub(super) async fn may_list(
        &self,
        what: &'static str,
        right: OperatorRight,
        (tenant, project): (Option<TenantId>, Option<ProjectId>),
    ) -> Result<Option<TenantContext>, StoreError> {
        let allowed = self.may_go_on_listing(right, (tenant, project)).await;
        if !self.is_told_as_listing(tenant) {
            return allowed;
        }
        let inner = self.engine.inner();
        let mut entry = AuditEntry::new(inner.clock.now(), "operator.list", Outcome::Allowed);
        entry.tenant = tenant;
        entry.target = Some(format!("list:{what}"));
        entry.targets = vec![AuditTarget::new("list", what)];
        self.authority.sign(&mut entry);
        match allowed {
            Ok(caller) => {
                if let Who::Staff(_) = &self.authority.who {
                    let durable = inner.audit.record_durably(entry).await;
                    return durable.map(|()| caller).map_err(StoreError::unavailable);
                }
                inner.audit.record(entry);
                Ok(caller)
            }
            Err(error) => {
                if error.kind() == StoreErrorKind::Forbidden {
                    entry.outcome = Outcome::Refused;
                    entry.reason = Some(error.to_string().into());
                    inner.audit.record(entry);
                }
                Err(error)
            }
        }
    }

    /// The same for a part of a listing that was recorded before. Records nothing.
    pub(super) async fn may_go_on_listing(
        &self,
        right: OperatorRight,
        (tenant, project): (Option<TenantId>, Option<ProjectId>),
    ) -> Result<Option<TenantContext>, StoreError> {
        match &self.authority.who {
            Who::Staff(staff) => {
                self.authority.require_reason()?;
                staff.may_list(&self.engine, right, tenant).await?;
                Ok(None)
            }
            _ => self.permits(tenant, project).await,
        }
    }

    /// Whether a listing is recorded as `operator.list`.
    const fn is_told_as_listing(&self, tenant: Option<TenantId>) -> bool {
        match &self.authority.who {
            Who::Staff(_) => true,
            Who::Operator(_) => tenant.is_none(),
            _ => false,
        }
    }

    /// Records that the audit trail was read, unless it was recorded as a listing: without waiting, and sampled by who
    /// reads.
    pub(super) fn record_read(&self, tenant: Option<TenantId>, what: Value) {
        self.record_reading(tenant, what, Outcome::Allowed, None);
    }

    /// Records that the audit trail was not read, in the same way, if that was refused.
    pub(super) fn record_read_refused(
        &self,
        tenant: Option<TenantId>,
        what: Value,
        error: &StoreError,
    ) {
        if error.kind() == StoreErrorKind::Forbidden {
            self.record_reading(tenant, what, Outcome::Refused, Some(error.to_string()));
        }
    }

    fn record_reading(
        &self,
        tenant: Option<TenantId>,
        what: Value,
        outcome: Outcome,
        reason: Option<String>,
    ) {
        if self.is_told_as_listing(tenant) {
            return;
        }
        let inner = self.engine.inner();
        let now = inner.clock.now();
        let reader = self.authority.actor();
        let Some(suppressed) = inner.trail_reads.admit(reader, tenant, now) else {
            return;
        };
        let mut entry = AuditEntry::new(now, "trail.read", outcome)
            .about("list", "entries")
            .details(what);
        entry.tenant = tenant;
        self.authority.sign(&mut entry);
        entry.reason = reason.map(Into::into).or(entry.reason);
        entry.suppressed = suppressed;
        inner.audit.record(entry);
    }

    /// Whether the authority is good for something in this tenant, or in any where there is none, and in this
    /// project of it, or in the tenant as a whole. Returns the caller there, as of now, if it is a caller's.
    pub(super) async fn permits(
        &self,
        tenant: Option<TenantId>,
        project: Option<ProjectId>,
    ) -> Result<Option<TenantContext>, StoreError> {
        let (context, permission) = match &self.authority.who {
            Who::Caller(context, permission) => (context, permission),
            Who::Own(_) => {
                return refused(
                    "the authority is good for the caller's own place in the tenant alone; for all else, make one \
                     with `TenantContext::authority`",
                );
            }
            Who::Leaving(_) | Who::Staff(_) => {
                return refused("the authority is not good for this");
            }
            Who::Operator(_) | Who::Service | Who::Job(_) | Who::Joining(..) => {
                // It may have been replaced by a blank one since.
                self.authority.require_reason()?;
                return Ok(None);
            }
        };
        self.is_at_home(context, tenant)?;
        let caller = self.caller_in(context, project).await?;
        match caller.require(permission) {
            Ok(()) => Ok(Some(caller)),
            Err(_) => refused(format!(
                "the caller does not hold `{permission}` where the change counts, or holds it no more; what a \
                 project adds counts in that project alone"
            )),
        }
    }

    /// Whether the authority is a user's over the user's own place in this tenant. Returns the user there, as of now.
    pub(super) async fn permits_own(
        &self,
        tenant: Option<TenantId>,
    ) -> Result<TenantContext, StoreError> {
        let Who::Own(context) = &self.authority.who else {
            return refused(
                "this is the user's own to do; make the authority with `TenantContext::own_authority`",
            );
        };
        self.is_at_home(context, tenant)?;
        self.caller_in(context, None).await
    }

    /// Whether the authority is good for what concerns this user in this tenant. Returns the caller there, as of now,
    /// if it is a caller's.
    pub(super) async fn permits_about(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Option<TenantContext>, StoreError> {
        match &self.authority.who {
            Who::Own(context) if context.user_id() == Some(user) => {
                self.permits_own(Some(tenant)).await.map(Some)
            }
            _ => {
                let right = OperatorRight::ReadTenants;
                self.may_list("member", right, (Some(tenant), None)).await
            }
        }
    }

    /// Whether a context is of this engine, and of this tenant.
    fn is_at_home(
        &self,
        context: &TenantContext,
        tenant: Option<TenantId>,
    ) -> Result<(), StoreError> {
        if !self.engine.is(context.tenancy()) {
            return refused(
                "the authority is of another engine; make it from a context that this one has \
                 admitted",
            );
        }
        if tenant != Some(context.tenant_id()) {
            let inner = self.engine.inner();
            let actor = &context.principal().actor;
            inner.alerts.stranger(actor, tenant, inner.clock.now());
            return refused(
                "the authority is good for the caller's own tenant alone; what concerns others is \
                 for `danger::operator` or `danger::service`",
            );
        }
        Ok(())
    }

    /// The caller in this project, or in the tenant as a whole, as of now.
    async fn caller_in(
        &self,
        context: &TenantContext,
        project: Option<ProjectId>,
    ) -> Result<TenantContext, StoreError> {
        let confined = context.principal().project;
        if confined.is_some() && confined != project {
            return refused(
                "the caller's credential is confined to a project, and this change is not in it; somebody whose \
                 credential is not has to make it",
            );
        }
        let caller = match self.engine.readmit_in(context, project).await {
            Err(refusal) if refusal.kind().status() < 500 => match project {
                // The project is archived, unknown, or not the caller's to enter.
                Some(project) => {
                    let caller = self.engine.readmit_in(context, confined).await;
                    if let Ok(caller) = &caller {
                        self.admits(caller, project).await?;
                    }
                    caller
                }
                None => Err(refusal),
            },
            readmitted => readmitted,
        };
        match caller {
            Ok(caller) => Ok(caller),
            Err(refusal) if refusal.kind().status() >= 500 => {
                Err(StoreError::unavailable(refusal.to_string()))
            }
            Err(refusal) => refused(format!(
                "the caller is admitted no more: {}",
                refusal.reason()
            )),
        }
    }

    /// Refuses a change in a project that does not admit the caller as it would be refused in one that is not there:
    /// what somebody may do in the tenant does not reach into a project that takes a role of its own.
    pub(super) async fn admits(
        &self,
        caller: &TenantContext,
        project: ProjectId,
    ) -> Result<(), StoreError> {
        let found = projects::admitting(&self.engine, caller, project).await;
        if found.map_err(StoreError::unavailable)?.is_some() {
            return Ok(());
        }
        let message = format!("there is no project `{project}` in the tenant for this caller");
        Err(StoreError::new(StoreErrorKind::NotFound, message))
    }
}

/// Whether it was decided that the change is not made.
const fn is_refusal(kind: StoreErrorKind) -> bool {
    matches!(
        kind,
        StoreErrorKind::Forbidden | StoreErrorKind::LimitReached
    )
}

fn refused<T>(message: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::new(StoreErrorKind::Forbidden, message))
}

/// As what a caller makes a change, if that is a membership other than the one that is changed: a change of that one is
/// decided on the caller's role as the store was [seen](crate::RoleSeen) to have it.
fn seen(caller: &TenantContext, change: &Change) -> Option<CallerSeen> {
    let (user, role) = (caller.user_id()?, caller.role()?);
    let id = user.to_string();
    let is_own = |target: &AuditTarget| target.kind == "user" && target.id == id;
    let is_own = change.action.changes_a_membership() && change.targets.iter().any(is_own);
    if change.own || is_own {
        return None;
    }
    Some(CallerSeen::new(caller.tenant_id(), user, role.clone()))
}

/// The event that tells of a change: ids, and what the entry says besides.
pub(super) fn event(kind: &'static str, change: &Change) -> Result<NewEvent, StoreError> {
    let mut payload = match &change.details {
        Value::Object(details) => details.clone(),
        _ => serde_json::Map::new(),
    };
    for target in &change.targets {
        payload.insert(target.kind.replace('-', "_"), json!(target.id));
    }
    let event = NewEvent::new(kind, payload)
        .map_err(|error| StoreError::new(StoreErrorKind::Invalid, error.to_string()))?;
    Ok(match change.tenant {
        Some(tenant) => event.of_tenant(tenant),
        None => event,
    })
}

/// Ends what is cached and stale, tells other processes, and records, when it is dropped.
struct AuditGuard<'a> {
    engine: &'a Tenancy,
    stale: Stale,
    tenant: Option<TenantId>,
    entry: Option<AuditEntry>,
}

impl Drop for AuditGuard<'_> {
    fn drop(&mut self) {
        let inner = self.engine.inner();
        match self.stale {
            Stale::Tenant(tenant) => {
                inner.directory.changed(Some(tenant));
                inner.versions.drop_tenant(tenant);
            }
            Stale::Everything => {
                inner.directory.changed(None);
                inner.versions.drop_all();
            }
            Stale::Nothing => {}
        }
        if let Some(announcer) = &inner.announcer {
            announcer.announce(self.tenant);
        }
        if let Some(entry) = self.entry.take() {
            inner.audit.record(entry);
        }
    }
}
