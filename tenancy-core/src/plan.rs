//! Plans: what a tenant has bought: permissions, features, limits, and what else a price list says.

mod current;
mod node;
mod position;
mod price;
mod reading;
mod retention;
mod sold;
mod stored;
#[cfg(test)]
mod tests;
#[cfg(feature = "toml")]
mod toml;

use std::collections::HashSet;

use crate::{
    ConfigError, Grant, PermissionRegistry, PermissionSet,
    quota::{Limit, Meter, Rule},
};
pub(crate) use current::CurrentPlans;
/// How written books are read: for the crates of this family alone.
pub mod document {
    #[cfg(feature = "toml")]
    pub use super::toml::node as from_toml;
    pub use super::{
        node::{Entry, Fields, Node, Value},
        position::{Placed, Position},
    };
}
pub(crate) use position::{Placed, Position};
pub use price::{Price, PricePeriod};
pub use retention::Retention;
pub use sold::Plan;
pub(crate) use sold::Plans;
use sold::Said;
pub use stored::{PlanDefinition, PlanDirectory, PlanStore, PlanVersion};

/// The plans that a service sells, and what each permits.
///
/// Given to [`TenancyBuilder::plans`](crate::TenancyBuilder::plans). Every caller in a tenant then may
/// do at most what its [plan](crate::TenantRecord::plan) permits: its members whatever their role, their API keys
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
    plans: Vec<(Placed<String>, Vec<Placed<String>>)>,
    additions: Vec<(String, Addition)>,
    declared_features: Vec<String>,
    fallback: Option<Placed<String>>,
}

/// What is said about a plan beside what it permits.
#[derive(Debug, Clone)]
enum Addition {
    Features(Vec<String>),
    Limits(Vec<Placed<Limit>>),
    Retention(Vec<(Placed<String>, Retention)>),
    Support(Placed<String>),
    Price(Placed<Price>),
}

impl Addition {
    const fn what(&self) -> &'static str {
        match self {
            Self::Features(_) => "features",
            Self::Limits(_) => "limits",
            Self::Retention(_) => "retention",
            Self::Support(_) => "support",
            Self::Price(_) => "a price",
        }
    }
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
        let permits = permits.into_iter().map(|it| it.to_owned().into()).collect();
        self.plans.push((name.into().into(), permits));
        self
    }

    /// Gives a plan of the book features: what a tenant may use at all, whoever acts in it. A feature is
    /// declared by being in a plan.
    ///
    /// A handler asks with [`TenantContext::has_feature`](crate::TenantContext::has_feature), a route with
    /// [`RoutePolicy::feature`](crate::RoutePolicy::feature).
    pub fn features<'a>(
        self,
        plan: impl Into<String>,
        features: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let features = features.into_iter().map(str::to_owned).collect();
        self.with(plan, Addition::Features(features))
    }

    /// Declares features that no plan of the book has, so that routes and handlers may ask for them: those of
    /// [stored plans](crate::TenancyBuilder::stored_plans), and of a book that may
    /// [replace](crate::Tenancy::replace_plans) this one.
    pub fn declare_features<'a>(mut self, features: impl IntoIterator<Item = &'a str>) -> Self {
        let features = features.into_iter().map(str::to_owned);
        self.declared_features.extend(features);
        self
    }

    /// Gives a plan of the book limits: how much of each [meter](crate::quota::Meter) its tenants may use. May be
    /// called several times for a plan.
    ///
    /// Each plan says something about each meter that [`Quotas`](crate::quota::Quotas) has, if only that it is
    /// [unlimited](Limit::unlimited) or [not included](Limit::not_included): what was forgotten shows when the engine is
    /// built. The exception is a meter for which the quotas have [limits of their own](crate::quota::Quotas::limit).
    pub fn limits(self, plan: impl Into<String>, limits: impl IntoIterator<Item = Limit>) -> Self {
        let limits = limits.into_iter().map(Placed::from).collect();
        self.with(plan, Addition::Limits(limits))
    }

    /// Says how long things are kept for tenants of a plan, by a name of your own for what is kept. May be called
    /// several times for a plan.
    ///
    /// ```
    /// use tenancy_core::{PlanBook, Retention};
    ///
    /// let plans = PlanBook::new()
    ///     .plan("pro", ["*"])
    ///     .retention("pro", [("test-runs", Retention::Days(90)), ("invoices", Retention::ForGood)]);
    /// # let _ = plans;
    /// ```
    pub fn retention<'a>(
        self,
        plan: impl Into<String>,
        kept: impl IntoIterator<Item = (&'a str, Retention)>,
    ) -> Self {
        let kept = kept
            .into_iter()
            .map(|(of, how)| (of.to_owned().into(), how))
            .collect();
        self.with(plan, Addition::Retention(kept))
    }

    /// Says which support tenants of a plan get: `by mail, within two working days`. The words are yours.
    pub fn support(self, plan: impl Into<String>, level: impl Into<String>) -> Self {
        self.with(plan, Addition::Support(level.into().into()))
    }

    /// Says what a plan costs. May be called several times for a plan: once for each period and currency.
    pub fn price(self, plan: impl Into<String>, price: Price) -> Self {
        self.with(plan, Addition::Price(price.into()))
    }

    /// The plan that tenants count as whose record names none. Default: they may do nothing.
    pub fn for_tenants_without_plan(mut self, name: impl Into<String>) -> Self {
        self.fallback = Some(name.into().into());
        self
    }

    fn with(mut self, plan: impl Into<String>, addition: Addition) -> Self {
        self.additions.push((plan.into(), addition));
        self
    }

    /// Reads the book with the permissions and the meters it is about.
    pub(crate) fn compiled(
        self,
        registry: &PermissionRegistry,
        meters: Option<&[Meter]>,
    ) -> Result<Plans, ConfigError> {
        let mut plans: Vec<(Said, Position)> = Vec::new();
        let mut limits: Vec<Vec<Placed<Limit>>> = Vec::new();
        let mut names = HashSet::new();
        for (name, permits) in self.plans {
            let Placed { value: name, at } = name;
            if !names.insert(name.clone()) {
                return Err(at.error(format_args!(
                    "plan `{name}` stands twice in the book; keep one of them"
                )));
            }
            let said = Said {
                permitted: permitted(&name, permits, registry)?,
                name: name.into(),
                ..Said::default()
            };
            plans.push((said, at));
            limits.push(Vec::new());
        }
        for (name, addition) in self.additions {
            let plan = plans
                .iter_mut()
                .zip(&mut limits)
                .find(|((said, _), _)| *said.name == *name);
            let Some(((said, _), limits)) = plan else {
                return Err(ConfigError::new(format!(
                    "plan `{name}` is given {} and is not in the book; add it with `plan`",
                    addition.what()
                )));
            };
            said.take(addition, limits)?;
        }
        for ((said, at), limits) in plans.iter_mut().zip(limits) {
            if limits.is_empty() {
                continue;
            }
            let whose = format!("plan `{}`", said.name);
            let Some(meters) = meters else {
                return Err(at.error(format_args!(
                    "{whose} has limits, and nothing counts what is used; give the engine `quotas`"
                )));
            };
            said.rules = Rule::all_of(limits, meters, &whose, true)?;
        }
        if let Some(Placed { value: name, at }) = &self.fallback
            && !names.contains(name)
        {
            return Err(at.error(format_args!(
                "tenants without a plan are to count as `{name}`, which is not in the book"
            )));
        }
        let fallback = self.fallback.map(|name| name.value.into());
        Ok(Plans::new(plans, fallback, self.declared_features))
    }
}

/// A limit that is stored by itself.
pub(crate) fn limit_from_json(
    whose: &str,
    meter: &str,
    json: &serde_json::Value,
) -> Result<Limit, ConfigError> {
    reading::limit_from_json(whose, meter, json)
}

/// What the grants of a plan permit.
fn permitted(
    plan: &str,
    permits: Vec<Placed<String>>,
    registry: &PermissionRegistry,
) -> Result<PermissionSet, ConfigError> {
    let mut permitted = PermissionSet::EMPTY;
    for Placed { value: text, at } in permits {
        let grant: Grant =
            (text.parse()).map_err(|error| at.error(format_args!("plan `{plan}`: {error}")))?;
        let covered = registry.covered_by(&grant);
        if covered.is_empty() && !grant.is_everything() {
            return Err(at.error(format_args!(
                "plan `{plan}` permits `{grant}`, which covers no permission that is declared; declare \
                 it or remove the grant"
            )));
        }
        permitted = permitted.union(covered);
    }
    Ok(permitted)
}

impl Said {
    /// Takes what is said about the plan beside what it permits. Limits are checked together, later.
    fn take(
        &mut self,
        addition: Addition,
        limits: &mut Vec<Placed<Limit>>,
    ) -> Result<(), ConfigError> {
        let name = self.name.clone();
        match addition {
            Addition::Features(more) => {
                self.features
                    .extend(more.into_iter().map(String::into_boxed_str));
            }
            Addition::Limits(more) => limits.extend(more),
            Addition::Retention(kept) => {
                for (Placed { value: of, at }, how) in kept {
                    if of.trim().is_empty() {
                        return Err(at.error(format_args!(
                            "plan `{name}`: retention is given for something without a name; give what \
                             is kept a name"
                        )));
                    }
                    if how == Retention::Days(0) {
                        return Err(at.error(format_args!(
                            "plan `{name}`: `{of}` would be kept for 0 days; give 1 day or more"
                        )));
                    }
                    if self.retention.insert(of.clone().into(), how).is_some() {
                        return Err(at.error(format_args!(
                            "plan `{name}`: the retention of `{of}` is given twice; keep one of them"
                        )));
                    }
                }
            }
            Addition::Support(Placed { value: level, at }) => {
                if level.trim().is_empty() {
                    return Err(at.error(format_args!(
                        "plan `{name}`: the support is blank; say which support there is, or remove it"
                    )));
                }
                if self.support.replace(level.into()).is_some() {
                    return Err(at.error(format_args!(
                        "plan `{name}`: the support is given twice; keep one of them"
                    )));
                }
            }
            Addition::Price(Placed { value: price, at }) => {
                (price.check(&self.prices))
                    .map_err(|error| at.error(format_args!("plan `{name}`: {error}")))?;
                self.prices.push(price);
            }
        }
        Ok(())
    }
}
