//! The claims of a credential: verified, and kept as text.

use std::{fmt, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The verified claims of a credential, for the application's own reading.
///
/// They are kept as the JSON text that they are, because a parsed value can take a hundred times the
/// room, and the holder of a token's signing key says what is in it. Each reading parses the text:
/// some microseconds. Cloning is cheap.
///
/// ```
/// use serde::Deserialize;
/// use tenancy_core::Claims;
///
/// #[derive(Deserialize)]
/// struct Device {
///     device: String,
/// }
///
/// let claims = Claims::from(serde_json::json!({ "sub": "alice", "device": "phone" }));
/// assert_eq!(claims.parse::<Device>()?.device, "phone");
/// assert_eq!(claims.get("sub"), Some("alice".into()));
/// assert_eq!(Claims::default().to_value(), serde_json::Value::Null);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// `Debug` shows the length only: claims may be personal.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Claims(Option<Arc<str>>);

impl Claims {
    /// The claims as JSON; `null` if the credential has none.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.0.as_deref().unwrap_or("null")
    }

    /// The claims as a type of the application's: what is read often needs no [`Value`] in between.
    ///
    /// # Errors
    /// What `serde_json` says if they are of another form.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_json())
    }

    /// All claims, parsed.
    #[must_use]
    pub fn to_value(&self) -> Value {
        // The text was made of a value, so that it is one.
        self.parse().unwrap_or_default()
    }

    /// One claim, by its name. To read several, use [`parse`](Self::parse).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        match self.to_value() {
            Value::Object(mut claims) => claims.remove(name),
            _ => None,
        }
    }

    /// The bytes that they take.
    pub(crate) fn len(&self) -> usize {
        self.0.as_deref().map_or(0, str::len)
    }
}

impl From<&Value> for Claims {
    fn from(claims: &Value) -> Self {
        match claims {
            Value::Null => Self(None),
            claims => Self(Some(claims.to_string().into())),
        }
    }
}

impl From<Value> for Claims {
    fn from(claims: Value) -> Self {
        Self::from(&claims)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claims({} bytes)", self.len())
    }
}
