//! Refusing: what a caller is told who has met a limit.

use std::time::Duration;

use super::{
    CountersError, Denied, Scope, Wait,
    charging::{Due, Dues},
    outage::ShareUsedUp,
    rule::RuleShape,
    service::Inner,
};
use crate::{Refusal, RefusalDetails, RefusalKind};

/// How long a caller is told to wait where nobody knows how long.
const UNKNOWN: Duration = Duration::from_secs(1);

impl Inner {
    /// The refusal of a request that some limits do not admit: for the one that waiting helps least with. The caller is
    /// told to wait as long as the slowest of the others.
    pub(super) fn refusal(&self, denied: &[Denied], charge: &Dues, plan: Option<&str>) -> Refusal {
        let each = denied
            .iter()
            .filter_map(|one| Some((one, charge.dues.get(one.take)?)));
        let told = each
            .map(|(one, due)| (Why::of(one, due), one, due))
            .max_by_key(|(why, one, _)| (*why, wait(one)));
        let Some((why, one, due)) = told else {
            return Refusal::new(RefusalKind::RateLimited, "limit-reached");
        };
        let standing = one.denial.standing;
        let violated = denied
            .iter()
            .filter_map(|one| Some(&*charge.dues.get(one.take)?.rule.name));
        let mut details = RefusalDetails::new()
            .meter(&*due.rule.meter)
            .violated_policies(violated);
        // How much the service can stand, and what others use of it, is nobody's business.
        if why != Why::Capacity {
            details = details
                .limit(standing.limit)
                .used(standing.used)
                .remaining(standing.remaining);
            if let Some(after) = one.denial.comes_back_after() {
                details = details.reset(after);
            }
        }
        if let Some(plan) = plan {
            details = details.plan(plan);
        }
        if let (Some(url), true, true) = (&self.upgrade_url, due.rule.is_of_plan, why.is_paid_for())
        {
            details = details.upgrade_url(&**url);
        }
        let (kind, reason) = match due.rule.scope {
            Scope::Address => (RefusalKind::RateLimited, "too-many-from-address"),
            _ => why.told(&due.rule.shape),
        };
        let refusal = Refusal::new(kind, reason).with_details(details);
        if why.is_paid_for() {
            return refusal;
        }
        let slowest = denied.iter().map(wait).max();
        refusal.with_retry_after(slowest.unwrap_or(UNKNOWN))
    }

    /// The refusal of a request for what the plan does not include.
    pub(super) fn not_included(&self, meter: &str, plan: Option<&str>) -> Refusal {
        let mut details = RefusalDetails::new().meter(meter).limit(0).used(0);
        if let Some(plan) = plan {
            details = details.plan(plan);
        }
        if let Some(url) = &self.upgrade_url {
            details = details.upgrade_url(&**url);
        }
        Refusal::new(RefusalKind::FeatureNotInPlan, "meter-not-in-plan").with_details(details)
    }

    /// The refusal of a request that nobody could count: the limits hold also where their store does not answer.
    pub(super) fn no_answer(&self, error: &CountersError) -> Refusal {
        match error {
            CountersError::Full => {
                tracing::warn!(%error, "a request is refused");
                Refusal::new(RefusalKind::Unavailable, "counters-full")
            }
            CountersError::Malformed => {
                tracing::error!(%error, "a request is refused");
                Refusal::new(RefusalKind::Misconfigured, "too-many-limits")
            }
            CountersError::Unavailable(why) => {
                if let Some(shares) = why.downcast_ref::<ShareUsedUp>() {
                    let limits = shares.limits.iter().map(|limit| &**limit);
                    let details = RefusalDetails::new().violated_policies(limits);
                    let refusal = Refusal::new(RefusalKind::Unavailable, "share-used-up");
                    return refusal.with_details(details);
                }
                // The log has heard of the outage.
                if self.counters.is_out() {
                    tracing::debug!(%error, "a request is refused");
                } else {
                    tracing::warn!(%error, "a request is refused");
                }
                Refusal::new(RefusalKind::Unavailable, "counters-unavailable")
            }
        }
    }
}

fn wait(denied: &Denied) -> Duration {
    match denied.denial.wait {
        Wait::For(span) => span,
        Wait::Unknown | Wait::Forever => UNKNOWN,
    }
}

/// Why a limit refuses; what waiting helps least with comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// It comes back by itself, or when somebody gives it back.
    Wait,
    /// The service itself has no more.
    Capacity,
    /// It is used up, and another plan has more.
    UsedUp,
    /// It asks for more than there can be at once.
    TooMuch,
    /// The plan has nothing of it.
    NotIncluded,
}

impl Why {
    fn of(denied: &Denied, due: &Due) -> Self {
        if due.rule.scope == Scope::System {
            return Self::Capacity;
        }
        // A plan may include nothing and sell some.
        if due.algorithm.capacity() == Some(0) {
            return Self::NotIncluded;
        }
        if denied.denial.wait == Wait::Forever {
            return Self::TooMuch;
        }
        let is_paid_for = match due.rule.shape {
            RuleShape::Held(..) => true,
            shape => due.rule.is_of_plan && shape.is_paid_for(),
        };
        if is_paid_for {
            Self::UsedUp
        } else {
            Self::Wait
        }
    }

    const fn is_paid_for(self) -> bool {
        matches!(self, Self::UsedUp | Self::TooMuch | Self::NotIncluded)
    }

    /// The kind, and the reason for the audit trail.
    const fn told(self, shape: &RuleShape) -> (RefusalKind, &'static str) {
        match self {
            Self::Capacity => (RefusalKind::Unavailable, "capacity-reached"),
            Self::NotIncluded => (RefusalKind::FeatureNotInPlan, "meter-not-in-plan"),
            Self::TooMuch => (RefusalKind::QuotaExhausted, "cost-above-limit"),
            Self::UsedUp => match shape {
                RuleShape::Held(..) => (RefusalKind::QuotaExhausted, "all-is-held"),
                _ => (RefusalKind::QuotaExhausted, "period-used-up"),
            },
            Self::Wait => match shape {
                RuleShape::Concurrent(_) => (RefusalKind::RateLimited, "too-many-at-once"),
                RuleShape::Period(..) => (RefusalKind::RateLimited, "period-used-up"),
                _ => (RefusalKind::RateLimited, "rate-exceeded"),
            },
        }
    }
}
