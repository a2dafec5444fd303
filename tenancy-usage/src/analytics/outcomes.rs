//! How many requests succeeded and failed.

use std::collections::BTreeMap;

use rust_decimal::prelude::ToPrimitive as _;
use tenancy_core::{TenantId, quota::Window};

use super::{Analytics, reading::part};
use crate::{Rollup, RollupQuery, UsageError};

/// The meter of requests, with the dimensions `route`, `method` and `status`.
pub(super) const REQUESTS: &str = "http-requests";

/// How requests were answered, by the code of the status.
///
/// A failure is a status of 500 and above: the service's. A status of 400 to 499 is the caller's, and no failure. What has no status that
/// can be read is counted apart.
///
/// ```
/// use tenancy_usage::analytics::RequestOutcomes;
///
/// let mut outcomes = RequestOutcomes::default();
/// for (status, requests) in [("200", 97), ("404", 2), ("500", 1)] {
///     outcomes.note(status, requests);
/// }
/// assert_eq!((outcomes.succeeded, outcomes.refused, outcomes.failed), (97, 2, 1));
/// assert_eq!(outcomes.failure_rate(), Some(0.01));
/// assert_eq!(RequestOutcomes::default().failure_rate(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RequestOutcomes {
    /// All requests.
    pub requests: u64,
    /// Answered with a status below 400.
    pub succeeded: u64,
    /// Answered with 400 to 499.
    pub refused: u64,
    /// Answered with 500 to 599.
    pub failed: u64,
    /// With a status that is none.
    pub unknown: u64,
    /// By each status.
    pub by_status: BTreeMap<u16, u64>,
}

impl RequestOutcomes {
    /// Adds requests of a status, which is a code of three digits as text.
    pub fn note(&mut self, status: &str, requests: u64) {
        let add = |to: &mut u64| *to = to.saturating_add(requests);
        add(&mut self.requests);
        let code = status.parse::<u16>().ok().filter(|_| status.len() == 3);
        add(match code {
            Some(100..=399) => &mut self.succeeded,
            Some(400..=499) => &mut self.refused,
            Some(500..=599) => &mut self.failed,
            _ => &mut self.unknown,
        });
        if let Some(code @ 100..=599) = code {
            add(self.by_status.entry(code).or_default());
        }
    }

    /// The part of all requests that succeeded, from 0 to 1; `None` without a request.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        part(self.succeeded, self.requests)
    }

    /// The part that was refused as the caller's fault.
    #[must_use]
    pub fn refusal_rate(&self) -> Option<f64> {
        part(self.refused, self.requests)
    }

    /// The part in which the service failed.
    #[must_use]
    pub fn failure_rate(&self) -> Option<f64> {
        part(self.failed, self.requests)
    }

    pub(super) fn add(&mut self, rollup: &Rollup) {
        let status = rollup.dimensions.get("status").map(|it| &**it);
        let requests = rollup.quantity.to_u64().unwrap_or(u64::MAX);
        self.note(status.unwrap_or_default(), requests);
    }
}

impl Analytics<'_> {
    /// How a tenant's requests were answered in a range, from the meter `http-requests`. For each route: [`routes`](Self::routes).
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidQuery`](crate::UsageErrorKind::InvalidQuery) if the meter or its dimension `status` is not
    /// declared, or the range does not begin and end with a full minute.
    pub async fn outcomes(
        self,
        tenant: TenantId,
        range: Window,
    ) -> Result<RequestOutcomes, UsageError> {
        let query = RollupQuery::total(tenant, REQUESTS, range).by_dimension("status");
        let mut outcomes = RequestOutcomes::default();
        for rollup in &self.rollups(&query).await? {
            outcomes.add(rollup);
        }
        Ok(outcomes)
    }
}
