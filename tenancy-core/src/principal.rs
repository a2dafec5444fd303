//! The principal: who a verified credential speaks for, and which tenants it may name.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use uuid::Uuid;

use crate::{
    Claims, Impersonation, JobName, KeyId, OperatorId, PermissionSet, ProjectId, ServiceId,
    TenantKey, Timestamp, UserId, quota::OwnLimits,
};

/// What kind of actor a principal is.
///
/// ```
/// use tenancy_core::{Actor, TenantContext};
///
/// /// People alone may sign.
/// fn may_sign(context: &TenantContext) -> bool {
///     matches!(context.principal().actor, Actor::User(_))
/// }
/// # let _ = may_sign;
/// assert_eq!(Actor::System.kind(), "system");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Actor {
    /// A person, whose rights come from a membership.
    User(UserId),
    /// A machine that acts in its own name, whose rights come from its credential.
    Service(ServiceId),
    /// An API key, whose rights are its creator's, within its scopes.
    Key(KeyId),
    /// An operator of the service. In a tenant's request it acts with the rights of the user
    /// [whom it impersonates](crate::TenantContext::impersonation), and never with rights of its own.
    Operator(OperatorId),
    /// Nobody in particular: a visitor of a route that admits anonymous visitors.
    Anonymous,
    /// The service itself, outside a request; see [`Tenancy::enter`](crate::Tenancy::enter).
    System,
    /// A named job of the service; see [`Tenancy::begin_job`](crate::Tenancy::begin_job).
    Job(JobName),
}

impl Actor {
    /// Whether it is the service itself: no request comes from it, and it holds every permission.
    #[must_use]
    pub const fn is_service_itself(&self) -> bool {
        matches!(self, Self::System | Self::Job(_))
    }

    /// The kind as recorded in spans and audit entries.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Service(_) => "service",
            Self::Key(_) => "key",
            Self::Operator(_) => "operator",
            Self::Anonymous => "anonymous",
            Self::System => "system",
            Self::Job(_) => "job",
        }
    }

    /// The id, for those that have one.
    #[must_use]
    pub const fn id(&self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(id.as_uuid()),
            Self::Service(id) => Some(id.as_uuid()),
            Self::Key(id) => Some(id.as_uuid()),
            Self::Operator(id) => Some(id.as_uuid()),
            Self::Anonymous | Self::System | Self::Job(_) => None,
        }
    }

    /// The actor of a [kind](Self::kind) and an id, as they are stored; `None` if there is no such actor. A
    /// [job](Self::Job) is stored by its name, as the credential `job:…`.
    #[must_use]
    pub fn from_stored(kind: &str, id: Option<Uuid>) -> Option<Self> {
        match (kind, id) {
            ("user", Some(id)) => Some(Self::User(UserId::from_uuid(id))),
            ("service", Some(id)) => Some(Self::Service(ServiceId::from_uuid(id))),
            ("key", Some(id)) => Some(Self::Key(KeyId::from_uuid(id))),
            ("operator", Some(id)) => Some(Self::Operator(OperatorId::from_uuid(id))),
            ("anonymous", None) => Some(Self::Anonymous),
            ("system", None) => Some(Self::System),
            _ => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Service(id) => write!(f, "service:{id}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Operator(id) => write!(f, "operator:{id}"),
            Self::Job(name) => write!(f, "job:{name}"),
            Self::Anonymous | Self::System => f.write_str(self.kind()),
        }
    }
}

/// Which tenants a verified credential may name.
///
/// ```
/// use tenancy_core::{AllowedTenants, TenantKey};
///
/// // A certificate that speaks for one tenant.
/// let acme = AllowedTenants::Bound(TenantKey::Slug("acme".parse()?));
/// // A user who names the tenant with each request, and has to be a member of it.
/// let any = AllowedTenants::Memberships;
/// assert_ne!(acme, any);
/// # Ok::<(), tenancy_core::InvalidSlug>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AllowedTenants {
    /// Exactly this tenant; every hint must agree with it.
    Bound(TenantKey),
    /// One of these tenants; a hint chooses, and membership decides.
    Set {
        /// The tenants the credential lists; never empty.
        tenants: Vec<TenantKey>,
        /// The one it means when no hint chooses; must be one of `tenants`.
        default: Option<TenantKey>,
    },
    /// Any tenant the actor is a member of; a hint chooses, and membership decides.
    Memberships,
}

/// A verified credential: who it speaks for and how far it reaches.
///
/// Only an [`Authenticator`](crate::Authenticator) makes one, after verification. `Debug` leaves
/// out the claims, which may be personal.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{Actor, AllowedTenants, Clock as _, Principal, SystemClock, UserId};
///
/// let now = SystemClock.now();
/// let actor = Actor::User(UserId::new());
/// let mut principal = Principal::new(actor, AllowedTenants::Memberships, "sessions");
/// principal.issued_at = Some(now);
/// principal.expires_at = Some(now + Duration::from_secs(3600));
/// assert!(principal.holds_at(now));
/// assert!(!principal.holds_at(now + Duration::from_secs(3600)));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Principal {
    /// Who it speaks for.
    pub actor: Actor,
    /// Which tenants it may name.
    pub allowed_tenants: AllowedTenants,
    /// The one project it is confined to, if it is.
    pub project: Option<ProjectId>,
    /// The user whose rights it acts with, where the actor is no user itself: a key's creator, or whom an operator
    /// impersonates.
    pub on_behalf_of: Option<UserId>,
    /// Who vouched for it: the issuer of a token, or the name of the authenticator.
    pub issuer: Arc<str>,
    /// When the credential was issued, if it says so.
    pub issued_at: Option<Timestamp>,
    /// The moment from which the credential no longer holds.
    pub expires_at: Option<Timestamp>,
    /// The moment from which the credential holds.
    pub not_before: Option<Timestamp>,
    /// What the credential may be used for at most: narrows the actor's rights, never widens them.
    pub scope: PermissionSet,
    /// The verified claims, for the application's own reading.
    pub claims: Claims,
    /// What it is limited to by itself, beside the tenant's plan.
    /// Whether projects that admit by role alone are closed to it, whatever role its user has there.
    pub(crate) open_projects_only: bool,
    pub(crate) limits: OwnLimits,
    /// The impersonation by which an operator acts. Only the engine sets it.
    pub(crate) impersonation: Option<Arc<Impersonation>>,
}

impl Principal {
    /// A principal as an authenticator makes it: full scope, no expiry, no claims.
    #[must_use]
    pub fn new(actor: Actor, allowed_tenants: AllowedTenants, issuer: impl Into<Arc<str>>) -> Self {
        Self {
            actor,
            allowed_tenants,
            project: None,
            on_behalf_of: None,
            issuer: issuer.into(),
            issued_at: None,
            expires_at: None,
            not_before: None,
            scope: PermissionSet::ALL,
            claims: Claims::default(),
            open_projects_only: false,
            limits: OwnLimits::default(),
            impersonation: None,
        }
    }

    /// The user it speaks for, if it is one.
    #[must_use]
    pub const fn user(&self) -> Option<UserId> {
        match self.actor {
            Actor::User(id) => Some(id),
            _ => None,
        }
    }

    /// Hashes all that a decision looks at, apart from who vouches for it and when it holds: those
    /// are looked at for each request.
    pub(crate) fn hash_identity(&self, state: &mut impl Hasher) {
        self.actor.hash(state);
        self.allowed_tenants.hash(state);
        self.project.hash(state);
        self.open_projects_only.hash(state);
        self.on_behalf_of.hash(state);
        self.scope.hash(state);
    }

    /// Whether both are the same to all decisions.
    pub(crate) fn is_same_to_decisions(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && self.issued_at == other.issued_at
            && self.expires_at == other.expires_at
            && self.not_before == other.not_before
            && self.actor == other.actor
            && self.allowed_tenants == other.allowed_tenants
            && self.project == other.project
            && self.open_projects_only == other.open_projects_only
            && self.on_behalf_of == other.on_behalf_of
            && self.scope == other.scope
    }

    /// The bytes that it takes, on the heap and by itself.
    pub(crate) fn weight(&self) -> usize {
        let allowed_tenants = match &self.allowed_tenants {
            AllowedTenants::Bound(key) => key.heap(),
            AllowedTenants::Set { tenants, default } => {
                let keys = tenants.iter().chain(default);
                let own = tenants.capacity() * size_of::<TenantKey>();
                keys.fold(own, |sum, key| sum + key.heap())
            }
            AllowedTenants::Memberships => 0,
        };
        size_of::<Self>()
            + allowed_tenants
            + self.issuer.len()
            + self.claims.len()
            + self.limits.heap()
    }

    /// Whether the credential holds at `now`.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
            && self.not_before.is_none_or(|start| now >= start)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("actor", &self.actor)
            .field("allowed_tenants", &self.allowed_tenants)
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
