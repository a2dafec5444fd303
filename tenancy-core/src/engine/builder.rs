//! Building an engine: what is wrong shows here, not in a request.

use std::{sync::Arc, time::Duration};

use super::{
    Authenticating, Inner, Tenancy, Trail, TrailReads,
    admission_cache::AdmissionCache,
    alerts::Alerts,
    cors::Budget,
    feed::Feed,
    front::Front,
    invitations::Inviting,
    keys::Keys,
    latest::Latest,
    load::{Caches, Entries},
    operators::{EngineParts, ImpersonationTokens, Operators},
    refusal_log::RefusalLog,
    sources::{Established, Sources},
    stranger_cache::StrangerCache,
    token_revocations::TokenRevocations,
    unknown_names::UnknownNames,
};
use crate::{
    AuditAction, AuditActions, AuditSink, Authenticator, Capability, ChangeAnnouncer, Charger,
    Clock, ConfigError, CorsPolicy, CredentialSource, Directory, Identification,
    PermissionRegistry, PlanBook, PlanDirectory, RoleTable, Stores, SystemClock, TracingAuditSink,
    alert::{AlertRules, AlertSink},
    cache::{CacheVersions, MaxAge},
    invitation::SeatDirectory,
    key::ApiKeys,
    one_time::OneTimeTokens,
    plan::CurrentPlans,
    quota::{LimitOverrideDirectory, QuotaService, Quotas, Rate, Seats},
};

/// How long what a directory has said is believed, unless the builder is told otherwise.
const MAX_CACHE_AGE: Duration = Duration::from_secs(60);

/// How many bytes of what the directory has said are kept of each kind, unless the builder is told otherwise.
const DIRECTORY_CACHE_BYTES: usize = 64 << 20;

/// What a cached record is taken to weigh where room is laid out for what belongs to it.
const TYPICAL_ENTRY: usize = 256;

/// How many bytes of admissions are remembered, unless the builder is told otherwise.
const ADMISSION_CACHE_BYTES: usize = 24 << 20;

/// How long a token may count, unless the builder is told otherwise.
const LONGEST_TOKEN_LIFETIME: Duration = Duration::from_secs(400 * 24 * 3_600);

/// Builds a [`Tenancy`].
#[must_use]
pub struct TenancyBuilder {
    directory: Arc<dyn Directory>,
    stores: Stores,
    required: Vec<Capability>,
    identification: Identification,
    cors: Option<CorsPolicy>,
    authenticators: Vec<Authenticating>,
    established: Option<Established>,
    keys: Option<ApiKeys>,
    operators: Option<Operators>,
    charger: Option<Arc<dyn Charger>>,
    quotas: Option<Quotas>,
    permissions: Option<PermissionRegistry>,
    plans: Option<PlanBook>,
    stored_plans: Option<Arc<dyn PlanDirectory>>,
    stored_overrides: Option<Arc<dyn LimitOverrideDirectory>>,
    seats: Option<Seats>,
    invitations: Option<OneTimeTokens>,
    audit: Arc<dyn AuditSink>,
    audit_actions: Vec<AuditAction>,
    alerts: Option<(AlertRules, Arc<dyn AlertSink>)>,
    announcer: Option<Arc<dyn ChangeAnnouncer>>,
    request_id_header: Option<Box<str>>,
    clock: Arc<dyn Clock>,
    directory_cache_bytes: usize,
    admission_cache_bytes: usize,
    negative_ttl: Duration,
    unknown_names: Rate,
    poll_interval: Duration,
    max_staleness: Duration,
    max_cache_age: Option<Duration>,
    longest_token_lifetime: Duration,
}

impl TenancyBuilder {
    pub(super) fn new<D: Directory>(directory: Arc<D>) -> Self {
        Self {
            directory: Arc::clone(&directory) as Arc<dyn Directory>,
            stores: directory.stores(),
            required: Vec::new(),
            identification: Identification::new(),
            cors: None,
            authenticators: Vec::new(),
            established: None,
            keys: None,
            operators: None,
            charger: None,
            quotas: None,
            permissions: None,
            plans: None,
            stored_plans: None,
            stored_overrides: None,
            seats: None,
            invitations: None,
            audit: Arc::new(TracingAuditSink),
            audit_actions: Vec::new(),
            alerts: None,
            announcer: None,
            request_id_header: None,
            clock: Arc::new(SystemClock),
            directory_cache_bytes: DIRECTORY_CACHE_BYTES,
            admission_cache_bytes: ADMISSION_CACHE_BYTES,
            negative_ttl: Duration::from_secs(5),
            unknown_names: UnknownNames::RATE,
            poll_interval: Duration::from_secs(1),
            max_staleness: Duration::from_secs(5),
            max_cache_age: None,
            longest_token_lifetime: LONGEST_TOKEN_LIFETIME,
        }
    }

    /// Stores for what the engine is to change, in the place of the directory's own where it has some.
    /// Default: what the directory [says](Directory::stores).
    ///
    /// # Security
    /// A store has to write what the directory reads: caches hear of a change through the directory's feed.
    pub fn stores(mut self, stores: Stores) -> Self {
        self.stores = stores.or(self.stores);
        self
    }

    /// What this service changes, so that a missing store shows in [`build`](Self::build) and not in a
    /// request. Default: nothing is required. May be called several times.
    ///
    /// ```
    /// use tenancy_core::{Capability, MemoryDirectory, Tenancy};
    /// # use tenancy_core::jwt::{Algorithm, JwtAuthenticator, VerificationKey};
    ///
    /// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
    /// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
    /// let tenancy = Tenancy::builder(MemoryDirectory::new())
    ///     .authenticator(tokens)
    ///     .require([Capability::Members, Capability::Projects])
    ///     .build()?;
    /// # let _ = tenancy;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn require(mut self, capabilities: impl IntoIterator<Item = Capability>) -> Self {
        self.required.extend(capabilities);
        self
    }

    /// How requests name tenants. Default: only credentials do.
    pub fn identification(mut self, rules: Identification) -> Self {
        self.identification = rules;
        self
    }

    /// Which pages may call the service from another origin, and that `Origin` is a hint.
    /// Default: `Origin` is ignored.
    pub fn cors(mut self, policy: CorsPolicy) -> Self {
        self.cors = Some(policy);
        self
    }

    /// Adds an authenticator; the first that recognizes a credential decides about it.
    ///
    /// It reads where it [says](Authenticator::sources) that its credentials stand: by default
    /// `Authorization: Bearer`.
    pub fn authenticator(self, authenticator: impl Authenticator + 'static) -> Self {
        let sources = authenticator.sources();
        self.authenticator_from(sources, authenticator)
    }

    /// Adds an authenticator that reads these places, and no others: a cookie, another scheme, several
    /// header fields.
    ///
    /// ```
    /// use tenancy_core::{
    ///     CredentialSource, MemoryDirectory, Tenancy,
    ///     jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    /// };
    ///
    /// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
    /// let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
    /// let tenancy = Tenancy::builder(MemoryDirectory::new())
    ///     .authenticator_from(
    ///         [CredentialSource::bearer(), CredentialSource::cookie("__Host-token")],
    ///         tokens,
    ///     )
    ///     .build()?;
    /// # let _ = tenancy;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn authenticator_from(
        mut self,
        sources: impl IntoIterator<Item = CredentialSource>,
        authenticator: impl Authenticator + 'static,
    ) -> Self {
        self.authenticators.push(Authenticating {
            authenticator: Box::new(authenticator),
            sources: sources.into_iter().collect(),
        });
        self
    }

    /// Takes the principal that the application's own middleware has put into a request's extensions
    /// as an [`EstablishedPrincipal`](crate::EstablishedPrincipal). Default: it is ignored.
    ///
    /// # Security
    /// Taken for the session of a browser: what changes something must come from a page of the
    /// service, as with a [cookie](crate::CredentialSource#security).
    pub fn established_principals(mut self) -> Self {
        self.established = Some(Established {
            needs_same_origin: true,
        });
        self
    }

    /// The same, also from requests that a page of another site may have made a visitor's browser
    /// send.
    ///
    /// # Security
    /// Right only where the middleware establishes nobody by a cookie, or checks a token against CSRF
    /// of its own: see
    /// [`CredentialSource::danger_accept_cross_site`](crate::CredentialSource::danger_accept_cross_site).
    pub fn danger_established_principals_cross_site(mut self) -> Self {
        self.established = Some(Established {
            needs_same_origin: false,
        });
        self
    }

    /// Accepts [API keys](crate::key), beside what authenticators verify. Default: none.
    ///
    /// A credential that begins with the brand of the keys, or with the prefix of imported ones, is a
    /// key and nothing else: no authenticator sees it.
    pub fn keys(mut self, keys: ApiKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Who runs the service, apart from the users of tenants. Default: no route is the operators', and nobody acts as
    /// somebody else.
    pub fn operators(mut self, operators: Operators) -> Self {
        self.operators = Some(operators);
        self
    }

    /// What takes the costs of routes: see [`RoutePolicy::cost`](crate::RoutePolicy::cost). Default: nothing,
    /// and no route may have a cost.
    pub fn charger(mut self, charger: impl Charger) -> Self {
        self.charger = Some(Arc::new(charger));
        self
    }

    /// What is counted, against which limits: the costs of routes are taken of the limits of the tenant's
    /// [plan](PlanBook::limits). Default: nothing is counted, and no plan may have limits.
    ///
    /// In the place of a [`charger`](Self::charger): it is one.
    pub fn quotas(mut self, quotas: Quotas) -> Self {
        self.quotas = Some(quotas);
        self
    }

    /// The application's permissions and roles. Default: none, and the four system roles.
    pub fn permissions(mut self, permissions: PermissionRegistry) -> Self {
        self.permissions = Some(permissions);
        self
    }

    /// What tenants may do at most, by their plan. Default: plans permit everything.
    pub fn plans(mut self, plans: PlanBook) -> Self {
        self.plans = Some(plans);
        self
    }

    /// Also takes the plans of tenants from a store, in which a change of a plan is a new version. A tenant's record
    /// names a version, such as `pro@3`, and stays on it until [`Admin::set_plan`](crate::Admin::set_plan) puts the
    /// tenant on another one. Default: the [book](Self::plans) alone.
    ///
    /// A version that this process does not know yet is read when a tenant's request needs it. It never changes, so
    /// it is read once. If the store does not answer, the request is refused with 503; so it is if the version needs
    /// a permission or a meter that this engine has not, which the log tells. A version that the store has not
    /// permits nothing, like a plan that is not in the book. The book goes first where it has a plan of the same
    /// name.
    ///
    /// ```
    /// # use tenancy_core::{MemoryDirectory, PlanBook, PlanDefinition, Tenancy, TenantId, danger};
    /// # async fn example(acme: TenantId) -> Result<(), Box<dyn std::error::Error>> {
    /// let directory = MemoryDirectory::new();
    /// let tenancy = Tenancy::builder(directory.clone())
    ///     .plans(PlanBook::new().declare_features(["sso"]))
    ///     .stored_plans(directory)
    /// #   .established_principals()
    ///     .build()?;
    /// let admin = tenancy.admin(danger::service("the price list of 2027")?);
    /// let pro = serde_json::json!({ "permissions": ["*"], "features": ["sso"] });
    /// admin.add_plan_version(&PlanDefinition::from_json("pro", pro)?).await?;
    /// admin.set_plan(acme, Some("pro")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn stored_plans(mut self, store: impl PlanDirectory + 'static) -> Self {
        self.stored_plans = Some(Arc::new(store));
        self
    }

    /// Takes from a store what single tenants have in the place of limits of their plans:
    /// [`Admin::put_limit_override`](crate::Admin::put_limit_override). Default: there is nothing of the kind but
    /// [in memory](crate::quota::QuotaService::put_override).
    ///
    /// A tenant's overrides are read and cached like its roles: one question more where a tenant is not in the
    /// caches. An override that this program can't use, because its meter is gone, does not count, and the log tells.
    pub fn stored_overrides(mut self, store: impl LimitOverrideDirectory + 'static) -> Self {
        self.stored_overrides = Some(Arc::new(store));
        self
    }

    /// Counts members as seats: the limit of what is held of this meter, in the tenant's plan, bounds them.
    ///
    /// A seat is taken by each member, of whatever status, and by each [invitation](crate::invitation) that is open. They
    /// are counted in the transaction that adds one, so the number never drifts. An invitation that ends frees its seat.
    /// Whoever has a seat keeps it: to accept an invitation, to change a role, and to be put on a smaller plan removes
    /// nobody, and only what would take one more is refused, with status 402. [Usage](crate::TenantContext::quota) shows
    /// the rows that there are.
    ///
    /// The meter is one of [what is held](crate::quota::Meter::held). No route can have it as a cost, and thresholds
    /// of its limit (`warn_at`) are not told. Default: members are not counted.
    ///
    /// ```
    /// use tenancy_core::{
    ///     MemoryDirectory, PlanBook, Tenancy,
    ///     quota::{Limit, Meter, Quotas},
    /// };
    ///
    /// let directory = MemoryDirectory::new();
    /// let tenancy = Tenancy::builder(directory.clone())
    ///     .quotas(Quotas::new().meter(Meter::held("members")))
    ///     .plans(PlanBook::new().plan("free", ["*"]).limits("free", [Limit::held("members", 3)]))
    ///     .seats("members", directory)
    /// #   .established_principals()
    ///     .build()?;
    /// # Ok::<(), tenancy_core::ConfigError>(())
    /// ```
    pub fn seats(mut self, meter: &str, directory: impl SeatDirectory + 'static) -> Self {
        self.seats = Some(Seats::new(meter, Arc::new(directory)));
        self
    }

    /// Makes [invitations](crate::invitation), whose links have these tokens. Default: there are none.
    pub fn invitations(mut self, tokens: OneTimeTokens) -> Self {
        self.invitations = Some(tokens);
        self
    }

    /// The header field that has the id of each request, such as `x-request-id`. Entries of the audit trail then
    /// have it: those of refusals, and those of changes on a caller's authority. Default: none is read.
    ///
    /// Have a layer outside of the tenancy's set the field, and not only pass on what the caller has sent: in axum
    /// `SetRequestIdLayer` of tower-http. At most 128 bytes of it are kept.
    pub fn request_id_header(mut self, name: &str) -> Self {
        self.request_id_header = Some(name.to_ascii_lowercase().into());
        self
    }

    /// Where audit entries go. Default: [`TracingAuditSink`].
    pub fn audit(mut self, sink: impl AuditSink + 'static) -> Self {
        self.audit = Arc::new(sink);
        self
    }

    /// Declares actions of the application, such as `note.share`, for its own entries in the audit trail. The
    /// library's own need no declaration. May be called several times.
    ///
    /// [`build`](Self::build) refuses what is no name, what is declared twice, and what is a name of the library's. An
    /// entry of an action that was never declared is kept, [counted](crate::AuditActions::undeclared) and logged.
    ///
    /// ```
    /// # use tenancy_core::{AuditAction, MemoryDirectory, Tenancy};
    /// const NOTE_SHARE: AuditAction = AuditAction::new("note.share");
    ///
    /// let builder = Tenancy::builder(MemoryDirectory::new()).audit_actions([NOTE_SHARE]);
    /// # drop(builder);
    /// ```
    pub fn audit_actions(mut self, actions: impl IntoIterator<Item = AuditAction>) -> Self {
        self.audit_actions.extend(actions);
        self
    }

    /// Raises [alerts](crate::alert) by these rules, and tells this sink of them. Default: no rules.
    ///
    /// [`build`](Self::build) refuses rules that would alert always, or never.
    ///
    /// ```
    /// # use tenancy_core::{MemoryDirectory, Tenancy};
    /// use tenancy_core::{alert::AlertRules, outbox::MemoryOutbox};
    ///
    /// // With PostgreSQL a `PgOutbox`, whose consumers send the mails.
    /// let builder = Tenancy::builder(MemoryDirectory::new()).alerts(AlertRules::new(), MemoryOutbox::new());
    /// # drop(builder);
    /// ```
    pub fn alerts(mut self, rules: AlertRules, sink: impl AlertSink + 'static) -> Self {
        self.alerts = Some((rules, Arc::new(sink)));
        self
    }

    /// Where audit entries go, shared with the application.
    pub fn shared_audit(mut self, sink: Arc<dyn AuditSink>) -> Self {
        self.audit = sink;
        self
    }

    /// Whom this engine tells of each change that it makes, so that other processes act on it at once. Default: nobody;
    /// other processes poll.
    pub fn announcer(mut self, announcer: impl ChangeAnnouncer + 'static) -> Self {
        self.announcer = Some(Arc::new(announcer));
        self
    }

    /// The clock. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How many bytes of what the directory has said are kept: of tenants, of memberships, of roles, of
    /// projects and of API keys, each; 0 for none. Default: 64 MiB, room for some 100,000 tenants with small settings.
    ///
    /// Room is taken as it is used. What was not used for longest goes first, and a record that is larger
    /// than the whole budget, or than a megabyte, may be read each time. Settings and the roles that a tenant defines count by their
    /// size, so that a few large tenants can't make the process grow.
    pub fn directory_cache_bytes(mut self, bytes: usize) -> Self {
        self.directory_cache_bytes = bytes;
        self
    }

    /// How many bytes of admissions are remembered; 0 for none. Default: 24 MiB.
    ///
    /// Half is for what follows from an actor, how far its credential reaches, and the tenant that
    /// the request names: some 30,000. It has no credential and no claims in it, and all tokens of a user
    /// share it. The other half is for whole decisions, found by the credential in one look-up: some
    /// 12,000, with the principal and its claims. Without them a decision reads several caches instead
    /// of one. With more members than that active within [`max_cache_age`](Self::max_cache_age), by
    /// which all of it is freed under traffic, give about two kilobytes for each. An authenticator has
    /// [a budget of its own](crate::jwt::JwtAuthenticatorBuilder::cache_bytes).
    pub fn admission_cache_bytes(mut self, bytes: usize) -> Self {
        self.admission_cache_bytes = bytes;
        self
    }

    /// How long "there is no such tenant" is believed, and "it is not this caller's", which nobody may
    /// tell apart. Default: 5 s; never longer than [`max_cache_age`](Self::max_cache_age).
    ///
    /// News of a change ends both sooner, whichever tenant has changed.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.negative_ttl = ttl;
        self
    }

    /// How many names that lead nowhere one caller with a valid credential may have looked up: nobody's names, and
    /// those of tenants that are not its own. Who has spent them gets 429 for each name that has to be looked up, until
    /// one has come back. What is in memory is answered as before. Default: 64 at once, and as many in 10 seconds.
    ///
    /// Counted in this process, for users, service accounts and API keys. Callers without a credential are not counted:
    /// limit [addresses](crate::quota::Quotas) where routes admit [anonymous](crate::RouteNeeds::or_anonymous) ones.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tenancy_core::{MemoryDirectory, Tenancy, quota::Rate};
    /// # use tenancy_core::jwt::{Algorithm, JwtAuthenticator, VerificationKey};
    ///
    /// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
    /// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
    /// let tenancy = Tenancy::builder(MemoryDirectory::new())
    ///     .authenticator(tokens)
    ///     .unknown_names(Rate::new(20, Duration::from_secs(60), 20)?)
    ///     .build()?;
    /// # let _ = tenancy;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn unknown_names(mut self, rate: Rate) -> Self {
        self.unknown_names = rate;
        self
    }

    /// How often, under traffic, the directory is asked what has changed. Default: 1 s.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// The longest time for which another process's change may go unnoticed. Default: 5 s.
    ///
    /// When the directory has not been heard of for this long, what is cached is not used: each
    /// request asks the directory, and is refused only if it does not answer.
    pub fn max_staleness(mut self, bound: Duration) -> Self {
        self.max_staleness = bound;
        self
    }

    /// The longest time for which what a directory has said is believed, whatever the feed says.
    /// Default: 60 s, or twice [`max_staleness`](Self::max_staleness) if that is more.
    ///
    /// The feed tells what has changed, and so does the directory's own record of changes. This bounds
    /// what neither heard of: a change made with the triggers switched off, a database that was
    /// restored in place, a replica that lies. A cached tenant, membership, role, project or API key,
    /// "there is none", and an admission that rests on any of them count no more after it, and every
    /// token revocation is read again within it. A stream that is [watched](crate::TenantContext::watch) is
    /// decided about again as often.
    ///
    /// It costs look-ups: each tenant and member in use is read once in this time, also where
    /// nothing changes. With very many in use at once, raise it.
    pub fn max_cache_age(mut self, bound: Duration) -> Self {
        self.max_cache_age = Some(bound);
        self
    }

    /// The longest time for which any token counts after it was issued. Default: 400 days, for which
    /// browsers keep a cookie at most.
    ///
    /// A [token revocation](crate::Admin::revoke_tokens) is forgotten when it is older than this, because it can
    /// concern no token any more. Each process holds all token revocations: where passwords change often and tokens
    /// live for an hour, say so.
    ///
    /// # Security
    /// A token that says it was issued longer ago is refused (401, `token-too-old`), whatever its expiry:
    /// whether it was taken back is no longer known. A token that does not say when it was issued is
    /// refused for as long as a token revocation that concerns it is known, and counts again after this time.
    pub fn longest_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.longest_token_lifetime = lifetime;
        self
    }

    /// Whether there is a store for all that is required.
    fn check_required(&self) -> Result<(), ConfigError> {
        let (of_keys, others): (Vec<_>, Vec<_>) =
            (self.required.iter().copied()).partition(|capability| *capability == Capability::Keys);
        if !of_keys.is_empty() {
            let missing = match &self.keys {
                Some(keys) => keys.store().err().map(|error| error.to_string()),
                None => Some("there are none; configure them with `TenancyBuilder::keys`".into()),
            };
            if let Some(missing) = missing {
                let message = format!("this engine has to change API keys: {missing}");
                return Err(ConfigError::new(message));
            }
        }
        self.stores.require(&others)
    }

    /// Builds the engine.
    ///
    /// # Errors
    /// A [`ConfigError`] that says what is wrong and what to do: no authenticator, a rule of
    /// identification that can't apply, a source of credentials that can't be one, a header field
    /// that would be read for two purposes, an origin that can't be allowed, a plan that permits what
    /// there is not, a staleness bound shorter than two polls, a cache age shorter than twice
    /// the staleness bound, tokens that never count, an issuer of operators that is also one of users, something [required](Self::require) that there is no
    /// store for.
    pub fn build(mut self) -> Result<Tenancy, ConfigError> {
        if self.authenticators.is_empty() && self.keys.is_none() && self.established.is_none() {
            return Err(ConfigError::new(
                "no authenticator: every request would be refused; add one with `authenticator`, \
                 `keys` or `established_principals`",
            ));
        }
        self.check_required()?;
        let two_polls = self.poll_interval.saturating_mul(2);
        if self.poll_interval.is_zero() || self.max_staleness < two_polls {
            return Err(ConfigError::new(format!(
                "a staleness bound of {:?} can't be held by polling every {:?}; poll at least \
                 twice within the bound",
                self.max_staleness, self.poll_interval
            )));
        }
        let twice_stale = self.max_staleness.saturating_mul(2);
        let max_cache_age = (self.max_cache_age).unwrap_or(MAX_CACHE_AGE.max(twice_stale));
        if max_cache_age < twice_stale {
            return Err(ConfigError::new(format!(
                "a cache age of {max_cache_age:?} at most is too short for a staleness bound of {:?}; \
                 give `max_cache_age` at least twice that, or lower `max_staleness`",
                self.max_staleness
            )));
        }
        if self.longest_token_lifetime.is_zero() {
            return Err(ConfigError::new(
                "with a `longest_token_lifetime` of nothing, no token would count; give the longest \
                 lifetime of any issuer's tokens",
            ));
        }
        let max_age = MaxAge::new(max_cache_age);
        let entries = (self.directory_cache_bytes / TYPICAL_ENTRY).max(16);
        let permissions = match self.permissions {
            Some(permissions) => permissions,
            None => PermissionRegistry::builder()
                .build()
                .map_err(|error| ConfigError::new(error.to_string()))?,
        };
        let base_roles = RoleTable::compile(&permissions, &[])
            .map_err(|error| ConfigError::new(error.to_string()))?;
        let book = match (self.plans, &self.stored_plans) {
            (None, Some(_)) => Some(PlanBook::new()),
            (book, _) => book,
        };
        let plans = match book {
            Some(plans) => {
                let meters = self.quotas.as_ref().map(Quotas::meters);
                Some(plans.compiled(&permissions, meters)?)
            }
            None => None,
        };
        let counts_seats = self.seats.is_some();
        let audit_actions = Arc::new(AuditActions::checked(&self.audit_actions)?);
        let rules = match self.alerts {
            Some((rules, sink)) => Some((rules.checked()?, sink)),
            None => None,
        };
        let alerts = Alerts::new(rules, Arc::clone(&self.audit), Arc::clone(&self.clock));
        let alerts = Arc::new(alerts);
        let audit: Arc<dyn AuditSink> = Arc::new(Trail::new(
            self.audit,
            Arc::clone(&audit_actions),
            Arc::clone(&alerts),
        ));
        let (quotas, charger) = match (self.quotas, self.charger) {
            (None, charger) => (None, charger),
            (Some(_), Some(_)) => {
                return Err(ConfigError::new(
                    "quotas and a charger would both take what requests cost; give the engine one of the \
                     two, or have your charger ask the quotas of another engine",
                ));
            }
            (Some(quotas), None) => {
                let rules = quotas.checked()?;
                let (clock, audit) = (Arc::clone(&self.clock), Arc::clone(&audit));
                let service =
                    QuotaService::new(quotas, rules, plans.as_ref(), clock, audit, self.seats)?;
                let charger: Arc<dyn Charger> = Arc::new(service.clone());
                (Some(service), Some(charger))
            }
        };
        if counts_seats && quotas.is_none() {
            return Err(ConfigError::new(
                "seats are bounded by limits of plans, and there are none; give the engine `quotas`",
            ));
        }
        if self.stored_overrides.is_some() && quotas.is_none() {
            return Err(ConfigError::new(
                "stored overrides take the place of limits, and there are none; give the engine `quotas`",
            ));
        }
        let identification = self.identification.checked()?;
        let keys = match self.keys.take() {
            Some(keys) => Some(Keys::new(keys.checked()?, entries)?),
            None => None,
        };
        let operators = match self.operators.take() {
            Some(operators) => Some(operators.checked(&EngineParts {
                permissions: &permissions,
                identification: &identification,
                keys: keys.as_ref(),
                authenticators: &self.authenticators,
            })?),
            None => None,
        };
        if let Some(operators) = &operators
            && let Some(policy) = operators.shared_policy()
        {
            let tokens = ImpersonationTokens::new(operators.shared_impersonations(), policy);
            let sources = tokens.sources();
            // First, so that no other authenticator decides about them.
            self.authenticators.insert(
                0,
                Authenticating {
                    authenticator: Box::new(tokens),
                    sources,
                },
            );
        }
        let sources = Sources::checked(
            &self.authenticators,
            keys.as_ref().map(|keys| &keys.config),
            self.established,
            &identification,
            self.request_id_header.as_deref(),
        )?;
        let cors = match self.cors {
            // What a page is told of its limits, it may read.
            Some(policy) if quotas.as_ref().is_some_and(QuotaService::tells_fields) => {
                let policy = policy.expose(QuotaService::FIELDS);
                Some(policy.checked(&identification, sources.own_fields())?)
            }
            Some(policy) => Some(policy.checked(&identification, sources.own_fields())?),
            None => None,
        };
        let refusals = RefusalLog::new(
            Arc::clone(&audit),
            Arc::clone(&self.clock),
            Arc::clone(&alerts),
            sources.challenge(),
        );
        let inner = Inner {
            directory: self.directory,
            stores: self.stores,
            identification,
            cors,
            authenticators: (self.authenticators.into_iter())
                .map(|authenticating| authenticating.authenticator)
                .collect(),
            sources,
            keys,
            operators,
            charger,
            quotas,
            permissions,
            plans: plans.map(CurrentPlans::new),
            stored_plans: self.stored_plans,
            stored_overrides: self.stored_overrides,
            base_roles: Arc::new(base_roles),
            audit,
            audit_actions,
            trail_reads: TrailReads::new(),
            alerts,
            clock: self.clock,
            feed: Feed::new(self.poll_interval, self.max_staleness),
            token_revocations: TokenRevocations::new(
                max_cache_age,
                self.max_staleness,
                self.longest_token_lifetime,
            ),
            max_age,
            latest: Latest::new(),
            versions: CacheVersions::new(),
            caches: Caches::new(self.directory_cache_bytes, self.negative_ttl, max_age),
            entries: Entries::new(),
            strangers: StrangerCache::new(entries, self.negative_ttl.min(max_age.as_duration())),
            admissions: AdmissionCache::new(self.admission_cache_bytes / 2, max_age),
            front: Front::new(self.admission_cache_bytes / 2),
            refusals,
            announcer: self.announcer,
            request_id_header: self.request_id_header,
            origin_look_ups: Budget::new(),
            unknown_names: UnknownNames::new(self.unknown_names),
            invitations: self.invitations.map(Inviting::new),
        };
        Ok(Tenancy::new(Arc::new(inner)))
    }
}

impl std::fmt::Debug for TenancyBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenancyBuilder")
            .field("identification", &self.identification)
            .field("authenticators", &self.authenticators.len())
            .finish_non_exhaustive()
    }
}
