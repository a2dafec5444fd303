//! The tenant record: name, address and state of one customer.

mod key;
mod record;
mod settings;
mod status;

pub(crate) use key::normalize_domain;
pub use key::{DomainName, InvalidDomain, InvalidSlug, Slug, TenantKey};
pub use record::TenantRecord;
pub use settings::{Settings, SettingsError};
pub use status::{IllegalTransition, TenantStatus, UnknownStatus};
