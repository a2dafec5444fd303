//! The engine: one value that a service builds once and clones everywhere.

mod accounts;
mod admin;
mod admission;
mod admission_cache;
mod alerts;
mod author;
mod authority;
mod builder;
mod charge;
mod context;
mod cors;
mod credential;
mod decide;
mod explain;
mod facts;
mod feed;
mod front;
mod invitations;
mod job;
mod joining;
mod keys;
mod latest;
mod load;
mod operators;
mod projects;
mod refusal_log;
mod shutdown;
mod sources;
mod stranger_cache;
mod tenants_of;
mod token_revocations;
mod trail;
mod trail_reads;
mod unknown_names;
mod watch;

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

pub use accounts::Accounts;
#[cfg(feature = "argon2")]
pub use accounts::{PasswordResets, ResetMail};
pub use admin::{Admin, AuditExport, AuditTail, ExportError, Exported, TailOptions};
pub use admission::{Admission, Admitted, PendingAdmission};
pub use authority::{Authority, danger};
pub use builder::TenancyBuilder;
pub use charge::{Charge, ChargeRequest, Charger, Charging, Cost, Ending, Settlement};
pub use context::TenantContext;
#[cfg(any(test, feature = "testing"))]
pub(crate) use context::{Parts, Whole};
pub use cors::{CorsAnswer, CorsDecision, PendingCors};
pub use explain::{AccessExplanation, DecidedBy};
pub use keys::{KeyAdmin, KeyService};
pub use operators::{OperatorContext, Operators, PendingOperator, StartedImpersonation};
pub use shutdown::ShutdownReport;
pub use watch::ContextWatch;

use crate::{
    Actor, AllowedTenants, AuditActions, AuditEntry, AuditSink, Authenticator, ChangeAnnouncer,
    Clock, ConfigError, CorsPolicy, CredentialSource, Directory, DirectoryError, Identification,
    Outcome, PermissionRegistry, Plan, PlanBook, Principal, Project, ProjectId, Refusal,
    RefusalKind, RequestView, RoleTable, RouteNeeds, RoutePolicy, StoreError, Stores, TenantId,
    TenantMembership, Timestamp,
    alert::Alert,
    cache::{CacheVersions, MaxAge},
    plan::{CurrentPlans, PlanDirectory, Plans},
    quota::{LimitOverrideDirectory, QuotaService},
};
use admission_cache::AdmissionCache;
use alerts::Alerts;
pub(crate) use facts::ClientInfo;
use facts::{PresentedCredential, RequestFacts};
use feed::{Feed, Poller};
use front::Front;
use invitations::Inviting;
pub use invitations::{InvitationMail, InvitationPreview, Invitations, InviteOutcome};
pub use job::{EachTenant, EachTenantReport, InvalidJobName, JobName, JobRun};
pub use joining::{DomainOffer, JoinedByDomain};
#[cfg(test)]
pub(crate) use keys::CachedKey;
use keys::Keys;
use latest::Latest;
use load::{Caches, Entries};
use refusal_log::RefusalLog;
use sources::Sources;
use stranger_cache::StrangerCache;
use token_revocations::TokenRevocations;
use trail::Trail;
use trail_reads::TrailReads;
use unknown_names::UnknownNames;

/// An authenticator, and where its credentials stand.
struct Authenticating {
    authenticator: Box<dyn Authenticator>,
    sources: Vec<CredentialSource>,
}

/// Multi-tenancy of one service: directory, identification, authenticators, permissions, audit
/// trail, caches.
///
/// Built once at start by [`Tenancy::builder`]; clones share everything. Contexts remember the
/// engine that made them, and a pool built for another engine refuses them.
///
/// ```
/// use tenancy_core::{
///     Identification, MemoryDirectory, PermissionRegistry, SystemRole, Tenancy,
///     jwt::{Algorithm, JwtAuthenticator, VerificationKey},
/// };
///
/// let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// let tenancy = Tenancy::builder(MemoryDirectory::new())
///     .identification(Identification::new().header("x-organization-id"))
///     .authenticator(JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?)
///     .permissions(
///         PermissionRegistry::builder().permission("notes:read", SystemRole::Viewer).build()?,
///     )
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tenancy {
    inner: Arc<Handle>,
}

/// What clones of a [`Tenancy`] count: the engine itself, or one more step to it.
struct Handle(Arc<Inner>);

impl Deref for Handle {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

pub(crate) struct Inner {
    directory: Arc<dyn Directory>,
    stores: Stores,
    identification: Identification,
    cors: Option<CorsPolicy>,
    authenticators: Vec<Box<dyn Authenticator>>,
    sources: Sources,
    keys: Option<Keys>,
    operators: Option<operators::Configured>,
    charger: Option<Arc<dyn Charger>>,
    quotas: Option<QuotaService>,
    permissions: PermissionRegistry,
    plans: Option<CurrentPlans>,
    stored_plans: Option<Arc<dyn PlanDirectory>>,
    stored_overrides: Option<Arc<dyn LimitOverrideDirectory>>,
    /// The roles every tenant has; shared by all tenants that define none of their own.
    base_roles: Arc<RoleTable>,
    audit: Arc<dyn AuditSink>,
    audit_actions: Arc<AuditActions>,
    trail_reads: TrailReads,
    alerts: Arc<Alerts>,
    announcer: Option<Arc<dyn ChangeAnnouncer>>,
    clock: Arc<dyn Clock>,
    feed: Feed,
    token_revocations: TokenRevocations,
    versions: CacheVersions,
    max_age: MaxAge,
    latest: Latest,
    caches: Caches,
    entries: Entries,
    admissions: AdmissionCache,
    strangers: StrangerCache,
    front: Option<Front>,
    refusals: RefusalLog,
    /// The header field that has the id of a request.
    request_id_header: Option<Box<str>>,
    origin_look_ups: cors::Budget,
    unknown_names: UnknownNames,
    invitations: Option<Inviting>,
}

impl Inner {
    /// Reads a book with the permissions and the meters of this engine.
    fn compile_plans(&self, book: PlanBook) -> Result<Plans, ConfigError> {
        let meters = self.quotas.as_ref().map(QuotaService::meters);
        book.compiled(&self.permissions, meters)
    }

    /// What the clock shows now.
    fn now(&self) -> Timestamp {
        self.latest.now(&*self.clock, &self.versions)
    }
}

impl Tenancy {
    /// Starts building an engine over a directory.
    ///
    /// What the engine can change is what the directory [says](Directory::stores), and what
    /// [`TenancyBuilder::stores`] is given. A directory that only reads needs nothing else.
    pub fn builder<D: Directory>(directory: D) -> TenancyBuilder {
        TenancyBuilder::new(Arc::new(directory))
    }

    /// Decides about a request: at once where caches suffice, else by a future.
    ///
    /// Adapters call this; applications use an adapter's layer.
    pub fn admit(&self, request: &dyn RequestView, needs: RouteNeeds) -> Admission {
        let now = self.inner.now();
        Poller::of(self).poll_if_due(now);
        if let Some(keys) = &self.inner.keys {
            keys.write_uses_if_due(self, now);
        }
        let facts = RequestFacts::read(&self.inner, request, needs);
        match decide::decide(self, &facts, &load::Loaded::default(), now) {
            Ok(admitted) => Admission::Ready(Ok(admitted)),
            Err(decide::Interrupt::Refused(refused)) => {
                let refusals = &self.inner.refusals;
                Admission::Ready(Err(refusals.record_admission(refused, &facts.client)))
            }
            Err(decide::Interrupt::Load(load)) => Admission::Pending(PendingAdmission::new(
                self.clone(),
                facts.into_owned(),
                load,
            )),
        }
    }

    /// Makes sure that a policy asks for what there is. Adapters call this when a route is built.
    ///
    /// # Errors
    /// A [`ConfigError`] that names what was never declared, or what contradicts itself.
    pub fn check_policy(&self, policy: &RoutePolicy) -> Result<(), ConfigError> {
        charge::check_policy(self, policy)
    }

    /// Takes what a request costs. Adapters call this; an application uses an adapter's layer.
    ///
    /// Each call takes the costs again: call it once for a request. A refusal is recorded.
    pub fn charge(
        &self,
        admitted: &Admitted,
        costs: &[Cost],
        request: &dyn RequestView,
    ) -> Charging {
        self.charge_rest(admitted, costs, &[], request)
    }

    /// The same for a layer within others that have charged the request already: these costs are the rest, beyond what
    /// was taken `before`.
    pub fn charge_rest(
        &self,
        admitted: &Admitted,
        costs: &[Cost],
        before: &[Cost],
        request: &dyn RequestView,
    ) -> Charging {
        charge::charge(self, admitted, (costs, before), request)
    }

    /// Whether addresses have [limits](crate::quota::Quotas::per_address). For adapters.
    #[must_use]
    pub fn limits_addresses(&self) -> bool {
        self.quotas().is_some_and(QuotaService::limits_addresses)
    }

    /// Takes one request of the limits of its [address](crate::quota::Quotas::per_address); `None` if addresses have
    /// no limits. Adapters call this before [`admit`](Self::admit), once for each request. A refusal is recorded.
    ///
    /// The settlement of the charge gives it back if it is told [`Ending::Answered`] with status 404. Tell it that where
    /// no route matched, and drop it otherwise.
    pub fn charge_address(&self, request: &dyn RequestView) -> Option<Charging> {
        charge::charge_address(self, request)
    }

    /// The policy for pages of other origins, checked and complete; `None` if none was given, and
    /// then an adapter's layer for CORS should fail to be built.
    #[must_use]
    pub fn cors_policy(&self) -> Option<&CorsPolicy> {
        self.inner().cors.as_ref()
    }

    /// Decides whether the page that sent a request may make it: at once, but for custom domains
    /// that are not in memory.
    ///
    /// Adapters call this with the request's method, in a layer outside of the router: preflights
    /// have no credential, and never reach [`admit`](Self::admit). Of a preflight the method and
    /// header fields that it announces are checked as well.
    ///
    /// What is asked is whether an origin is one of the service's. Whether it is the tenant's whose
    /// data is asked for is left to admission, apart from what the texts alone tell: a page of
    /// `globex.example.com` that calls `acme.example.com` or `/t/acme` is refused here.
    ///
    /// Refused preflights are counted, and audited as `cors.preflight` like other refusals of
    /// callers without a credential: once per source and reason in 10 s. Other requests are
    /// counted and audited by admission.
    ///
    /// # Security
    /// Not an authorization: a client that is no browser sends what it likes as `Origin`. The answer
    /// reveals which custom domains are served, and nothing about subdomains: see [`CorsPolicy`].
    ///
    /// # Example: in an adapter
    /// ```
    /// # use tenancy_core::{
    /// #     CorsAnswer, CorsDecision, CorsPolicy, Identification, MemoryDirectory, Tenancy,
    /// #     jwt::{Algorithm, JwtAuthenticator, VerificationKey}, testing::FakeRequest,
    /// # };
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
    /// # let tenancy = Tenancy::builder(MemoryDirectory::new())
    /// #     .identification(Identification::new().subdomains_of("example.com"))
    /// #     .authenticator(JwtAuthenticator::builder("https://login.example", "x").key(key).build()?)
    /// #     .cors(CorsPolicy::new())
    /// #     .build()?;
    /// # let request = FakeRequest::new("/notes")
    /// #     .header("host", "api.example.net")
    /// #     .header("origin", "https://acme.example.com");
    /// let decision = match tenancy.cors(&request, "GET") {
    ///     CorsAnswer::Ready(decision) => decision,
    ///     CorsAnswer::Pending(pending) => pending.resolve().await,
    /// };
    /// assert!(matches!(decision, CorsDecision::Allowed));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cors(&self, request: &dyn RequestView, method: &str) -> CorsAnswer {
        cors::CorsCheck::of(self).answer(request, method)
    }

    /// Opens a context outside a request: for a scheduled job, a start-up task, a migration.
    ///
    /// The context acts as [`Actor::System`] with every permission, and its opening is audited
    /// with the reason.
    ///
    /// # Errors
    /// A [`Refusal`] if the tenant does not exist or is not served, or the directory does not
    /// answer; [`RefusalKind::Misconfigured`] if the reason is blank.
    ///
    /// # Security
    /// Never pass a tenant that a request named: a request's tenant comes from its own context.
    pub async fn enter(&self, tenant: TenantId, reason: &str) -> Result<TenantContext, Refusal> {
        if reason.trim().is_empty() {
            tracing::error!("entering a tenant needs a reason for the audit trail");
            return Err(Refusal::new(RefusalKind::Misconfigured, "no-reason-given"));
        }
        let principal = Principal::new(
            Actor::System,
            AllowedTenants::Bound(tenant.into()),
            "system",
        );
        let context = self
            .readmit(Arc::new(principal), tenant, None, ClientInfo::default())
            .await?;
        self.inner.audit.record(
            AuditEntry::new(self.inner.clock.now(), "tenant.enter", Outcome::Allowed)
                .tenant(tenant)
                .actor(Actor::System)
                .reason(reason.to_owned()),
        );
        Ok(context)
    }

    /// The tenants that a user is an active member of, by id, for the page on which the user chooses one.
    ///
    /// Suspended tenants are among them, so that a page can say so; deleted ones are not. A credential that names
    /// one tenant or a list of them is told of those alone. A page holds at most `limit` tenants and begins behind
    /// `after`; one with fewer is the last.
    ///
    /// ```
    /// # use tenancy_core::{Principal, StoreError, Tenancy};
    /// # async fn handler(tenancy: Tenancy, principal: Principal) -> Result<(), StoreError> {
    /// for it in tenancy.tenants_of(&principal, None, 100).await? {
    ///     println!("{} at {}: you are {}", it.record.name, it.record.slug, it.membership.role);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) if the credential is none of a user,
    /// [`StoreErrorKind::ReadOnly`](crate::StoreErrorKind::ReadOnly) if the engine has no store of memberships, or one
    /// that has the service's login alone.
    ///
    /// # Security
    /// The principal is believed. Take the one that the engine has admitted, or one of the session's own user, and never
    /// a user that a request names.
    pub async fn tenants_of(
        &self,
        principal: &Principal,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantMembership>, StoreError> {
        tenants_of::tenants_of(self, principal, after, limit).await
    }

    /// The projects that a caller may enter, by id, for the page on which a member chooses one. Archived ones are not
    /// among them. A page holds at most `limit` projects, and 1,000, and begins behind `after`; one with fewer is the
    /// last.
    ///
    /// It takes no permission: a [project](crate::ProjectAccess) says by itself whom it is told.
    ///
    /// ```
    /// # use tenancy_core::{StoreError, Tenancy, TenantContext};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), StoreError> {
    /// for project in tenancy.projects_of(&context, None, 100).await? {
    ///     println!("{}: {}", project.slug, project.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) if the context is of another engine or of a caller
    /// without a credential,
    /// [`StoreErrorKind::ReadOnly`](crate::StoreErrorKind::ReadOnly) if the engine has no store of projects, or one that
    /// has the service's login alone, and [`StoreErrorKind::Unavailable`](crate::StoreErrorKind::Unavailable) if it did
    /// not answer.
    ///
    /// # Security
    /// A caller whose credential is confined to a project is told of that alone. The roles are read anew, so a role that
    /// was taken away meanwhile shows no project any more.
    pub async fn projects_of(
        &self,
        context: &TenantContext,
        after: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<Project>, StoreError> {
        projects::projects_of(self, context, after, limit).await
    }

    /// Begins a run of a named job: the service itself at work in many tenants, with one entry in the audit trail.
    ///
    /// For a worker, a scheduled job, a migration. [`enter`](Self::enter) is for a single visit to one tenant.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`](crate::StoreErrorKind::Invalid) if the name is no [`JobName`] or the reason is
    /// blank.
    pub fn begin_job(&self, name: &str, reason: &str) -> Result<JobRun, StoreError> {
        JobRun::begin(self, name, reason)
    }

    /// Decides again about a context that is held for long: a stream, a socket, a job.
    ///
    /// Returns a context with today's record, role and permissions. A token is not verified again: it
    /// holds until it expires or is taken back, also where its key or its issuer has gone meanwhile.
    /// An API key has to be usable still, from the same address. [`TenantContext::watch`] waits for
    /// the moment at which the answer is another.
    ///
    /// # Errors
    /// The [`Refusal`] that a new request would get: a suspended tenant, a revoked membership, an
    /// expired credential, a directory that does not answer.
    pub async fn revalidate(&self, context: &TenantContext) -> Result<TenantContext, Refusal> {
        if !self.is(context.tenancy()) {
            return Err(Refusal::new(
                RefusalKind::Misconfigured,
                "context-of-another-engine",
            ));
        }
        self.readmit_in(context, context.project_id()).await
    }

    /// Decides again about a context, in a project or in the tenant as a whole.
    async fn readmit_in(
        &self,
        context: &TenantContext,
        project: Option<ProjectId>,
    ) -> Result<TenantContext, Refusal> {
        let principal = Arc::clone(context.principal_arc());
        let client = context.client().clone();
        self.readmit(principal, context.tenant_id(), project, client)
            .await
    }

    async fn readmit(
        &self,
        principal: Arc<Principal>,
        tenant: TenantId,
        project: Option<ProjectId>,
        client: ClientInfo,
    ) -> Result<TenantContext, Refusal> {
        let presented = match principal.actor {
            Actor::Anonymous => PresentedCredential::Nothing,
            _ => PresentedCredential::Verified(principal),
        };
        let facts = RequestFacts::of_admitted(presented, tenant, project, client);
        let pending = PendingAdmission::begin(self.clone(), facts);
        match pending.resolve().await? {
            Admitted::Tenant(context) => Ok(context),
            Admitted::NoTenant(_) => Err(Refusal::new(RefusalKind::Internal, "no-tenant")),
        }
    }

    /// Changes tenants, members, projects and roles on somebody's authority.
    ///
    /// A change whose store the engine has not is [`StoreErrorKind::ReadOnly`](crate::StoreErrorKind::ReadOnly).
    /// [`TenancyBuilder::require`] makes that an error at start.
    pub fn admin(&self, authority: Authority) -> Admin {
        Admin::new(self.clone(), authority)
    }

    /// The API keys of this service. Ask for them once, at start: there it shows that none are configured.
    ///
    /// # Errors
    /// A [`ConfigError`] if the engine was built without [`keys`](crate::TenancyBuilder::keys), or if they are
    /// [only read](crate::key::ApiKeys::read_only).
    pub fn keys(&self) -> Result<KeyService, ConfigError> {
        match &self.inner().keys {
            Some(keys) => match keys.config.store() {
                Ok(_) => Ok(KeyService {
                    engine: self.clone(),
                }),
                Err(missing) => Err(ConfigError::new(missing.to_string())),
            },
            None => Err(ConfigError::new(
                "there are no API keys; configure them with `TenancyBuilder::keys`",
            )),
        }
    }

    /// Drops everything cached about a tenant: for a change made past [`Tenancy::admin`]. The next
    /// request in it asks what else has changed; other tenants' requests do not wait for that.
    ///
    /// Other processes learn of a change by polling, within [`Tenancy::max_staleness`].
    pub fn invalidate(&self, tenant: TenantId) {
        // First, so that nothing is remembered in between that the next request would not ask about.
        self.inner.feed.mark_stale(tenant);
        self.inner.directory.changed(Some(tenant));
        self.inner.versions.drop_tenant(tenant);
    }

    /// Drops everything that is cached, of every tenant: for a listener that may have missed something. The next request
    /// in each tenant asks what has changed, unless a [`catch_up`](Self::catch_up) has meanwhile.
    pub fn invalidate_all(&self) {
        // First, as for one tenant.
        self.inner.feed.mark_all_stale();
        self.inner.directory.changed(None);
        self.inner.versions.drop_all();
    }

    /// Asks the directory at once what has changed: for a listener that was told that something has.
    ///
    /// Not needed for changes to be noticed, only for them to be noticed sooner: see
    /// [`max_staleness`](Self::max_staleness).
    ///
    /// # Errors
    /// A [`DirectoryError`] if the directory does not answer; polling goes on.
    pub async fn catch_up(&self) -> Result<(), DirectoryError> {
        Poller::of(self).poll_now().await
    }

    /// The longest time for which this process may act on what another process has changed.
    #[must_use]
    pub fn max_staleness(&self) -> Duration {
        self.inner.feed.max_staleness()
    }

    /// The longest time for which this process believes what the directory has said, whatever it
    /// hears of changes; see [`TenancyBuilder::max_cache_age`].
    #[must_use]
    pub fn max_cache_age(&self) -> Duration {
        self.inner.max_age.as_duration()
    }

    /// What is used and left of the limits of tenants; `None` if the engine was built without
    /// [quotas](TenancyBuilder::quotas).
    #[must_use]
    pub fn quotas(&self) -> Option<&QuotaService> {
        self.inner.quotas.as_ref()
    }

    /// The application's permissions.
    #[must_use]
    pub fn permissions(&self) -> &PermissionRegistry {
        &self.inner.permissions
    }

    /// Whether a plan has this feature: see [`PlanBook::features`](crate::PlanBook::features).
    #[must_use]
    pub fn has_feature(&self, name: &str) -> bool {
        self.plans().is_some_and(|plans| plans.know_feature(name))
    }

    /// The plan of this name; `None` if it is not in the [book](crate::PlanBook). Of a
    /// [stored](crate::TenancyBuilder::stored_plans) plan only versions that this process has met are told;
    /// [`Admin::list_plan_versions`] tells all.
    ///
    /// ```
    /// # fn handler(tenancy: &tenancy_core::Tenancy) {
    /// if let Some(pro) = tenancy.plan("pro") {
    ///     println!("{} costs {:?}", pro.name(), pro.prices());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn plan(&self, name: &str) -> Option<Plan> {
        self.plans()?.named(name)
    }

    /// All plans, in the order of the book: for a page of prices.
    #[must_use]
    pub fn all_plans(&self) -> Vec<Plan> {
        let book = self.plans().map(CurrentPlans::book);
        let plans = book.iter().flat_map(|book| book.each());
        plans.map(|(plan, _)| plan.clone()).collect()
    }

    /// Puts another book in the place of the one that the engine has: a file that was edited, read again. It is
    /// checked as [`build`](TenancyBuilder::build) checks one. What is remembered of the old book ends, and the next
    /// request goes by the new one; a context that a handler holds goes on with the plan that it was admitted with.
    /// What is used stays used, by the names of the limits.
    ///
    /// Other processes are not told: each reads the file itself. Features that a plan of the old book had stay
    /// declared.
    ///
    /// # Errors
    /// A [`ConfigError`] that says what is wrong with the book, or that the engine was built without
    /// [plans](TenancyBuilder::plans). The old book stays in effect.
    ///
    /// ```
    /// # use tenancy_core::{ConfigError, PlanBook, Tenancy};
    /// fn reload(tenancy: &Tenancy, book: PlanBook) {
    ///     if let Err(wrong) = tenancy.replace_plans(book) {
    ///         eprintln!("the plans stay as they are: {wrong}");
    ///     }
    /// }
    /// # let _ = reload;
    /// ```
    pub fn replace_plans(&self, book: PlanBook) -> Result<(), ConfigError> {
        let Some(current) = self.plans() else {
            return Err(ConfigError::new(
                "this engine was built without plans; give it a book with `TenancyBuilder::plans` first",
            ));
        };
        let plans = self.inner.compile_plans(book)?;
        if let Some(quotas) = self.quotas() {
            quotas.take_plans(&plans)?;
        }
        current.replace(plans);
        self.inner.versions.drop_all();
        Ok(())
    }

    /// Whether there are plans at all.
    pub(crate) fn has_plans(&self) -> bool {
        self.inner.plans.is_some()
    }

    pub(crate) fn plans(&self) -> Option<&CurrentPlans> {
        self.inner.plans.as_ref()
    }

    /// The roles that every tenant has.
    #[must_use]
    pub fn base_roles(&self) -> &RoleTable {
        &self.inner.base_roles
    }

    /// The actions that the audit trail knows: the library's, and those that were
    /// [declared](TenancyBuilder::audit_actions).
    #[must_use]
    pub fn audit_actions(&self) -> &AuditActions {
        &self.inner.audit_actions
    }

    /// The audit trail.
    #[must_use]
    pub fn audit(&self) -> &dyn AuditSink {
        &*self.inner.audit
    }

    /// Raises an alert: for what verifies the audit trail, and for rules of your own. It goes to the sink of
    /// [`alerts`](TenancyBuilder::alerts), or without one into the log, and leaves an entry `alert.raise`. Returns false
    /// where the same was raised about the same subject within the cool-down.
    ///
    /// ```
    /// # use tenancy_core::{Tenancy, TenantId, alert::Alert};
    /// # fn example(tenancy: &Tenancy, acme: TenantId, link: u64) {
    /// tenancy.alert(Alert::chain_broken(Some(acme), link));
    /// # }
    /// ```
    pub fn alert(&self, alert: Alert) -> bool {
        self.inner.alerts.raise(alert)
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// How many requests have been refused with this answer since the engine was built.
    #[must_use]
    pub fn refused(&self, kind: RefusalKind) -> u64 {
        self.inner.refusals.count(kind)
    }

    /// A refusal of a caller that has yet to say who it is, with the `WWW-Authenticate` of this engine:
    /// for adapters. Counts and records nothing.
    pub fn unauthenticated(&self, reason: &'static str) -> Refusal {
        let refusal = Refusal::new(RefusalKind::Unauthenticated, reason);
        self.inner.refusals.challenged(refusal)
    }

    /// Whether the directory answers; for a readiness check. Reads past the caches.
    ///
    /// # Errors
    /// A [`Refusal`] of the kind `Unavailable` if it does not.
    pub async fn ready(&self) -> Result<(), Refusal> {
        Poller::of(self).poll_now().await.map_err(|error| {
            tracing::warn!(%error, "the tenant directory is not ready");
            Refusal::new(RefusalKind::Unavailable, "directory-unavailable")
        })
    }

    /// The same engine, whose clones are counted apart. For a thread that serves requests by itself: each context
    /// counts as a clone, and threads that count in one place wait for each other.
    ///
    /// ```
    /// # use tenancy_core::{MemoryDirectory, Tenancy, jwt::{Algorithm, JwtAuthenticator, VerificationKey}};
    /// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
    /// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
    /// # let tenancy = Tenancy::builder(MemoryDirectory::new()).authenticator(tokens).build()?;
    /// let workers_own = tenancy.for_this_thread();
    /// assert!(workers_own.is(&tenancy));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn for_this_thread(&self) -> Self {
        Self::new(Arc::clone(&self.inner.0))
    }

    fn new(inner: Arc<Inner>) -> Self {
        let inner = Arc::new(Handle(inner));
        Self { inner }
    }

    /// Whether both are the same engine, and not merely built alike.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner.0, &other.inner.0)
    }

    pub(crate) fn identification(&self) -> &Identification {
        &self.inner.identification
    }

    /// The header fields, apart from `Authorization`, that credentials are read from.
    pub(crate) fn credential_fields(&self) -> impl Iterator<Item = &str> {
        self.inner.sources.fields()
    }

    /// Whether an answer may depend on a cookie, or on a principal that the application has
    /// established, which it may have done by one. Adapters say `Vary: Cookie` then.
    #[must_use]
    pub fn varies_by_cookie(&self) -> bool {
        self.credential_fields().any(|name| name == "cookie")
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl fmt::Debug for Tenancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenancy")
            .field("directory", &self.inner.directory)
            .field("identification", &self.inner.identification)
            .field("authenticators", &self.inner.authenticators)
            .finish_non_exhaustive()
    }
}
