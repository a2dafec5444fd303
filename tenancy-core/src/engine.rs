//! The engine: one value that a service builds once and clones everywhere.

mod admin;
mod admission;
mod admission_cache;
mod audited;
mod builder;
mod charge;
mod cors;
mod credential;
mod decide;
mod facts;
mod feed;
mod front;
mod keys;
mod load;
mod present;
mod refused;
mod sources;
mod stranger_cache;
mod token_revocations;
mod watch;

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

pub use admin::Admin;
pub use admission::{Admission, Admitted, PendingAdmission};
pub use builder::TenancyBuilder;
pub use cors::{CorsAnswer, CorsDecision, PendingCors};
pub(crate) use front::Memo;
pub use keys::{KeyAdmin, KeyService};
pub use watch::ContextWatch;

use crate::{
    Actor, AllowedTenants, AuditEntry, AuditSink, Authenticator, Authority, Charger, Clock,
    CorsPolicy, CredentialSource, Directory, DirectoryError, DirectoryStore, Identification,
    Outcome, PermissionRegistry, Principal, ProjectId, Refusal, RefusalKind, RequestView,
    RoleTable, RouteNeeds, TenantContext, TenantId,
    audit::Sampler,
    cache::{CacheVersions, MaxAge},
    plan::Plans,
};
use admission_cache::AdmissionCache;
use facts::{ClientInfo, PresentedCredential, RequestFacts};
use feed::Feed;
use front::Front;
use keys::Keys;
use load::{Caches, Entries};
use present::Latest;
use refused::RefusalCounts;
use sources::Sources;
use stranger_cache::StrangerCache;
use token_revocations::TokenRevocations;

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
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    directory: Arc<dyn Directory>,
    store: Arc<dyn DirectoryStore>,
    identification: Identification,
    cors: Option<CorsPolicy>,
    authenticators: Vec<Box<dyn Authenticator>>,
    sources: Sources,
    keys: Option<Keys>,
    charger: Option<Arc<dyn Charger>>,
    permissions: PermissionRegistry,
    plans: Option<Plans>,
    /// The roles every tenant has; shared by all tenants that define none of their own.
    base_roles: Arc<RoleTable>,
    audit: Arc<dyn AuditSink>,
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
    sampler: Sampler,
    refusals: RefusalCounts,
    origin_look_ups: cors::Budget,
}

impl Tenancy {
    /// Starts building an engine over a directory.
    pub fn builder<D: Directory + DirectoryStore>(directory: D) -> TenancyBuilder {
        TenancyBuilder::new(Arc::new(directory))
    }

    /// Decides about a request: at once where caches suffice, else by a future.
    ///
    /// Adapters call this; applications use an adapter's layer.
    pub fn admit(&self, request: &dyn RequestView, needs: RouteNeeds) -> Admission {
        let now = self.now();
        self.poll_if_due(now);
        self.write_uses_if_due(now);
        let facts = RequestFacts::read(&self.inner, request, needs);
        match self.decide(&facts, &load::Loaded::default(), now) {
            Ok(admitted) => Admission::Ready(Ok(admitted)),
            Err(decide::Interrupt::Refused(refused)) => {
                let caller = ClientInfo::of(&self.inner.identification, request);
                Admission::Ready(Err(self.record_refusal(refused, &caller)))
            }
            Err(decide::Interrupt::Load(load)) => Admission::Pending(PendingAdmission::new(
                self.clone(),
                facts.into_owned(),
                ClientInfo::of(&self.inner.identification, request),
                load,
            )),
        }
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
            .readmit(Arc::new(principal), tenant, None, None)
            .await?;
        self.inner.audit.record(
            AuditEntry::new(self.inner.clock.now(), "tenant.enter", Outcome::Allowed)
                .tenant(tenant)
                .actor(Actor::System)
                .reason(reason.to_owned()),
        );
        Ok(context)
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
        let principal = Arc::clone(context.principal_arc());
        self.readmit(
            principal,
            context.tenant_id(),
            context.project_id(),
            context.client_ip(),
        )
        .await
    }

    async fn readmit(
        &self,
        principal: Arc<Principal>,
        tenant: TenantId,
        project: Option<ProjectId>,
        ip: Option<IpAddr>,
    ) -> Result<TenantContext, Refusal> {
        let presented = match principal.actor {
            Actor::Anonymous => PresentedCredential::Nothing,
            _ => PresentedCredential::Verified(principal),
        };
        let facts = RequestFacts::of_admitted(presented, tenant, project, ip);
        let pending = PendingAdmission::begin(self.clone(), facts);
        match pending.resolve().await? {
            Admitted::Tenant(context) => Ok(context),
            Admitted::NoTenant(_) => Err(Refusal::new(RefusalKind::Internal, "no-tenant")),
        }
    }

    /// Changes tenants, members, projects and roles on somebody's authority.
    pub fn admin(&self, authority: Authority) -> Admin {
        Admin::new(self.clone(), authority)
    }

    /// Drops everything cached about a tenant: for a change made past [`Tenancy::admin`]. The next
    /// request in it asks what else has changed; other tenants' requests do not wait for that.
    ///
    /// Other processes learn of a change by polling, within [`Tenancy::max_staleness`].
    pub fn invalidate(&self, tenant: TenantId) {
        // First, so that nothing is remembered in between that the next request would not ask about.
        self.inner.feed.mark_stale(tenant);
        self.inner.versions.drop_tenant(tenant);
    }

    /// Asks the directory at once what has changed: for whoever hears that something has.
    ///
    /// Not needed for changes to be noticed, only for them to be noticed sooner: see
    /// [`max_staleness`](Self::max_staleness).
    ///
    /// # Errors
    /// A [`DirectoryError`] if the directory does not answer; polling goes on.
    pub async fn catch_up(&self) -> Result<(), DirectoryError> {
        self.poll_now().await
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

    pub(crate) fn plans(&self) -> Option<&Plans> {
        self.inner.plans.as_ref()
    }

    /// The roles that every tenant has.
    #[must_use]
    pub fn base_roles(&self) -> &RoleTable {
        &self.inner.base_roles
    }

    /// The audit trail.
    #[must_use]
    pub fn audit(&self) -> &dyn AuditSink {
        &*self.inner.audit
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// How many requests have been refused with this answer since the engine was built.
    #[must_use]
    pub fn refused(&self, kind: RefusalKind) -> u64 {
        self.inner.refusals.get(kind)
    }

    /// Whether the directory answers; for a readiness check. Reads past the caches.
    ///
    /// # Errors
    /// A [`Refusal`] of the kind `Unavailable` if it does not.
    pub async fn ready(&self) -> Result<(), Refusal> {
        self.poll_now().await.map_err(|error| {
            tracing::warn!(%error, "the tenant directory is not ready");
            Refusal::new(RefusalKind::Unavailable, "directory-unavailable")
        })
    }

    /// Whether both are the same engine, and not merely built alike.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
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
