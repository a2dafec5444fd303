//! The meters of a service, checked.

use std::{collections::BTreeMap, sync::Arc};

use tenancy_core::ConfigError;

use super::UsageMeter;
use crate::name::{NAME_RULE, is_name};

/// All meters of which a service records usage. An event of another meter is unmatched, and said to be so.
///
/// Cheap to clone.
///
/// ```
/// use tenancy_usage::{UsageMeter, UsageMeters};
///
/// let meters = UsageMeters::new([UsageMeter::count("requests"), UsageMeter::sum("egress").unit("bytes")])?;
/// assert!(meters.get("requests").is_some());
/// assert!(meters.get("ingress").is_none());
///
/// let twice = UsageMeters::new([UsageMeter::count("requests"), UsageMeter::sum("requests")]);
/// assert!(twice.is_err());
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct UsageMeters(Arc<BTreeMap<Box<str>, UsageMeter>>);

impl UsageMeters {
    /// How many dimensions a meter has at most.
    pub const MAX_DIMENSIONS: usize = 8;

    /// These meters.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the meter: for a name that can't be one, a name that is declared twice, a unit that is
    /// empty, a dimension that is declared twice or is a field of each event, and more than
    /// [`MAX_DIMENSIONS`](Self::MAX_DIMENSIONS) of them.
    pub fn new(meters: impl IntoIterator<Item = UsageMeter>) -> Result<Self, ConfigError> {
        let mut known = BTreeMap::new();
        for meter in meters {
            check(&meter)?;
            if let Some(before) = known.insert(meter.name.clone(), meter) {
                return Err(ConfigError::new(format!(
                    "the usage meter `{}` is declared twice; keep one of them",
                    before.name()
                )));
            }
        }
        Ok(Self(Arc::new(known)))
    }

    /// The meter of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&UsageMeter> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &UsageMeter> {
        self.0.values()
    }
}

/// What each event has a field for.
const FIELDS: [&str; 6] = ["tenant", "project", "key", "user", "job", "meter"];

pub(super) fn check(meter: &UsageMeter) -> Result<(), ConfigError> {
    let name = meter.name();
    if !is_name(name) {
        return Err(ConfigError::new(format!(
            "`{name}` is no name of a usage meter; it has {NAME_RULE}"
        )));
    }
    let error = |text: String| ConfigError::new(format!("the usage meter `{name}` {text}"));
    if meter.unit_name().trim().is_empty() {
        return Err(error(
            "has no unit; give one, or leave out `unit`".to_owned(),
        ));
    }
    for (place, dimension) in meter.dimensions().enumerate() {
        if !is_name(dimension) {
            return Err(error(format!(
                "has a dimension `{dimension}`, which is no name; a name has {NAME_RULE}"
            )));
        }
        if FIELDS.contains(&dimension) {
            return Err(error(format!(
                "has a dimension `{dimension}`, and each event has a field for that; remove it"
            )));
        }
        if meter
            .dimensions()
            .take(place)
            .any(|before| before == dimension)
        {
            return Err(error(format!(
                "has the dimension `{dimension}` twice; keep one of them"
            )));
        }
    }
    if meter.dimensions().count() > UsageMeters::MAX_DIMENSIONS {
        return Err(error(format!(
            "has {} dimensions; it may have {}",
            meter.dimensions().count(),
            UsageMeters::MAX_DIMENSIONS
        )));
    }
    Ok(())
}
