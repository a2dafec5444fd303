//! The context of a request: proof that this caller may act for this tenant.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::de::DeserializeOwned;

use crate::{
    Actor, ContextWatch, Generation, Impersonation, PermissionId, PermissionSet, Plan, Principal,
    ProjectId, Refusal, RefusalDetails, RefusalKind, RoleName, SettingsError, Tenancy, TenantId,
    TenantRecord, Timestamp, TraceId, UserId,
    engine::{facts::ClientInfo, front::Memo},
    quota::{self, LimitUsage, MeterQuota, OfTenant, OwnLimits, QuotaService},
};

/// One tenant, one principal, and what it may do: the only key to the tenant's data.
///
/// Only the engine makes one, from a verified credential, an active membership and a served
/// tenant. It is cheap to clone, `Send + 'static`, and all that a spawned task or a stream needs.
/// It says what was true at admission; [watch](Self::watch) a context that you hold for long.
///
/// ```compile_fail
/// // There is no public constructor.
/// let context = tenancy_core::TenantContext { engine: todo!(), whole: todo!(), client: todo!() };
/// ```
#[derive(Clone)]
pub struct TenantContext {
    engine: Tenancy,
    whole: Arc<Whole>,
    client: ClientInfo,
}

/// A decision about one credential: what it may do, and for whom it speaks. One value, so that a
/// context of a decision that is remembered whole takes one count.
pub(crate) struct Whole {
    /// What it has to be compared with if it is remembered.
    pub(crate) memo: Option<Memo>,
    pub(crate) parts: Arc<Parts>,
    pub(crate) principal: Arc<Principal>,
    /// Whether the principal is limited by itself. Of most it is known then without reading the principal.
    pub(crate) has_own_limits: bool,
    /// When the oldest answer of the directory that this rests on began to be read.
    pub(crate) read_at: Timestamp,
}

/// What a context consists of, apart from the credential and the request it was made for: the same
/// for all credentials of one actor that reach as far.
pub(crate) struct Parts {
    pub(crate) tenant: Arc<TenantRecord>,
    /// The plan that the tenant counts as, if it is in the book.
    pub(crate) plan: Option<Plan>,
    /// What the tenant has in the place of limits of its plan, if overrides are stored.
    pub(crate) overrides: Option<OfTenant>,
    pub(crate) role: Option<RoleName>,
    pub(crate) project: Option<ProjectId>,
    pub(crate) permissions: PermissionSet,
    /// When the oldest answer of the directory that this rests on began to be read.
    pub(crate) read_at: Timestamp,
}

impl TenantContext {
    pub(crate) fn new(engine: Tenancy, whole: Arc<Whole>, client: ClientInfo) -> Self {
        Self {
            engine,
            whole,
            client,
        }
    }

    /// The tenant's record as it was when the request was admitted.
    #[must_use]
    pub fn record(&self) -> &TenantRecord {
        &self.whole.parts.tenant
    }

    /// The tenant's id.
    #[must_use]
    pub fn tenant_id(&self) -> TenantId {
        match &self.whole.memo {
            // What was just compared with the request is in the processor's cache.
            Some(memo) => memo.tenant,
            None => self.whole.parts.tenant.id,
        }
    }

    /// Where the tenant's pages are, for links in mails: `https://acme.example.com`. `None` if the service has no
    /// [subdomains](crate::Identification::subdomains_of) and says
    /// [nothing else](crate::Identification::tenant_origin).
    ///
    /// # Security
    /// It comes from the configuration and the tenant's record, and never from the request: a caller who made up a
    /// `Host` would otherwise have others mailed links to a host of its own.
    ///
    /// ```
    /// # fn handler(context: &tenancy_core::TenantContext) {
    /// if let Some(origin) = context.origin() {
    ///     let link = format!("{origin}/notes/7");
    /// # let _ = link;
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let rules = self.engine.identification();
        rules.origin_of(self.record().slug.as_str())
    }

    /// The tenant's generation when the request was admitted.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.whole.parts.tenant.generation
    }

    /// Who acts.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.whole.principal
    }

    pub(crate) fn principal_arc(&self) -> &Arc<Principal> {
        &self.whole.principal
    }

    pub(crate) fn read_at(&self) -> Timestamp {
        self.whole.read_at
    }

    /// The user who acts, if it is one; while an operator [impersonates](Self::impersonation) somebody, that user.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        let principal = &self.whole.principal;
        match &principal.impersonation {
            Some(impersonation) => Some(impersonation.user),
            None => principal.user(),
        }
    }

    /// By which impersonation an operator acts as the user; `None` if the user, or whatever else it is, acts itself.
    ///
    /// [`principal`](Self::principal) has both: the operator as its actor, and the user as whom it acts on behalf of.
    ///
    /// # Security
    /// Routes by which a user changes a password, a second factor or a way to pay refuse whoever has one. A page shows
    /// that somebody else is looking.
    ///
    /// ```
    /// # fn handler(context: &tenancy_core::TenantContext) -> bool {
    /// let may_change_password = context.impersonation().is_none();
    /// # may_change_password
    /// # }
    /// ```
    #[must_use]
    pub fn impersonation(&self) -> Option<&Impersonation> {
        self.whole.principal.impersonation.as_deref()
    }

    /// The user's role in the tenant, if the actor is a user or acts as one; an API key has none.
    #[must_use]
    pub fn role(&self) -> Option<&RoleName> {
        self.whole.parts.role.as_ref()
    }

    /// The project the request is for, if it named one.
    #[must_use]
    pub fn project_id(&self) -> Option<ProjectId> {
        self.whole.parts.project
    }

    /// Everything the principal may do here: its roles' permissions within its credential's scope.
    #[must_use]
    pub fn permissions(&self) -> PermissionSet {
        self.whole.parts.permissions
    }

    /// Whether the principal holds a permission. A few nanoseconds; records nothing.
    #[inline]
    #[must_use]
    pub fn allows(&self, permission: PermissionId) -> bool {
        self.whole.parts.permissions.contains(permission)
    }

    /// Requires a permission by name, and records a refusal.
    ///
    /// # Errors
    /// A [`Refusal`] with status 403 if the principal does not hold it, with status 401 if it is an
    /// anonymous caller, who has yet to say who it is, and with status 500 if the application never
    /// declared the permission; the log then names it.
    ///
    /// ```
    /// # fn handler(context: &tenancy_core::TenantContext) -> Result<(), tenancy_core::Refusal> {
    /// context.require("notes:write")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn require(&self, permission: &str) -> Result<(), Refusal> {
        match self.engine.permissions().id(permission) {
            Some(id) if self.allows(id) => Ok(()),
            Some(_) => Err(self.denied(permission)),
            None => {
                tracing::error!(
                    permission,
                    "a handler requires a permission that was never declared; \
                     add it to the `PermissionRegistry`"
                );
                Err(Refusal::new(
                    RefusalKind::Misconfigured,
                    "permission-not-declared",
                ))
            }
        }
    }

    /// Requires a permission that was looked up at start, and records a refusal.
    ///
    /// # Errors
    /// A [`Refusal`] with status 403 if the principal does not hold it, 401 if it is anonymous.
    pub fn require_id(&self, permission: PermissionId) -> Result<(), Refusal> {
        if self.allows(permission) {
            return Ok(());
        }
        Err(self.denied(
            self.engine
                .permissions()
                .name(permission)
                .unwrap_or("unknown"),
        ))
    }

    pub(crate) fn denied(&self, permission: &str) -> Refusal {
        let refusal = if self.principal().actor == Actor::Anonymous {
            self.tenancy().unauthenticated("anonymous-caller")
        } else {
            Refusal::permission_denied(permission)
        };
        let log = &self.engine.inner().refusals;
        log.record_denied("permission.check", refusal, self, permission)
    }

    /// Whether the tenant's plan has a feature: see [`PlanBook::features`](crate::PlanBook::features). True
    /// for the service itself. Records nothing.
    #[must_use]
    pub fn has_feature(&self, name: &str) -> bool {
        if self.principal().actor.is_service_itself() {
            return self.tenancy().has_feature(name);
        }
        self.plan().is_some_and(|plan| plan.has_feature(name))
    }

    /// The plan that the tenant counted as when the request was admitted: its features, how long things are kept, its
    /// support and its price. `None` if the engine has no [plans](crate::TenancyBuilder::plans), or if the tenant's
    /// is not in the book; it may do nothing then.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.whole.parts.plan.as_ref()
    }

    /// What the tenant has in the place of limits of its plan.
    pub(crate) fn limit_overrides(&self) -> Option<&OfTenant> {
        self.tenancy().inner().stored_overrides.as_ref()?;
        self.whole.parts.overrides.as_ref()
    }

    /// What the principal's credential is limited to by itself.
    pub(crate) fn own_limits(&self) -> &OwnLimits {
        if self.whole.has_own_limits {
            &self.whole.principal.limits
        } else {
            &OwnLimits::None
        }
    }

    /// The name of the plan that the tenant counts as, in the book or not.
    pub(crate) fn plan_name(&self) -> Option<&str> {
        match self.plan() {
            Some(plan) => Some(plan.name()),
            None if self.tenancy().has_plans() => self.record().plan.as_deref(),
            None => None,
        }
    }

    /// Requires a feature of the tenant's plan, and records a refusal.
    ///
    /// # Errors
    /// A [`Refusal`] with status 403 if the plan does not have it, and with status 500 if no plan has; the
    /// log then names it.
    ///
    /// ```
    /// # fn handler(context: &tenancy_core::TenantContext) -> Result<(), tenancy_core::Refusal> {
    /// context.require_feature("export")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn require_feature(&self, name: &str) -> Result<(), Refusal> {
        if self.has_feature(name) {
            return Ok(());
        }
        if !self.tenancy().has_feature(name) {
            tracing::error!(
                feature = name,
                "a handler requires a feature that no plan has; add it with `PlanBook::features`"
            );
            let kind = RefusalKind::Misconfigured;
            return Err(Refusal::new(kind, "feature-not-declared"));
        }
        let mut details = RefusalDetails::new().feature(name);
        if let Some(plan) = self.plan_name() {
            details = details.plan(plan);
        }
        if let Some(url) = self.tenancy().quotas().and_then(QuotaService::upgrade_url) {
            details = details.upgrade_url(url);
        }
        let refusal = Refusal::new(RefusalKind::FeatureNotInPlan, "feature-not-in-plan");
        let refusal = refusal.with_details(details);
        let log = &self.engine.inner().refusals;
        Err(log.record_denied("feature.check", refusal, self, name))
    }

    /// Where the limits stand that concern this caller: what is used, what is left, when it is back. These are the
    /// numbers that its next request is charged against. A short form of
    /// [`QuotaService::usage`](crate::quota::QuotaService::usage).
    ///
    /// # Errors
    /// A [`Refusal`] with status 503 if the counters do not answer, 403 if the tenant's plan is not in the book, and 500
    /// if the engine was built without [quotas](crate::TenancyBuilder::quotas); the log then says so.
    ///
    /// ```
    /// # async fn handler(context: &tenancy_core::TenantContext) -> Result<(), tenancy_core::Refusal> {
    /// for limit in context.usage().await? {
    ///     println!("{}: {} of {} used", limit.name, limit.standing.used, limit.standing.limit);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn usage(&self) -> Result<Vec<LimitUsage>, Refusal> {
        quota::of_context(self)?.usage(self).await
    }

    /// What this caller has used and left of one meter, and how to take of it. Nothing is asked yet: an engine without
    /// quotas, and a meter that was never declared, show as an error of what is asked then.
    ///
    /// ```
    /// # async fn handler(context: &tenancy_core::TenantContext) -> Result<(), tenancy_core::Refusal> {
    /// let left = context.quota("projects").left().await?;
    /// let reserved = context.quota("projects").reserve(1).await?;
    /// # let _ = left;
    /// # reserved.commit().await
    /// # }
    /// ```
    pub const fn quota<'a>(&'a self, meter: &'a str) -> MeterQuota<'a> {
        MeterQuota::new(self, meter)
    }

    /// The tenant's settings as the application's own type.
    ///
    /// # Errors
    /// [`SettingsError`] if what is stored does not fit the type.
    pub fn settings<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
    ) -> Result<Arc<T>, SettingsError> {
        self.whole.parts.tenant.settings.typed()
    }

    /// The address of the caller, as far as the trusted proxies tell it.
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client.ip
    }

    /// The request's id, as the header field says that the engine was
    /// [told of](crate::TenancyBuilder::request_id_header); `None` otherwise.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.client.request_id.as_deref()
    }

    /// The trace that the request is a part of, as its field `traceparent` says; `None` without one.
    #[must_use]
    pub const fn trace_id(&self) -> Option<TraceId> {
        self.client.trace
    }

    pub(super) const fn client(&self) -> &ClientInfo {
        &self.client
    }

    /// The engine that made this context.
    #[must_use]
    pub fn tenancy(&self) -> &Tenancy {
        &self.engine
    }

    /// Keeps an eye on the context for a stream, a socket or a job: tells when it has changed, and
    /// when it holds no longer.
    ///
    /// Take it where the stream begins. Costs nothing until it is waited for.
    pub fn watch(&self) -> ContextWatch {
        ContextWatch::new(self.clone())
    }

    /// Whether the other context says something else about the same caller and tenant.
    pub(crate) fn differs_from(&self, other: &Self) -> bool {
        let (own, other) = (&self.whole.parts, &other.whole.parts);
        let same = Arc::ptr_eq(own, other)
            || (own.permissions == other.permissions
                && own.role == other.role
                && own.project == other.project
                && own.plan == other.plan
                && own.overrides == other.overrides
                && own.tenant == other.tenant);
        !same
    }

    /// Records the context on a `tracing` span that declares any of the fields `tenant.id`,
    /// `tenant.slug`, `tenant.project`, `principal.kind`, `principal.id`, `principal.on_behalf_of` and
    /// `principal.role`. `principal.on_behalf_of` is whom an operator impersonates.
    pub fn record_on(&self, span: &tracing::Span) {
        if span.is_disabled() {
            return;
        }
        let parts = &self.whole.parts;
        span.record("tenant.id", tracing::field::display(parts.tenant.id));
        span.record("tenant.slug", parts.tenant.slug.as_str());
        span.record("principal.kind", self.whole.principal.actor.kind());
        match &self.whole.principal.actor {
            Actor::User(id) => {
                span.record("principal.id", tracing::field::display(id));
            }
            Actor::Service(id) => {
                span.record("principal.id", tracing::field::display(id));
            }
            Actor::Key(id) => {
                span.record("principal.id", tracing::field::display(id));
            }
            Actor::Operator(id) => {
                span.record("principal.id", tracing::field::display(id));
            }
            Actor::Job(name) => {
                span.record("principal.id", tracing::field::display(name));
            }
            Actor::Anonymous | Actor::System => {}
        }
        if let Some(impersonation) = self.impersonation() {
            let user = tracing::field::display(impersonation.user);
            span.record("principal.on_behalf_of", user);
        }
        if let Some(role) = &parts.role {
            span.record("principal.role", role.as_str());
        }
        if let Some(project) = parts.project {
            span.record("tenant.project", tracing::field::display(project));
        }
    }
}

impl fmt::Debug for TenantContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantContext")
            .field("tenant", &self.tenant_id())
            .field("actor", &self.whole.principal.actor)
            .field("role", &self.whole.parts.role)
            .field("project", &self.whole.parts.project)
            .finish_non_exhaustive()
    }
}
