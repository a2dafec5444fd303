//! Names of jobs.

use std::{fmt, str::FromStr, sync::Arc};

/// The name of a job: at most 63 lower-case letters, digits and hyphens, and a letter first, such as `mail-worker`.
///
/// ```
/// use tenancy_core::JobName;
///
/// let name: JobName = "mail-worker".parse()?;
/// assert_eq!(name.as_str(), "mail-worker");
/// assert!("Mail worker".parse::<JobName>().is_err());
/// # Ok::<(), tenancy_core::InvalidJobName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName(Arc<str>);

/// A text that is no [`JobName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a job; use up to 63 lower-case letters, digits and hyphens, a letter first"
)]
pub struct InvalidJobName(String);

impl JobName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who vouches for what the job does, as it stands in the audit trail: `job:mail-worker`.
    pub(crate) fn issuer(&self) -> String {
        format!("job:{}", self.0)
    }
}

impl FromStr for JobName {
    type Err = InvalidJobName;

    fn from_str(text: &str) -> Result<Self, InvalidJobName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let starts = text
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_lowercase());
        if starts && text.len() <= 63 && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidJobName(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
