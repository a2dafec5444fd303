//! What each route served.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use tenancy_core::{TenantId, quota::Window};

use super::{
    Analytics, Durations, RequestOutcomes,
    durations::{SECONDS, TOOK},
    outcomes::REQUESTS,
};
use crate::{RollupQuery, UsageError};

/// What a route served for a tenant.
///
/// ```
/// use tenancy_usage::analytics::RouteUsage;
///
/// /// The route that failed most.
/// fn worst(routes: &[RouteUsage]) -> Option<&RouteUsage> {
///     routes.iter().max_by_key(|route| route.outcomes.failed)
/// }
/// assert_eq!(worst(&[]), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RouteUsage {
    /// The route; empty for requests that had none.
    pub route: Box<str>,
    /// How its requests were answered.
    pub outcomes: RequestOutcomes,
    /// How long they took.
    pub durations: Durations,
    /// The bytes of the requests.
    pub bytes_in: Decimal,
    /// The bytes of the responses.
    pub bytes_out: Decimal,
}

impl Analytics<'_> {
    /// What each route served for a tenant in a range, the one with most requests first: from the meters `http-requests`, `http-took`,
    /// `http-seconds`, `http-request-bytes` and `http-response-bytes`.
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidQuery`](crate::UsageErrorKind::InvalidQuery) if a meter is not declared, or the range does
    /// not begin and end with a full minute.
    pub async fn routes(
        self,
        tenant: TenantId,
        range: Window,
    ) -> Result<Vec<RouteUsage>, UsageError> {
        let of = |meter: &str| RollupQuery::total(tenant, meter, range).by_dimension("route");
        let queries = [
            of(REQUESTS).by_dimension("status"),
            of(TOOK).by_dimension("took"),
            of(SECONDS),
            of("http-request-bytes"),
            of("http-response-bytes"),
        ];
        let mut routes = BTreeMap::<Box<str>, RouteUsage>::new();
        for rollup in self
            .each(&queries, |rollups| rollups)
            .await?
            .into_iter()
            .flatten()
        {
            let name = rollup.dimensions.get("route").cloned().unwrap_or_default();
            let route = routes.entry(name.clone()).or_insert_with(|| RouteUsage {
                route: name,
                ..RouteUsage::default()
            });
            let add = |to: &mut Decimal| *to = to.saturating_add(rollup.quantity);
            match &*rollup.meter {
                REQUESTS => route.outcomes.add(&rollup),
                TOOK => route.durations.add(&rollup),
                SECONDS => add(&mut route.durations.seconds),
                "http-request-bytes" => add(&mut route.bytes_in),
                _ => add(&mut route.bytes_out),
            }
        }
        let mut routes: Vec<_> = routes.into_values().collect();
        // Stable: routes with equally many stay in the order of their names.
        routes.sort_by_key(|route| std::cmp::Reverse(route.outcomes.requests));
        Ok(routes)
    }
}
