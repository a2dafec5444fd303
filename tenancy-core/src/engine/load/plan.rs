//! A stored version of a plan, which this process does not know yet.

use super::{Fact, LoadContext};
use crate::{
    ConfigError, DirectoryError, Plan, PlanVersion, Timestamp, engine::Inner,
    quota::check_held_names,
};

/// By the name that a tenant's record has: `pro@3`.
pub(in crate::engine) struct StoredPlan;

/// What a store says of a version.
#[derive(Clone)]
pub(in crate::engine) enum StoredPlanAnswer {
    Is(Plan),
    /// It needs something that this engine has not.
    Unusable,
    Missing,
}

impl Fact for StoredPlan {
    type Key = String;
    type Value = StoredPlanAnswer;
    type Error = DirectoryError;

    async fn load(
        context: LoadContext<'_>,
        name: &String,
    ) -> Result<(Timestamp, StoredPlanAnswer), DirectoryError> {
        let inner = context.engine.inner();
        let answer = |answer| Ok((context.now, answer));
        let (Some(store), Some((plan, version))) =
            (&inner.stored_plans, PlanVersion::parse_id(name))
        else {
            return answer(StoredPlanAnswer::Missing);
        };
        let found = store.find_plan_version(plan, Some(version)).await?;
        // A store that answers with another version must not permit anything.
        match found.filter(|found| found.to_string() == *name) {
            None => answer(StoredPlanAnswer::Missing),
            Some(found) => {
                let plan = read(inner, &found).map_err(|error| {
                    // Once for each version: it is asked for no more.
                    tracing::error!(
                        plan = %name, %error,
                        "a stored plan can't be used by this program; its tenants are refused until a \
                         program that knows what the plan needs is running"
                    );
                });
                if let Some(current) = &inner.plans {
                    current.keep(name, plan.clone().ok());
                }
                answer(plan.map_or(StoredPlanAnswer::Unusable, StoredPlanAnswer::Is))
            }
        }
    }
}

/// Reads a version with what this engine has.
fn read(inner: &Inner, found: &PlanVersion) -> Result<Plan, ConfigError> {
    let name = found.to_string();
    let plans = inner.compile_plans(found.definition.book_as(&name)?)?;
    if let Some(quotas) = &inner.quotas {
        quotas.take_plans(&plans)?;
    }
    let plan = plans.named(&name).cloned();
    let plan = plan.ok_or_else(|| ConfigError::new("it has no plan"))?;
    // Of the plan's own tenants nothing is forgotten, so they are served.
    if let Some(current) = &inner.plans
        && let Err(error) = check_held_names(&plan, &current.book())
    {
        tracing::error!(
            plan = %name, %error,
            "what tenants of this stored plan hold does not count in the book's plans"
        );
    }
    Ok(plan)
}
