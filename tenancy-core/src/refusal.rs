//! Refusals: the one public answer to each question, and the reason that only the audit trail sees.

mod details;

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

pub use details::RefusalDetails;

use crate::{Problem, request::add_field};

/// What a refused caller is told.
///
/// ```
/// use tenancy_core::RefusalKind;
///
/// assert_eq!(RefusalKind::TenantNotFound.status(), 404);
/// assert_eq!(RefusalKind::TenantNotFound.as_str(), "tenant-not-found");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// 401: no valid credential where one is needed.
    Unauthenticated,
    /// 400: the request names no tenant, and the credential alone does not settle which.
    TenantRequired,
    /// 404: the tenant does not exist, is not the caller's, or is contradicted: one answer for all.
    TenantNotFound,
    /// 403: the caller's own tenant is suspended.
    TenantSuspended,
    /// 403: the caller's own tenant is being set up or about to be deleted.
    TenantInactive,
    /// 403: the caller's role does not hold a permission.
    PermissionDenied,
    /// 403: the page that sent the request is of an origin that is not allowed.
    OriginNotAllowed,
    /// 403: the tenant's plan does not have a feature.
    FeatureNotInPlan,
    /// 402: what the tenant's plan includes is used up; another plan has more.
    QuotaExhausted,
    /// 429: too many requests; waiting helps.
    RateLimited,
    /// 404: what the request is about is not there, or is not the tenant's: one answer for both.
    NotFound,
    /// 409: what the request would store contradicts what is stored.
    Conflict,
    /// 400: what the request would store can't be stored.
    Invalid,
    /// 503: a store that must answer did not.
    Unavailable,
    /// 500: the service is put together wrongly; what is wrong is in its log.
    Misconfigured,
    /// 500: anything else.
    Internal,
}

impl RefusalKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Unauthenticated,
        Self::TenantRequired,
        Self::TenantNotFound,
        Self::TenantSuspended,
        Self::TenantInactive,
        Self::PermissionDenied,
        Self::OriginNotAllowed,
        Self::FeatureNotInPlan,
        Self::QuotaExhausted,
        Self::RateLimited,
        Self::NotFound,
        Self::Conflict,
        Self::Invalid,
        Self::Unavailable,
        Self::Misconfigured,
        Self::Internal,
    ];

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Unauthenticated => 401,
            Self::TenantRequired | Self::Invalid => 400,
            Self::TenantNotFound | Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TenantSuspended
            | Self::TenantInactive
            | Self::PermissionDenied
            | Self::OriginNotAllowed
            | Self::FeatureNotInPlan => 403,
            Self::QuotaExhausted => 402,
            Self::RateLimited => 429,
            Self::Unavailable => 503,
            Self::Misconfigured | Self::Internal => 500,
        }
    }

    /// The stable name, as it stands at the end of the problem's `type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::TenantRequired => "tenant-required",
            Self::TenantNotFound => "tenant-not-found",
            Self::TenantSuspended => "tenant-suspended",
            Self::TenantInactive => "tenant-inactive",
            Self::PermissionDenied => "permission-denied",
            Self::OriginNotAllowed => "origin-not-allowed",
            Self::FeatureNotInPlan => "feature-not-in-plan",
            Self::QuotaExhausted => "quota-exhausted",
            Self::RateLimited => "rate-limited",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
            Self::Misconfigured | Self::Internal => "internal",
        }
    }
}

/// A refused request.
///
/// [`problem`](Self::problem) is what the caller is told; [`reason`](Self::reason) and `Display`
/// are for the audit trail and the log.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::{Refusal, RefusalKind};
///
/// let refusal = Refusal::new(RefusalKind::RateLimited, "requests-a-minute")
///     .with_retry_after(Duration::from_secs(7));
/// let problem = refusal.problem();
/// assert_eq!(problem.status(), 429);
/// assert_eq!(problem.retry_after_seconds(), Some(7));
/// assert!(!problem.to_json().contains(refusal.reason()));
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Refusal {
    kind: RefusalKind,
    reason: &'static str,
    retry_after: Option<Duration>,
    /// What few refusals say, so that the others stay small.
    more: Option<Box<More>>,
    /// What `WWW-Authenticate` says with status 401, nothing if it is empty; `None` for `Bearer`.
    challenge: Option<Arc<String>>,
}

#[derive(Debug, Clone, Default)]
struct More {
    permission: Option<Box<str>>,
    details: RefusalDetails,
    fields: Vec<(&'static str, String)>,
}

/// How long a caller is asked to wait when nobody says how long: 1 second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Refusal {
    /// A refusal for a fixed reason.
    pub const fn new(kind: RefusalKind, reason: &'static str) -> Self {
        let retry_after = match kind {
            RefusalKind::Unavailable | RefusalKind::RateLimited => Some(RETRY_AFTER),
            _ => None,
        };
        Self {
            kind,
            reason,
            retry_after,
            more: None,
            challenge: None,
        }
    }

    /// The same, with the time after which the caller should try again: it is sent in `Retry-After`, in
    /// whole seconds, rounded up. Default: 1 s with status 429 and 503, else none.
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same, and tells the caller about the plan or the limit that it met.
    pub fn with_details(mut self, details: RefusalDetails) -> Self {
        self.more.get_or_insert_default().details = details;
        self
    }

    /// The same, with one more header field of the response, by its lower-case name: `ratelimit`, say. What
    /// can't be a name is left out and logged, and so is a value that no field can have.
    pub fn with_field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        add_field(&mut self.more.get_or_insert_default().fields, name, value);
        self
    }

    /// The same, with what an engine says in `WWW-Authenticate`.
    pub(crate) fn with_challenge(mut self, challenge: Option<Arc<String>>) -> Self {
        self.challenge = challenge;
        self
    }

    /// What `WWW-Authenticate` says (RFC 9110 §11.6.1).
    fn challenge(&self) -> Option<Cow<'static, str>> {
        if self.kind != RefusalKind::Unauthenticated {
            return None;
        }
        match &self.challenge {
            None => Some(Cow::Borrowed("Bearer")),
            Some(own) if own.is_empty() => None,
            Some(own) => Some(Cow::Owned(own.to_string())),
        }
    }

    /// A refusal because the caller's role lacks this permission.
    pub fn permission_denied(permission: &str) -> Self {
        let mut refusal = Self::new(RefusalKind::PermissionDenied, "permission-not-held");
        refusal.more.get_or_insert_default().permission = Some(permission.into());
        refusal
    }

    /// What the caller is told.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// Why, for the audit trail.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    /// How long the caller should wait before it tries again.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The answer to send.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(
            self.kind,
            self.permission(),
            self.retry_after,
            self.challenge(),
        );
        match &self.more {
            Some(more) => problem.with(self.kind, more.details.clone(), more.fields.clone()),
            None => problem,
        }
    }

    fn permission(&self) -> Option<&str> {
        self.more.as_ref()?.permission.as_deref()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind.as_str(), self.reason)?;
        match self.permission() {
            Some(permission) => write!(f, ": `{permission}`"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}
