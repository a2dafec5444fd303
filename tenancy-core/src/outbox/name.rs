//! The names of consumers.

use std::{fmt, str::FromStr};

/// A text that is no name of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{input}` is no name of a consumer; expected 1 to 63 of `a` to `z`, `0` to `9`, `_`, `-` and `.`, \
     beginning with a letter"
)]
pub struct InvalidConsumerName {
    input: String,
}

/// The name of a consumer, under which its position is stored.
///
/// ```
/// use tenancy_core::outbox::ConsumerName;
///
/// let name: ConsumerName = "webhooks".parse()?;
/// assert_eq!(name.as_str(), "webhooks");
/// assert!("Web hooks".parse::<ConsumerName>().is_err());
/// # Ok::<(), tenancy_core::outbox::InvalidConsumerName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerName(String);

impl ConsumerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConsumerName {
    type Err = InvalidConsumerName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = text.len() <= 63
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.'));
        if !is_name {
            let input = text.chars().take(64).collect();
            return Err(InvalidConsumerName { input });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
