//! `Plan`: one plan of a book that was checked; and all of them, by name.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use super::{Position, Price, Retention};
use crate::{PermissionSet, TenantRecord, quota::Rule};

/// One plan of the [book](crate::PlanBook): what a page of prices shows, and what a job asks that removes old data.
///
/// From [`Tenancy::plan`](crate::Tenancy::plan), and of the tenant at hand from
/// [`TenantContext::plan`](crate::TenantContext::plan). Cheap to clone.
///
/// ```
/// use tenancy_core::{Plan, Retention, TenantContext};
///
/// /// For how many days a tenant's test runs are kept.
/// fn days_of_runs(context: &TenantContext) -> Option<u32> {
///     match context.plan().and_then(|plan| plan.retention("test-runs")) {
///         Some(Retention::Days(days)) => Some(days),
///         _ => None,
///     }
/// }
///
/// fn line_of_a_price_list(plan: &Plan) -> String {
///     format!("{}: {}", plan.name(), plan.support().unwrap_or("no support"))
/// }
/// # let _ = (days_of_runs, line_of_a_price_list);
/// ```
#[derive(Clone, PartialEq)]
pub struct Plan(Arc<Said>);

/// What a plan says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Said {
    pub(super) name: Box<str>,
    pub(super) permitted: PermissionSet,
    pub(super) features: BTreeSet<Box<str>>,
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) retention: BTreeMap<Box<str>, Retention>,
    pub(super) support: Option<Box<str>>,
    pub(super) prices: Vec<Price>,
}

impl Plan {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it has a feature: see [`PlanBook::features`](crate::PlanBook::features).
    #[must_use]
    pub fn has_feature(&self, name: &str) -> bool {
        self.0.features.contains(name)
    }

    /// Its features, in the order of the alphabet.
    pub fn features(&self) -> impl Iterator<Item = &str> {
        self.0.features.iter().map(|name| &**name)
    }

    /// How long something is kept, by the name that the book gives it: see
    /// [`PlanBook::retention`](crate::PlanBook::retention). `None` if the plan says nothing of it.
    #[must_use]
    pub fn retention(&self, of: &str) -> Option<Retention> {
        self.0.retention.get(of).copied()
    }

    /// All that it says of how long things are kept, in the order of the alphabet.
    pub fn retentions(&self) -> impl Iterator<Item = (&str, Retention)> {
        self.0.retention.iter().map(|(of, how)| (&**of, *how))
    }

    /// The support that its tenants get, in the words of [`PlanBook::support`](crate::PlanBook::support).
    #[must_use]
    pub fn support(&self) -> Option<&str> {
        self.0.support.as_deref()
    }

    /// What it costs, in the book's order: a price for each period and currency. Empty if the book does not say.
    #[must_use]
    pub fn prices(&self) -> &[Price] {
        &self.0.prices
    }

    /// What it permits.
    pub(crate) fn permitted(&self) -> PermissionSet {
        self.0.permitted
    }

    /// Its limits.
    pub(crate) fn rules(&self) -> &[Arc<Rule>] {
        &self.0.rules
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("name", &self.0.name)
            .field("features", &self.0.features)
            .field("retention", &self.0.retention)
            .field("support", &self.0.support)
            .field("prices", &self.0.prices)
            .finish_non_exhaustive()
    }
}

/// A [`PlanBook`](crate::PlanBook) that has been read.
pub(crate) struct Plans {
    in_order: Vec<(Plan, Position)>,
    by_name: HashMap<Box<str>, Plan>,
    fallback: Option<Box<str>>,
    /// Those of its plans, and those that were declared.
    features: BTreeSet<Box<str>>,
}

impl Plans {
    pub(super) fn new(
        said: Vec<(Said, Position)>,
        fallback: Option<Box<str>>,
        declared_features: Vec<String>,
    ) -> Self {
        let mut features: BTreeSet<Box<str>> = (declared_features.into_iter())
            .map(String::into_boxed_str)
            .collect();
        for (said, _) in &said {
            features.extend(said.features.iter().cloned());
        }
        let plans = said
            .into_iter()
            .map(|(said, at)| (Plan(Arc::new(said)), at));
        let in_order: Vec<_> = plans.collect();
        let named = in_order
            .iter()
            .map(|(plan, _)| (plan.name().into(), plan.clone()));
        Self {
            by_name: named.collect(),
            in_order,
            fallback,
            features,
        }
    }

    /// Each plan, in the book's order, and where it stands.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&Plan, Position)> {
        self.in_order.iter().map(|(plan, at)| (plan, *at))
    }

    /// The plan of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Plan> {
        self.by_name.get(name)
    }

    /// The name of the plan that a tenant counts as.
    pub(crate) fn name_of<'a>(&'a self, tenant: &'a TenantRecord) -> Option<&'a str> {
        tenant.plan.as_deref().or(self.fallback.as_deref())
    }

    /// Whether any plan has a feature, or it was declared.
    pub(crate) fn know_feature(&self, name: &str) -> bool {
        self.features.contains(name)
    }

    /// Knows the features that another book knows, too.
    pub(super) fn know_features_of(&mut self, other: &Self) {
        self.features.extend(other.features.iter().cloned());
    }
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.each().map(|(plan, _)| plan.name()))
            .finish()
    }
}
