//! Plans that are kept in a store: versions that never change, and where they are read and added.

use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

use super::{Placed, PlanBook, Position, node::Node, reading};
use crate::{ChangeRecord, ConfigError, DirectoryError, StoreError, Timestamp};

/// What a plan says, written as JSON with the fields of [`PlanBook::from_toml`]: to be stored as a new version by
/// [`Admin::add_plan_version`](crate::Admin::add_plan_version).
///
/// ```
/// use tenancy_core::PlanDefinition;
///
/// let pro = PlanDefinition::from_json("pro", serde_json::json!({
///     "permissions": ["notes:*"],
///     "features": ["sso"],
///     "limits": { "projects": { "held": 50 }, "exports": "unlimited" },
/// }))?;
/// assert_eq!(pro.name(), "pro");
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PlanDefinition {
    name: String,
    json: Value,
}

impl PlanDefinition {
    /// The longest name, in bytes.
    pub const MAX_NAME_LEN: usize = 64;

    /// The most that a definition may be, in bytes of JSON.
    pub const MAX_LEN: usize = 65_536;

    /// A plan of this name that says this.
    ///
    /// # Errors
    /// A [`ConfigError`] for a field that there is not, a value that can't be meant, or a name that no stored plan
    /// can have. What shows only beside the permissions and meters of a service is told when the version is added.
    pub fn from_json(name: impl Into<String>, definition: Value) -> Result<Self, ConfigError> {
        let name = name.into();
        let is_long = name.len() > Self::MAX_NAME_LEN;
        if is_long || name.trim().is_empty() || name.contains(|c: char| c == '@' || c.is_control())
        {
            return Err(ConfigError::new(format!(
                "`{}` can't be the name of a stored plan; give one of 1 to {} bytes, without `@`, which \
                 separates the version",
                name.escape_debug(),
                Self::MAX_NAME_LEN
            )));
        }
        if definition.to_string().len() > Self::MAX_LEN {
            return Err(ConfigError::new(format!(
                "plan `{name}`: its definition has more than {} bytes of JSON; make it shorter",
                Self::MAX_LEN
            )));
        }
        let definition = Self {
            name,
            json: definition,
        };
        let _ = definition.book_as(&definition.name)?;
        Ok(definition)
    }

    /// Each plan of a book that is written as TOML, in its order.
    ///
    /// ```
    /// use tenancy_core::PlanDefinition;
    ///
    /// let plans = PlanDefinition::each_from_toml("[plans.free]\npermissions = ['*']")?;
    /// assert_eq!(plans[0].name(), "free");
    /// # Ok::<(), tenancy_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`PlanBook::from_toml`] and [`from_json`](Self::from_json).
    #[cfg(feature = "toml")]
    pub fn each_from_toml(text: &str) -> Result<Vec<Self>, ConfigError> {
        let root = super::toml::node(text)?;
        let book = reading::book(&root)?;
        let plans = book.plans.into_iter().filter_map(|(name, _)| {
            let node = root.get("plans")?.get(&name.value)?;
            let read = Self::from_json(&*name.value, node.to_json());
            Some(read.map_err(|error| name.at.error(error)))
        });
        plans.collect()
    }

    /// The name, without a version.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says.
    #[must_use]
    pub const fn as_json(&self) -> &Value {
        &self.json
    }

    /// A book of this plan alone, under this name.
    pub(crate) fn book_as(&self, name: &str) -> Result<PlanBook, ConfigError> {
        let mut book = PlanBook::new();
        let name = Placed {
            value: name.to_owned(),
            at: Position::NONE,
        };
        reading::plan(&mut book, &name, &Node::from_json(&self.json))?;
        Ok(book)
    }
}

/// One version of a stored plan. It never changes, and a tenant is on a version, not on a plan: its record says
/// `pro@3`.
///
/// ```
/// # use tenancy_core::{StoreError, Tenancy, danger};
/// # async fn example(tenancy: Tenancy) -> Result<(), StoreError> {
/// let admin = tenancy.admin(danger::service("to see what was sold")?);
/// for version in admin.list_plan_versions(Some("pro"), None, 100).await? {
///     println!("{version} since {}: {}", version.created_at, version.definition.as_json());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PlanVersion {
    /// What it says.
    pub definition: PlanDefinition,
    /// Its number, from 1.
    pub version: u32,
    /// When it was added.
    pub created_at: Timestamp,
}

impl PlanVersion {
    /// A version that is or was stored. Nothing is checked: an engine checks what it reads.
    #[must_use]
    pub fn from_stored(
        plan: impl Into<String>,
        version: u32,
        definition: Value,
        created_at: Timestamp,
    ) -> Self {
        let definition = PlanDefinition {
            name: plan.into(),
            json: definition,
        };
        Self {
            definition,
            version,
            created_at,
        }
    }

    /// The plan and the number that a tenant's record names; `None` if it names no version.
    #[must_use]
    pub fn parse_id(id: &str) -> Option<(&str, u32)> {
        let (plan, version) = id.rsplit_once('@')?;
        let is_number = !version.starts_with('0') && version.bytes().all(|b| b.is_ascii_digit());
        let version = version.parse().ok().filter(|_| is_number)?;
        Some((plan, version))
    }
}

/// As a tenant's record names it: `pro@3`.
impl fmt::Display for PlanVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.definition.name, self.version)
    }
}

/// Finds stored versions of plans. Given to [`TenancyBuilder::stored_plans`](crate::TenancyBuilder::stored_plans).
#[async_trait]
pub trait PlanDirectory: Send + Sync {
    /// A version of a plan, or its newest; `None` if there is none.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_plan_version(
        &self,
        plan: &str,
        version: Option<u32>,
    ) -> Result<Option<PlanVersion>, DirectoryError>;
}

/// Adds versions of plans, and lists them. None is ever changed or removed.
#[async_trait]
pub trait PlanStore: Send + Sync {
    /// Adds a version whose number is the next one of its plan; any other number is a
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict).
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn add_plan_version(
        &self,
        version: &PlanVersion,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Versions in the order of their plans' names, by their bytes, and of their numbers; of one plan or of all.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_plan_versions(
        &self,
        plan: Option<&str>,
        after: Option<(&str, u32)>,
        limit: u32,
    ) -> Result<Vec<PlanVersion>, StoreError>;
}
