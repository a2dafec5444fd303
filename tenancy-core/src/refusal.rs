//! Refusals: the one public answer to each question, and the reason that only the audit trail sees.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use crate::Problem;

/// What a refused caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// 401: no valid credential where one is needed.
    Unauthenticated,
    /// 400: the request names no tenant, and the credential speaks for more than one.
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
    /// 503: a store that must answer did not.
    Unavailable,
    /// 500: the service is put together wrongly; what is wrong is in its log.
    Misconfigured,
    /// 500: anything else.
    Internal,
}

impl RefusalKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Unauthenticated,
        Self::TenantRequired,
        Self::TenantNotFound,
        Self::TenantSuspended,
        Self::TenantInactive,
        Self::PermissionDenied,
        Self::OriginNotAllowed,
        Self::Unavailable,
        Self::Misconfigured,
        Self::Internal,
    ];

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Unauthenticated => 401,
            Self::TenantRequired => 400,
            Self::TenantNotFound => 404,
            Self::TenantSuspended
            | Self::TenantInactive
            | Self::PermissionDenied
            | Self::OriginNotAllowed => 403,
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
            Self::Unavailable => "unavailable",
            Self::Misconfigured | Self::Internal => "internal",
        }
    }
}

/// A refused request.
///
/// [`problem`](Self::problem) is what the caller is told; [`reason`](Self::reason) and `Display`
/// are for the audit trail and the log.
#[derive(Debug, Clone)]
#[must_use]
pub struct Refusal {
    kind: RefusalKind,
    reason: &'static str,
    permission: Option<Box<str>>,
    retry_after: Option<Duration>,
    /// What `WWW-Authenticate` says with status 401, nothing if it is empty; `None` for `Bearer`.
    challenge: Option<Arc<String>>,
}

/// How long a caller is asked to wait when a store is down: 1 second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Refusal {
    /// A refusal for a fixed reason.
    pub const fn new(kind: RefusalKind, reason: &'static str) -> Self {
        let retry_after = match kind {
            RefusalKind::Unavailable => Some(RETRY_AFTER),
            _ => None,
        };
        Self {
            kind,
            reason,
            permission: None,
            retry_after,
            challenge: None,
        }
    }

    /// The same, with the time after which the caller should try again: it is sent in `Retry-After`, in
    /// whole seconds, rounded up. Default: 1 s with status 503, else none.
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
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
        Self {
            permission: Some(permission.into()),
            ..Self::new(RefusalKind::PermissionDenied, "permission-not-held")
        }
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
        Problem::new(
            self.kind,
            self.permission.as_deref(),
            self.retry_after,
            self.challenge(),
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind.as_str(), self.reason)?;
        match &self.permission {
            Some(permission) => write!(f, ": `{permission}`"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}
