//! Problem details (RFC 9457): the bytes a refused caller receives, the same in every framework.

use std::{borrow::Cow, time::Duration};

use serde::Serialize;

use crate::{RefusalDetails, RefusalKind};

/// The media type of a problem.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// What stands before the name of a refusal in a problem's `type`.
///
/// A problem type is an identifier, not an address (RFC 9457 §3.1.1); these stay as they are.
pub const PROBLEM_TYPE_PREFIX: &str = "urn:tenancy:problem:";

/// The types of refusals that name the limits that refuse, with their titles (draft-ietf-httpapi-ratelimit-headers).
const OF_POLICIES: [(RefusalKind, &str, &str); 2] = [
    (
        RefusalKind::RateLimited,
        "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "Quota exceeded",
    ),
    (
        RefusalKind::Unavailable,
        "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
        "Temporary reduced capacity",
    ),
];

/// A refusal as it is sent: status, header fields, body.
///
/// ```
/// use tenancy_core::{Refusal, RefusalKind};
///
/// let problem = Refusal::new(RefusalKind::TenantNotFound, "not-a-member").problem();
/// assert_eq!(problem.status(), 404);
/// assert!(!problem.to_json().contains("not-a-member"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    type_uri: String,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    permission: Option<String>,
    #[serde(flatten)]
    details: RefusalDetails,
    #[serde(skip)]
    fields: Vec<(&'static str, String)>,
    #[serde(skip)]
    challenge: Option<Cow<'static, str>>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(
        kind: RefusalKind,
        permission: Option<&str>,
        retry_after: Option<Duration>,
        challenge: Option<Cow<'static, str>>,
    ) -> Self {
        let (title, detail) = match kind {
            RefusalKind::Unauthenticated => (
                "Authentication required",
                "Send a valid credential.".to_owned(),
            ),
            RefusalKind::TenantRequired => (
                "Tenant required",
                "The request must name the tenant it is for.".to_owned(),
            ),
            RefusalKind::TenantNotFound => (
                "Tenant not found",
                "There is no such tenant, or it is not open to this credential.".to_owned(),
            ),
            RefusalKind::TenantSuspended => {
                ("Tenant suspended", "This tenant is suspended.".to_owned())
            }
            RefusalKind::TenantInactive => {
                ("Tenant inactive", "This tenant is not in use.".to_owned())
            }
            RefusalKind::PermissionDenied => (
                "Permission denied",
                match permission {
                    Some(name) => format!("This needs the permission `{name}`."),
                    None => "This needs a permission that the caller does not hold.".to_owned(),
                },
            ),
            RefusalKind::OriginNotAllowed => (
                "Origin not allowed",
                "A page of this origin may not make this request. Use the tenant's own address, \
                 or an origin, method and header fields that this service allows."
                    .to_owned(),
            ),
            RefusalKind::FeatureNotInPlan => (
                "Feature not in plan",
                "The tenant's plan does not have this feature.".to_owned(),
            ),
            RefusalKind::QuotaExhausted => (
                "Quota exhausted",
                "What the tenant's plan includes is used up.".to_owned(),
            ),
            RefusalKind::RateLimited => (
                "Too many requests",
                "Wait before the next request.".to_owned(),
            ),
            RefusalKind::NotFound => (
                "Not found",
                "There is no such thing, or it is not the tenant's.".to_owned(),
            ),
            RefusalKind::Conflict => (
                "Conflict",
                "This contradicts what is stored: something is taken, missing or still in use."
                    .to_owned(),
            ),
            RefusalKind::Invalid => ("Invalid", "This can't be stored.".to_owned()),
            RefusalKind::Unavailable => {
                ("Service unavailable", "Try again in a moment.".to_owned())
            }
            RefusalKind::Misconfigured | RefusalKind::Internal => (
                "Internal error",
                "The request could not be served.".to_owned(),
            ),
        };
        Self {
            type_uri: format!("{PROBLEM_TYPE_PREFIX}{}", kind.as_str()),
            title,
            status: kind.status(),
            detail,
            permission: permission.map(str::to_owned),
            details: RefusalDetails::new(),
            fields: Vec::new(),
            challenge,
            retry_after,
        }
    }

    /// The same with members and header fields of its own.
    pub(crate) fn with(
        mut self,
        kind: RefusalKind,
        details: RefusalDetails,
        fields: Vec<(&'static str, String)>,
    ) -> Self {
        let of_policies = OF_POLICIES.iter().find(|(of, ..)| *of == kind);
        if let (Some((_, type_uri, title)), true) = (of_policies, details.names_policies()) {
            self.type_uri = (*type_uri).to_owned();
            self.title = title;
        }
        self.details = details;
        self.fields = fields;
        self
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The problem's `type`.
    #[must_use]
    pub fn type_uri(&self) -> &str {
        &self.type_uri
    }

    /// The value of `WWW-Authenticate` (RFC 9110 §11.6.1): with status 401, the schemes that the
    /// engine reads; `None` if its callers authenticate without any.
    #[must_use]
    pub fn www_authenticate(&self) -> Option<&str> {
        self.challenge.as_deref()
    }

    /// The value of `Retry-After` in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|wait| {
            wait.as_millis()
                .div_ceil(1000)
                .try_into()
                .unwrap_or(u64::MAX)
        })
    }

    /// The header fields of the response, by lower-case name: what an adapter sets, each once.
    ///
    /// Always `content-type` ([`PROBLEM_MEDIA_TYPE`]) and `cache-control: no-store`, because an
    /// answer that depends on a credential must not be stored; with status 401 also
    /// `www-authenticate`, `retry-after` where waiting helps, and what the refusal
    /// [adds](crate::Refusal::with_field).
    ///
    /// ```
    /// use tenancy_core::{Refusal, RefusalKind};
    ///
    /// let problem = Refusal::new(RefusalKind::Unavailable, "directory-unavailable").problem();
    /// let fields: Vec<String> =
    ///     problem.fields().map(|(name, value)| format!("{name}: {value}")).collect();
    /// assert_eq!(
    ///     fields,
    ///     ["content-type: application/problem+json", "cache-control: no-store", "retry-after: 1"],
    /// );
    /// ```
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let challenge = self
            .challenge
            .clone()
            .map(|challenge| ("www-authenticate", challenge));
        let wait = self
            .retry_after_seconds()
            .map(|seconds| ("retry-after", Cow::Owned(seconds.to_string())));
        [
            ("content-type", Cow::Borrowed(PROBLEM_MEDIA_TYPE)),
            ("cache-control", Cow::Borrowed("no-store")),
        ]
        .into_iter()
        .chain(challenge)
        .chain(wait)
        .chain(
            self.fields
                .iter()
                .map(|(name, value)| (*name, Cow::Borrowed(&**value))),
        )
    }

    /// The body.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Refusal, RefusalKind};

    #[test]
    fn every_kind_has_a_complete_problem_and_keeps_its_reason() {
        for kind in RefusalKind::ALL {
            let problem = Refusal::new(kind, "the-inner-reason").problem();
            let json: serde_json::Value = serde_json::from_str(&problem.to_json()).unwrap();
            assert_eq!(json["status"], kind.status());
            assert!(
                json["type"]
                    .as_str()
                    .unwrap()
                    .starts_with("urn:tenancy:problem:")
            );
            assert!(json["title"].is_string() && json["detail"].is_string());
            assert!(!problem.to_json().contains("the-inner-reason"));
            assert_eq!(problem.www_authenticate().is_some(), kind.status() == 401);
            assert_eq!(
                problem.retry_after_seconds().is_some(),
                matches!(kind.status(), 429 | 503)
            );
        }
    }

    #[test]
    fn the_fields_say_what_the_getters_say() {
        for kind in RefusalKind::ALL {
            let problem = Refusal::new(kind, "x").problem();
            let fields: Vec<_> = problem.fields().collect();
            let value = |name: &str| {
                let mut found = fields.iter().filter(|(field, _)| *field == name);
                let value = found.next().map(|(_, value)| &**value);
                assert!(found.next().is_none(), "{name} twice");
                value
            };
            assert_eq!(value("content-type"), Some("application/problem+json"));
            assert_eq!(value("cache-control"), Some("no-store"));
            assert_eq!(value("www-authenticate"), problem.www_authenticate());
            let wait = problem.retry_after_seconds().map(|wait| wait.to_string());
            assert_eq!(value("retry-after"), wait.as_deref());
        }
    }

    #[test]
    fn a_denied_permission_is_named() {
        let problem = Refusal::permission_denied("notes:write").problem();
        let json: serde_json::Value = serde_json::from_str(&problem.to_json()).unwrap();
        assert_eq!(json["permission"], "notes:write");
    }
}
