//! What a refusal says about a plan or a limit.

use std::time::Duration;

use serde::Serialize;

/// What a caller is told about the plan or the limit that it met: members of the problem (RFC 9457 §3.2),
/// each left out where it is not set.
///
/// ```
/// use tenancy_core::{Refusal, RefusalDetails, RefusalKind};
///
/// let refusal = Refusal::new(RefusalKind::QuotaExhausted, "exports-of-the-month").with_details(
///     RefusalDetails::new()
///         .meter("exports")
///         .limit(100)
///         .used(100)
///         .plan("free")
///         .upgrade_url("https://notes.example/plans"),
/// );
/// let body = refusal.problem().to_json();
/// assert!(body.contains(r#""meter":"exports","limit":100,"used":100,"plan":"free""#));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[must_use]
pub struct RefusalDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    meter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrade_url: Option<String>,
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    violated_policies: Vec<String>,
}

impl RefusalDetails {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            meter: None,
            limit: None,
            used: None,
            remaining: None,
            reset: None,
            feature: None,
            plan: None,
            upgrade_url: None,
            violated_policies: Vec::new(),
        }
    }

    /// The meter whose limit was met.
    pub fn meter(mut self, name: impl Into<String>) -> Self {
        self.meter = Some(name.into());
        self
    }

    /// The limit, in the meter's unit.
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// How much of it is used, in the meter's unit.
    pub const fn used(mut self, used: u64) -> Self {
        self.used = Some(used);
        self
    }

    /// How much of it is left, in the meter's unit: less than the request asked for.
    pub const fn remaining(mut self, remaining: u64) -> Self {
        self.remaining = Some(remaining);
        self
    }

    /// After how long there is more of it; told in whole seconds, rounded up.
    pub fn reset(mut self, after: Duration) -> Self {
        let seconds = after.as_millis().div_ceil(1000);
        self.reset = Some(seconds.try_into().unwrap_or(u64::MAX));
        self
    }

    /// The names of the limits that refuse. A refusal of the kind [`RateLimited`](crate::RefusalKind::RateLimited) or
    /// [`Unavailable`](crate::RefusalKind::Unavailable) that names one has the `type` that
    /// draft-ietf-httpapi-ratelimit-headers gives it: `quota-exceeded` or `temporary-reduced-capacity` of
    /// `https://iana.org/assignments/http-problem-types`.
    ///
    /// ```
    /// use tenancy_core::{Refusal, RefusalDetails, RefusalKind};
    ///
    /// let details = RefusalDetails::new().violated_policies(["exports-daily"]);
    /// let refusal = Refusal::new(RefusalKind::RateLimited, "exports-of-the-day").with_details(details);
    /// let problem = refusal.problem();
    /// assert_eq!(problem.type_uri(), "https://iana.org/assignments/http-problem-types#quota-exceeded");
    /// assert!(problem.to_json().contains(r#""violated-policies":["exports-daily"]"#));
    /// ```
    pub fn violated_policies(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.violated_policies = names.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn names_policies(&self) -> bool {
        !self.violated_policies.is_empty()
    }

    /// The feature that the plan lacks.
    pub fn feature(mut self, name: impl Into<String>) -> Self {
        self.feature = Some(name.into());
        self
    }

    /// The tenant's plan.
    pub fn plan(mut self, name: impl Into<String>) -> Self {
        self.plan = Some(name.into());
        self
    }

    /// Where the tenant can choose another plan.
    pub fn upgrade_url(mut self, url: impl Into<String>) -> Self {
        self.upgrade_url = Some(url.into());
        self
    }
}
