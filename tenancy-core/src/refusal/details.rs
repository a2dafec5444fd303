//! What a refusal says about a plan or a limit.

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
    feature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrade_url: Option<String>,
}

impl RefusalDetails {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            meter: None,
            limit: None,
            used: None,
            feature: None,
            plan: None,
            upgrade_url: None,
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
