//! `Stored`: bytes that a tenant keeps in Redis, and what they are read as.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use crate::RedisError;

/// A value, a member or a field as Redis has it: bytes. Its `Debug` has their number alone.
///
/// ```
/// use tenancy_redis::Stored;
///
/// assert_eq!(Stored::from("41").number()?, 41);
/// let cart = Stored::json_of(&["apple", "pear"])?;
/// assert_eq!(cart.json::<Vec<String>>()?, ["apple", "pear"]);
/// assert_eq!(format!("{:?}", Stored::from("secret")), "Stored(6 bytes)");
/// # Ok::<(), tenancy_redis::RedisError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stored(Vec<u8>);

impl Stored {
    /// A value as JSON, to be stored.
    ///
    /// # Errors
    /// [`RedisErrorKind::Invalid`](crate::RedisErrorKind::Invalid) if it can't be written as JSON.
    pub fn json_of<T: Serialize + ?Sized>(value: &T) -> Result<Self, RedisError> {
        // What serde says may repeat what the value holds.
        serde_json::to_vec(value)
            .map(Self)
            .map_err(|_| RedisError::invalid("the value can't be written as JSON"))
    }

    /// The bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// As text.
    ///
    /// # Errors
    /// [`RedisErrorKind::Unexpected`](crate::RedisErrorKind::Unexpected) if it is no UTF-8.
    pub fn text(&self) -> Result<&str, RedisError> {
        std::str::from_utf8(&self.0).map_err(|_| RedisError::unexpected("a value is no text"))
    }

    /// As a whole number.
    ///
    /// # Errors
    /// [`RedisErrorKind::Unexpected`](crate::RedisErrorKind::Unexpected) if it is none.
    pub fn number(&self) -> Result<i64, RedisError> {
        let number = self.text()?.parse();
        number.map_err(|_| RedisError::unexpected("a value is no whole number"))
    }

    /// As JSON.
    ///
    /// # Errors
    /// [`RedisErrorKind::Unexpected`](crate::RedisErrorKind::Unexpected) if it is none, or none of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, RedisError> {
        serde_json::from_slice(&self.0)
            .map_err(|_| RedisError::unexpected("a value is not the JSON that is expected"))
    }
}

impl AsRef<[u8]> for Stored {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Stored {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&str> for Stored {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({} bytes)", self.0.len())
    }
}
