//! Plans: what a tenant has bought: permissions, features and limits.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use crate::{
    ConfigError, Grant, PermissionRegistry, PermissionSet, TenantRecord,
    quota::{Limit, Meter, Rule},
};

/// The plans that a service sells, and what each permits.
///
/// Given to [`TenancyBuilder::plans`](crate::TenancyBuilder::plans). Every caller in a tenant then may
/// do at most what its [plan](TenantRecord::plan) permits: its members whatever their role, their API keys
/// whatever their scopes, its service accounts. A plan gives nobody a permission.
///
/// A tenant's plan is a part of its record: a change, by [`Admin::set_plan`](crate::Admin::set_plan),
/// holds from the next request on here, and elsewhere within
/// [`max_staleness`](crate::Tenancy::max_staleness).
///
/// ```
/// use tenancy_core::{PermissionRegistry, PlanBook, SystemRole};
///
/// let permissions = PermissionRegistry::builder()
///     .permission("notes:read", SystemRole::Viewer)
///     .permission("notes:export", SystemRole::Member)
///     .build()?;
/// let plans = PlanBook::new()
///     .plan("free", ["notes:read"])
///     .plan("pro", ["notes:*"])
///     .for_tenants_without_plan("free");
/// # use tenancy_core::{MemoryDirectory, Tenancy, jwt::{Algorithm, JwtAuthenticator, VerificationKey}};
/// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
/// let tenancy = Tenancy::builder(MemoryDirectory::new())
///     .authenticator(tokens)
///     .permissions(permissions)
///     .plans(plans)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
/// A tenant whose plan is not in the book may do nothing, and that is logged; so may one without a
/// plan, unless the book says which plan it counts as. [`Tenancy::enter`](crate::Tenancy::enter) is
/// not bound by plans: the service's own work for a tenant is not the tenant's.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PlanBook {
    plans: Vec<(String, Vec<String>)>,
    features: Vec<(String, Vec<String>)>,
    limits: Vec<(String, Vec<Limit>)>,
    fallback: Option<String>,
}

impl PlanBook {
    /// No plan yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a plan with the grants that it permits: `notes:read`, `notes:*`, or `*` for everything.
    pub fn plan<'a>(
        mut self,
        name: impl Into<String>,
        permits: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let permits = permits.into_iter().map(str::to_owned).collect();
        self.plans.push((name.into(), permits));
        self
    }

    /// Gives a plan of the book features: what a tenant may use at all, whoever acts in it. A feature is
    /// declared by being in a plan.
    ///
    /// A handler asks with [`TenantContext::has_feature`](crate::TenantContext::has_feature), a route with
    /// [`RoutePolicy::feature`](crate::RoutePolicy::feature).
    pub fn features<'a>(
        mut self,
        plan: impl Into<String>,
        features: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let features = features.into_iter().map(str::to_owned).collect();
        self.features.push((plan.into(), features));
        self
    }

    /// Gives a plan of the book limits: how much of each [meter](crate::quota::Meter) its tenants may use. May be
    /// called several times for a plan.
    ///
    /// Each plan says something about each meter that [`Quotas`](crate::quota::Quotas) has, if only that it is
    /// [unlimited](Limit::unlimited) or [not included](Limit::not_included): what was forgotten shows when the engine is
    /// built. The exception is a meter for which the quotas have [limits of their own](crate::quota::Quotas::limit).
    pub fn limits(
        mut self,
        plan: impl Into<String>,
        limits: impl IntoIterator<Item = Limit>,
    ) -> Self {
        self.limits
            .push((plan.into(), limits.into_iter().collect()));
        self
    }

    /// The plan that tenants count as whose record names none. Default: they may do nothing.
    pub fn for_tenants_without_plan(mut self, name: impl Into<String>) -> Self {
        self.fallback = Some(name.into());
        self
    }

    /// Reads the book with the permissions it is about.
    pub(crate) fn compiled(
        self,
        registry: &PermissionRegistry,
        meters: Option<&[Meter]>,
    ) -> Result<Plans, ConfigError> {
        let mut plans = HashMap::new();
        for (name, permits) in self.plans {
            let mut permitted = PermissionSet::EMPTY;
            for text in permits {
                let grant: Grant = text
                    .parse()
                    .map_err(|error| ConfigError::new(format!("plan `{name}`: {error}")))?;
                let covered = registry.covered_by(&grant);
                if covered.is_empty() && !grant.is_everything() {
                    return Err(ConfigError::new(format!(
                        "plan `{name}` permits `{grant}`, which covers no permission that is \
                         declared; declare it or remove the grant"
                    )));
                }
                permitted = permitted.union(covered);
            }
            let plan = Plan {
                permitted,
                features: HashSet::new(),
                rules: Vec::new(),
            };
            if plans.insert(name.clone(), plan).is_some() {
                return Err(ConfigError::new(format!(
                    "plan `{name}` stands twice in the book; keep one of them"
                )));
            }
        }
        for (name, features) in self.features {
            let plan = plans.get_mut(&name).ok_or_else(|| {
                ConfigError::new(format!(
                    "plan `{name}` is given features and is not in the book; add it with `plan`"
                ))
            })?;
            plan.features.extend(features);
        }
        let mut limits: Vec<(String, Vec<Limit>)> = Vec::new();
        for (name, more) in self.limits {
            match limits.iter_mut().find(|(of, _)| *of == name) {
                Some((_, limits)) => limits.extend(more),
                None => limits.push((name, more)),
            }
        }
        for (name, limits) in limits {
            let plan = plans.get_mut(&name).ok_or_else(|| {
                ConfigError::new(format!(
                    "plan `{name}` is given limits and is not in the book; add it with `plan`"
                ))
            })?;
            let meters = meters.ok_or_else(|| {
                ConfigError::new(format!(
                    "plan `{name}` has limits, and nothing counts what is used; give the engine \
                     `quotas`"
                ))
            })?;
            plan.rules = Rule::all_of(limits, meters, &format!("plan `{name}`"), true)?;
        }
        if let Some(name) = &self.fallback
            && !plans.contains_key(name)
        {
            return Err(ConfigError::new(format!(
                "tenants without a plan are to count as `{name}`, which is not in the book"
            )));
        }
        Ok(Plans {
            plans,
            fallback: self.fallback,
        })
    }
}

/// A [`PlanBook`] that has been read.
pub(crate) struct Plans {
    plans: HashMap<String, Plan>,
    fallback: Option<String>,
}

struct Plan {
    permitted: PermissionSet,
    features: HashSet<String>,
    rules: Vec<Arc<Rule>>,
}

impl Plans {
    /// The limits of a tenant's plan; `None` if its plan is not in the book.
    pub(crate) fn rules(&self, tenant: &TenantRecord) -> Option<&[Arc<Rule>]> {
        self.of(tenant).map(|plan| plan.rules.as_slice())
    }

    /// The name of the plan that a tenant counts as.
    pub(crate) fn name<'a>(&'a self, tenant: &'a TenantRecord) -> Option<&'a str> {
        tenant.plan.as_deref().or(self.fallback.as_deref())
    }

    /// Each plan with its limits.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, &[Arc<Rule>])> {
        let each = self.plans.iter();
        each.map(|(name, plan)| (name.as_str(), plan.rules.as_slice()))
    }

    /// What a tenant's plan permits.
    pub(crate) fn permitted(&self, tenant: &TenantRecord) -> PermissionSet {
        self.of(tenant)
            .map_or(PermissionSet::EMPTY, |plan| plan.permitted)
    }

    /// Whether a tenant's plan has a feature.
    pub(crate) fn have_feature(&self, tenant: &TenantRecord, name: &str) -> bool {
        let plan = self.of(tenant);
        plan.is_some_and(|plan| plan.features.contains(name))
    }

    /// Whether any plan has a feature.
    pub(crate) fn know_feature(&self, name: &str) -> bool {
        let mut plans = self.plans.values();
        plans.any(|plan| plan.features.contains(name))
    }

    fn of(&self, tenant: &TenantRecord) -> Option<&Plan> {
        let name = tenant.plan.as_ref().or(self.fallback.as_ref())?;
        let plan = self.plans.get(name);
        if plan.is_none() {
            tracing::warn!(tenant.id = %tenant.id, plan = %name, "unknown plan: nothing is permitted");
        }
        plan
    }
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.plans.keys()).finish()
    }
}
