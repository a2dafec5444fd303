//! The rules by which alerts are raised.

use std::time::Duration;

use super::AlertKind;
use crate::ConfigError;

/// When alerts are raised. Each rule has a default; [`without`](Self::without) switches one off.
///
/// | alert | default |
/// |---|---|
/// | [`CrossTenant`](AlertKind::CrossTenant) | refused in 5 different tenants within 10 minutes |
/// | [`NewNetwork`](AlertKind::NewNetwork) | after 24 hours in which the networks of a key are learned |
/// | [`Refusals`](AlertKind::Refusals) | 100 or more in a minute, and more than 10 times the base of the tenant |
/// | [`BreakGlass`](AlertKind::BreakGlass) | each |
/// | each alert | once for the same subject in 15 minutes |
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::alert::{AlertKind, AlertRules};
///
/// let rules = AlertRules::new()
///     .cross_tenant(3, Duration::from_secs(300))
///     .refusals(50, 5)
///     .cool_down(Duration::from_secs(3_600))
///     .without(AlertKind::NewNetwork);
/// # let _ = rules;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct AlertRules {
    pub(crate) cross_tenant: Option<CrossTenant>,
    /// For how long the networks of a key are learned.
    pub(crate) learning: Option<Duration>,
    pub(crate) refusals: Option<Surge>,
    pub(crate) break_glass: bool,
    pub(crate) cool_down: Duration,
}

/// Refusals of one caller in so many tenants within a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CrossTenant {
    pub(crate) tenants: usize,
    pub(crate) within: Duration,
}

/// So many refusals at least in a time, and so many times as many as before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surge {
    pub(crate) at_least: u64,
    pub(crate) times: u32,
    pub(crate) each: Duration,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self::new()
    }
}

impl AlertRules {
    /// How many tenants a rule of [`cross_tenant`](Self::cross_tenant) can count.
    pub const MOST_TENANTS: u32 = 64;

    /// The defaults.
    pub const fn new() -> Self {
        Self {
            cross_tenant: Some(CrossTenant {
                tenants: 5,
                within: Duration::from_secs(600),
            }),
            learning: Some(Duration::from_secs(24 * 3_600)),
            refusals: Some(Surge {
                at_least: 100,
                times: 10,
                each: Duration::from_secs(60),
            }),
            break_glass: true,
            cool_down: Duration::from_secs(900),
        }
    }

    /// Alerts where one caller, known by its credential, was refused in so many different tenants within this time: as no
    /// member, by a credential of another tenant, or by an authority of another tenant. Names that are nobody's do not
    /// count.
    pub const fn cross_tenant(mut self, tenants: u32, within: Duration) -> Self {
        self.cross_tenant = Some(CrossTenant {
            tenants: tenants as usize,
            within,
        });
        self
    }

    /// Alerts where a key is used from a network from which this process has not seen it: of IPv4 a /24, of IPv6 a /48.
    /// For this long after the first use that a process sees, networks are learned and nothing is told.
    ///
    /// A process remembers 32 networks of a key, and 65,536 keys. Where several processes serve, each learns by itself:
    /// give a time in which each meets all of a key's usual networks.
    pub const fn new_network(mut self, learning: Duration) -> Self {
        self.learning = Some(learning);
        self
    }

    /// Alerts where a tenant's refusals in a minute are `at_least` so many, and more than so many `times` their base. The
    /// base is the mean of the minutes before, the latest of which weigh most. Refusals that concern no tenant, such as
    /// those of callers with a bad credential, have a base of their own.
    ///
    /// A process remembers the base of 16,384 tenants; without one, `at_least` decides alone.
    pub const fn refusals(mut self, at_least: u64, times: u32) -> Self {
        self.refusals = Some(Surge {
            at_least,
            times,
            each: Duration::from_secs(60),
        });
        self
    }

    /// For how long no second alert of the same kind is raised about the same subject. Default: 15 minutes.
    pub const fn cool_down(mut self, time: Duration) -> Self {
        self.cool_down = time;
        self
    }

    /// Without alerts of this kind. [`AlertKind::ChainBroken`] stays: whoever verifies raises it.
    pub fn without(mut self, kind: AlertKind) -> Self {
        match kind {
            AlertKind::CrossTenant => self.cross_tenant = None,
            AlertKind::NewNetwork => self.learning = None,
            AlertKind::Refusals => self.refusals = None,
            AlertKind::BreakGlass => self.break_glass = false,
            AlertKind::ChainBroken => {}
        }
        self
    }

    pub(crate) fn checked(self) -> Result<Self, ConfigError> {
        if let Some(rule) = self.cross_tenant {
            let most = Self::MOST_TENANTS as usize;
            if !(2..=most).contains(&rule.tenants) || rule.within.is_zero() {
                return Err(ConfigError::new(format!(
                    "an alert about attempts in {} tenants within {:?} says nothing; give 2 to {most} tenants and a \
                     time",
                    rule.tenants, rule.within
                )));
            }
        }
        if let Some(rule) = self.refusals
            && (rule.at_least == 0 || rule.times == 0)
        {
            return Err(ConfigError::new(
                "an alert about 0 refusals, or 0 times as many as before, would never end; give at least 1 of both",
            ));
        }
        if self.cool_down.as_secs() == 0 {
            return Err(ConfigError::new(
                "without a cool-down, each request could raise an alert; give at least a second",
            ));
        }
        Ok(self)
    }
}
