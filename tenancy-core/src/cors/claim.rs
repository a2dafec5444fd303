//! Reading the origin of a request: whose page sent it.

use super::{CorsPolicy, Origin};
use crate::{
    Identification,
    identification::KeyRef,
    proxy::Host,
    request::{Field, RequestView},
};

/// Whose page sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim<'a> {
    /// It does not say: no page did, or one of the same origin.
    Unsaid,
    /// One of the request's own origin, or of the application.
    Own,
    /// One of the host by which this tenant is named.
    Tenant(KeyRef<'a>),
}

impl Claim<'_> {
    pub(crate) fn into_owned(self) -> Claim<'static> {
        match self {
            Self::Unsaid => Claim::Unsaid,
            Self::Own => Claim::Own,
            Self::Tenant(key) => Claim::Tenant(KeyRef::Owned(key.to_key())),
        }
    }
}

/// An origin that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OriginFault {
    pub(crate) reason: &'static str,
    /// What was sent, cut short; for the audit trail.
    pub(crate) sent: Option<Box<str>>,
}

const MAX_AUDITED: usize = 256;

impl OriginFault {
    pub(super) fn about(reason: &'static str, text: &str) -> Self {
        Self {
            reason,
            sent: Some(text.chars().take(MAX_AUDITED).collect()),
        }
    }
}

impl CorsPolicy {
    /// Reads the `Origin` of a request.
    pub(crate) fn claim<'a>(
        &self,
        rules: &Identification,
        request: &'a dyn RequestView,
    ) -> Result<Claim<'a>, OriginFault> {
        let unreadable = |reason| OriginFault { reason, sent: None };
        let text = match request.header("origin") {
            Field::Absent => return Ok(Claim::Unsaid),
            Field::Repeated => return Err(unreadable("origin-repeated")),
            Field::NotText => return Err(unreadable("origin-not-text")),
            Field::One(text) => text,
        };
        self.claim_of(text, rules, request)
            .map_err(|reason| OriginFault::about(reason, text))
    }

    fn claim_of<'a>(
        &self,
        text: &'a str,
        rules: &Identification,
        request: &dyn RequestView,
    ) -> Result<Claim<'a>, &'static str> {
        let origin = Origin::parse(text).map_err(|invalid| invalid.reason())?;
        if is_own(&origin, self.insecure, rules, request) || self.origins.contains(&origin) {
            return Ok(Claim::Own);
        }
        let safe = origin.is_standard() || self.insecure || origin.host().is_loopback();
        let Host::Domain(host) = origin.into_host() else {
            return Err("origin-unknown");
        };
        // What can't be a tenant's host is no tenant's, whatever is wrong with it.
        let Ok(Some(hint)) = rules.named_by(host) else {
            return Err("origin-unknown");
        };
        if safe {
            Ok(Claim::Tenant(hint.key))
        } else {
            Err("origin-insecure")
        }
    }
}

/// Whether a page came from where its request goes to.
pub(super) fn is_own(
    origin: &Origin<'_>,
    insecure: bool,
    rules: &Identification,
    request: &dyn RequestView,
) -> bool {
    let safe = origin.is_https() || insecure || origin.host().is_loopback();
    safe && rules
        .proxies()
        .target(request)
        .is_ok_and(|target| origin.is_at(&target))
}
