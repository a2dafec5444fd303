//! How a tenant compares with others, without showing them.

use std::{fmt, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rust_decimal::Decimal;
use sha2::Sha256;
use tenancy_core::{
    ConfigError, TenantId, Timestamp,
    quota::{Calendar, Period, Window},
};

use super::{
    Analytics,
    laplace::{noise, variance},
    reading::different,
};
use crate::{EventTimes, UsageError, digest::Canonical, forecast::numbers::count};

/// How a benchmark hides the tenants that it is made of.
///
/// A benchmark says how many tenants of a group used how much of a meter in a month of UTC, in steps that the rules name. It is made
/// differentially private: to each of these numbers noise is added of the discrete Laplace distribution, with a scale of 2 / ε. Two is the
/// sensitivity: if one tenant had used any other amount, one number were less by one, and another more by one. So whoever sees a benchmark
/// and knows all of the group but one tenant learns of that tenant no more than a factor of `exp(ε)` in the odds of any guess. All else
/// that a benchmark tells is computed from these noisy numbers and the size of the group, which is no secret.
///
/// The noise comes from a keyed hash (HMAC-SHA-256) of the question: the meter, the month, the group, the steps, ε, and what was counted.
/// So the same question has the same answer, however often it is asked, and asking again averages nothing away.
///
/// # Security
/// * **What adds up.** Each meter, each month and each other group is another answer, and costs ε again. A tenant that is in five
///   benchmarks of a month has spent 5 ε. Make one group, such as a plan, and keep to it. Do not let tenants choose groups.
/// * **Only what no longer changes.** A month is answered once late events are no longer taken, 34 days after its end unless
///   [`settled_after`](Self::settled_after) says otherwise. If its numbers change later, by a correction, the noise is another too,
///   so that a difference tells no exact number; it costs ε once more.
/// * **The key** decides the noise. Who knows it takes the noise off. Keep it like a password, and keep it the same.
/// * **Small groups.** A group has more tenants than [`least_group`](Self::least_group), so that beside each tenant there are as many
///   others; no rule allows less than ten. With ten tenants noise is as large as the answer. Benchmarks get useful with about a hundred.
///
/// ```
/// use tenancy_usage::analytics::BenchmarkRules;
///
/// let rules = BenchmarkRules::new(&[7; 32])? // 32 secret bytes
///     .least_group(20)?
///     .epsilon(0.5)?
///     .steps([100.into(), 1_000.into(), 10_000.into()])?;
/// assert!(BenchmarkRules::new(&[7; 32])?.least_group(9).is_err());
/// # let _ = rules;
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct BenchmarkRules {
    key: Hmac<Sha256>,
    least_group: usize,
    epsilon: f64,
    steps: Vec<Decimal>,
    settled_after: Duration,
}

impl BenchmarkRules {
    /// No benchmark is of fewer other tenants than this.
    pub const LEAST_GROUP: usize = 10;

    /// How many bytes a key has at least.
    pub const MIN_KEY_LEN: usize = 32;

    /// How many steps usage is told in at most. Each has noise of its own.
    pub const MAX_STEPS: usize = 32;

    /// Rules with this key, at least ten other tenants, an ε of 1, and steps of powers of ten from 1 to 1,000,000,000.
    ///
    /// # Errors
    /// A [`ConfigError`] for a key that is shorter than 32 bytes.
    pub fn new(key: &[u8]) -> Result<Self, ConfigError> {
        let keyed = Hmac::new_from_slice(key).ok();
        let Some(key) = keyed.filter(|_| key.len() >= Self::MIN_KEY_LEN) else {
            return Err(ConfigError::new(format!(
                "the key of benchmarks has {} bytes; give {} or more that are random and secret",
                key.len(),
                Self::MIN_KEY_LEN
            )));
        };
        Ok(Self {
            key,
            least_group: Self::LEAST_GROUP,
            epsilon: 1.0,
            steps: (0..10)
                .map(|power| Decimal::from(10_i64.pow(power)))
                .collect(),
            settled_after: EventTimes::default().late_window(),
        })
    }

    /// How many others there are beside each tenant at least. Default: 10.
    ///
    /// # Errors
    /// A [`ConfigError`] for less than 10.
    pub fn least_group(mut self, tenants: usize) -> Result<Self, ConfigError> {
        if tenants < Self::LEAST_GROUP {
            return Err(ConfigError::new(format!(
                "a benchmark against {tenants} others shows too much of them; give {} or more",
                Self::LEAST_GROUP
            )));
        }
        self.least_group = tenants;
        Ok(self)
    }

    /// How much one answer may tell of a tenant: less is more private and less precise. Default: 1.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is not from 0.001 to 2.
    pub fn epsilon(mut self, epsilon: f64) -> Result<Self, ConfigError> {
        if !(0.001..=2.0).contains(&epsilon) {
            return Err(ConfigError::new(format!(
                "an epsilon of {epsilon} is out of range; give 0.001, which hides most, to 2, which hides little"
            )));
        }
        self.epsilon = epsilon;
        Ok(self)
    }

    /// The steps in which usage is told: up to and including each of them, and above the last. What used nothing is told apart. Choose
    /// them without looking at the usage of the tenants. Default: the powers of ten from 1 to 10^9.
    ///
    /// # Errors
    /// A [`ConfigError`] if there are none or more than 32, or if they do not rise from above 0.
    pub fn steps(mut self, steps: impl IntoIterator<Item = Decimal>) -> Result<Self, ConfigError> {
        let steps: Vec<_> = steps.into_iter().collect();
        let below = std::iter::once(&Decimal::ZERO).chain(&steps);
        let rises = below.zip(&steps).all(|(below, step)| below < step);
        if !rises || steps.is_empty() || steps.len() > Self::MAX_STEPS {
            return Err(ConfigError::new(format!(
                "{} steps that do not rise are given, or none or too many; give 1 to {} that rise from above 0",
                steps.len(),
                Self::MAX_STEPS
            )));
        }
        self.steps = steps;
        Ok(self)
    }

    /// How long after its end a month no longer changes: at least as long as the sink takes late events. Default: 34 days.
    pub const fn settled_after(mut self, late_window: Duration) -> Self {
        self.settled_after = late_window;
        self
    }

    fn scale(&self) -> f64 {
        SENSITIVITY / self.epsilon
    }

    /// The numbers with their noise.
    fn noisy(&self, question: &Question<'_>) -> Vec<i64> {
        let counted = question.counted.iter().enumerate();
        let noisy = counted.map(|(place, counted)| {
            let asked = question.bytes(self, place);
            let random = self.key.clone().chain_update(asked.as_bytes()).finalize();
            let counted = i64::try_from(*counted).unwrap_or(i64::MAX);
            counted.saturating_add(noise(&random.into_bytes().into(), self.scale()))
        });
        noisy.collect()
    }
}

/// By how much the numbers of a benchmark differ in sum if one tenant uses something else.
const SENSITIVITY: f64 = 2.0;

/// What is asked, and what was counted.
struct Question<'a> {
    meter: &'a str,
    month: Window,
    group: &'a [TenantId],
    counted: &'a [usize],
}

impl Question<'_> {
    fn bytes(&self, rules: &BenchmarkRules, place: usize) -> crate::UsageDigest {
        let asked = Canonical::of("usage-benchmark-1")
            .text(self.meter)
            .decimal(self.month.start.as_unix_micros().into())
            .bytes(&rules.epsilon.to_be_bytes())
            .decimal(place.into());
        let asked = rules.steps.iter().fold(asked, |it, step| it.decimal(*step));
        let counted = self.counted.iter();
        let asked = counted.fold(asked, |it, counted| it.decimal((*counted).into()));
        let group = self.group.iter();
        group
            .fold(asked, |it, tenant| it.bytes(tenant.as_uuid().as_bytes()))
            .end()
    }
}

impl fmt::Debug for BenchmarkRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BenchmarkRules")
            .field("least_group", &self.least_group)
            .field("epsilon", &self.epsilon)
            .field("steps", &self.steps)
            .field("settled_after", &self.settled_after)
            .finish_non_exhaustive()
    }
}

/// How much the tenants of a group used, with noise: see [`BenchmarkRules`].
///
/// It is the same for each tenant of the group, and names none.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::{Decimal, UsageError, UsageSink, analytics::{Analytics, BenchmarkRules}};
///
/// /// What a tenant is told. `month` is a moment in the month, and `own` is what it used then.
/// async fn told(
///     sink: &dyn UsageSink,
///     rules: &BenchmarkRules,
///     plan: &[TenantId],
///     [month, now]: [Timestamp; 2],
///     own: Decimal,
/// ) -> Result<String, UsageError> {
///     let benchmark = Analytics::new(sink).benchmark(rules, plan, "exports", month, now).await?;
///     let standing = benchmark.standing(own);
///     let (below, margin) = (standing.below * 100.0, standing.margin * 100.0);
///     Ok(format!("{below:.0} % of {} tenants use less (± {margin:.0} %)", benchmark.tenants))
/// }
/// # let _ = told;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Benchmark {
    /// The meter.
    pub meter: Box<str>,
    /// The month of UTC.
    pub month: Window,
    /// How many tenants the group has.
    pub tenants: usize,
    /// How much it tells of one tenant.
    pub epsilon: f64,
    /// The steps: the first number is of tenants that used nothing, the next of those that used up to the first step, and so on; the last
    /// of those that used more than the last step.
    pub steps: Vec<Decimal>,
    /// How many tenants, with noise; may be below 0.
    noisy: Vec<i64>,
}

/// Where a tenant stands in a benchmark.
///
/// ```
/// use tenancy_usage::analytics::{Benchmark, Standing};
///
/// fn of(benchmark: &Benchmark) -> Standing {
///     benchmark.standing(250.into())
/// }
/// # let _ = of;
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Standing {
    /// Which part of the group uses less, from 0 to 1. Of the tenants in the same step, half count as less.
    pub below: f64,
    /// By how much that may be off in either direction, in 95 of 100 cases, by the noise alone; from 0 to 1.
    pub margin: f64,
    /// The part that is in the same step, by which it may be off in addition; from 0 to 1.
    pub same_step: f64,
}

impl Benchmark {
    /// How many tenants each step has, with noise, none below 0: see [`steps`](Self::steps).
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        self.noisy.iter().map(|it| u64::try_from(*it).unwrap_or(0))
    }

    /// Between what the usage lies that a part of the tenants, from 0 to 1, does not exceed: the step's own bounds. There is no upper one
    /// in the last step.
    #[must_use]
    pub fn quantile(&self, part: f64) -> (Decimal, Option<Decimal>) {
        let last = self.steps.len() + 1;
        let mut places = 0..last;
        let place = places
            .find(|place| self.up_to(*place) >= part)
            .unwrap_or(last);
        match place.checked_sub(1) {
            None => (Decimal::ZERO, Some(Decimal::ZERO)),
            Some(step) => {
                let below = step.checked_sub(1).and_then(|below| self.steps.get(below));
                (
                    below.copied().unwrap_or_default(),
                    self.steps.get(step).copied(),
                )
            }
        }
    }

    /// Where a tenant with so much usage stands.
    #[must_use]
    pub fn standing(&self, own: Decimal) -> Standing {
        let place = place(own, &self.steps);
        let low = place.checked_sub(1).map_or(0.0, |below| self.up_to(below));
        let high = self.up_to(place).max(low);
        // Of as many noisy numbers as are below, and half of its own.
        let numbers = count(place) + 0.25;
        let spread = (numbers * variance(SENSITIVITY / self.epsilon)).sqrt();
        Standing {
            below: f64::midpoint(low, high),
            margin: (1.96 * spread / count(self.tenants.max(1))).min(1.0),
            same_step: high - low,
        }
    }

    /// Which part of the tenants is in a place or in one below it.
    fn up_to(&self, place: usize) -> f64 {
        if place + 1 >= self.noisy.len() {
            return 1.0;
        }
        // Noise may lower a sum that can only rise.
        let (mut sum, mut most) = (0_i64, 0_i64);
        for number in self.noisy.iter().take(place + 1) {
            sum = sum.saturating_add(*number);
            most = most.max(sum);
        }
        #[allow(clippy::cast_precision_loss, reason = "a number of tenants")]
        let most = most as f64;
        (most / count(self.tenants.max(1))).min(1.0)
    }
}

/// In which step a quantity is: 0 for nothing, and then from 1 on.
fn place(quantity: Decimal, steps: &[Decimal]) -> usize {
    if quantity <= Decimal::ZERO {
        return 0;
    }
    1 + steps.iter().take_while(|step| **step < quantity).count()
}

impl Analytics<'_> {
    /// How much the tenants of a group used of a meter in the month of UTC that a moment is in, as the [rules](BenchmarkRules) hide it. The
    /// answer is for all tenants of the group the same.
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidQuery`](crate::UsageErrorKind::InvalidQuery) for a group that is too small or too large, a
    /// month that may still change, and a meter that is not declared.
    pub async fn benchmark(
        self,
        rules: &BenchmarkRules,
        group: &[TenantId],
        meter: &str,
        month: Timestamp,
        now: Timestamp,
    ) -> Result<Benchmark, UsageError> {
        let error = |text: String| Err(UsageError::invalid_query(text));
        let group = different(group)?;
        if group.len() <= rules.least_group {
            return error(format!(
                "the group is too small; a benchmark is of more than {} tenants",
                rules.least_group
            ));
        }
        let month = Calendar::utc().window(Period::Month, month);
        let settled = month.end + rules.settled_after;
        if now < settled {
            return error(format!(
                "the month that begins at {} may still change until {settled}; ask after that",
                month.start
            ));
        }
        let mut counted = vec![0; rules.steps.len() + 2];
        for used in self.used(&group, meter, month).await? {
            if let Some(counted) = counted.get_mut(place(used, &rules.steps)) {
                *counted += 1;
            }
        }
        let question = Question {
            meter,
            month,
            group: &group,
            counted: &counted,
        };
        Ok(Benchmark {
            noisy: rules.noisy(&question),
            meter: meter.into(),
            month,
            tenants: group.len(),
            epsilon: rules.epsilon,
            steps: rules.steps.clone(),
        })
    }
}
