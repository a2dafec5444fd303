//! The tenant record as directories store and return it.

use serde::{Deserialize, Serialize};

use super::{Settings, Slug, TenantStatus};
use crate::{Generation, TenantId, Timestamp};

/// One tenant.
///
/// ```
/// use tenancy_core::{TenantRecord, TenantStatus};
///
/// let acme = TenantRecord::new("acme".parse()?, "Acme Ltd");
/// assert_eq!(acme.status, TenantStatus::Provisioning);
/// # Ok::<(), tenancy_core::InvalidSlug>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TenantRecord {
    /// Never changes and is never given to another tenant.
    pub id: TenantId,
    /// Unique; may change.
    pub slug: Slug,
    /// For people to read.
    pub name: String,
    /// Where the tenant stands in its life.
    pub status: TenantStatus,
    /// The name of its plan, if the application has plans.
    pub plan: Option<String>,
    /// The application's own settings for this tenant.
    pub settings: Settings,
    /// Counts the changes after which earlier admissions no longer hold.
    pub generation: Generation,
    /// When the record was made.
    pub created_at: Timestamp,
}

impl TenantRecord {
    /// A new tenant with a new id, in the state `provisioning`.
    #[must_use]
    pub fn new(slug: Slug, name: impl Into<String>) -> Self {
        Self {
            id: TenantId::new(),
            slug,
            name: name.into(),
            status: TenantStatus::Provisioning,
            plan: None,
            settings: Settings::default(),
            generation: Generation::FIRST,
            created_at: Timestamp::from(std::time::SystemTime::now()),
        }
    }

    /// The bytes that it owns on the heap, about.
    pub(crate) fn heap(&self) -> usize {
        let plan = self.plan.as_ref().map_or(0, String::len);
        self.slug.as_str().len() + self.name.len() + plan + self.settings.heap()
    }

    /// The same tenant in another state; for tests and for directories that read a stored state.
    #[must_use]
    pub fn with_status(mut self, status: TenantStatus) -> Self {
        self.status = status;
        self
    }

    /// The same tenant with other settings.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }
}
