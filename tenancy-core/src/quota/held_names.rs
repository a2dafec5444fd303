//! What is held of a meter has one name in all plans: by another name it would be counted anew.

use std::sync::Arc;

use super::rule::{Rule, RuleShape};
use crate::{
    ConfigError, Plan,
    plan::{Plans, Position},
};

/// Makes sure of it in a book.
pub(super) fn check(plans: &Plans) -> Result<(), ConfigError> {
    for (plan, at) in plans.each() {
        for (other, _) in plans.each() {
            check_between(plan, other, at)?;
        }
    }
    Ok(())
}

/// Makes sure of it in a stored plan, beside a book or another stored plan.
pub(crate) fn check_beside(plan: &Plan, others: &Plans) -> Result<(), ConfigError> {
    for (other, _) in others.each() {
        check_between(plan, other, Position::NONE)?;
    }
    Ok(())
}

fn check_between(plan: &Plan, other: &Plan, at: Position) -> Result<(), ConfigError> {
    for rule in held(plan) {
        let is_of_it = |their: &&Arc<Rule>| their.meter == rule.meter && their.scope == rule.scope;
        let theirs: Vec<_> = held(other).filter(is_of_it).collect();
        if let Some(their) = theirs.first()
            && theirs.iter().all(|their| their.name != rule.name)
        {
            return Err(at.error(format_args!(
                "plan `{}`: what is held of `{}` is counted as `{}`, and as `{}` in plan `{}`, so that a tenant \
                 that changes its plan would begin to count anew; give both limits one name",
                plan.name(),
                rule.meter,
                rule.name,
                their.name,
                other.name()
            )));
        }
    }
    Ok(())
}

fn held(plan: &Plan) -> impl Iterator<Item = &Arc<Rule>> {
    let is_held = |rule: &&Arc<Rule>| matches!(rule.shape, RuleShape::Held(..));
    plan.rules().iter().filter(is_held)
}
