//! What each tenant may have of a pool, by its plan.

use std::collections::HashMap;

use tenancy_core::{PlanVersion, TenantRecord};

use crate::{
    StartError, StartErrorKind,
    connections::{Allowance, count},
};

/// What a tenant may have of a pool by its plan: see [`TenantPoolOptions::plan_share`].
///
/// [`TenantPoolOptions::plan_share`]: crate::TenantPoolOptions::plan_share
///
/// ```
/// use tenancy_sqlx::{Share, TenantPoolOptions};
///
/// let options = TenantPoolOptions::new()
///     .max_connections(20)
///     .plan_share("enterprise", Share::new().weight(3).max_connections(10))
///     .plan_share("free", Share::new().max_connections(2));
/// # drop(options);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Share {
    weight: u32,
    most: Option<u32>,
}

impl Default for Share {
    fn default() -> Self {
        Self::new()
    }
}

impl Share {
    /// What a tenant has whose plan has no share of its own: weight 1, and the pool's
    /// [limit](crate::TenantPoolOptions::max_connections_per_tenant).
    pub const fn new() -> Self {
        Self {
            weight: 1,
            most: None,
        }
    }

    /// How many times as long as the pool's [turn](crate::TenantPoolOptions::turn_length) the
    /// tenant's is: with a weight of 3, it is served three callers where another is served one.
    /// Default: 1.
    ///
    /// It matters while several tenants wait, and then only.
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// The most connections that the tenant uses at a time, instead of the pool's
    /// [limit](crate::TenantPoolOptions::max_connections_per_tenant).
    pub const fn max_connections(mut self, most: u32) -> Self {
        self.most = Some(most);
        self
    }
}

/// The options about tenants.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    pub(super) per_tenant: Option<u32>,
    pub(super) turn_length: u32,
    pub(super) plans: Vec<(String, Share)>,
}

impl Shares {
    pub(super) const fn new() -> Self {
        Self {
            per_tenant: None,
            turn_length: 4,
            plans: Vec::new(),
        }
    }

    /// Reads the options for a pool of so many connections, and refuses what it can't keep to.
    pub(super) fn compiled(self, connections: u32) -> Result<Allowances, StartError> {
        if self.turn_length == 0 {
            return Err(refused(
                "a turn of 0 callers never ends; give `turn_length` at least 1".to_owned(),
            ));
        }
        check_most(self.per_tenant, connections, "`max_connections_per_tenant`")?;
        let per_tenant = self.per_tenant;
        let most = per_tenant.unwrap_or(match connections {
            // A request that needs two would wait for itself.
            0..4 => connections,
            // One stays for others.
            4.. => connections - 1,
        });
        let allowance = |share: Share| Allowance {
            most: count(share.most.unwrap_or(most)),
            turn: self.turn_length.saturating_mul(share.weight),
        };
        let mut by_plan = HashMap::with_capacity(self.plans.len());
        for (plan, share) in self.plans {
            let option = format!("`max_connections` of the share of plan `{plan}`");
            check_most(share.most, connections, &option)?;
            if share.weight == 0 {
                return Err(refused(format!(
                    "tenants of plan `{plan}` would never be served; give its share a `weight` of at \
                     least 1"
                )));
            }
            if by_plan.insert(plan.clone(), allowance(share)).is_some() {
                return Err(refused(format!(
                    "plan `{plan}` has two shares; keep one `plan_share` of them"
                )));
            }
        }
        Ok(Allowances {
            by_plan,
            of_others: allowance(Share::new()),
        })
    }
}

fn check_most(most: Option<u32>, connections: u32, option: &str) -> Result<(), StartError> {
    match most {
        Some(0) => Err(refused(format!(
            "0 connections for a tenant serve no tenant; give {option} at least 1, or leave it out"
        ))),
        Some(most) if most > connections => Err(refused(format!(
            "a tenant can't use {most} of {connections} connections; lower {option} or raise \
             the pool's `max_connections`"
        ))),
        _ => Ok(()),
    }
}

fn refused(message: String) -> StartError {
    StartError::new(StartErrorKind::BadOptions, message)
}

/// What tenants may have, by plan.
#[derive(Debug)]
pub(crate) struct Allowances {
    by_plan: HashMap<String, Allowance>,
    /// Of tenants without a plan, or with one that has no share of its own.
    of_others: Allowance,
}

impl Allowances {
    pub(super) fn of(&self, tenant: &TenantRecord) -> Allowance {
        let named = |plan: &str| self.by_plan.get(plan);
        let plan = tenant.plan.as_deref();
        // Of a stored plan the record names the version, and a share is mostly given to all of them.
        let own =
            plan.and_then(|plan| named(plan).or_else(|| named(PlanVersion::parse_id(plan)?.0)));
        own.copied().unwrap_or(self.of_others)
    }
}
