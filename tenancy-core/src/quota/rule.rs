//! Rules: limits that were checked, ready to be counted.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{
    Algorithm, Ceiling, Concurrency, Limit, Meter, MeterKind, OnOutage, Overage, Period, Rate,
    Scope, Window,
    limit::{MAX_AMOUNT, RESERVATION, Shape},
};
use crate::{
    ConfigError,
    plan::{Placed, Position},
};

/// A checked [`Limit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(super) name: Arc<str>,
    pub(super) meter: Arc<str>,
    pub(super) unit: Box<str>,
    pub(super) scope: Scope,
    pub(super) shape: RuleShape,
    pub(super) warn_at: Box<[u8]>,
    pub(super) on_outage: OnOutage,
    /// Whether another plan may have more.
    pub(super) is_of_plan: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleShape {
    Rate(Rate),
    Period(Ceiling, Period),
    Concurrent(Concurrency),
    Held(Ceiling, Duration),
    Unlimited,
    NotIncluded,
}

impl RuleShape {
    /// How it is counted now; `None` if it is not counted.
    pub(super) fn algorithm(&self, window: impl FnOnce(Period) -> Window) -> Option<Algorithm> {
        match *self {
            Self::Rate(rate) => Some(Algorithm::Rate(rate)),
            Self::Period(ceiling, period) => Some(Algorithm::Period(ceiling, window(period))),
            Self::Concurrent(concurrency) => Some(Algorithm::Concurrent(concurrency)),
            Self::Held(ceiling, reservation) => Some(Algorithm::Held(ceiling, reservation)),
            Self::Unlimited | Self::NotIncluded => None,
        }
    }
}

impl Rule {
    /// The bytes that one takes on the heap with its names, about.
    pub(crate) const HEAP: usize = 300;

    /// Reads limits that stand together: in one plan, or for everybody.
    pub(crate) fn all_of(
        limits: Vec<Placed<Limit>>,
        meters: &[Meter],
        whose: &str,
        is_of_plan: bool,
    ) -> Result<Vec<Arc<Self>>, ConfigError> {
        let mut names = HashSet::new();
        let mut rules: Vec<(Arc<Self>, Position)> = Vec::new();
        for Placed { value: limit, at } in limits {
            let rule = Self::of(&limit, meters, is_of_plan).map_err(|error| {
                at.error(format_args!("{whose}: limit `{}`: {error}", limit.name()))
            })?;
            if !names.insert(Arc::clone(&rule.name)) {
                return Err(at.error(format_args!(
                    "{whose}: two limits are called `{}`; remove one, or give it a name of its own \
                     with `Limit::named`",
                    rule.name
                )));
            }
            rules.push((Arc::new(rule), at));
        }
        let is_absolute = |(rule, _): &&(Arc<Self>, Position)| {
            matches!(rule.shape, RuleShape::Unlimited | RuleShape::NotIncluded)
        };
        for (rule, at) in rules.iter().filter(is_absolute) {
            let mut others = rules.iter().map(|(other, _)| other).filter(|other| {
                other.meter == rule.meter && other.scope == rule.scope && other.name != rule.name
            });
            if let Some(other) = others.next() {
                return Err(at.error(format_args!(
                    "{whose}: the limits `{}` and `{}` contradict each other; remove one",
                    rule.name, other.name
                )));
            }
        }
        Ok(rules.into_iter().map(|(rule, _)| rule).collect())
    }

    pub(super) fn of(
        limit: &Limit,
        meters: &[Meter],
        is_of_plan: bool,
    ) -> Result<Self, ConfigError> {
        if limit.scope == Scope::Address {
            return Err(ConfigError::new(
                "limits of addresses stand neither in a plan nor among those of tenants, because nobody knows \
                 yet who calls; give it to `Quotas::per_address`",
            ));
        }
        let name = limit.name();
        let may_stand = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_:".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(may_stand) {
            return Err(ConfigError::new(
                "a limit's name has 1 to 64 lower-case letters, digits, hyphens, underscores and colons; \
                 give one with `Limit::named`",
            ));
        }
        let Some(meter) = meters.iter().find(|meter| meter.name() == &*limit.meter) else {
            return Err(ConfigError::new(format!(
                "there is no meter `{}`; declare it with `Quotas::meter`",
                limit.meter
            )));
        };
        if let Some(option) = limit.misfit {
            return Err(ConfigError::new(format!(
                "a limit of this shape has no {option}; remove it"
            )));
        }
        Self::check_beyond(limit)?;
        Self::check_outage(limit)?;
        let shape = Self::shape(limit, meter.kind())?;
        // A tenant's holdings have one name in all plans.
        let name = match (&limit.name, &shape, &limit.shape) {
            (None, RuleShape::Held(..), Shape::Unlimited | Shape::NotIncluded) => {
                Limit::held(&*limit.meter, 0).scope(limit.scope).name()
            }
            _ => name,
        };
        Ok(Self {
            name: name.into(),
            meter: meter.name().into(),
            unit: meter.unit_name().into(),
            scope: limit.scope,
            shape,
            warn_at: limit.warn_at.as_slice().into(),
            on_outage: limit.on_outage,
            is_of_plan,
        })
    }

    /// Whether this can take the place of another: one name, one meter, one scope.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        self.name == other.name && self.meter == other.meter && self.scope == other.scope
    }

    /// Overage and thresholds stand where they have a meaning.
    fn check_beyond(limit: &Limit) -> Result<(), ConfigError> {
        let is_counted_up = matches!(limit.shape, Shape::Period { .. } | Shape::Held { .. });
        if limit.overage != Overage::Denied && !is_counted_up {
            return Err(ConfigError::new(
                "overage is for limits per period and for what is held; remove it",
            ));
        }
        if !limit.warn_at.is_empty() && !is_counted_up {
            return Err(ConfigError::new(
                "`warn_at` is for limits per period and for what is held; remove it",
            ));
        }
        if limit.warn_at.contains(&0) {
            return Err(ConfigError::new(
                "a threshold of 0 percent is always reached; give 1 to 255",
            ));
        }
        Ok(())
    }

    /// What happens in an outage is said where something is counted that comes back.
    fn check_outage(limit: &Limit) -> Result<(), ConfigError> {
        if limit.on_outage == OnOutage::Closed {
            return Ok(());
        }
        if matches!(limit.on_outage, OnOutage::LocalShare { of: 0 }) {
            return Err(ConfigError::new(
                "a share of 0 processes can't be; give `OnOutage::LocalShare` the number of processes that serve",
            ));
        }
        match limit.shape {
            Shape::Rate { .. } | Shape::Period { .. } | Shape::Concurrent { .. } => Ok(()),
            Shape::Held { .. } => Err(ConfigError::new(
                "what is held is always refused while the counters do not answer, because nobody could take it \
                 back; remove `on_outage`",
            )),
            Shape::Unlimited | Shape::NotIncluded => Err(ConfigError::new(
                "`on_outage` is for limits that count; remove it",
            )),
        }
    }

    fn shape(limit: &Limit, kind: MeterKind) -> Result<RuleShape, ConfigError> {
        let (needs, shape) = match limit.shape {
            // What is held is counted in all plans: after a downgrade it is still held.
            Shape::Unlimited if kind == MeterKind::Held => {
                let ceiling = Ceiling::new(MAX_AMOUNT, Overage::Denied)?;
                return Ok(RuleShape::Held(ceiling, RESERVATION));
            }
            Shape::NotIncluded if kind == MeterKind::Held => {
                return Ok(RuleShape::Held(
                    Ceiling::new(0, Overage::Denied)?,
                    RESERVATION,
                ));
            }
            Shape::Unlimited => return Ok(RuleShape::Unlimited),
            Shape::NotIncluded => return Ok(RuleShape::NotIncluded),
            Shape::Rate { amount, per, burst } => {
                let shape = match (amount, per.is_zero()) {
                    (0, false) => RuleShape::NotIncluded,
                    _ => RuleShape::Rate(Rate::new(amount, per, burst.unwrap_or(amount))?),
                };
                (MeterKind::Consumed, shape)
            }
            Shape::Period { amount, period } => {
                let shape = match (amount, limit.overage) {
                    (0, Overage::Denied) => RuleShape::NotIncluded,
                    (_, overage) => RuleShape::Period(Ceiling::new(amount, overage)?, period),
                };
                (MeterKind::Consumed, shape)
            }
            Shape::Concurrent { amount, lease } => {
                let shape = match (amount, lease.is_zero()) {
                    (0, false) => RuleShape::NotIncluded,
                    _ => RuleShape::Concurrent(Concurrency::new(amount, lease)?),
                };
                (MeterKind::Concurrent, shape)
            }
            Shape::Held {
                amount,
                reservation,
            } => {
                if reservation.is_zero() {
                    return Err(ConfigError::new(
                        "a reservation that ends at once can't be committed; give `expires_after` a \
                         time above 0",
                    ));
                }
                // Also with an amount of 0: what is held after a downgrade is still counted and given back.
                let ceiling = Ceiling::new(amount, limit.overage)?;
                (MeterKind::Held, RuleShape::Held(ceiling, reservation))
            }
        };
        if needs != kind {
            return Err(ConfigError::new(format!(
                "the meter `{}` is one of what is {}, and this limit is for what is {}; declare \
                 the meter with `Meter::{2}`",
                limit.meter,
                kind.as_str(),
                needs.as_str()
            )));
        }
        Ok(shape)
    }
}
