//! A route's policy: everything that a request must have, and what it costs.

use super::RouteNeeds;
use crate::Cost;

/// What a route asks of a request, and what it takes for it: tenant and credential, a permission, a feature
/// of the tenant's plan, and costs.
///
/// An adapter's `PolicyLayer` or `PolicyMiddleware` puts it into effect, in this order: the request is
/// admitted (400, 401, 403, 404, 503), its caller holds the permission (403), the tenant's plan has the feature (403),
/// and the costs are taken (402, 429). Only then does the handler run.
///
/// ```
/// use tenancy_core::{RouteNeeds, RoutePolicy};
///
/// let export = RoutePolicy::new(RouteNeeds::tenant())
///     .permission("notes:export")
///     .feature("export")
///     .cost("exports", 1);
/// # let _ = export;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct RoutePolicy {
    needs: RouteNeeds,
    permission: Option<Box<str>>,
    feature: Option<Box<str>>,
    costs: Vec<Cost>,
}

impl RoutePolicy {
    /// A policy that asks for these needs and nothing else.
    pub const fn new(needs: RouteNeeds) -> Self {
        Self {
            needs,
            permission: None,
            feature: None,
            costs: Vec::new(),
        }
    }

    /// Asks for a permission of the [`PermissionRegistry`](crate::PermissionRegistry).
    pub fn permission(mut self, name: impl Into<Box<str>>) -> Self {
        self.permission = Some(name.into());
        self
    }

    /// Asks for a feature of the tenant's plan: see [`PlanBook::features`](crate::PlanBook::features).
    pub fn feature(mut self, name: impl Into<Box<str>>) -> Self {
        self.feature = Some(name.into());
        self
    }

    /// Takes so much of a meter of the [`Charger`](crate::Charger) for each request. May be called for
    /// several meters.
    ///
    /// Where layers around the route take of the same meter too, a request is charged once, with the
    /// highest of the amounts. A layer without a tenant charges who calls, and one with a tenant the
    /// tenant: these are two charges.
    pub fn cost(mut self, meter: impl Into<Box<str>>, amount: u64) -> Self {
        self.costs.push(Cost::new(meter, amount));
        self
    }

    /// Whether it has a tenant, and needs a credential.
    pub const fn needs(&self) -> RouteNeeds {
        self.needs
    }

    /// The permission it asks for.
    #[must_use]
    pub fn required_permission(&self) -> Option<&str> {
        self.permission.as_deref()
    }

    /// The feature it asks for.
    #[must_use]
    pub fn required_feature(&self) -> Option<&str> {
        self.feature.as_deref()
    }

    /// What it takes.
    #[must_use]
    pub fn costs(&self) -> &[Cost] {
        &self.costs
    }
}

impl From<RouteNeeds> for RoutePolicy {
    fn from(needs: RouteNeeds) -> Self {
        Self::new(needs)
    }
}
