//! Grants: the patterns by which a role or a credential names permissions.

use std::{fmt, str::FromStr};

/// A pattern that covers permissions: a permission's name, in which a whole segment may be `*`.
///
/// | grant | covers | does not cover |
/// |---|---|---|
/// | `scraping:run` | `scraping:run` | `scraping:run:now` |
/// | `scraping:*` | `scraping:run`, `scraping:jobs:cancel` | `scraping`, `scrapingx:run` |
/// | `*:read` | `notes:read` | `notes:drafts:read` |
/// | `*` | everything | |
///
/// A `*` at the end stands for one or more segments, any other for exactly one. A part of a
/// segment cannot be a wildcard.
///
/// # Example
/// ```
/// use tenancy_core::Grant;
///
/// let grant: Grant = "scraping:*".parse()?;
/// assert!(grant.covers("scraping:jobs:cancel"));
/// assert!(!grant.covers("scraping"));
/// assert!("scrap*:run".parse::<Grant>().is_err());
/// # Ok::<(), tenancy_core::InvalidGrant>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant(Box<str>);

/// A text that is not a [`Grant`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a grant; use a permission name such as `notes:read`, or put `*` in place of \
     whole segments, such as `notes:*`"
)]
pub struct InvalidGrant(String);

impl Grant {
    /// The grant as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the grant covers a permission.
    ///
    /// `false` for a text that is not a permission's name: a question about `notes:*` asks
    /// neither about all notes permissions nor about any of them.
    #[must_use]
    pub fn covers(&self, permission: &str) -> bool {
        if !is_permission(permission) {
            return false;
        }
        let mut pattern = self.0.split(':').peekable();
        let mut name = permission.split(':');
        while let Some(wanted) = pattern.next() {
            match name.next() {
                Some(_) if wanted == "*" && pattern.peek().is_none() => return true,
                Some(segment) if wanted == "*" || wanted == segment => {}
                _ => return false,
            }
        }
        name.next().is_none()
    }

    /// Whether this is the bare `*`, which covers everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        &*self.0 == "*"
    }
}

impl FromStr for Grant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if has_segments(text, |segment| segment == "*" || is_segment(segment)) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidGrant(clip(text)))
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is the name of a permission, declared or not.
pub(super) fn is_permission(text: &str) -> bool {
    has_segments(text, is_segment)
}

fn has_segments(text: &str, valid: impl Fn(&str) -> bool) -> bool {
    text.split(':').count() <= 4 && text.split(':').all(valid)
}

fn is_segment(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

/// Shortens a text for a message: whoever wrote it chose its length.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}
